"""Spans of time, as tables show them."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["shown_age", "shown_span"]


def shown_span(span: timedelta) -> str:
    """Return a span in its two largest units."""
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number}{unit}" for number, unit in parts[:2] if number)


def shown_age(age_s: int | None) -> str:
    """Return an age in its largest unit; the exact time stands beside it."""
    return "" if age_s is None else (shown_span(timedelta(seconds=age_s)) or "0s").split()[0]
