"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ledger.errors import InvalidCursorError
from ledger.law import fields

__all__ = ["SECONDS_MAX", "Clock"]

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

SECONDS_MAX = 3_155_760_000
"""A hundred years."""


class Clock:
    """A clock for `ledger.open(…, clock=clock)`; it moves when it is told, and only then.

    `now` is the time that it shows, aware; by default the beginning of 2026, in UTC. It may be set,
    also back.

    Raises InvalidCursorError if `now` is no aware time.

    >>> import ledger
    >>> from ledger.testing import Clock
    >>> clock = Clock()
    >>> with ledger.open(":memory:", clock=clock) as book:
    ...     before = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     moment = clock.tick(90)
    ...     after = book.advance(ledger.CursorKey("webhooks", "orders"), to=42)
    >>> (after.updated_at - before.updated_at).total_seconds()
    90.0
    """

    def __init__(self, now: datetime = BEGINNING) -> None:
        self.now = now

    @property
    def now(self) -> datetime:
        """The time that it shows, in UTC."""
        return self._now

    @now.setter
    def now(self, value: datetime) -> None:
        self._now = fields.moment(value, "now")

    def __call__(self) -> datetime:
        """Return the time that it shows."""
        return self._now

    def tick(self, seconds: float = 1) -> datetime:
        """Move by `seconds`, which may be negative, up to a hundred years; return the new time.

        Raises InvalidCursorError.

        >>> from ledger.testing import Clock
        >>> Clock().tick(0.5).isoformat()
        '2026-01-01T00:00:00.500000+00:00'
        """
        if type(seconds) not in (int, float) or not -SECONDS_MAX <= seconds <= SECONDS_MAX:
            raise InvalidCursorError(
                f"seconds must be a number, at most {SECONDS_MAX:,}, not {fields.shown(seconds)}."
            )
        try:
            self.now += timedelta(seconds=seconds)
        except OverflowError:
            raise InvalidCursorError(
                f"{seconds:,} seconds from {self.now} there is no time; set `now` instead."
            ) from None
        return self.now
