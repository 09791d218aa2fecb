"""What the commands take: the ledger itself, cursors, metadata; and how they exit."""

from __future__ import annotations

import errno
import getpass
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem

import ledger
from ledger import codec, errors
from ledger.cli import names
from ledger.cursor import CursorKey, CursorQuery
from ledger.service import Ledger, is_postgres, postgres

__all__ = ["Commands", "Target", "cursor_arguments", "known", "metadata_option", "pass_target"]

DEFAULT_DB = "cursor-ledger.db"

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_NO_CURSOR = 4
EXIT_NOT_VERIFIED = 5
EXIT_BUSY = 75  # EX_TEMPFAIL of sysexits.h
EXIT_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT

_EXITS = (
    (errors.LedgerBusyError, EXIT_BUSY),
    (errors.StorageError, EXIT_FAILED),
    (errors.BrokenChainError, EXIT_NOT_VERIFIED),
    (errors.CursorNotFoundError, EXIT_NO_CURSOR),
    (errors.InvalidCursorError, EXIT_USAGE),
    (errors.LedgerError, EXIT_REFUSED),
)


@attrs.frozen
class Target:
    """The ledger that a command is about, and who asks."""

    path: str
    actor: str | None
    busy_timeout_s: float
    # Where it was typed.
    name: str = "--db"

    def open(self, *, actor: str | None = None, make: bool = False) -> Ledger:
        """Open it; only a command that writes makes one where there is none."""
        acts = self.actor if actor is None else actor
        if acts is not None and not acts.strip():
            raise errors.InvalidCursorError(
                "--actor is blank; name who acts, or leave it out for user@host."
            )
        if self.path == ":memory:":
            raise errors.InvalidCursorError(
                f"{self.name} must be a file or a postgresql:// URL; what is appended in memory "
                "would be gone with the command."
            )
        if not make:
            self._look_for_a_ledger()
        try:
            return ledger.open(
                self.path,
                actor=acts or default_actor(),
                busy_timeout_s=self.busy_timeout_s,
            )
        except errors.InvalidCursorError as error:
            raise errors.InvalidCursorError(
                re.sub("^target ", f"{self.name} ", str(error))
            ) from error

    @property
    def file(self) -> str | None:
        """The path of its file; None if it has none of its own."""
        return None if is_postgres(self.path) else self.path

    def _look_for_a_ledger(self) -> None:
        if is_postgres(self.path):
            there, place = postgres().look(self.path)
            if not there:
                raise self._holds_none(place)
        elif "://" not in self.path:
            if not Path(self.path).exists():
                raise errors.StorageError(f"{self.path} does not exist. {self._advice()}")
            if _has_no_ledger(self.path):
                raise self._holds_none(self.path)

    def _holds_none(self, place: str) -> errors.StorageError:
        return errors.StorageError(
            f"{place} holds no ledger; it was left as it is. {self._advice()}"
        )

    def _advice(self) -> str:
        if self.name != "--db":
            return f"{self.name} must be a ledger."
        return "Name a ledger with --db, or CURSOR_LEDGER_DB; the first advance makes one."


def _has_no_ledger(path: str) -> bool:
    """Say whether this is a database without our tables; if it is none, opening it says why."""
    try:
        uri = Path(path).absolute().as_uri() + "?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            names = "SELECT 1 FROM sqlite_master WHERE name = 'ledger_events'"
            return connection.execute(names).fetchone() is None
    except sqlite3.Error:
        return False


def _other_target(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    del parameter
    target = context.find_object(Target)
    if path is not None and target is not None:
        # The group knows it, too: it may have to look again for what was not found.
        context.obj = context.find_root().obj = attrs.evolve(target, path=path)


def pass_target(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its target: as for cursor-ledger, or by a `--db` of its own."""
    option = click.option(
        "--db",
        metavar="TARGET",
        expose_value=False,
        callback=_other_target,
        help="The ledger; else as for cursor-ledger.",
    )
    return option(click.make_pass_decorator(Target)(command))


# What a value is called in Python and in JSON, and where it was typed.
_TYPED = {
    "consumer_id": "CONSUMER",
    "stream_name": "STREAM",
    "subject_id": "SUBJECT",
    "last_sequence": "--to",
    "delivery_id": "--delivery-id",
    "last_delivery_id": "--delivery-id",
    "last_error": "--message",
    "reason": "--reason",
    "actor": "--actor",
    "epoch": "--epoch",
    "expected_version": "--expect-version",
    "position_from": "--from-position",
    "position_until": "--to-position",
    "covering": "--covering",
}


def _as_typed(message: str) -> str:
    name, space, rest = message.partition(" ")
    return _TYPED.get(name, name) + space + rest


class Commands(click.Group):
    """A group whose commands fail with the message of the error, and the exit code of its kind."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except errors.LedgerError as error:
            said = _as_typed(str(error))
            if isinstance(error, errors.CursorNotFoundError) and isinstance(ctx.obj, Target):
                said += names.suggestion(ctx.obj.open, error.key)
            click.echo(f"cursor-ledger: {codec.visible(said)}", err=True)
            ctx.exit(next(code for kind, code in _EXITS if isinstance(error, kind)))
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # Whoever read it has read enough; click ends quietly.
            click.echo(
                f"cursor-ledger: input or output failed: {error.strerror or error}. "
                "What was appended stays.",
                err=True,
            )
            # What is left in the buffer could not be written either, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(EXIT_FAILED)


def default_actor() -> str:
    """Give `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def cursor_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments CONSUMER STREAM [SUBJECT]."""
    subject = click.argument("subject", default="", shell_complete=known("subject_id"))
    stream = click.argument("stream", shell_complete=known("stream_name"))
    consumer = click.argument("consumer", shell_complete=known("consumer_id"))
    return consumer(stream(subject(command)))


def known(part: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Complete a part of a key from the cursors that there are."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del parameter
        root = context.find_root().params
        target = Target(root.get("db") or DEFAULT_DB, None, 1.0)
        given = context.params
        query = CursorQuery(
            consumer_id=given.get("consumer") or "" if part != "consumer_id" else "",
            stream_name=given.get("stream") or "" if part == "subject_id" else "",
        )
        try:
            with target.open() as book:
                names = {getattr(cursor.key, part) for cursor in book.cursors(query)}
        except errors.LedgerError:
            return []
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]

    return complete


def key(consumer: str, stream: str, subject: str) -> CursorKey:
    """Give the key that the arguments name."""
    return CursorKey(consumer, stream, subject)


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or name in pairs:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, once.", context, parameter)
        pairs[name] = text
    return pairs


def metadata_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--meta NAME=VALUE`, as often as wanted."""
    return click.option(
        "--meta",
        "metadata",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs,
        help="Keep this with the entry, such as ticket=OPS-12. Repeatable.",
    )(command)
