"""Commands that are printed to be run later: what was planned is what they do, or they refuse."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import attrs
import click
from click.core import ParameterSource

from ledger.cli.process.hosts import command_name
from ledger.cli.typed.target import Target
from ledger.log.text import show_time, visible
from ledger.targets import is_postgres
from projections.resets.plans import PlannedReset

__all__ = ["Place", "to_apply", "to_ask", "to_reset"]

# What libpq keeps secret of what may stand in a URL.
_SECRETS = {
    "oauth_client_secret",
    "password",
    "scram_client_key",
    "scram_server_key",
    "sslpassword",
}


@attrs.frozen(kw_only=True)
class Place:
    """The ledger that a plan was made for: how it is shown, and how it is typed.

    Its password is never shown; `incomplete` says that a command needs it from somewhere else.
    """

    shown: str
    typed: str
    """What a command begins with that is about it."""
    incomplete: bool = False

    @classmethod
    def of(cls, target: Target, context: click.Context) -> Place:
        """Return the place of `target`, from wherever it is read."""
        name = command_name()
        in_file = not is_postgres(target.path)
        # It keeps symbolic links.
        path = os.path.abspath(target.path)  # noqa: PTH100
        shown = path if in_file else _without_password(target.path)
        if target.host is not None:
            # It knows the place, and the password.
            return cls(shown=shown, typed=name)
        typed = f"{name} --db {shlex.quote(shown)}"
        if in_file or shown == target.path:
            return cls(shown=shown, typed=typed)
        own = context.get_parameter_source("db") is ParameterSource.COMMANDLINE
        root = context.find_root().get_parameter_source("db")
        if not own and root is ParameterSource.ENVIRONMENT:
            # Elsewhere, where the variable is not set, the command is refused.
            return cls(shown=shown, typed=f'{name} --db "$CURSOR_LEDGER_DB"')
        return cls(shown=shown, typed=typed, incomplete=True)


def to_reset(place: Place, planned: PlannedReset, *, actor: str) -> str | None:
    """Return the command that makes this very reset, whatever becomes of clocks and other cursors.

    None if a terminal would not show it as it is, or no command can say it.
    """
    key = planned.key
    names = [name for name in (key.consumer_id, key.stream_name, key.subject_id) if name]
    options = ["--to", str(planned.sequence), "--reason", planned.reason]
    if planned.delivery_id:
        options += ["--delivery-id", planned.delivery_id]
    for option, moment in (
        ("--delivered-at", planned.delivered_at),
        ("--now", planned.occurred_at),
    ):
        if moment is not None:
            options += [option, show_time(moment)]
    for name, value in planned.metadata.items():
        options += ["--meta", f"{name}={value}"]
    options += ["--actor", actor, "--expect-version", str(planned.version)]
    if not planned.version:
        options.append("--new")
    options.append("--execute")
    if any("=" in name for name in planned.metadata):
        return None
    # A name that begins with a hyphen would be taken for an option.
    behind = any(name.startswith("-") for name in names)
    return _command(place, [*options, "--", *names] if behind else [*names, *options])


def to_apply(place: Place, plan: Path, beside: Sequence[str]) -> str | None:
    """Return the command that applies the plan in a file; None if a terminal would not show it."""
    path = os.path.abspath(plan)  # noqa: PTH100 - it keeps symbolic links
    return _command(place, ["--from-file", path, *beside, "--execute"])


def to_ask(context: click.Context, command: str, names: Sequence[str], *options: str) -> str | None:
    """Return a command that asks the ledger of `context`, to be pasted where it was run.

    `names` are the arguments. None if a terminal would not show it as it is.
    """
    own = context.get_parameter_source("db") is ParameterSource.COMMANDLINE
    root = context.find_root()
    typed = own or root.get_parameter_source("db") is ParameterSource.COMMANDLINE
    target = context.find_object(Target)
    # What the default or the variable says is said to the next command as well.
    begun = Place.of(target, context).typed if typed and target is not None else command_name()
    # A name that begins with a hyphen would be taken for an option.
    behind = any(name.startswith("-") for name in names)
    arguments = [*options, "--", *names] if behind else [*names, *options]
    said = f"{begun} {shlex.join([command, *arguments])}"
    return said if visible(said) == said else None


def _command(place: Place, arguments: list[str]) -> str | None:
    command = f"{place.typed} reset {shlex.join(arguments)}"
    return command if visible(command) == command else None


def _without_password(url: str) -> str:
    front, question, query = url.partition("?")
    scheme, _, rest = front.partition("://")
    authority, slash, name = rest.partition("/")
    user, at, hosts = authority.rpartition("@")
    user = user.partition(":")[0]
    options = [part for part in query.split("&") if unquote(part.partition("=")[0]) not in _SECRETS]
    front = f"{scheme}://{user}{at}{hosts}{slash}{name}"
    return front + (question + "&".join(options) if options else "")
