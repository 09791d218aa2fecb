"""How people write a moment: as a clock shows it, as a table shows it, or in a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from ledger.cli.shown.zones import Zone

__all__ = ["ago_of", "moment_of", "span_of"]

_UTC = Zone("UTC", UTC)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SPAN = re.compile("".join(rf"(?:(?P<{unit}>\d{{1,9}}){unit} ?)?" for unit in _UNITS), re.ASCII)

_CLOCK = (
    r"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?P<zone> ?(?:Z|UTC|[+-]\d\d:\d\d))?"
)
_DATE = r"(?:(?:(?P<year>\d{4})-)?(?P<month>\d\d)-)?(?P<day>\d\d)"
_WRITTEN = re.compile(rf"(?:{_DATE}[ T])?{_CLOCK}", re.ASCII)
_DAY = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", re.ASCII)
_WORD = re.compile(rf"(?P<word>today|yesterday)(?: {_CLOCK})?", re.ASCII)


def span_of(text: str) -> timedelta | None:
    """Return a span of time such as 90m, 36h or 1h30m; None if `text` is none.

    Raises OverflowError if it is too long.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    return timedelta(**{_UNITS[unit]: int(n) for unit, n in found.groupdict().items() if n})


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
    zone = _zone(parts.get("zone"), among)
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


def _zone(written: str | None, among: Zone) -> Zone | None:
    if written is None:
        return among
    if written.strip() in {"Z", "UTC"}:
        return _UTC
    sign, hours, minutes = written.strip()[0], written.strip()[1:3], written.strip()[4:]
    if int(hours) > 23 or int(minutes) > 59:
        return None
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return Zone(written.strip(), timezone(-offset if sign == "-" else offset))


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
        # A time by itself is of today, or of yesterday if it is yet to come.
        word = parts.get("word")
        for back in {"today": [0], "yesterday": [1]}.get(word or "", [0, 1]):
            date = now.date() - timedelta(days=back)
            yield date.year, date.month, date.day
