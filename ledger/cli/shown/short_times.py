"""How a table words its times: to the second, or as short as is still clear."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import attrs

from ledger.cli.shown.zones import Zone, current_zone
from ledger.log.text import show_time

__all__ = ["Ages", "ShortTimes", "Times", "exact_times", "to_the_second"]

Times = Callable[[datetime | None], str]
"""Words a time, or None."""

# By how much of the date is needed to tell which day is meant.
_FORMATS = ("%d %H:%M", "%m-%d %H:%M", "%Y-%m-%d %H:%M")


def to_the_second(time: datetime | None) -> str:
    """Return a time in RFC 3339, to the second, in the current zone; nothing for None."""
    if time is None:
        return ""
    zone, time = current_zone(), time.replace(microsecond=0)
    return show_time(time) if zone.name == "UTC" else zone.of(time).isoformat()


def exact_times() -> Times:
    """Return what words times to the second in the current zone, which is looked up once."""
    zone = current_zone()
    if zone.name == "UTC":
        return lambda time: "" if time is None else show_time(time.replace(microsecond=0))
    return lambda time: "" if time is None else zone.of(time.replace(microsecond=0)).isoformat()


@attrs.frozen
class ShortTimes:
    """Words times to the minute, with the parts of the date in which they differ from today's.

    All times of one table are worded alike; one that needs more of its date has it.
    """

    today: datetime
    _least: int = 0
    zone: Zone = attrs.field(factory=current_zone, kw_only=True)

    @classmethod
    def fit_for(cls, times: Iterable[datetime], today: datetime) -> ShortTimes:
        """Return the shortest form in which all of `times` are clear, in the current zone."""
        zone = current_zone()
        today = zone.of(today)
        least = max((_needed(zone.of(time), today) for time in times), default=0)
        return cls(today, least, zone=zone)

    def on(self, today: datetime) -> ShortTimes:
        """Return the same for lines that are printed at `today`, which may be long after."""
        return attrs.evolve(self, today=self.zone.of(today))

    def __call__(self, time: datetime | None) -> str:
        """Return `time` in words; nothing for None."""
        if time is None:
            return ""
        time = self.zone.of(time)
        return time.strftime(_FORMATS[max(self._least, _needed(time, self.today))])


@attrs.frozen
class Ages:
    """Words times as how long ago they were, in their largest unit: `20h ago`."""

    now: datetime

    def __call__(self, time: datetime | None) -> str:
        """Return how long ago `time` was; nothing for None."""
        if time is None:
            return ""
        seconds = int((self.now - time).total_seconds())
        # A clock of another machine may be ahead.
        if seconds <= -60:
            return f"in {_largest(-seconds)}"
        return f"{_largest(max(seconds, 0))} ago"


def _largest(seconds: int) -> str:
    """Return a span in its largest unit, of which there are two at least from days on."""
    for unit, size, least in (("y", 31_536_000, 2), ("d", 86_400, 2), ("h", 3_600, 1)):
        if seconds >= least * size:
            return f"{seconds // size:,}{unit}"
    return f"{seconds // 60}m" if seconds >= 60 else f"{seconds}s"


def _needed(time: datetime, today: datetime) -> int:
    if time.year != today.year:
        return 2
    # A day of this month that is yet to come is told with its month: it is odd enough.
    return int(time.month != today.month or time > today)
