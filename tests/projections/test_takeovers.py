"""What the views say of takeovers: they are listed apart from resets, and move nothing."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

import projections
from ledger import Ledger
from projections import Direction, ImpossiblePlanError, LagState, ResetPlan
from support.clock import Clock
from support.cursors import JOBS, ORDERS

STORES = "every"

DEPLOY = "deploy 1.4.2"


@pytest.fixture
def taken(book: Ledger, clock: Clock) -> Ledger:
    steps: list[Callable[[], object]] = [
        lambda: book.advance(ORDERS, to=44),
        lambda: book.advance(JOBS, to=44),
        lambda: book.reset(ORDERS, to=41, reason="lost 42", actor="ines"),
        lambda: book.consumer(ORDERS, take_over=DEPLOY),
        lambda: book.reset(JOBS, to=44, reason="its delivery was wrong", actor="ines"),
    ]
    for step in steps:
        step()
        clock.tick(60)
    return book


def test_takeovers_are_listed_apart_from_resets(taken: Ledger) -> None:
    reasons = [reset.reason for reset in projections.resets(taken)]
    assert reasons == ["lost 42", "its delivery was wrong"]
    [takeover] = projections.resets(taken, takeovers=True)
    assert (takeover.reason, takeover.direction) == (DEPLOY, Direction.NOWHERE)
    assert (takeover.previous_sequence, takeover.sequence, takeover.epoch) == (41, 41, 2)
    assert list(projections.resets(taken, reason="lost", takeovers=True)) == []
    assert list(projections.resets(taken, direction=Direction.BACK, takeovers=True)) == []


def test_what_is_undone_is_the_reset_before_it(taken: Ledger) -> None:
    [planned] = ResetPlan.undo(taken, [ORDERS]).resets
    assert (planned.previous_sequence, planned.sequence) == (41, 44)
    book = taken
    key = attrs.evolve(ORDERS, subject_id="taken over, and never reset")
    book.consumer(key, take_over=DEPLOY)
    with pytest.raises(ImpossiblePlanError, match="never reset"):
        ResetPlan.undo(book, [key])


def test_it_is_a_mark_of_its_own_on_a_timeline(taken: Ledger) -> None:
    life = projections.timeline(taken.history(ORDERS))
    marks = {mark.kind.value: mark.text for mark in life.marks}
    assert marks["takeover"] == f"taken over at 41 by tester: {DEPLOY}"
    assert marks["reset"] == "reset 44 → 41 by ines: lost 42"
    # What was to be delivered again still is.
    assert marks.keys() == {"jump", "reset", "takeover"}
    taken.advance(ORDERS, to=44)
    life = projections.timeline(taken.history(ORDERS))
    repeats = [mark.text for mark in life.marks if mark.kind.value == "repeat"]
    assert repeats == ["3 sequences, 42 to 44 passed again after the reset by ines"]


def test_a_cursor_that_stands_still_is_not_moved_by_it(book: Ledger, clock: Clock) -> None:
    book.advance(ORDERS, to=1)
    quick = attrs.evolve(ORDERS, consumer_id="quick")
    for n in range(1, 8):
        book.advance(quick, to=n)
        if n == 4:
            book.consumer(ORDERS, take_over=DEPLOY)
        clock.tick(600)
    [stall] = projections.stalls(book.entries())
    assert (stall.key, stall.last_sequence) == (ORDERS, 1)
    assert (stall.front_at - stall.since).total_seconds() == 3_000


def test_a_cursor_that_is_stalled_stays_so_when_it_is_taken_over(
    book: Ledger, clock: Clock
) -> None:
    began = attrs.evolve(ORDERS, consumer_id="began there")
    book.advance(ORDERS, to=1)
    book.advance(JOBS, to=1)
    book.start(began, at=5, reason="moved here")
    for key in (ORDERS, JOBS):
        book.heads.record(key.stream_name, key.subject_id, 10)
    clock.tick(1_800)

    def states() -> set[LagState]:
        return {lag.state for lag in projections.lag(book)}

    assert states() == {LagState.STALLED}
    for deploy in ("deploy 1", "deploy 2"):
        for key in (ORDERS, JOBS, began):
            book.consumer(key, take_over=deploy)
        book.advance(JOBS, to=1)  # A confirmation repeated.
        clock.tick(60)
        assert states() == {LagState.STALLED}
    # Somebody who resets it to where it stands has looked at it.
    book.reset(ORDERS, to=1, reason="its delivery was wrong", actor="ines")
    assert {lag.key: lag.state for lag in projections.lag(book)}[ORDERS] is LagState.BEHIND
    # One that is made by a takeover has not stood there before.
    new = attrs.evolve(ORDERS, consumer_id="new")
    book.consumer(new, take_over="deploy 1")
    assert {lag.key: lag.state for lag in projections.lag(book)}[new] is LagState.BEHIND


def test_the_first_advance_is_the_beginning_after_a_takeover_as_well(book: Ledger) -> None:
    book.record_error(ORDERS, "HTTP 503")
    for deploy in ("one", "two"):
        book.consumer(ORDERS, take_over=deploy)
    book.advance(ORDERS, to=1_000)
    book.consumer(ORDERS, take_over="three")
    book.advance(ORDERS, to=1_005)
    found = [(gap.first, gap.initial) for gap in projections.gaps(book.history(ORDERS), dense=True)]
    assert found == [(1, True), (1_001, False)]


def test_what_comes_after_a_reset_or_a_start_to_0_is_no_beginning(book: Ledger) -> None:
    book.reset(ORDERS, to=0, reason="from the first event on", actor="ines")
    book.start(JOBS, at=0, reason="from the first event on", actor="ines")
    for key in (ORDERS, JOBS):
        book.consumer(key, take_over=DEPLOY)
        book.advance(key, to=9)
        assert [gap.initial for gap in projections.gaps(book.history(key))] == [False]
