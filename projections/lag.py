"""How far cursors are behind the heads of their streams, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, overload

import attrs

from ledger import Cursor, CursorKey, CursorQuery, CursorReset, EntryQuery, Ledger, Move
from ledger.errors import invalid
from ledger.law import fields
from ledger.law.reserved import HEAD
from ledger.law.takeovers import is_takeover
from projections.coroutines import yielding
from projections.passing import Search, look_up
from projections.stalls import STALLED_AFTER, checked_pause
from projections.stream_heads import StreamHead, StreamHeads

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = ["Lag", "LagState", "lag"]

BATCH_FIRST, BATCH_MAX = 64, 4_096
"""How many cursors are looked up together; few at first, for callers who want just a few."""


class LagState(StrEnum):
    """How a cursor does; of several that fit, the first.

    >>> import ledger
    >>> from projections import LagState, lag
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("mailer", "orders"), to=41)
    ...     [each.state for each in lag(book)]
    [<LagState.NO_HEAD: 'no-head'>]
    """

    FAILING = "failing"
    """Its last entries are errors."""
    NO_HEAD = "no-head"
    """Nobody has recorded how far its stream goes."""
    AHEAD = "ahead"
    """It has confirmed more than the head says there is: the head is recorded too late, or not."""
    STALLED = "stalled"
    """It is behind, and has stood still for some time while it was."""
    BEHIND = "behind"
    """There is something that it has not confirmed."""
    OK = "ok"
    """It has confirmed everything."""


@attrs.frozen(kw_only=True)
class Lag:
    """How far the cursor of `key` is behind the head of its stream and subject.

    It stands at `last_sequence`, and the stream goes up to `head`; `behind` is the difference, 0 if
    it is ahead: in events where sequences have no holes. `since` is when the head came past the
    cursor, by the ledger's time of the head's own entries: since then there has been something
    behind this cursor. `age_s` is how long that is ago, in whole seconds, from 0.

    `state` is how it does. `errors` counts the errors at its end, and `last_error` is the last one;
    empty if its last entry is none.

    `head` and `behind` are None where no head was recorded, `since` and `age_s` also where nothing
    is behind, or the head was given and has no history.

    >>> import ledger
    >>> from projections import lag
    >>> with ledger.open(":memory:") as book:
    ...     head = book.heads.record("orders", "", 44)
    ...     cursor = book.advance(ledger.CursorKey("mailer", "orders"), to=41)
    ...     [each] = lag(book)
    >>> each.head, each.behind, each.since == head.updated_at, each.state.value
    (44, 3, True, 'behind')
    """

    key: CursorKey
    last_sequence: int
    head: int | None
    behind: int | None
    since: datetime | None
    age_s: int | None
    state: LagState
    errors: int
    last_error: str


@overload
def lag(
    book: Ledger,
    query: CursorQuery | None = None,
    *,
    heads: Mapping[tuple[str, str], int] | None = None,
    stream_heads: bool = False,
    stalled_after: timedelta = STALLED_AFTER,
    now: datetime | None = None,
) -> Iterator[Lag]: ...


@overload
def lag(
    book: AsyncLedger,
    query: CursorQuery | None = None,
    *,
    heads: Mapping[tuple[str, str], int] | None = None,
    stream_heads: bool = False,
    stalled_after: timedelta = STALLED_AFTER,
    now: datetime | None = None,
) -> Stream[Lag]: ...


@yielding
def lag(
    book: Ledger,
    query: CursorQuery | None = None,
    *,
    heads: Mapping[tuple[str, str], int] | None = None,
    stream_heads: bool = False,
    stalled_after: timedelta = STALLED_AFTER,
    now: datetime | None = None,
) -> Iterator[Lag]:
    """Yield how far each cursor is behind its head, lazily, by stream, subject and consumer.

    `book` is the ledger, and `query` chooses cursors; None chooses all but the ledger's own.

    A cursor is compared with the head of the very same stream and subject. With `stream_heads`, one
    whose subject has no head is compared with the head of its whole stream, which is right where
    every consumer passes every sequence of the stream. `heads` are heads by stream and subject that
    stand in for those of the ledger; they have no history.

    A cursor is stalled if it has stood still for `stalled_after`, a span from 0, while it was
    behind; a takeover does not move it. `now` is the time to which ages go; None is the ledger's
    own.

    However long the history is, a few entries of each cursor and head are read.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import lag
    >>> with ledger.open(":memory:") as book:
    ...     heads = [book.heads.record("orders", "", sequence) for sequence in (41, 44)]
    ...     for consumer, to in (("mailer", 40), ("webhooks", 44)):
    ...         cursor = book.advance(ledger.CursorKey(consumer, "orders"), to=to)
    ...     [(str(each.key), each.behind, each.state.value) for each in lag(book)]
    [('mailer/orders', 4, 'behind'), ('webhooks/orders', 0, 'ok')]
    """
    cursors = book.cursors(query)
    chosen = query or CursorQuery()
    moment = book.now() if now is None else fields.moment(now, "now")
    pause = checked_pause(stalled_after, "stalled_after")
    finder = StreamHeads(book, chosen, _given(heads), stream_heads=stream_heads)
    return _lags(book, cursors, finder, moment, _before(moment, pause))


def _given(heads: object) -> dict[tuple[str, str], int]:
    """Return heads that a caller has, by the trimmed names of stream and subject."""
    if heads is None:
        return {}
    if not isinstance(heads, Mapping):
        said = fields.kind(heads)
        raise invalid(
            "heads", f"must be a map of (stream, subject) to int, not {said}.", value=said
        )
    given: dict[tuple[str, str], int] = {}
    for place, sequence in heads.items():
        # A text of two characters would be taken apart, too.
        if not isinstance(place, tuple) or len(place) != 2:
            said = fields.shown(place)
            raise invalid(
                "heads",
                f'must have pairs (stream, subject) for keys, not {said}; the subject "" is the '
                "whole stream.",
                value=said,
            )
        key = CursorKey(HEAD, *place)
        trimmed = (key.stream_name, key.subject_id)
        if trimmed in given:
            raise invalid("heads", f"have {trimmed!r:.80} twice.", value=f"{trimmed!r:.80}")
        given[trimmed] = fields.sequence(sequence, "heads", least=0)
    return given


def _before(now: datetime, pause: timedelta) -> datetime:
    """Return the time `pause` before `now`; the first there is, if that would be before it."""
    try:
        return now - pause
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _lags(
    book: Ledger, cursors: Iterator[Cursor], heads: StreamHeads, now: datetime, moved_by: datetime
) -> Iterator[Lag]:
    size = BATCH_FIRST
    while batch := list(islice(cursors, size)):
        size = min(size * 4, BATCH_MAX)
        standings = [_Standing(cursor, heads.of(cursor)) for cursor in batch]
        _find_since(book, standings)
        _find_moves(book, standings, moved_by)
        for standing in standings:
            yield standing.lag(now, moved_by)


# --- cursors, and what has to be looked up for them ---


@attrs.define(eq=False)
class _Standing:
    """A cursor, its head, and what was found about them."""

    cursor: Cursor
    head: StreamHead | None
    since: datetime | None = None
    errors: int = 0
    moved_at: datetime | None = None
    """When it came to where it stands; None where that was not looked up, or it never moved."""
    is_still: bool = False
    """Whether it was looked up since when it stands there."""

    @property
    def behind(self) -> int:
        """By how much it is behind; 0 if it is not."""
        return max(self.head.sequence - self.cursor.last_sequence, 0) if self.head else 0

    def lag(self, now: datetime, moved_by: datetime) -> Lag:
        """Return what was found."""
        cursor, since = self.cursor, self.since
        return Lag(
            key=cursor.key,
            last_sequence=cursor.last_sequence,
            head=self.head.sequence if self.head else None,
            behind=self.behind if self.head else None,
            since=since,
            age_s=None if since is None else max((now - since) // timedelta(seconds=1), 0),
            state=self._state(moved_by),
            errors=self.errors,
            last_error=cursor.last_error,
        )

    def _state(self, moved_by: datetime) -> LagState:
        if self.errors:
            return LagState.FAILING
        if self.head is None:
            return LagState.NO_HEAD
        if self.head.sequence < self.cursor.last_sequence:
            return LagState.AHEAD
        if not self.behind:
            return LagState.OK
        if self.is_still and (self.moved_at is None or self.moved_at <= moved_by):
            return LagState.STALLED
        return LagState.BEHIND


def _find_since(book: Ledger, standings: Sequence[_Standing]) -> None:
    """Find when each head came past the cursors that are behind it."""
    resets: dict[CursorKey, list[tuple[int, int]]] = {}
    searches: dict[tuple[CursorKey, int], Search] = {}
    wanting = []
    for standing in standings:
        head = standing.head.cursor if standing.head else None
        if head is None or not standing.behind:
            continue
        place = (head.key, standing.cursor.last_sequence)
        wanting.append((standing, place))
        if place not in searches:
            if head.epoch and head.key not in resets:
                resets[head.key] = _resets(book, head)
            searches[place] = _passing(head, place[1], resets.get(head.key, ()))
    look_up(book, list(searches.values()))
    for standing, place in wanting:
        move = searches[place].found
        standing.since = move.recorded_at if move else None


def _resets(book: Ledger, head: Cursor) -> list[tuple[int, int]]:
    """Return the versions at which a head was reset, and where to; the last one first."""
    query = EntryQuery(key=head.key, kinds=[CursorReset], version_until=head.version)
    entries = [(entry.version, entry.event) for entry in book.entries(query)]
    found = [(at, event.sequence) for at, event in entries if isinstance(event, CursorReset)]
    return found[::-1]


def _passing(head: Cursor, sequence: int, resets: Sequence[tuple[int, int]]) -> Search:
    """Return the search for when `head` came past `sequence`, never to go back behind it."""
    low, low_sequence = 0, 0
    for version, reset_to in resets:
        if reset_to <= sequence:
            low, low_sequence = version, reset_to
            break
    return Search(
        head.key,
        low,
        head.version,
        lambda move: move.sequence > sequence,
        sought=sequence + 1,
        low_sequence=low_sequence,
        high_sequence=head.last_sequence,
    )


def _find_moves(book: Ledger, standings: Sequence[_Standing], moved_by: datetime) -> None:
    """Count errors, and find since when cursors stand still that were behind by then."""
    doubtful = [
        standing
        for standing in standings
        if standing.cursor.last_error or (standing.since and standing.since <= moved_by)
    ]
    cursors = [standing.cursor for standing in doubtful]
    moves = book.moves((cursor.key, cursor.version) for cursor in cursors)
    searches: list[tuple[_Standing, Search]] = []
    for standing, move in zip(doubtful, moves, strict=True):
        cursor = standing.cursor
        if cursor.last_error:
            standing.errors = cursor.version - (move.version if move else 0)
            continue
        standing.is_still = True
        standing.moved_at = move.recorded_at if move else None
        if move and move.recorded_at > moved_by and move.previous_sequence == move.sequence:
            # It confirmed again what it had confirmed before, or was reset to where it stood.
            searches.append((standing, _arriving(cursor, move)))
    while searches:
        look_up(book, [search for _, search in searches])
        earlier = []
        for standing, search in searches:
            move = search.found
            standing.moved_at = move.recorded_at if move else None
            if move and _is_taken_over(book, standing.cursor.key, move):
                # It stayed where it was, with another consumer.
                before = attrs.evolve(move, version=move.version - 1, epoch=move.epoch - 1)
                earlier.append((standing, _arriving(standing.cursor, before)))
        searches = earlier


def _is_taken_over(book: Ledger, key: CursorKey, move: Move) -> bool:
    """Say whether `move` is a takeover of a cursor that was there before."""
    if not move.epoch or move.version == 1 or move.previous_sequence != move.sequence:
        return False
    at = EntryQuery(key=key, version_from=move.version, version_until=move.version)
    return any(map(is_takeover, book.entries(at)))


def _arriving(cursor: Cursor, last: Move) -> Search:
    """Return the search for when `cursor` came to where it stands."""
    place = (last.epoch, last.sequence)
    return Search(cursor.key, 0, last.version, lambda move: (move.epoch, move.sequence) >= place)
