"""Where in the log a span of time lies: found by a few looks at each cursor.

There is no index of times, and by position they may go back: a clock that was set back is waited
for by each cursor alone. Within a cursor, the law lets no time go back. In each of them, the first
entry from a moment on is therefore searched for by version. Before the first of these, the log has
nothing that is as late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ledger.log.columns import KEY
from ledger.log.text import micros
from ledger.stores.sqlite import statements

if TYPE_CHECKING:
    from ledger.law.queries import EntryQuery
    from ledger.log.columns import Row

__all__ = ["narrowed"]

ROWS_A_CURSOR = 800
"""How many rows are scanned in the time in which one cursor is searched."""
ROWS_A_LOOK = 70
"""How many rows are scanned in the time of one look."""

Ask = Callable[[str, Sequence[object]], "list[Row]"]
"""Runs a statement, and returns its rows."""


def narrowed(ask: Ask, query: EntryQuery, until: int) -> tuple[int, int]:
    """Return the first and the last position that an entry of the query's span of time can have.

    They are 0 and `until` where a search would take longer than the scan that it saves, and where
    the entries of a cursor are not as the law would have them.
    """
    first = query.position_from or 0
    last = until if query.position_until is None else min(until, query.position_until)
    most = (last - first) // ROWS_A_CURSOR
    cursors = _cursors(ask, query, most + 1) if most > 0 else []
    if not 0 < len(cursors) <= most:
        return 0, until
    low, high = 0, until
    if query.recorded_from is not None:
        low = _first_from(_Searches(ask, cursors, until, micros(query.recorded_from)))
    if query.recorded_until is not None:
        high = _last_before(_Searches(ask, cursors, until, micros(query.recorded_until) + 1))
    return low, min(high, until)


def _cursors(ask: Ask, query: EntryQuery, most: int) -> list[Row]:
    """Return id and last version of the cursors that `query` names, at most so many."""
    named = [(name, value) for name in KEY.names if (value := getattr(query, name))]
    conditions = " AND ".join(["1", *(f"{name} = ?" for name, _ in named)])
    statement = statements.LAST_VERSIONS.format(conditions=conditions)
    return ask(statement, [*(value for _, value in named), most])


class _Search:
    """For where a cursor has its first entry from a moment on: behind `low`, at `high` at most."""

    __slots__ = ("cursor_id", "high", "high_at", "low", "low_at")

    def __init__(self, cursor_id: int, last: int, until: int) -> None:
        self.cursor_id = cursor_id
        self.low, self.low_at = 0, 0
        # Behind its last entry, as if another one came at the end of the log.
        self.high, self.high_at = last + 1, until + 1

    @property
    def is_open(self) -> bool:
        return self.high - self.low > 1


class _Searches:
    """The searches for one moment. Positions grow with versions, so they say where it lies."""

    def __init__(self, ask: Ask, cursors: Sequence[Row], until: int, moment: int) -> None:
        self._ask = ask
        self._moment = moment
        self.each = [_Search(cursor_id, last or 0, until) for cursor_id, last in cursors]

    def look(self, searches: Sequence[_Search]) -> bool:
        """Look at the middle of each of `searches`; return whether all have an entry there."""
        found = 0
        for start in range(0, len(searches), statements.PLACES_MAX):
            page = searches[start : start + statements.PLACES_MAX]
            places = [
                (each.cursor_id, (each.low + each.high) // 2, nth) for nth, each in enumerate(page)
            ]
            for nth, version, position, recorded_at in self._ask(
                statements.recorded(len(page)), list(chain(*places))
            ):
                if type(recorded_at) is not int:
                    return False
                each, found = page[nth], found + 1
                if recorded_at >= self._moment:
                    each.high, each.high_at = version, position
                else:
                    each.low, each.low_at = version, position
        return found == len(searches)


def _first_from(searches: _Searches) -> int:
    """Return a position before which no entry is as late as the moment."""
    while True:
        known = min(each.high_at for each in searches.each)
        # The others have nothing before that.
        doubtful = [each for each in searches.each if each.is_open and each.low_at + 1 < known]
        first = min([known, *(each.low_at + 1 for each in doubtful)])
        if known - first <= ROWS_A_LOOK * len(doubtful):
            return first
        if not searches.look(doubtful):
            return 0


def _last_before(searches: _Searches) -> int:
    """Return a position behind which every entry is as late as the moment."""
    while True:
        known = max(each.low_at for each in searches.each)
        doubtful = [each for each in searches.each if each.is_open and each.high_at - 1 > known]
        last = max([known, *(each.high_at - 1 for each in doubtful)])
        if last - known <= ROWS_A_LOOK * len(doubtful):
            return last
        if not searches.look(doubtful):
            return max(each.high_at for each in searches.each)
