"""What a command or an option that does not exist, or a word too many, may have meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

import click

from ledger.cli.listing import Loaded
from ledger.cli.process.hosts import command_name

__all__ = ["meant"]

NEAR = 0.7  # At difflib's own 0.6, --wide would be near --since.
SHOWN_MAX = 3
WORD_LEAST = 4
"""The letters from which on a word says enough to be looked for in what commands are for."""

# What other programs call these, or other commands of this one.
_SAME: Mapping[str, tuple[str, ...]] = {
    "actor": ("by",),
    "after": ("since",),
    "before": ("until",),
    "by": ("actor",),
    "fields": ("columns",),
    "follow": ("watch",),
    "format": ("o",),
    "from": ("since", "from-position"),
    "last": ("limit", "lines"),
    "limit": ("lines",),
    "lines": ("limit",),
    "order-by": ("sort",),
    "reverse": ("newest-first", "sort"),
    "to": ("until", "to-position"),
    "user": ("by", "actor"),
    "watch": ("follow",),
}
_OF_TIME = {"since", "until", "from", "after", "before"}


def meant(error: click.UsageError) -> str | None:
    """Return what is said of what does not exist, or is too much; None of other errors."""
    if isinstance(error, click.NoSuchOption):
        return f"{error.message}{_option(error)}"
    if error.format_message().startswith("Got unexpected extra argument"):
        return _too_much(error)
    # Older versions of click have no error of its own for it.
    found = re.match(r"No such command '(.*?)'\.", error.format_message(), re.DOTALL)
    context = error.ctx
    # `man` takes the name of a command as well, and says itself what is near.
    if found is None or context is None or not isinstance(context.command, click.Group):
        return None
    return f"{found[0]}{_command(found[1], context, context.command)}"


def _too_much(error: click.UsageError) -> str | None:
    """Return how to name cursors, where options choose them."""
    options = [] if error.ctx is None else [each.opts[0] for each in error.ctx.command.params]
    if not {"--consumer", "--stream"} <= {*options}:
        return None
    return (
        f"{error.format_message()} {_shown(error)} takes no names as words: choose by --consumer, "
        "--stream and --subject."
    )


def _shown(error: click.UsageError) -> str:
    return (error.ctx.command.name if error.ctx is not None else None) or "It"


def _option(error: click.NoSuchOption) -> str:
    command = error.ctx.command if error.ctx is not None else None
    parameters = command.params if command is not None else ()
    known = [name for each in parameters for name in (*each.opts, *each.secondary_opts)]
    options = {name.lstrip("-"): name for name in known if name.startswith("-")}
    typed = error.option_name.lstrip("-")
    same = [options[name] for name in _SAME.get(typed, ()) if name in options]
    near = same or [options[name] for name in _near(typed, options)]
    if not near and typed in _OF_TIME and command is not None and "sort" in options:
        return _of_time(command)
    return _said(near)


def _of_time(command: click.Command) -> str:
    """Return how to ask about another time than now, where a list has no option for it."""
    name = command_name()
    if command.name in {"as-of", "diff"}:
        return f" The time is an argument here: {name} {command.name} 1h"
    return (
        f" {command.name} shows what is so now. What changed since: {name} diff 1h, and where "
        f"cursors stood then: {name} as-of 1h"
    )


def _command(typed: str, context: click.Context, group: click.Group) -> str:
    help_of = context.command_path
    if typed == "help":
        return f" For help: {help_of} --help, and {help_of} COMMAND --help"
    near = _near(typed, group.commands)
    if not near and isinstance(group.commands, Loaded):
        near = _about(typed, group.commands)
    return _said(near) or f" All of them: {help_of} --help"


def _near(typed: str, names: Iterable[str]) -> list[str]:
    """Return the names that begin with what was typed, or that are like it."""
    names = list(names)
    begin = [name for name in names if len(typed) > 1 and name.startswith(typed)]
    return (begin or get_close_matches(typed, names, cutoff=NEAR))[:SHOWN_MAX]


def _about(typed: str, commands: Loaded) -> list[str]:
    """Return the commands that are for what was typed, as `behind` or `checkpoints`."""
    if len(typed) < WORD_LEAST:
        return []
    word = re.compile(rf"\b{re.escape(typed.removesuffix('s'))}", re.IGNORECASE)
    return [each.name for each in commands.listed.values() if word.search(each.says)][:SHOWN_MAX]


def _said(names: list[str]) -> str:
    return f" Did you mean {' or '.join(map(repr, names))}?" if names else ""
