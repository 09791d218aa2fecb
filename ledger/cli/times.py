"""Times on the command line: RFC 3339, or a span with its unit. A bare number is refused."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

from ledger import errors
from ledger.cli.parameters import Parameter
from ledger.log.text import parse_time
from ledger.opening import utc_now

__all__ = ["DURATION", "MOMENT", "MOMENT_OR_POSITION"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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
            span = _span(value)
        except OverflowError:
            self.fail(f"{value} is too long.", param, ctx)
        if span is None:
            self.fail(
                f"{value!r} is not a duration. Write a number with its unit: 90m, 36h, 7d.",
                param,
                ctx,
            )
        return span


DURATION = Duration()


class Moment(Parameter[datetime]):
    """A time in RFC 3339, or how long ago with its unit; a bare number says neither."""

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
            if (ago := _span(value)) is not None:
                return utc_now() - ago
        except OverflowError:
            self.fail(f"{value} is too long ago.", param, ctx)
        try:
            return parse_time(value, "it")
        except errors.InvalidCursorError:
            self.fail(
                f"{value!r} is not a time. Write one like 2026-05-05T16:00:01Z, or how long ago, "
                "with its unit: 90m, 36h, 7d.",
                param,
                ctx,
            )


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


MOMENT_OR_POSITION = MomentOrPosition()


def _span(value: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,9})([smhdw])", value, re.ASCII)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
