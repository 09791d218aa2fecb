"""Plans on streams of tokens: each cursor numbers them for itself, so that tokens are looked up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ledger import CursorKey, InvalidCursorError, Ledger
from ledger.law.reserved import HEAD
from projections import Missing, ResetPlan, lag, stalls
from support.clock import Clock
from support.cursors import ORDERS, chain

STORES = "every"

LATE, EARLY, NEW = (CursorKey(name, "stripe") for name in ("late", "early", "new"))


@pytest.fixture
def stripe(book: Ledger) -> Ledger:
    """Two consumers, of which one began with evt_3."""
    book.positions.declare("stripe", "tokens")
    chain(book, *(f"evt_{n}" for n in range(3, 10)), key=LATE)
    chain(book, *(f"evt_{n}" for n in range(1, 6)), key=EARLY)
    return book


def place(book: Ledger, key: CursorKey, **goal: Any) -> tuple[int, str]:
    [planned] = ResetPlan.make(book, [key], reason="x", **goal).resets
    return planned.sequence, planned.delivery_id


def test_a_plan_goes_to_where_the_token_of_another_cursor_is(stripe: Ledger) -> None:
    assert place(stripe, LATE, like=EARLY) == (3, "evt_5")
    assert place(stripe, EARLY, like=EARLY) == (5, "evt_5")
    assert place(stripe, NEW, like=EARLY) == (5, "evt_5")
    stripe.reset(EARLY, to=0, reason="all again")
    assert place(stripe, LATE, like=EARLY) == (0, "")


@pytest.mark.parametrize("missing", [None, *Missing])
def test_a_number_of_another_cursor_is_refused(stripe: Ledger, missing: Missing | None) -> None:
    stripe.advance(ORDERS, to=2, delivery_id="evt_4")
    stripe.heads.record("stripe", "", 4)
    for key, like, said in (
        (EARLY, LATE, r"late/stripe is at 7 \(evt_9\), and early/stripe numbers tokens for itself"),
        (EARLY, ORDERS, "is at 2, which means nothing for early/stripe"),
        (ORDERS, EARLY, f"early/stripe is at 5, which means nothing for {ORDERS}"),
        (LATE, CursorKey(HEAD, "stripe"), "is at 4, which means nothing for late/stripe"),
    ):
        with pytest.raises(InvalidCursorError, match=said):
            place(stripe, key, like=like, missing=missing)
    with pytest.raises(
        InvalidCursorError, match="the number of its head means nothing for a cursor"
    ):
        place(stripe, LATE, stream_as_of=stripe.horizon().last, missing=missing)
    stripe.reset(EARLY, to=2, reason="without its token")
    with pytest.raises(InvalidCursorError, match="early/stripe is at 2 without a token"):
        place(stripe, LATE, like=EARLY, missing=missing)


def test_a_number_of_its_own_is_named_with_its_token(stripe: Ledger) -> None:
    assert place(stripe, LATE, to=3) == (3, "evt_5")
    assert place(stripe, LATE, by=-2) == (5, "evt_7")
    assert place(stripe, LATE, to=0) == (0, "")
    assert place(stripe, LATE, to=9, delivery_id="evt_11") == (9, "evt_11")
    for goal in ({"to": 9}, {"by": 2}):
        with pytest.raises(InvalidCursorError, match="no token of late/stripe was confirmed as 9"):
            place(stripe, LATE, **goal)
    # Heads are numbers, on whatever stream.
    stripe.heads.record("stripe", "", 9)
    assert place(stripe, CursorKey(HEAD, "stripe"), to=4) == (4, "")


def test_an_undo_restores_what_was_there_with_its_token_or_without(stripe: Ledger) -> None:
    stripe.reset(LATE, to=2, reason="without its token")
    stripe.reset(LATE, to=3, delivery_id="evt_5", reason="with it")
    [planned] = ResetPlan.undo(stripe, [LATE]).resets
    assert (planned.sequence, planned.delivery_id) == (2, "")


def test_numbers_of_tokens_are_compared_with_no_head_and_no_sibling(
    book: Ledger, clock: Clock
) -> None:
    for stream in ("stripe", "orders"):
        book.heads.record(stream, "", 9)
        chain(book, "evt_9", key=CursorKey("late", stream))
        for n in range(9):
            clock.tick(600)
            chain(book, f"evt_{n}", key=CursorKey("early", stream))
    book.positions.declare("stripe", "tokens")

    def found() -> tuple[set[str], set[str]]:
        given = {("stripe", ""): 9}
        behind = {each.key.stream_name for each in lag(book, heads=given) if each.behind}
        still = stalls(book.entries(), after=timedelta(minutes=15))
        return behind, {stall.key.stream_name for stall in still}

    assert found() == ({"orders"}, {"orders"})
    book.positions.declare("stripe", "plain", reason="they count", actor="ines")
    assert found() == ({"orders", "stripe"}, {"orders", "stripe"})
