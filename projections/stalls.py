"""Who stopped while others went on, and who kept failing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import attrs

from ledger import (
    CursorKey,
    CursorReset,
    Entry,
    ErrorRecorded,
    InvalidCursorError,
    fields,
)

__all__ = ["STALLED_AFTER", "ErrorStreak", "Stall", "error_streaks", "stalls"]

STALLED_AFTER = timedelta(minutes=15)


@attrs.frozen(kw_only=True)
class ErrorStreak:
    """Errors of one cursor, one after another, while it stood at `last_sequence`.

    Times are the ledger's, positions those of the first and the last error. `ended_at` is when an
    advance or a reset came after them; None if none has.
    """

    key: CursorKey
    last_sequence: int
    count: int
    first_message: str
    last_message: str
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
        """Give `streak` with one more error; a new one if there is none yet."""
        if streak is None:
            return cls(
                key=entry.key,
                last_sequence=last_sequence,
                count=1,
                first_message=event.message,
                last_message=event.message,
                first_at=entry.recorded_at,
                last_at=entry.recorded_at,
                first_position=entry.position,
                last_position=entry.position,
            )
        return attrs.evolve(
            streak,
            count=streak.count + 1,
            last_message=event.message,
            last_at=entry.recorded_at,
            last_position=entry.position,
        )


def error_streaks(entries: Iterable[Entry], *, least: int = 2) -> Iterator[ErrorStreak]:
    """Give the streaks of at least so many errors, each once it has ended, in any cursor's entries.

    Those that have not ended come last, in the order in which they began. Memory grows with the
    number of cursors, not with that of entries.

    Raises InvalidCursorError.
    """
    least = fields.sequence(least, "least", least=1)
    return _streaks(entries, least)


def _streaks(entries: Iterable[Entry], least: int) -> Iterator[ErrorStreak]:
    standing: dict[CursorKey, ErrorStreak] = {}
    places: dict[CursorKey, int] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, ErrorRecorded):
            place = places.get(entry.key, 0)
            standing[entry.key] = ErrorStreak.after(standing.get(entry.key), entry, event, place)
            continue
        places[entry.key] = event.sequence
        streak = standing.pop(entry.key, None)
        if streak is not None and streak.count >= least:
            yield attrs.evolve(streak, ended_at=entry.recorded_at)
    yield from (streak for streak in standing.values() if streak.count >= least)


@attrs.frozen(kw_only=True)
class Stall:
    """A cursor that stood at `last_sequence` from `since` while others of its stream went on.

    `until` is when it moved again; None if it has not. `front` is how far the furthest of the
    others had got by then, `front_consumer` which one that was, and `front_at` when the others last
    moved. `errors` were recorded meanwhile; `last_error` is the last of them.
    """

    key: CursorKey
    last_sequence: int
    since: datetime
    until: datetime | None
    front: int
    front_consumer: str
    front_at: datetime
    errors: int
    last_error: str


@attrs.define
class _Standing:
    """Where a cursor stands, since when, and how often it has failed there."""

    sequence: int
    since: datetime
    confirmed_at: datetime | None = None
    errors: int = 0
    last_error: str = ""


def stalls(entries: Iterable[Entry], *, after: timedelta = STALLED_AFTER) -> Iterator[Stall]:
    """Give each time that a cursor stood still while others of its stream and subject went past it.

    It counts as a stall once another consumer has confirmed something beyond the cursor `after` or
    longer since the cursor last moved; a cursor with nothing to do is idle, not stalled. `entries`
    are those of all cursors of the streams in question, by position. A stall comes when it has
    ended; those that have not come last. Memory grows with the number of cursors.

    Raises InvalidCursorError.
    """
    return _stalls(entries, _pause(after))


def _pause(after: object) -> timedelta:
    if not isinstance(after, timedelta) or after < timedelta(0):
        raise InvalidCursorError(f"after must be a timedelta from 0, not {after!r:.80}.")
    return after


def _stalls(entries: Iterable[Entry], after: timedelta) -> Iterator[Stall]:
    streams: dict[tuple[str, str], dict[str, _Standing]] = {}
    for entry in entries:
        key, event = entry.key, entry.event
        consumers = streams.setdefault((key.stream_name, key.subject_id), {})
        standing = consumers.get(key.consumer_id)
        if standing is None:
            standing = consumers[key.consumer_id] = _Standing(0, entry.recorded_at)
        if isinstance(event, ErrorRecorded):
            standing.errors += 1
            standing.last_error = event.message
        elif isinstance(event, CursorReset) or event.sequence != event.previous_sequence:
            # Whether others went on meanwhile is looked up only after a pause that was long enough.
            if entry.recorded_at - standing.since >= after:
                yield from _stall(key, standing, consumers, after, until=entry.recorded_at)
            confirmed_at = (
                standing.confirmed_at if isinstance(event, CursorReset) else entry.recorded_at
            )
            consumers[key.consumer_id] = _Standing(event.sequence, entry.recorded_at, confirmed_at)
    for (stream, subject), consumers in streams.items():
        for consumer, standing in consumers.items():
            key = CursorKey(consumer, stream, subject)
            yield from _stall(key, standing, consumers, after, until=None)


def _stall(
    key: CursorKey,
    standing: _Standing,
    consumers: dict[str, _Standing],
    after: timedelta,
    *,
    until: datetime | None,
) -> Iterator[Stall]:
    past = {
        consumer: (other.sequence, other.confirmed_at)
        for consumer, other in consumers.items()
        if other.confirmed_at is not None
        and other.sequence > standing.sequence
        and other.confirmed_at - standing.since >= after
    }
    if past:
        furthest = max(past, key=lambda consumer: past[consumer][0])
        yield Stall(
            key=key,
            last_sequence=standing.sequence,
            since=standing.since,
            until=until,
            front=past[furthest][0],
            front_consumer=furthest,
            front_at=max(confirmed_at for _, confirmed_at in past.values()),
            errors=standing.errors,
            last_error=standing.last_error,
        )
