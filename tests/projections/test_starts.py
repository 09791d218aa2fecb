"""What lies before the place where a cursor was started is before the ledger's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

import ledger
import projections
from ledger import CursorAdvanced, CursorStarted, Ledger
from projections import ImpossiblePlanError, MarkKind, ResetPlan, Verdict
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import histories, written

KAFKA: dict[str, Any] = {
    "source": "kafka group mailer",
    "reason": "moved from Kafka",
    "actor": "ines",
}


@pytest.fixture
def started(book: Ledger, clock: Clock) -> Ledger:
    book.start(ORDERS, at=41, **KAFKA)
    clock.tick(60)
    book.advance(ORDERS, to=42, delivery_id="msg-42")
    clock.tick(60)
    book.advance(ORDERS, to=45)
    return book


def test_only_what_was_jumped_over_since_is_a_gap(started: Ledger) -> None:
    [gap] = projections.gaps(started.history(ORDERS))
    assert (gap.first, gap.last, gap.initial) == (43, 44, False)


def test_a_jump_from_a_start_at_0_is_no_beginning(book: Ledger) -> None:
    """A start at 0 says that the first event is meant for the cursor."""
    book.start(ORDERS, at=0, reason="new", actor="ines")
    book.advance(ORDERS, to=5)
    book.advance(JOBS, to=5)
    [gap] = projections.gaps(book.history(ORDERS))
    assert (gap.first, gap.last, gap.initial) == (1, 4, False)
    assert [gap.initial for gap in projections.gaps(book.history(JOBS))] == [True]


def test_what_lies_before_is_told_to_be_before_the_ledgers_time(started: Ledger) -> None:
    history = list(started.history(ORDERS))
    for sequence in (1, 41):
        told = projections.explain(history, sequence)
        assert (told.verdict, told.deliveries, told.pending) == (Verdict.BEFORE, 0, False)
        assert str(told).splitlines() == [
            f"{sequence}: before the ledger's time: the cursor was started at 41.",
            (
                "2026-05-05T16:00:00Z, position 1: started at 41, taken from kafka group mailer, "
                "by ines: moved from Kafka"
            ),
        ]
    assert [projections.explain(history, n).verdict for n in (42, 43, 45, 46)] == [
        Verdict.DELIVERED,
        Verdict.PASSED,
        Verdict.DELIVERED,
        Verdict.NOT_YET,
    ]


def test_what_is_delivered_after_a_reset_behind_the_start_is_delivered_once(
    started: Ledger,
) -> None:
    started.reset(ORDERS, to=39, reason="Kafka lost 40", actor="ines")
    pending = projections.explain(started.history(ORDERS), 40)
    assert (pending.verdict, pending.pending) == (Verdict.BEFORE, True)
    assert "It is pending, because the cursor was reset." in str(pending)
    for to in (40, 41, 42):
        started.advance(ORDERS, to=to)
    history = list(started.history(ORDERS))
    verdicts = [projections.explain(history, n) for n in (40, 41, 42)]
    assert [(told.verdict, told.deliveries) for told in verdicts] == [
        (Verdict.DELIVERED, 1),
        (Verdict.DELIVERED, 1),
        (Verdict.DELIVERED, 2),
    ]
    assert [(again.first, again.last) for again in projections.repeats(history)] == [(42, 42)]


@settings(max_examples=thorough(150, 12))
@given(asked=histories())
def test_nothing_before_a_start_is_a_gap_or_a_repeat_unless_something_went_back_there(
    asked: Any,
) -> None:
    with written(asked) as book:
        entries = list(book.history(ORDERS))
        if not entries or not isinstance(start := entries[0].event, CursorStarted):
            return
        moved = [
            entry.event.previous_sequence
            for entry in entries
            if isinstance(entry.event, CursorAdvanced)
        ]
        least = min([*moved, start.sequence])
        assert all(gap.first > least for gap in projections.gaps(entries))
        assert all(again.first > least for again in projections.repeats(entries))


def test_a_timeline_begins_where_the_cursor_was_started(started: Ledger) -> None:
    life = projections.timeline(started.history(ORDERS))
    assert [point.sequence for point in life.points] == [41, 42, 45, 45]
    [mark] = [mark for mark in life.marks if mark.kind is MarkKind.START]
    assert (mark.low, mark.high, mark.to) == (41, 41, 41)
    assert mark.text == "started at 41 from kafka group mailer by ines: moved from Kafka"
    assert [mark.size for mark in life.marks if mark.kind is MarkKind.JUMP] == [2]


@pytest.mark.parametrize("draw", [projections.draw, None], ids=["file", "terminal"])
def test_a_start_is_drawn(started: Ledger, tmp_path: Any, draw: Callable[..., None] | None) -> None:
    life = projections.timeline(started.history(ORDERS))
    if draw is None:
        assert "S" in projections.draw_on_terminal(life, width=60, height=12)
        return
    draw(life, tmp_path / "life.svg")
    drawn = (tmp_path / "life.svg").read_text("utf-8")
    assert "square: where it started" in drawn
    assert "started at 41 from kafka group mailer by ines: moved from Kafka" in drawn


def test_a_start_is_no_confirmation_that_leaves_others_behind(book: Ledger, clock: Clock) -> None:
    slow, quick = (ledger.CursorKey(name, "orders") for name in ("mailer", "webhooks"))
    book.advance(slow, to=1)
    for at in (10, 20):
        clock.tick(3_600)
        book.start(ledger.CursorKey(f"new-{at}", "orders"), at=at, **KAFKA)
    clock.tick(3_600)
    assert list(projections.stalls(book.entries(), after=timedelta(minutes=1))) == []
    # But whoever was started is left behind by those who go on.
    for to in (30, 31):
        book.advance(quick, to=to)
        clock.tick(3_600)
    stalled = {
        stall.key.consumer_id: stall.last_sequence
        for stall in projections.stalls(book.entries(), after=timedelta(minutes=1))
    }
    assert stalled == {"mailer": 1, "new-10": 10, "new-20": 20}


def test_where_it_stood_before_its_start_is_not_known(started: Ledger) -> None:
    began = next(started.history(ORDERS)).recorded_at
    with pytest.raises(ImpossiblePlanError) as refused:
        ResetPlan.make(started, [ORDERS], as_of=began - timedelta(seconds=1), reason="x")
    assert str(refused.value).endswith(
        "choose a later moment. It was started at 41 from kafka group mailer, at "
        "2026-05-05T16:00:00Z; what lies before is before the ledger's time."
    )
    plan = ResetPlan.make(started, [ORDERS], as_of=began, reason="x")
    assert [planned.sequence for planned in plan.resets] == [41]
    at = projections.as_of(started, ORDERS, began)
    assert at is not None
    assert (at.last_sequence, at.version, at.epoch) == (41, 1, 0)


def test_a_change_counts_from_where_the_cursor_was_started(started: Ledger) -> None:
    [change] = projections.diff(started, 0, 3)
    assert (change.before, change.moved, change.entries, change.resets) == (None, 4, 3, 0)


def test_a_start_can_be_the_place_that_an_undone_reset_goes_back_to(started: Ledger) -> None:
    book = started
    book.start(JOBS, at=7, delivery_id="d-7", **KAFKA)
    book.reset(JOBS, to=3, reason="typo", actor="ines")
    [planned] = ResetPlan.undo(book, [JOBS]).resets
    assert (planned.sequence, planned.delivery_id) == (7, "d-7")
