"""What can be typed for where a reset goes: another cursor, or a time in the past."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import click

from ledger import CursorKey, InvalidCursorError
from ledger.cli.parameters import Parameter
from ledger.cli.times import MOMENT
from ledger.log.json import structure
from ledger.log.text import loads, show_time

__all__ = ["KEY", "PAST", "Then"]


class Key(Parameter[CursorKey]):
    """A cursor in one word: CONSUMER/STREAM[/SUBJECT], or JSON where a name has a slash in it."""

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
            parts = value.split("/")
            if not 2 <= len(parts) <= 3:
                self.fail(
                    f"{value!r:.80} is not a cursor. Write CONSUMER/STREAM[/SUBJECT] or, if a name "
                    'has a slash in it, {"consumer_id": "…", "stream_name": "…", "subject_id": '
                    '"…"}.',
                    param,
                    ctx,
                )
            return CursorKey(*parts)
        except InvalidCursorError as error:
            self.fail(str(error), param, ctx)


@attrs.frozen
class Then:
    """A moment, and what was typed for it: 8h ago is another moment each time it is typed."""

    at: datetime
    typed: str

    @property
    def told(self) -> str:
        """What was typed, and the moment that it is."""
        return f"--to-time {self.typed} is {show_time(self.at)}"


class Past(Parameter[Then]):
    """A time as MOMENT has it, which remembers what was typed."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Then:
        """Return the moment."""
        if isinstance(value, Then):
            return value
        return Then(MOMENT.convert(value, param, ctx), value)


KEY = Key()
PAST = Past()
