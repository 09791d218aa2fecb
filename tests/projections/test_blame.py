"""What passed each sequence last: against a walk over the history, sequence by sequence."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
import projections
from ledger import (
    AdvanceCursor,
    CursorAdvanced,
    CursorNotFoundError,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
)
from projections import How, blaming
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import KEYS, histories, written

STORES = "every"


def plainly(entries: list[Entry], sequence: int) -> tuple[str | None, Entry | None, int]:
    """Return how `sequence` was passed last, by which entry, and how often it was passed."""
    how, last, passes = None, None, 0
    for entry in entries:
        match entry.event:
            case CursorAdvanced(previous_sequence=start, sequence=end) if start == end == sequence:
                word = "confirmed_again"
            case CursorAdvanced(previous_sequence=start, sequence=end) if start < sequence <= end:
                word = "landed" if sequence == end else "jumped"
            case CursorReset(previous_sequence=start, sequence=end) if start < sequence <= end:
                word = "skipped_by_reset"
            case CursorStarted(sequence=end) if sequence <= end:
                word = "started"
            case _:
                continue
        how, last, passes = word, entry, passes + 1
    return how, last, passes


def spread(found: Any) -> list[tuple[int, Any, Any, int, bool]]:
    return [
        (sequence, blame.how, blame.entry, blame.passes, blame.pending)
        for blame in found
        for sequence in range(blame.first, blame.last + 1)
    ]


@settings(max_examples=thorough(300, 20), deadline=None)
@given(
    asked=histories(KEYS[:2]),
    first=st.integers(1, 14),
    size=st.none() | st.integers(0, 14),
    page=st.sampled_from([1, 256]),
)
def test_it_is_what_a_walk_finds(asked: Any, first: int, size: int | None, page: int) -> None:
    with pytest.MonkeyPatch.context() as patch, written(asked) as book:
        patch.setattr(blaming, "PAGE", page)
        last = None if size is None else first + size
        cursor = book.find(ORDERS)
        if cursor is None:
            with pytest.raises(CursorNotFoundError):
                list(projections.blame(book, ORDERS, first, last))
            return
        entries = list(book.history(ORDERS))
        found = list(projections.blame(book, ORDERS, first, last))
        furthest = max(
            (e.event.sequence for e in entries if not isinstance(e.event, ErrorRecorded)), default=0
        )
        expected = [
            (sequence, *plainly(entries, sequence), sequence > cursor.last_sequence)
            for sequence in range(first, (furthest if last is None else last) + 1)
        ]
        assert spread(found) == expected
        # Neighbours differ in something, or they would be one range.
        for one, other in pairwise(found):
            assert (one.how, one.entry, one.passes, one.pending) != (
                other.how,
                other.entry,
                other.passes,
                other.pending,
            )


def test_it_is_so_on_every_store(book: Ledger) -> None:
    for to in (1, 4, 5, 9):
        book.advance(ORDERS, to=to)
    book.reset(ORDERS, to=3, reason="receiver lost 4", actor="ines")
    book.record_error(ORDERS, "HTTP 503")
    book.advance(ORDERS, to=6)
    book.reset(ORDERS, to=7, reason="poison", actor="ines")
    book.advance(JOBS, to=100)
    found = [
        (b.first, b.last, b.how, b.entry and b.entry.position, b.passes, b.pending)
        for b in projections.blame(book, ORDERS, 1, 12)
    ]
    assert found == [
        (1, 1, How.LANDED, 1, 1, False),
        (2, 3, How.JUMPED, 2, 1, False),
        (4, 5, How.JUMPED, 7, 2, False),
        (6, 6, How.LANDED, 7, 2, False),
        (7, 7, How.SKIPPED_BY_RESET, 8, 2, False),
        (8, 8, How.JUMPED, 4, 1, True),
        (9, 9, How.LANDED, 4, 1, True),
        (10, 12, None, None, 0, True),
    ]


def test_the_largest_sequence_can_be_asked_for(book: Ledger) -> None:
    book.advance(ORDERS, to=2**63 - 1)
    found = [(b.first, b.last, b.how) for b in projections.blame(book, ORDERS, 5)]
    assert found == [
        (5, 2**63 - 2, How.JUMPED),
        (2**63 - 1, 2**63 - 1, How.LANDED),
    ]
    assert list(projections.blame(book, ORDERS, 2**63 - 1, 2**63 - 1))


@pytest.mark.parametrize(
    ("bounds", "said"), [((0,), "from 1"), ((5, 4), "from 5"), ((1, True), "integer")]
)
def test_wrong_ranges_are_refused_at_once(book: Ledger, bounds: Any, said: str) -> None:
    book.advance(ORDERS, to=9)
    with pytest.raises(InvalidCursorError, match=said):
        projections.blame(book, ORDERS, *bounds)


def test_only_what_touched_the_range_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with ledger.open(":memory:") as book:
        book.append([AdvanceCursor(ORDERS, nth) for nth in range(1, 2_001)])
        asked = []
        entries = Ledger.entries

        def noted(self: Ledger, query: EntryQuery | None = None) -> Any:
            for entry in entries(self, query):
                asked.append(entry.position)
                yield entry

        monkeypatch.setattr(Ledger, "entries", noted)
        [each] = projections.blame(book, ORDERS, 1_500, 1_500)
        assert each.entry is not None
        assert set(asked) == {1_500}


def test_a_range_in_which_the_cursor_stands_is_two(book: Ledger) -> None:
    book.advance(ORDERS, to=9)
    book.reset(ORDERS, to=5, reason="again", actor="ines")
    found = [(b.first, b.last, b.pending) for b in projections.blame(book, ORDERS, 5, 9)]
    assert found == [(5, 5, False), (6, 8, True), (9, 9, True)]
