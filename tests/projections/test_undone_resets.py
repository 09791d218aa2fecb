"""An undo restores what stood before the reset that it undoes: gaps, and what is said of them."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import (
    CursorAdvanced,
    CursorReset,
    Entry,
    Ledger,
    ResetCursor,
)
from projections import ImpossiblePlanError, ResetPlan, explain, gaps
from projections.searching import Wanted, gaps_of
from support.cursors import ORDERS
from support.depth import thorough
from support.histories import SEQUENCES, histories, written

STORES = "every"


def undo(book: Ledger) -> None:
    with contextlib.suppress(ImpossiblePlanError):
        ResetPlan.undo(book, [ORDERS]).apply(book, actor="ines")


def ranges(book: Ledger) -> list[tuple[int, int]]:
    found = [(gap.first, gap.last) for gap in gaps(book.history(ORDERS))]
    few = gaps_of(book, [book.get(ORDERS)], Wanted())
    assert found == [(gap.first, gap.last) for gap, _ in few]
    return found


def jumped(book: Ledger) -> None:
    for to in (1, 5, 10):
        book.advance(ORDERS, to=to, actor="web-1")


def plainly(entries: list[Entry]) -> dict[int, int]:
    """Return the gaps, each with its position, from what was so before each reset, all kept."""
    now: dict[int, int] = {}
    before: dict[int, dict[int, int]] = {}
    by: dict[int, int] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, CursorAdvanced):
            start, end = event.previous_sequence, event.sequence
            for n in range(min(start + 1, end), end + 1):
                now.pop(n, None)
                by.pop(n, None)
            now.update(dict.fromkeys(range(start + 1, end), entry.position))
        elif isinstance(event, CursorReset):
            low, high = sorted((event.previous_sequence, event.sequence))
            before[entry.position] = dict(now)
            undone = entry.metadata.get("undoes")
            for n in range(low + 1, high + 1):
                if event.sequence == high:
                    now.pop(n, None)
                if undone and by.get(n) == int(undone):
                    now.pop(n, None)
                    if n in before[int(undone)]:
                        now[n] = before[int(undone)][n]
                by[n] = entry.position
    return now


@settings(max_examples=thorough(400, 32), deadline=None)
@given(asked=histories(), undos=st.sets(st.integers(0, 40)))
def test_gaps_and_explain_agree_on_what_an_undo_restores(asked: Any, undos: set[int]) -> None:
    with written([]) as book:
        for turn, (request, _) in enumerate(asked):
            if turn in undos and book.find(ORDERS):
                undo(book)
            book.append_each([request])
        if not book.find(ORDERS):
            return
        undo(book)
        entries = list(book.history(ORDERS))
        expected = plainly(entries)
        found = {n: gap.position for gap in gaps(entries) for n in range(gap.first, gap.last + 1)}
        assert found == expected
        ranges(book)
        for sequence in SEQUENCES:
            story = explain(entries, sequence)
            assert story.is_gap is (sequence in expected)
            words = str(story).split("\n")[0]
            if story.is_gap:
                assert "jumped over it" in words


def test_an_undone_reset_back_leaves_the_gaps_that_were_there(book: Ledger) -> None:
    jumped(book)
    before = ranges(book)
    assert before == [(2, 4), (6, 9)]
    book.reset(ORDERS, to=1, reason="meant for another", actor="kenji")
    undo(book)
    assert ranges(book) == before
    assert [gap.position for gap in gaps(book.history(ORDERS))] == [2, 3]
    story = explain(book.history(ORDERS), 3)
    assert story.is_gap
    assert str(story).startswith("3: NOT DELIVERED: the cursor jumped over it.")


def test_what_was_delivered_before_the_undo_is_no_gap_after_it(book: Ledger) -> None:
    jumped(book)
    book.reset(ORDERS, to=1, reason="meant for another", actor="kenji")
    for to in (2, 3):
        book.advance(ORDERS, to=to)
    undo(book)
    assert ranges(book) == [(4, 4), (6, 9)]


def test_a_forward_reset_has_its_reason_and_its_undo_makes_gaps_of_it_again(book: Ledger) -> None:
    jumped(book)
    book.reset(ORDERS, to=5, reason="again", actor="kenji")
    book.reset(ORDERS, to=10, reason="refunded", actor="kenji")
    assert ranges(book) == [(2, 4)]
    undo(book)
    assert ranges(book) == [(2, 4), (6, 9)]


def test_only_an_undo_of_that_reset_restores(book: Ledger) -> None:
    for undoes in ("4", "7", "99", "x", "٤", "-4", "9" * 30):
        key = ORDERS.__class__("webhooks", f"orders-{undoes}")
        for to in (1, 5, 10):
            book.advance(key, to=to)
        there = [entry.position for entry in book.history(key)]
        book.reset(key, to=1, reason="back", actor="kenji")
        assert undoes != str(there[-1] + 1) or undoes == "4"
        book.append([ResetCursor(key, 10, "on", actor="kenji", metadata={"undoes": undoes})])
        found = [(gap.first, gap.last) for gap in gaps(book.history(key))]
        assert found == ([(2, 4), (6, 9)] if undoes == "4" else [])
