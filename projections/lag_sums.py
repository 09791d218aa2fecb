"""How far a consumer is behind on a whole stream: the sum over its subjects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, overload

import attrs

from projections.coroutines import yielding
from projections.given import begun
from projections.lag import Lag, LagState

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["WORST_FIRST", "GroupLag", "group_lag"]

WORST_FIRST = (
    LagState.FAILING,
    LagState.STALLED,
    LagState.BEHIND,
    LagState.AHEAD,
    LagState.NO_HEAD,
    LagState.OK,
)


@attrs.frozen(kw_only=True)
class GroupLag:
    """How far the cursors of `consumer_id` on the subjects of `stream_name` are behind together.

    `cursors` is how many there are, `behind` the sum of what is behind each, and `since` and
    `age_s` are those of the one that has been behind for the longest. `state` is the worst of
    theirs, and `in_state` how many are in it. `without_head` are those whose subject has no head:
    they are not in the sum, which is None if that holds for all.

    >>> import ledger
    >>> from projections import group_lag, lag
    >>> with ledger.open(":memory:") as book:
    ...     for partition, at in (("0", 41), ("1", 44)):
    ...         head = book.heads.record("orders", partition, 44)
    ...         cursor = book.advance(ledger.CursorKey("mailer", "orders", partition), to=at)
    ...     [group] = group_lag(lag(book))
    >>> group.cursors, group.behind, group.state.value, group.in_state
    (2, 3, 'behind', 1)
    """

    consumer_id: str
    stream_name: str
    cursors: int
    behind: int | None
    since: datetime | None
    age_s: int | None
    state: LagState
    in_state: int
    without_head: int


@overload
def group_lag(lags: Iterable[Lag]) -> Iterator[GroupLag]: ...


@overload
def group_lag(lags: Stream[Lag]) -> Stream[GroupLag]: ...


@yielding
def group_lag(lags: Iterable[Lag]) -> Iterator[GroupLag]:
    """Yield the sums of `lags`, as `lag` yields them, by stream and consumer, lazily.

    >>> import ledger
    >>> from projections import group_lag, lag
    >>> with ledger.open(":memory:") as book:
    ...     for partition in ("0", "1"):
    ...         head = book.heads.record("orders", partition, 44)
    ...         cursor = book.advance(ledger.CursorKey("mailer", "orders", partition), to=41)
    ...     [group.behind for group in group_lag(lag(book))]
    [6]
    """
    for stream, found in groupby(begun("lags", lags, Lag), key=lambda each: each.key.stream_name):
        consumers: dict[str, list[Lag]] = {}
        for each in found:
            consumers.setdefault(each.key.consumer_id, []).append(each)
        for consumer in sorted(consumers):
            yield _sum(consumer, stream, consumers[consumer])


def _sum(consumer: str, stream: str, lags: list[Lag]) -> GroupLag:
    state = min((each.state for each in lags), key=WORST_FIRST.index)
    behind = [each.behind for each in lags if each.behind is not None]
    since = min((each.since for each in lags if each.since), default=None)
    ages = [each.age_s for each in lags if each.age_s is not None]
    return GroupLag(
        consumer_id=consumer,
        stream_name=stream,
        cursors=len(lags),
        behind=sum(behind) if behind else None,
        since=since,
        age_s=max(ages, default=None),
        state=state,
        in_state=sum(each.state is state for each in lags),
        without_head=sum(each.head is None for each in lags),
    )
