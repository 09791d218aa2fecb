"""The cursors as of a moment, and what differs between two."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
import projections
from ledger import (
    Cursor,
    CursorKey,
    CursorStarted,
    Entry,
    InvalidCursorError,
    Ledger,
)
from support.clock import Clock
from support.cursors import ORDERS
from support.depth import thorough
from support.histories import KEYS, histories, written


@settings(max_examples=thorough(100, 10))
@given(asked=histories(KEYS))
def test_as_of_every_moment_is_the_fold_of_what_was_there(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.entries())
        moments: list[Any] = [*range(len(entries) + 2), *{e.recorded_at for e in entries}]

        def there(entry: Entry, moment: Any) -> bool:
            if isinstance(moment, datetime):
                return entry.recorded_at <= moment
            return bool(entry.position <= moment)

        def folded(key: CursorKey, moment: Any) -> Cursor | None:
            return ledger.fold(e for e in entries if e.key == key and there(e, moment))

        for moment in moments:
            for key in KEYS:
                assert projections.as_of(book, key, moment) == folded(key, moment)
            every = [folded(cursor.key, moment) for cursor in book.cursors()]
            assert list(projections.cursors_as_of(book, moment)) == [c for c in every if c]


@settings(max_examples=thorough(60, 10))
@given(asked=histories(KEYS), moments=st.lists(st.integers(0, 42), min_size=2, max_size=2))
def test_a_diff_is_what_differs_between_two_moments(asked: Any, moments: list[int]) -> None:
    earlier, later = sorted(moments)
    with written(asked) as book:
        before = {c.key: c for c in projections.cursors_as_of(book, earlier)}
        after = {c.key: c for c in projections.cursors_as_of(book, later)}
        changes = {change.key: change for change in projections.diff(book, earlier, later)}
        assert changes.keys() == {k for k in after if after[k] != before.get(k)}
        for key, change in changes.items():
            assert (change.before, change.after) == (before.get(key), after[key])
            old = before.get(key)
            assert change.entries == after[key].version - (old.version if old else 0)
            first = next(book.history(key)).event
            # What lies before a start was not moved over.
            base = first.sequence if isinstance(first, CursorStarted) else 0
            assert change.moved == after[key].last_sequence - (old.last_sequence if old else base)


@pytest.mark.parametrize("moment", ["now", 1.5, True, None, -1, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_what_is_no_moment_is_refused(book: Ledger, moment: Any) -> None:
    with pytest.raises(InvalidCursorError):
        projections.as_of(book, ORDERS, moment)
    with pytest.raises(InvalidCursorError):
        projections.cursors_as_of(book, moment)
    with pytest.raises(InvalidCursorError):
        projections.diff(book, moment, 3)


def test_moments_in_the_wrong_order_are_refused(book: Ledger, clock: Clock) -> None:
    with pytest.raises(InvalidCursorError, match="later than"):
        projections.diff(book, 3, 2)
    with pytest.raises(InvalidCursorError, match="later than"):
        projections.diff(book, clock.now, clock.now - timedelta(seconds=1))
