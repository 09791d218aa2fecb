"""How people write a moment: as a clock shows it, as a table shows it, or in a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ledger.cli.shown.zones import Zone, zone_of

__all__ = ["ago_of", "moment_of", "span_of"]

_UTC = Zone("UTC", UTC)
_UNITS = {
    "weeks": "w|weeks?",
    "days": "d|days?",
    "hours": "h|hours?",
    "minutes": "m|min|minutes?",
    "seconds": "s|sec|seconds?",
}
_SPAN = re.compile(
    "".join(
        rf"(?:(?P<{unit}>\d{{1,9}}) ?(?:{names})(?![a-z]) ?)?" for unit, names in _UNITS.items()
    ),
    re.ASCII,
)

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Names with a slash alone: CET and the like mean several zones.
_ZONE = r"(?P<zone> ?(?:Z|UTC|[+-]\d\d:\d\d)| [A-Z]\w*(?:/[\w+-]+)+)?"
_CLOCK = rf"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?{_ZONE}"
_DATE = r"(?:(?:(?P<year>\d{4})-)?(?P<month>\d\d)-)?(?P<day>\d\d)"
_WRITTEN = re.compile(rf"(?:{_DATE}[ T])?{_CLOCK}", re.ASCII)
_DAY = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", re.ASCII)
_NAMES = "|".join(f"{day}|{day[:3]}" for day in _DAYS)
_WORD = re.compile(rf"(?P<word>today|yesterday|(?i:{_NAMES}))(?: {_CLOCK})?", re.ASCII)


def span_of(text: str) -> timedelta | None:
    """Return a span of time such as 90m, 36h, 1h30m or 3 days; None if `text` is none.

    Raises OverflowError if it is too long.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    return timedelta(**{unit: int(n) for unit, n in found.groupdict().items() if n})


def ago_of(text: str) -> timedelta | None:
    """Return how long ago is meant by 20h or, as tables show it, by 20h ago; None by anything else.

    Raises OverflowError if it is too long.
    """
    return span_of(text.strip().removesuffix(" ago"))


def moment_of(text: str, now: datetime, among: Zone = _UTC) -> datetime | None:
    """Return the moment that `text` means at `now`; None if it means none.

    Where parts of the date are missing, it is the last such moment that is not in the future. Where
    no zone is written, it is the one that it is `among`, as in tables.
    """
    now, text = now.astimezone(UTC), text.strip()
    if text == "now":
        return now
    found = _WRITTEN.fullmatch(text) or _DAY.fullmatch(text) or _WORD.fullmatch(text)
    if found is None:
        return None
    parts = found.groupdict()
    zone = zone_of(parts["zone"].strip()) if parts.get("zone") else among
    if zone is None:
        return None
    clock = [int(parts.get(name) or 0) for name in ("hour", "minute", "second")]
    for date in _dates(parts, zone.of(now)):
        try:
            moment = zone.at(*date, *clock)
        except (ValueError, OverflowError):
            continue  # There is no 30th of February, and nothing after the year 9999.
        # A year that was written is meant, whatever comes of it.
        if parts.get("year") or moment <= now:
            return moment
    return None


def _dates(parts: dict[str, str | None], now: datetime) -> Iterator[tuple[int, int, int]]:
    """Yield the dates that can be meant, the latest first."""
    year, month, day = parts.get("year"), parts.get("month"), parts.get("day")
    if year:
        yield int(year), int(month or 0), int(day or 0)
    elif month:
        # The 29th of February may be eight years ago.
        yield from ((now.year - back, int(month), int(day or 0)) for back in range(9))
    elif day:
        for back in range(12):
            past = now.year * 12 + now.month - 1 - back
            yield past // 12, past % 12 + 1, int(day)
    else:
        for back in _days_back(parts.get("word"), now):
            date = now.date() - timedelta(days=back)
            yield date.year, date.month, date.day


def _days_back(word: str | None, now: datetime) -> Sequence[int]:
    match word:
        case None:  # A time by itself is of today, or of yesterday if it is yet to come.
            return 0, 1
        case "today":
            return (0,)
        case "yesterday":
            return (1,)
    [number] = (n for n, day in enumerate(_DAYS) if day.startswith(word.lower()))
    back = (now.weekday() - number) % 7
    return back, back + 7
