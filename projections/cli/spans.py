"""Spans of time, as tables show them."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["shown_age", "shown_span"]


def shown_span(span: timedelta) -> str:
    """Return a span in its two largest units; "" if it is shorter than a second."""
    return " ".join(f"{number}{unit}" for number, unit in _parts(span)[:2] if number)


def shown_age(age_s: int | None) -> str:
    """Return an age in its largest unit; the exact time stands beside it."""
    if age_s is None:
        return ""
    number, unit = _parts(timedelta(seconds=age_s))[0]
    return f"{number}{unit}"


def _parts(span: timedelta) -> list[tuple[int, str]]:
    """Return a span from the largest unit that it has down to seconds."""
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return parts
