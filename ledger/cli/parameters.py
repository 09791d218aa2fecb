"""What the commands take: the ledger itself, cursors, metadata; and the codes they exit with."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem

import ledger
from ledger import errors, targets
from ledger.cli.interrupts import Watch
from ledger.law.cursor import CursorKey
from ledger.law.queries import CursorQuery
from ledger.opening import postgres
from ledger.service import Ledger
from ledger.stores import sqlite

__all__ = ["Target", "cursor_arguments", "known", "metadata_option", "pass_target"]

DEFAULT_DB = "cursor-ledger.db"
# Under which a command that completes a word finds its own --db; there is no target then.
_DB = "ledger.cli.db"

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_NO_CURSOR = 4
EXIT_NOT_VERIFIED = 5
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_UNTOLD = 74  # EX_IOERR of sysexits.h
EXIT_BUSY = 75  # EX_TEMPFAIL of sysexits.h
EXIT_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


@attrs.frozen
class Target:
    """The ledger that a command is about, and who asks."""

    path: str = attrs.field(repr=targets.shown)
    actor: str | None
    busy_timeout_s: float
    # Where it was typed.
    name: str = "--db"

    def open(self, *, actor: str | None = None, make: bool = False, writes: bool = False) -> Ledger:
        """Open it, and make one where there is none if the command may `make` it.

        What a command that `writes` or makes one has appended is known when it is interrupted.
        """
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
        watch = Watch.current()
        writes = writes or make
        watch.writes = watch.writes or writes
        try:
            # Before anything is looked for, and named in a message.
            targets.checked(self.path)
            if not make:
                self._look_for_a_ledger()
            book = ledger.open(
                self.path,
                actor=acts or default_actor(),
                busy_timeout_s=self.busy_timeout_s,
            )
        except errors.InvalidCursorError as error:
            raise errors.InvalidCursorError(
                re.sub("^target ", f"{self.name} ", str(error))
            ) from None
        if book.immutable:
            click.echo(
                f"{self.path} is read as a file that nobody writes to, without locks, because this "
                "user may not write to it or its folder.",
                err=True,
            )
        return watch.over(book) if writes else book

    @property
    def file(self) -> str | None:
        """The path of its file; None if it has none of its own."""
        return None if targets.is_postgres(self.path) else self.path

    def _look_for_a_ledger(self) -> None:
        if targets.is_postgres(self.path):
            there, place = postgres().look(self.path)
            if not there:
                raise self._holds_none(place)
        else:
            if not Path(self.path).exists():
                raise errors.StorageError(
                    f"{targets.shown(self.path)} does not exist. {self._advice()}"
                )
            if _has_no_ledger(self.path):
                raise self._holds_none(targets.shown(self.path))

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
        return not sqlite.look(path)
    except errors.StorageError:
        return False


def _other_target(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    del parameter
    if path is None:
        return
    context.meta[_DB] = path
    target = context.find_object(Target)
    if target is not None:
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
        # Only a shell asks for it.
        from ledger.cli.completion import names

        given = context.params
        path = context.meta.get(_DB) or context.find_root().params.get("db") or DEFAULT_DB
        query = CursorQuery(
            consumer_id=_given(given, "consumer") if part != "consumer_id" else "",
            stream_name=_given(given, "stream") if part == "subject_id" else "",
        )
        return [CompletionItem(name) for name in names(path, part, query, incomplete)]

    return complete


def _given(parameters: dict[str, Any], name: str) -> str:
    """Give a part of a key as it was typed so far, as an argument or as an option."""
    return parameters.get(f"named_{name}") or parameters.get(name) or ""


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
