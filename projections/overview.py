"""How all cursors do, beside where they stand: what a list of them leads with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import attrs

from ledger import Cursor, CursorKey, CursorQuery, Ledger
from projections.lag import Lag, LagState, before, lag_of, looked_up
from projections.lag_sums import WORST_FIRST
from projections.stalls import STALLED_AFTER, checked_pause
from projections.stream_heads import StreamHeads

__all__ = ["ORDERS", "CursorOverview", "ordered", "overview"]

ORDERS = ("name", "behind", "moved", "state")


@attrs.frozen(kw_only=True)
class CursorOverview:
    """A cursor, how far it is behind, and when it came to where it stands.

    Where its head is not known, `lag` says so. `moved_at` is by the ledger's own time; a takeover,
    or a confirmation that was repeated, does not move a cursor. It is None if it never moved.
    """

    cursor: Cursor
    lag: Lag
    moved_at: datetime | None

    @property
    def key(self) -> CursorKey:
        """The key of the cursor."""
        return self.cursor.key

    @property
    def state(self) -> LagState:
        """How the cursor does."""
        return self.lag.state


def overview(
    book: Ledger,
    query: CursorQuery | None = None,
    *,
    stalled_after: timedelta = STALLED_AFTER,
    now: datetime | None = None,
) -> Iterator[CursorOverview]:
    """Yield how each cursor does that `query` chooses, lazily, in the order of lists.

    Cursors are compared with heads as `lag` does it. The ledger's own have none.

    Raises InvalidCursorError.
    """
    chosen = query or CursorQuery()
    moment = now or book.now()
    moved_by = before(moment, checked_pause(stalled_after, "stalled_after"))
    heads = StreamHeads(book, chosen, {}, stream_heads=False)
    for end in looked_up(book, book.cursors(chosen), heads, moved_by, every=True):
        found = lag_of(end, moment, moved_by)
        yield CursorOverview(cursor=end.cursor, lag=found, moved_at=end.moved_at)


def ordered(rows: Iterable[CursorOverview], by: str) -> Iterable[CursorOverview]:
    """Return `rows` by `behind`, `moved` or `state`, the worst first; rows alike stay in order.

    By `name`, they stay as they come.
    """
    return rows if by == "name" else sorted(rows, key=_ORDERS[by])


def _by_behind(row: CursorOverview) -> tuple[int, int]:
    # What is not known may be worse than what is level.
    at = WORST_FIRST.index(row.state) if not row.lag.behind else -1
    return at, -(row.lag.behind or 0)


def _by_stand(row: CursorOverview) -> tuple[int, float]:
    # One that never moved has stood still for the longest.
    return (1, row.moved_at.timestamp()) if row.moved_at else (0, 0.0)


_ORDERS: dict[str, Callable[[CursorOverview], tuple[float, float]]] = {
    "behind": _by_behind,
    "moved": _by_stand,
    "state": lambda row: (WORST_FIRST.index(row.state), -(row.lag.behind or 0)),
}
