"""How far cursors are behind the heads of their streams, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, overload

import attrs

from ledger import Cursor, CursorKey, CursorQuery, Ledger
from ledger.errors import invalid
from ledger.law import fields
from ledger.law.reserved import HEAD
from projections.coroutines import yielding
from projections.ends import End, find_confirmed, find_ends, find_since
from projections.stalls import STALLED_AFTER, checked_pause
from projections.stream_heads import StreamHeads

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = ["Lag", "LagState", "before", "lag", "lag_of", "looked_up"]

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
    """Its last entries are errors; a takeover after them has not mended what failed."""
    NO_HEAD = "no-head"
    """Nobody has recorded how far its stream goes, or its sequences are numbers of tokens."""
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
    it is ahead, by `ahead`: in events where sequences have no holes. `since` is when the head came
    past the cursor, by the ledger's time of the head's own entries: since then there has been
    something behind this cursor, which it may have confirmed before a reset back. Where the head is
    recorded late, and the consumer that is furthest on the same stream and subject had confirmed
    something beyond the cursor before, `since` is when it did. `age_s` is how long that is ago, in
    whole seconds, from 0.

    `state` is how it does. `errors` counts the errors since it last moved, and `last_error` is the
    last one, empty if there are none. A takeover does not move a cursor, so it hides no error; up
    to 256 takeovers in a row are looked behind.

    `head`, `behind` and `ahead` are None where no head was recorded, `since` and `age_s` also where
    nothing is behind, or the head was given and has no history.

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
    ahead: int | None = None


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
    every consumer passes every sequence of the stream. On a stream that was declared as one
    of tokens, a cursor is compared with no head, because each numbers them for itself. `heads` are
    heads by stream and subject that stand in for those of the ledger; they have no history.

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
    moved_by = before(moment, pause)
    return (lag_of(end, moment, moved_by) for end in looked_up(book, cursors, finder, moved_by))


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


def before(now: datetime, pause: timedelta) -> datetime:
    """Return the time `pause` before `now`; the first there is, if that would be before it."""
    try:
        return now - pause
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def looked_up(
    book: Ledger,
    cursors: Iterator[Cursor],
    heads: StreamHeads,
    moved_by: datetime,
    *,
    every: bool = False,
) -> Iterator[End]:
    """Yield how the history of each of `cursors` ends, lazily, by batches."""
    size = BATCH_FIRST
    while batch := list(islice(cursors, size)):
        size = min(size * 4, BATCH_MAX)
        ends = [End(cursor, heads.of(cursor)) for cursor in batch]
        find_since(book, ends)
        find_confirmed(book, ends, heads.fronts)
        find_ends(book, ends, moved_by, every=every)
        yield from ends


def lag_of(end: End, now: datetime, moved_by: datetime) -> Lag:
    """Return what was found about a cursor, as its lag."""
    cursor, head, since = end.cursor, end.head, end.since
    return Lag(
        key=cursor.key,
        last_sequence=cursor.last_sequence,
        head=head.sequence if head else None,
        behind=end.behind if head else None,
        since=since,
        age_s=None if since is None else max((now - since) // timedelta(seconds=1), 0),
        state=_state(end, moved_by),
        errors=end.errors,
        last_error=end.last_error,
        ahead=max(cursor.last_sequence - head.sequence, 0) if head else None,
    )


def _state(end: End, moved_by: datetime) -> LagState:
    if end.errors:
        return LagState.FAILING
    if end.head is None:
        return LagState.NO_HEAD
    if end.head.sequence < end.cursor.last_sequence:
        return LagState.AHEAD
    if not end.behind:
        return LagState.OK
    if end.was_behind(moved_by) and (end.moved_at is None or end.moved_at <= moved_by):
        return LagState.STALLED
    return LagState.BEHIND
