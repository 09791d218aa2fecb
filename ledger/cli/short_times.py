"""How a table words its times: to the second, or as short as is still clear."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import attrs

from ledger.log.text import show_time

__all__ = ["ZONE", "ShortTimes", "Times", "to_the_second"]

ZONE = "UTC"

Times = Callable[[datetime | None], str]
"""Words a time, or None."""

# By how much of the date is needed to tell which day is meant.
_FORMATS = ("%d %H:%M", "%m-%d %H:%M", "%Y-%m-%d %H:%M")


def to_the_second(time: datetime | None) -> str:
    """Return a time in RFC 3339, to the second; nothing for None."""
    return "" if time is None else show_time(time.replace(microsecond=0))


@attrs.frozen
class ShortTimes:
    """Words times to the minute, with the parts of the date in which they differ from today's.

    All times of one table are worded alike; one that needs more of its date has it.
    """

    today: datetime
    _least: int = 0

    @classmethod
    def fit_for(cls, times: Iterable[datetime], today: datetime) -> ShortTimes:
        """Return the shortest form in which all of `times` are clear."""
        today = today.astimezone(UTC)
        return cls(today, max((_needed(time, today) for time in times), default=0))

    def __call__(self, time: datetime | None) -> str:
        """Return `time` in words; nothing for None."""
        if time is None:
            return ""
        time = time.astimezone(UTC)
        return time.strftime(_FORMATS[max(self._least, _needed(time, self.today))])


def _needed(time: datetime, today: datetime) -> int:
    time = time.astimezone(UTC)
    if time.year != today.year:
        return 2
    # A day of this month that is yet to come is told with its month: it is odd enough.
    return int(time.month != today.month or time > today)
