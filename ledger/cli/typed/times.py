"""Times on the command line, and spans with their units. A bare number is refused."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from ledger import errors
from ledger.cli.parameters import Parameter, beginning
from ledger.cli.shown.sentences import say
from ledger.cli.shown.zones import current_zone
from ledger.cli.typed.typed_times import ago_of, moment_of, span_of
from ledger.log.text import parse_time, show_time
from ledger.opening import utc_now

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["DURATION", "EXACT_MOMENT", "MOMENT", "MOMENT_OR_POSITION"]


TIMES = ("now", "today", "yesterday", "15m", "1h", "24h", "7d")
"""What a shell offers for a time. A time of the day, or a date, is typed."""


class Duration(Parameter[timedelta]):
    """A span of time: a number with its unit."""

    name = "duration"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Return the span."""
        if isinstance(value, timedelta):
            return value
        try:
            span = span_of(value)
        except OverflowError:
            self.fail(f"{value} is too long.", param, ctx)
        if span is None:
            self.fail(
                f"{value!r} is not a duration. Write a number with its unit: 90m, 36h, 7d.",
                param,
                ctx,
            )
        return span

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete some durations."""
        del ctx, param
        return beginning(("15m", "1h", "24h", "7d"), incomplete)


DURATION = Duration()


class ExactMoment(Parameter[datetime]):
    """A time in RFC 3339, or how long ago: for what is written to the log."""

    name = "time"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        try:
            if (ago := ago_of(value)) is not None:
                return utc_now() - ago
        except OverflowError:
            self.fail(f"{value} is too long ago.", param, ctx)
        try:
            return parse_time(value, "it")
        except errors.InvalidCursorError:
            self.fail(f"{value!r} is not a time. {self.advice}", param, ctx)

    advice = (
        "Write one with its zone, like 2026-05-05T16:00:01Z, or how long ago, with its unit: "
        "90m, 36h, 7d."
    )


EXACT_MOMENT = ExactMoment()


class Moment(ExactMoment):
    """A time as people write it, or how long ago; a bare number says neither.

    What was understood of a time that is not exact is said, because another one may be meant.
    """

    advice = (
        "Write one like 2026-05-05T16:00:01Z, 22:04 or yesterday 22:04, in UTC, or how long ago, "
        "with its unit: 90m, 36h, 7d."
    )

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        """Return the moment, and say which it is."""
        moment, exact = self.understood(value, param, ctx)
        if not exact and ctx is not None and not ctx.resilient_parsing:
            option = f"{param.opts[0]} " if isinstance(param, click.Option) else ""
            say(f"{option}{value} is {show_time(moment)}", err=True)
        return moment

    def understood(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[datetime, bool]:
        """Return the moment, and whether it was written exactly."""
        if isinstance(value, str):
            with suppress(errors.InvalidCursorError):
                return parse_time(value, "it"), True
            if (moment := moment_of(value, utc_now(), current_zone())) is not None:
                return moment, False
        return super().convert(value, param, ctx), True

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the words for a time."""
        del ctx, param
        return beginning(TIMES, incomplete)


MOMENT = Moment()


class MomentOrPosition(Parameter[datetime | int]):
    """A time as MOMENT has it, or a bare number: a position of the log."""

    name = "moment"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime | int:
        """Return the moment, or the position."""
        if isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"\d{1,19}", value)):
            return int(value)
        return MOMENT.convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the words for a time."""
        del ctx, param
        return beginning(TIMES, incomplete)


MOMENT_OR_POSITION = MomentOrPosition()
