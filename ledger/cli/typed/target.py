"""The ledger that a command is about: `--db`, who acts, and how it is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import attrs
import click

import ledger
from ledger import errors, targets
from ledger.cli.parameters import files
from ledger.cli.process.hosts import DbOption
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.sentences import say

if TYPE_CHECKING:
    from ledger.service import Ledger
    from ledger.targets.hosts import Host

__all__ = ["DEFAULT_DB", "Target", "default_actor", "files", "innermost", "pass_target", "path_of"]

DEFAULT_DB = "cursor-ledger.db"
# The key of a command's own --db, for completing a word, when there is no target yet.
_DB = "ledger.cli.db"
_INNERMOST = "ledger.cli.innermost"


class MissingError(errors.StorageError):
    """The place that was named holds no ledger."""


@attrs.frozen
class Target:
    """The ledger that a command is about, and who asks."""

    path: str = attrs.field(repr=targets.shown)
    actor: str | None
    busy_timeout_s: float
    # The parameter that it was typed for.
    name: str = "--db"
    # The program that this is a command of, and which has said where it is.
    host: Host | None = None

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
        writes = writes or make
        watch = Watch.current()
        watch.writes = watch.writes or writes
        try:
            # Before it is looked for, and named in a message.
            targets.checked(self.path)
            if not make:
                self._look_for_a_ledger()
            book = ledger.open(
                self.path,
                # A command that only reads needs no name, and to find one takes time.
                actor=acts or (default_actor() if writes else ""),
                busy_timeout_s=self.busy_timeout_s,
            )
        except errors.InvalidCursorError as error:
            if error.field != "target":
                raise
            raise errors.InvalidCursorError(f"{self.name} {error.problem}") from None
        if book.immutable:
            say(
                f"{self.path} is opened without locks, as a file that does not change, because "
                "this user may not write to it or its folder.",
                err=True,
            )
        return watch.over(book) if writes else book

    def open_if_there(self) -> Ledger | None:
        """Open it to read, or return None if nobody has made a ledger there; nor is one made."""
        try:
            return self.open()
        except MissingError:
            return None

    @property
    def file(self) -> str | None:
        """The path of its file; None if it has none of its own."""
        return None if targets.is_postgres(self.path) else self.path

    def _look_for_a_ledger(self) -> None:
        if targets.is_postgres(self.path):
            from ledger.opening import postgres

            there, place = postgres().look(self.path)
            if not there:
                raise self._holds_none(place)
        else:
            if not os.path.exists(self.path):  # noqa: PTH110 - pathlib takes 5 ms to import
                raise MissingError(f"{targets.shown(self.path)} does not exist. {self._advice()}")
            if _has_no_ledger(self.path):
                raise self._holds_none(targets.shown(self.path))

    def _holds_none(self, place: str) -> MissingError:
        return MissingError(f"{place} holds no ledger; it was left as it is. {self._advice()}")

    def _advice(self) -> str:
        if self.name != "--db":
            return f"{self.name} must be a ledger."
        if self.host is not None:
            return self.host.advice
        return "Name a ledger with --db, or CURSOR_LEDGER_DB; the first advance makes one."


def _has_no_ledger(path: str) -> bool:
    """Return whether this is a database without our tables; if it is none, opening it says why."""
    from ledger.stores import sqlite

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


def path_of(context: click.Context) -> str:
    """Return the `--db` of a command that completes a word, which has no target."""
    return context.meta.get(_DB) or context.find_root().params.get("db") or DEFAULT_DB


def pass_target(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass a command its target: that of cursor-ledger, or that of its own `--db`."""

    @wraps(command)
    def noted(*given: Any, **named: Any) -> Any:
        # The group reports what the command raises, when the context of the command has ended.
        context = click.get_current_context()
        context.meta[_INNERMOST] = context
        return command(*given, **named)

    option = click.option(
        "--db",
        cls=DbOption,
        metavar="TARGET",
        expose_value=False,
        shell_complete=files,
        callback=_other_target,
        help="The ledger, if not that of cursor-ledger --db.",
    )
    return option(click.make_pass_decorator(Target)(noted))


def innermost(context: click.Context) -> click.Context:
    """Return the context of the command that was run, or `context` if none was."""
    found: click.Context = context.meta.get(_INNERMOST, context)
    return found


def default_actor() -> str:
    """Return `user@host`."""
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{os.uname().nodename}"
