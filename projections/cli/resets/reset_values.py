"""What can be typed for where a reset goes: sequences, another cursor, or a time in the past."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
import click

from ledger import CursorKey, InvalidCursorError
from ledger.cli.parameters import Parameter, beginning
from ledger.cli.typed.sources import POSITION, Position
from ledger.cli.typed.target import path_of
from ledger.cli.typed.times import MOMENT
from ledger.log.json import structure
from ledger.log.text import loads, show_time
from ledger.positions.mapping import is_word
from projections.resets import targets

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["GOAL", "KEY", "PAST", "Goal", "Then", "read_targets"]

TARGETS_BYTES_MAX = 2**26


@attrs.frozen
class Goal:
    """A place for the cursors of one subject, or for all of them if that is None."""

    place: int | Position
    subject: str | None = None


class GoalType(Parameter[Goal]):
    """N, or SUBJECT=N. A sequence has no "=" in it, so a name stands before the last one.

    In the place of N may stand the word for a position of the source. What begins like such a word
    is one: its token may have a "=" in it.
    """

    name = "goal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Goal:
        """Return the goal."""
        if isinstance(value, Goal):
            return value
        subject, place = _apart(value)
        said = None if subject is None else subject.strip()
        return Goal(POSITION.convert(place, param, ctx), said)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the words for a position of the source."""
        return POSITION.shell_complete(ctx, param, incomplete)


def _apart(value: str) -> tuple[str | None, str]:
    """Return the subject, if there is one, and the place."""
    if is_word(value):
        return None, value
    for found in re.finditer("=", value):
        if is_word(value[found.end() :]):
            return value[: found.start()], value[found.end() :]
    subject, equals, place = value.rpartition("=")
    return (subject if equals else None), place


def read_targets(file: BinaryIO, consumer: str, stream: str) -> dict[CursorKey, int | Position]:
    """Return the places that a file has for cursors. Raises InvalidCursorError."""
    data = file.read(TARGETS_BYTES_MAX + 1)
    if len(data) > TARGETS_BYTES_MAX:
        raise InvalidCursorError(
            f"the file of targets has more than {TARGETS_BYTES_MAX:,} bytes. Cut it into several."
        )
    found = targets.read(data, consumer=consumer, stream=stream)
    return {key: to if isinstance(to, int) else Position(to) for key, to in found.items()}


class Key(Parameter[CursorKey]):
    """A cursor in one word, as it is printed: CONSUMER/STREAM[/SUBJECT]; or as JSON."""

    name = "cursor"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CursorKey:
        """Return the key."""
        if isinstance(value, CursorKey):
            return value
        try:
            if value.startswith("{"):
                return structure(loads(value), CursorKey)
            return CursorKey.parse(value)
        except InvalidCursorError as error:
            if error.field == "cursor":
                self.fail(
                    f"{value!r:.80} is not a cursor. Write it as it is printed: "
                    "CONSUMER/STREAM[/SUBJECT], with %2F for a slash in a name.",
                    param,
                    ctx,
                )
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a cursor as it is printed."""
        from ledger.cli.typed.completion import cursors

        del param
        return beginning(cursors(path_of(ctx), incomplete), incomplete)


@attrs.frozen
class Then:
    """A moment, and what was typed for it: 8h ago is another moment each time it is typed."""

    at: datetime
    typed: str

    def told(self, option: str) -> str:
        """Return what was typed for `option`, and the moment that it is."""
        return f"{option} {self.typed} is {show_time(self.at)}"


class Past(Parameter[Then]):
    """A time as MOMENT has it, which remembers what was typed."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Then:
        """Return the moment."""
        if isinstance(value, Then):
            return value
        moment, _ = MOMENT.understood(value, param, ctx)
        return Then(moment, value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the words for a time."""
        return MOMENT.shell_complete(ctx, param, incomplete)


GOAL = GoalType()
KEY = Key()
PAST = Past()
