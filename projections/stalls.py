"""Which cursors stood still while their stream, or others of it, went on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias, overload

import attrs

from ledger import CursorAdvanced, CursorKey, Entry, ErrorRecorded
from ledger.errors import invalid
from ledger.law.reserved import HEAD, POSITIONS, is_reserved
from ledger.law.takeovers import is_takeover
from ledger.positions import PositionMapping
from projections.coroutines import yielding
from projections.given import begun
from projections.standing import Behind, HeadBeside, Standing

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["STALLED_AFTER", "Stall", "checked_pause", "longest_first", "stalls"]

STALLED_AFTER = timedelta(minutes=15)


@attrs.frozen(kw_only=True)
class Stall:
    """A cursor that stood at `last_sequence` while others of its stream and subject advanced.

    It came there at `moved_at`; `since` is when the first of the others confirmed something beyond
    it, and `until` when it moved again, None if it has not. `front` is how far the furthest of them
    had got by then, `front_consumer` which one that was, and `front_at` when any of them last
    confirmed something. `errors` were recorded at the cursor meanwhile; `last_error` is the last.

    Where the head of the stream and subject is recorded, it stands for all others, and
    `front_consumer` is `cursor-ledger/head`; `since` is when something was behind the cursor: by
    the head or, if that was recorded later, by what another had confirmed.

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
def stalls(
    entries: Iterable[Entry], *, after: timedelta = STALLED_AFTER, siblings: bool = False
) -> Iterator[Stall]: ...


@overload
def stalls(
    entries: Stream[Entry], *, after: timedelta = STALLED_AFTER, siblings: bool = False
) -> Stream[Stall]: ...


