"""Which cursors stood still while others of their stream went on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, overload

import attrs

from ledger import CursorAdvanced, CursorKey, Entry, ErrorRecorded
from ledger.errors import invalid
from projections.coroutines import yielding

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["STALLED_AFTER", "Stall", "stalls"]

STALLED_AFTER = timedelta(minutes=15)


@attrs.frozen(kw_only=True)
class Stall:
    """A cursor that stood at `last_sequence` while others of its stream and subject advanced.

    It came there at `moved_at`; `since` is when the first of the others confirmed something beyond
    it, and `until` when it moved again, None if it has not. `front` is how far the furthest of them
    had got by then, `front_consumer` which one that was, and `front_at` when any of them last
    confirmed something. `errors` were recorded at the cursor meanwhile; `last_error` is the last.

    `key` is that of the cursor.

    >>> from datetime import UTC, datetime, timedelta
    >>> import ledger
    >>> from projections import stalls
    >>> hours = iter(datetime(2026, 5, 5, n, tzinfo=UTC) for n in range(24))
    >>> slow, quick = (ledger.CursorKey(name, "orders") for name in ("mailer", "webhooks"))
    >>> with ledger.open(":memory:", clock=lambda: next(hours)) as book:
    ...     cursor = book.advance(slow, to=1)
    ...     cursors = [book.advance(quick, to=to) for to in (1, 2, 3)]
    ...     for stall in stalls(book.entries(), after=timedelta(minutes=30)):
    ...         print(stall.front_consumer, stall.front, stall.until)
    webhooks 3 None
    """

    key: CursorKey
    last_sequence: int
    moved_at: datetime
    since: datetime
    until: datetime | None
    front: int
    front_consumer: str
    front_at: datetime
    errors: int
    last_error: str


@overload
def stalls(entries: Iterable[Entry], *, after: timedelta = STALLED_AFTER) -> Iterator[Stall]: ...


@overload
def stalls(entries: Stream[Entry], *, after: timedelta = STALLED_AFTER) -> Stream[Stall]: ...


@yielding
def stalls(entries: Iterable[Entry], *, after: timedelta = STALLED_AFTER) -> Iterator[Stall]:
    """Yield each time that a cursor stood still while others of its stream and subject advanced.

    It counts once they have gone on beyond it for `after`, from the first time to the last; a
    cursor with nothing to do is idle, not stalled. `entries` are those of all cursors of the
    streams in question, by position. A stall comes when it has ended; those that have not come
    last. Memory grows with the number of cursors.

    Raises InvalidCursorError.

    >>> from datetime import UTC, datetime, timedelta
    >>> import ledger
    >>> from projections import stalls
    >>> hours = iter(datetime(2026, 5, 5, n, tzinfo=UTC) for n in range(24))
    >>> slow, quick = (ledger.CursorKey(name, "orders") for name in ("mailer", "webhooks"))
    >>> with ledger.open(":memory:", clock=lambda: next(hours)) as book:
    ...     cursor = book.advance(slow, to=1)
    ...     cursors = [book.advance(quick, to=to) for to in (1, 2, 3)]
    ...     for stall in stalls(book.entries(), after=timedelta(minutes=30)):
    ...         print(stall.key, stall.last_sequence, stall.front)
    mailer/orders 1 3
    """
    return _stalls(entries, _pause(after))


def _pause(after: object) -> timedelta:
    if not isinstance(after, timedelta) or after < timedelta(0):
        raise invalid("after", f"must be a timedelta from 0, not {after!r:.80}.")
    return after


def _stalls(entries: Iterable[Entry], after: timedelta) -> Iterator[Stall]:
    streams: dict[tuple[str, str], _Stream] = {}
    for entry in entries:
        key, event = entry.key, entry.event
        place = (key.stream_name, key.subject_id)
        stream = streams.get(place)
        if stream is None:
            stream = streams[place] = _Stream(after)
        if isinstance(event, ErrorRecorded):
            stream.fail(entry, event.message)
        elif not isinstance(event, CursorAdvanced):
            yield from stream.move(entry, event.sequence, confirmed=False)
        elif event.sequence != event.previous_sequence:
            yield from stream.move(entry, event.sequence, confirmed=True)
    for stream in streams.values():
        yield from stream.end()


@attrs.define
class _Standing:
    """Where a cursor stands, since when, and what happened while it stood there."""

    key: CursorKey
    sequence: int
    moved_at: datetime
    confirmed_at: datetime | None = None
    waiting_since: datetime | None = None
    errors: int = 0
    last_error: str = ""


class _Stream:
    """The cursors of one stream and subject, beside one another."""

    def __init__(self, after: timedelta) -> None:
        self._after = after
        self._cursors: dict[str, _Standing] = {}
        # Where cursors stand, or stood, beyond which nobody has confirmed anything since; the
        # furthest back first.
        self._abreast: list[tuple[int, int, _Standing]] = []
        self._order = count()

    def fail(self, entry: Entry, message: str) -> None:
        """Count an error; a cursor may begin with one."""
        standing = self._cursors.get(entry.key.consumer_id)
        if standing is None:
            standing = self._stand(_Standing(entry.key, 0, entry.recorded_at))
        standing.errors += 1
        standing.last_error = message

    def move(self, entry: Entry, sequence: int, *, confirmed: bool) -> Iterator[Stall]:
        """Move a cursor; yield the stall that this ends, if it ends one."""
        before = self._cursors.get(entry.key.consumer_id)
        if before is not None:
            yield from self._stall(before, until=entry.recorded_at)
        confirmed_at = before.confirmed_at if before is not None else None
        if confirmed:
            confirmed_at = entry.recorded_at
        self._stand(_Standing(entry.key, sequence, entry.recorded_at, confirmed_at))
        while confirmed and self._abreast and self._abreast[0][0] < sequence:
            _, _, other = heappop(self._abreast)
            other.waiting_since = entry.recorded_at

    def end(self) -> Iterator[Stall]:
        """Yield the stalls that have not ended."""
        for standing in self._cursors.values():
            yield from self._stall(standing, until=None)

    def _stand(self, standing: _Standing) -> _Standing:
        self._cursors[standing.key.consumer_id] = standing
        heappush(self._abreast, (standing.sequence, next(self._order), standing))
        return standing

    def _stall(self, standing: _Standing, *, until: datetime | None) -> Iterator[Stall]:
        since = standing.waiting_since
        if since is None or (until is not None and until - since < self._after):
            return
        past = [
            (other.sequence, other.key.consumer_id, other.confirmed_at)
            for other in self._cursors.values()
            if other.confirmed_at is not None and other.sequence > standing.sequence
        ]
        if not past:
            return
        front, front_consumer, _ = max(past)
        front_at = max(confirmed_at for _, _, confirmed_at in past)
        if front_at - since >= self._after:
            yield Stall(
                key=standing.key,
                last_sequence=standing.sequence,
                moved_at=standing.moved_at,
                since=since,
                until=until,
                front=front,
                front_consumer=front_consumer,
                front_at=front_at,
                errors=standing.errors,
                last_error=standing.last_error,
            )
