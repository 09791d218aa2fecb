"""Which cursors kept failing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, overload

import attrs

from ledger import CursorKey, Entry, ErrorRecorded
from ledger.law import fields
from ledger.law.takeovers import is_takeover
from projections.coroutines import yielding
from projections.given import begun

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["ErrorStreak", "Streaks", "error_streaks"]


@attrs.frozen(kw_only=True)
class ErrorStreak:
    """Errors of one cursor, one after another, while it stood at `last_sequence`.

    Times are the ledger's, positions those of the first and the last error. `ended_at` is when an
    advance or a reset came after them; None if none has. A takeover ends no streak, because it has
    mended nothing. `actor` recorded the last one.

    `key` is that of the cursor. `count` is how many errors there are, `first_message` and
    `last_message` say what the first and the last were, `first_at` and `last_at` when,
    `first_position` and `last_position` where.

    >>> import ledger
    >>> from projections import error_streaks
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="dispatcher@web-1") as book:
    ...     cursors = [book.record_error(key, text) for text in ("HTTP 503", "HTTP 500")]
    ...     [streak] = error_streaks(book.entries(), least=1)
    >>> streak.first_message, streak.last_message, streak.actor, streak.ended_at
    ('HTTP 503', 'HTTP 500', 'dispatcher@web-1', None)
    """

    key: CursorKey
    last_sequence: int
    count: int
    first_message: str
    last_message: str
    actor: str
    first_at: datetime
    last_at: datetime
    first_position: int
    last_position: int
    ended_at: datetime | None = None

    @property
    def span(self) -> timedelta:
        """How long it was from the first error to the last."""
        return self.last_at - self.first_at

    @classmethod
    def after(
        cls, streak: ErrorStreak | None, entry: Entry, event: ErrorRecorded, last_sequence: int
    ) -> ErrorStreak:
        """Return `streak` with one more error, or a new one if there is none yet."""
        if streak is None:
            return cls(
                key=entry.key,
                last_sequence=last_sequence,
                count=1,
                first_message=event.message,
                last_message=event.message,
                actor=entry.actor,
                first_at=entry.recorded_at,
                last_at=entry.recorded_at,
                first_position=entry.position,
                last_position=entry.position,
            )
        return attrs.evolve(
            streak,
            count=streak.count + 1,
            last_message=event.message,
            actor=entry.actor,
            last_at=entry.recorded_at,
            last_position=entry.position,
        )


@overload
def error_streaks(entries: Iterable[Entry], *, least: int = 2) -> Iterator[ErrorStreak]: ...


@overload
def error_streaks(entries: Stream[Entry], *, least: int = 2) -> Stream[ErrorStreak]: ...


@yielding
def error_streaks(entries: Iterable[Entry], *, least: int = 2) -> Iterator[ErrorStreak]:
    """Yield the streaks of at least `least` errors of any cursor, each once it has ended.

    Those that have not ended come last, in the order in which they began. Memory grows with the
    number of cursors, not with that of entries.

    `entries` is the entries of any cursors, by position; `least` is from 1.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import error_streaks
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.record_error(key, "HTTP 503") for attempt in range(3)]
    ...     [streak.count for streak in error_streaks(book.entries(), least=2)]
    [3]
    """
    least = fields.sequence(least, "least", least=1)
    return _streaks(entries, Streaks(least))


class Streaks:
    """The streaks of at least `least` errors, told of one entry after another."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._standing: dict[CursorKey, ErrorStreak] = {}
        self._places: dict[CursorKey, int] = {}

    def note(self, entry: Entry) -> ErrorStreak | None:
        """Note what happened; return the streak that this ends, if it ends one."""
        key, event = entry.key, entry.event
        if isinstance(event, ErrorRecorded):
            place = self._places.get(key, 0)
            self._standing[key] = ErrorStreak.after(self._standing.get(key), entry, event, place)
            return None
        streak = self._standing.get(key) if self._standing else None
        if streak is not None:
            if is_takeover(entry):
                return None  # It stays where it is, with another consumer, and was not mended.
            del self._standing[key]
        self._places[key] = event.sequence
        if streak is None or streak.count < self._least:
            return None
        return attrs.evolve(streak, ended_at=entry.recorded_at)

    def ongoing(self) -> Iterator[ErrorStreak]:
        """Yield the streaks that have not ended, in the order in which they began."""
        return (streak for streak in self._standing.values() if streak.count >= self._least)


def _streaks(entries: Iterable[Entry], streaks: Streaks) -> Iterator[ErrorStreak]:
    for entry in begun("entries", entries, Entry):
        if (ended := streaks.note(entry)) is not None:
            yield ended
    yield from streaks.ongoing()