@yielding
def stalls(
    entries: Iterable[Entry], *, after: timedelta = STALLED_AFTER, siblings: bool = False
) -> Iterator[Stall]:
    """Yield each time that a cursor stood still while others of its stream and subject advanced.

    It counts once they have gone on beyond it for `after`, from the first time to the last; a
    cursor with nothing to do is idle, not stalled. `entries` are those of all cursors of the
    streams in question, by position. A stall comes when it has ended; those that have not come
    last, the longest first. Memory grows with the number of cursors.

    Where the head of the stream and subject is among the cursors, a cursor is compared with that:
    it counts once something has been behind it for `after`, up to the last entry. With `siblings`,
    a cursor that nothing can be compared with in its own subject is compared with those of the same
    consumer in other subjects, which is right where a stream has one order for all its subjects,
    and every consumer passes all of it. Where `entries` say that a stream is one of
    tokens, its cursors are compared with nothing from then on: each numbers them for itself.

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
    pause = checked_pause(after, "after")
    of_tokens: set[str] = set()
    found = _stalls(_noting(entries, of_tokens), pause, siblings=siblings)
    return (stall for stall in found if stall.key.stream_name not in of_tokens)


def checked_pause(pause: object, name: str) -> timedelta:
    """Return `pause` if it is a span of time from 0.

    Raises InvalidCursorError.
    """
    if not isinstance(pause, timedelta) or pause < timedelta(0):
        raise invalid(name, f"must be a timedelta from 0, not {pause!r:.80}.")
    return pause


def _noting(entries: Iterable[Entry], of_tokens: set[str]) -> Iterator[Entry]:
    """Yield `entries`; keep in `of_tokens` which streams are declared as ones of tokens by then."""
    for entry in begun("entries", entries, Entry):
        if entry.key.consumer_id == POSITIONS and not isinstance(entry.event, ErrorRecorded):
            is_one = entry.event.delivery_id == PositionMapping.TOKENS
            (of_tokens.add if is_one else of_tokens.discard)(entry.key.stream_name)
        yield entry


def _stalls(entries: Iterable[Entry], after: timedelta, *, siblings: bool) -> Iterator[Stall]:
    # By stream and subject; and by consumer and stream, where subjects are compared.
    streams: dict[tuple[str, str], _Stream] = defaultdict(lambda: _Stream(after, _consumer))
    families: dict[tuple[str, str], _Stream] = defaultdict(lambda: _Stream(after, _subject))

    def stream(key: CursorKey) -> _Stream:
        return streams[key.stream_name, key.subject_id]

    def of_siblings(found: Iterable[Stall]) -> Iterator[Stall]:
        return (stall for stall in found if stream(stall.key).is_alone)

    # This is done for each entry of a log, so a stall is returned, not yielded through generators.
    last = None
    for entry in entries:
        key, recorded_at = entry.key, entry.recorded_at
        if last is None or recorded_at > last:
            last = recorded_at
        if not is_reserved(key.consumer_id):
            if (stall := streams[key.stream_name, key.subject_id].note(entry)) is not None:
                yield stall
            if siblings:
                stall = families[key.consumer_id, key.stream_name].note(entry)
                if stall is not None:
                    yield from of_siblings([stall])
        elif key.consumer_id == HEAD:
            stream(key).head.move(entry)
    yield from longest_first(
        chain(
            chain.from_iterable(each.end(last) for each in streams.values()),
            chain.from_iterable(of_siblings(family.end(last)) for family in families.values()),
        )
    )


def longest_first(ongoing: Iterable[Stall]) -> list[Stall]:
    """Return stalls that have not ended in the order in which they began."""
    return sorted(ongoing, key=lambda stall: (stall.since, attrs.astuple(stall.key)))


def _consumer(key: CursorKey) -> str:
    return key.consumer_id


def _subject(key: CursorKey) -> str:
    return key.subject_id


class _Stream:
    """Cursors that are compared with one another, each by a name that the others do not have."""

    def __init__(self, after: timedelta, name: Callable[[CursorKey], str]) -> None:
        self.head = HeadBeside()
        self._after = after
        self._name = name
        self._cursors: dict[str, Standing] = {}
        # Beyond which nobody has confirmed anything since they came there.
        self._abreast = Behind()

    @property
    def is_alone(self) -> bool:
        """Whether there is one cursor, which can be compared with nothing."""
        return len(self._cursors) == 1 and self.head.sequence is None

    def note(self, entry: Entry) -> Stall | None:
        """Note what happened to a cursor; return the stall that this ends, if it ends one."""
        event = entry.event
        if isinstance(event, CursorAdvanced):
            if event.sequence != event.previous_sequence:
                return self._move(entry, event.sequence, confirmed=True)
        elif isinstance(event, ErrorRecorded):
            self._fail(entry, event.message)
        # A takeover leaves it where it is, with another consumer.
        elif not (is_takeover(entry) and self._name(entry.key) in self._cursors):
            return self._move(entry, event.sequence, confirmed=False)
        return None

    def end(self, last: datetime | None) -> Iterator[Stall]:
        """Yield the stalls that have not ended by the `last` time of the log."""
        for standing in self._cursors.values():
            if (stall := self._stall(standing, until=None, last=last)) is not None:
                yield stall

    def _fail(self, entry: Entry, message: str) -> None:
        """Count an error; a cursor may begin with one."""
        name = self._name(entry.key)
        standing = self._cursors.get(name)
        if standing is None:
            standing = Standing(entry.key, 0, entry.recorded_at)
            self._stand(name, standing)
        standing.errors += 1
        standing.last_error = message

    def _move(self, entry: Entry, sequence: int, *, confirmed: bool) -> Stall | None:
        key, moved_at = entry.key, entry.recorded_at
        name = self._name(key)
        before = self._cursors.get(name)
        stall, confirmed_at = None, moved_at if confirmed else None
        if before is not None:
            stall = self._stall(before, until=moved_at, last=moved_at)
            confirmed_at = confirmed_at or before.confirmed_at
        self._stand(name, Standing(key, sequence, moved_at, confirmed_at))
        if confirmed:
            for other in self._abreast.passed(sequence):
                other.waiting_since = max(moved_at, other.moved_at)
        return stall

    def _stand(self, name: str, standing: Standing) -> None:
        self._cursors[name] = standing
        self._abreast.put(standing)
        self.head.stand(name, standing)

    def _stall(
        self, standing: Standing, *, until: datetime | None, last: datetime | None
    ) -> Stall | None:
        if standing.waiting_since is None and standing.behind_since is None:
            return None  # Nothing is beyond it; mostly that is so.
        found = self._behind_the_head(standing, last) or self._behind_others(standing, until)
        if found is None:
            return None
        since, front, front_consumer, front_at = found
        return Stall(
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

    def _behind_the_head(self, standing: Standing, last: datetime | None) -> _Front | None:
        since, head = standing.behind_since, self.head
        if since is None or last is None or last - since < self._after:
            return None
        if head.sequence is None or head.moved_at is None:
            return None
        return since, head.sequence, HEAD, head.moved_at

    def _behind_others(self, standing: Standing, until: datetime | None) -> _Front | None:
        since = standing.waiting_since
        if since is None or (until is not None and until - since < self._after):
            return None
        if standing.behind_since is not None:
            return None  # The head knows better.
        past = [
            (other.sequence, self._name(other.key), other)
            for other in self._cursors.values()
            if other.confirmed_at is not None and other.sequence > standing.sequence
        ]
        if not past:
            return None
        front, _, furthest = max(past)
        front_at = max(other.confirmed_at for _, _, other in past if other.confirmed_at)
        if front_at - since < self._after:
            return None
        return since, front, furthest.key.consumer_id, front_at


_Front: TypeAlias = tuple[datetime, int, str, datetime]
"""Since when something was beyond a cursor; how far, which consumer, and when it last moved."""
