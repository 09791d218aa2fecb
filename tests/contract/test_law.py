"""The law, row by row, and its memory: what a replay finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

import ledger
from ledger import (
    ActorRequiredError,
    BrokenChainError,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Outcome,
    StaleEpochError,
    VersionConflictError,
)
from projections import ResetPlan
from support.clock import Clock
from support.cursors import JOBS, ORDERS

T = datetime(2026, 5, 5, tzinfo=UTC)
LATER = T + timedelta(hours=1)


def test_a_first_advance_makes_the_cursor(book: Ledger, clock: Clock) -> None:
    cursor = book.advance(ORDERS, to=5, delivery_id="d-5", delivered_at=T, now=LATER)
    assert attrs.asdict(cursor, recurse=False) == {
        "key": ORDERS,
        "last_sequence": 5,
        "last_delivery_id": "d-5",
        "last_delivered_at": T,
        "last_error": "",
        "updated_at": LATER,
        "version": 1,
        "epoch": 0,
    }
    [entry] = book.history(ORDERS)
    assert entry.recorded_at == clock.now
    assert entry.event.occurred_at == LATER


@pytest.mark.parametrize(("now", "delivered_at"), [(None, None), (LATER, None), (LATER, T)])
def test_times_that_are_not_given_follow_from_the_others(
    book: Ledger, clock: Clock, now: datetime | None, delivered_at: datetime | None
) -> None:
    cursor = book.advance(ORDERS, to=1, now=now, delivered_at=delivered_at)
    assert cursor.updated_at == (now or clock.now)
    assert cursor.last_delivered_at == (delivered_at or now or clock.now)


@pytest.mark.parametrize(
    ("to", "delivery_id", "refused"),
    [
        (4, "d-5", True),
        (1, "", True),
        (5, "other", True),
        (5, "", True),
        (5, "d-5", False),
        (6, "d-5", False),
        (2**63 - 1, "", False),
    ],
)
def test_an_advance_goes_forward_or_confirms_the_same_delivery(
    book: Ledger, to: int, delivery_id: str, refused: bool
) -> None:
    book.advance(ORDERS, to=5, delivery_id="d-5")
    if not refused:
        assert book.advance(ORDERS, to=to, delivery_id=delivery_id).last_sequence == to
        return
    with pytest.raises(NonMonotonicCursorError) as caught:
        book.advance(ORDERS, to=to, delivery_id=delivery_id)
    assert caught.value.current == book.get(ORDERS)
    assert caught.value.request
    assert caught.value.request.last_sequence == to
    assert "is at 5 (d-5)" in str(caught.value)
    assert book.get(ORDERS).version == 1


def test_a_repeated_confirmation_is_an_entry_that_keeps_the_first_delivery_time(
    book: Ledger,
) -> None:
    book.advance(ORDERS, to=5, delivered_at=T)
    book.record_error(ORDERS, "boom")
    again = book.advance(ORDERS, to=5, delivered_at=LATER, now=LATER)
    assert (again.last_delivered_at, again.last_error, again.updated_at) == (T, "", LATER)
    assert again.version == 3
    book.reset(ORDERS, to=3, reason="again")
    first = book.advance(ORDERS, to=3, delivered_at=LATER)
    assert first.last_delivered_at == LATER


@pytest.mark.parametrize("to", [0, 3, 5, 9])
def test_a_reset_goes_anywhere_replaces_all_and_begins_an_epoch(book: Ledger, to: int) -> None:
    book.advance(ORDERS, to=5, delivery_id="d-5")
    book.record_error(ORDERS, "boom")
    cursor = book.reset(ORDERS, to=to, reason=" because ", now=LATER)
    assert (cursor.last_sequence, cursor.last_delivery_id, cursor.last_delivered_at) == (
        to,
        "",
        None,
    )
    assert (cursor.last_error, cursor.updated_at, cursor.epoch, cursor.version) == ("", LATER, 1, 3)
    kept = book.reset(ORDERS, to=to, reason="x", delivery_id="d", delivered_at=T)
    assert (kept.last_delivery_id, kept.last_delivered_at, kept.epoch) == ("d", T, 2)
    reset = list(book.history(ORDERS))[2]
    assert (reset.actor, reset.event.reason) == ("tester", "because")  # type: ignore[union-attr]


def test_a_reset_and_an_error_make_a_cursor_that_is_not_there(book: Ledger) -> None:
    assert book.reset(ORDERS, to=7, reason="start here").last_sequence == 7
    failed = book.record_error(JOBS, "boom", now=T)
    assert (failed.last_sequence, failed.last_error, failed.updated_at) == (0, "boom", T)
    assert failed.last_delivered_at is None


def test_an_error_never_moves_the_cursor(book: Ledger) -> None:
    before = book.advance(ORDERS, to=5, delivery_id="d-5", now=T)
    after = book.record_error(ORDERS, "boom", now=LATER)
    assert after == attrs.evolve(before, last_error="boom", updated_at=LATER, version=2)
    assert book.advance(ORDERS, to=6).last_error == ""


def test_a_reset_needs_an_actor_from_the_call_or_the_ledger(target: str) -> None:
    with ledger.open(target) as book:
        with pytest.raises(ActorRequiredError, match="actor="):
            book.reset(ORDERS, to=1, reason="why")
        with pytest.raises(ActorRequiredError):
            book.reset(ORDERS, to=1, reason="why", actor="  ")
        assert book.reset(ORDERS, to=1, reason="why", actor="ines").epoch == 1
        assert book.advance(ORDERS, to=2).version == 2


@pytest.mark.parametrize("actor", [" ", "\t\n", "\u3000"])
def test_a_blank_actor_is_not_the_actor_of_the_ledger(target: str, actor: str) -> None:
    """A caller that passes one has looked up a name, and found none."""
    said = "actor is blank; name who acts, or leave it out"
    policy = ledger.Policy(ledger.PolicyKind.APPROVAL)
    with ledger.open(target, actor="ines") as book:
        before = book.advance(ORDERS, to=5)
        for required in (
            lambda: book.reset(ORDERS, to=3, reason="why", actor=actor),
            lambda: book.start(JOBS, at=3, reason="why", actor=actor),
            lambda: book.policies.set(policy, reason="why", actor=actor),
            lambda: ResetPlan.make(book, [ORDERS], to=3, reason="why").apply(book, actor=actor),
        ):
            with pytest.raises(ActorRequiredError, match=said):
                required()
        for named in (
            lambda: book.advance(ORDERS, to=6, actor=actor),
            lambda: book.advance(ORDERS, to=ledger.NEXT, delivery_id="a", actor=actor),
            lambda: book.record_error(ORDERS, "503", actor=actor),
            lambda: book.heads.record("orders", "", 6, actor=actor),
            lambda: book.delivering(ORDERS, to=6, actor=actor).__enter__(),
            lambda: ledger.open(target, actor=actor),
        ):
            with pytest.raises(InvalidCursorError, match=said):
                named()
        assert book.get(ORDERS) == before
        assert [entry.actor for entry in book.entries()] == ["ines"]


def test_an_advance_of_an_earlier_epoch_is_refused(book: Ledger) -> None:
    book.advance(ORDERS, to=5, epoch=0)
    book.reset(ORDERS, to=3, reason="again")
    for to in (4, 5, 6):
        with pytest.raises(StaleEpochError, match="go on from 3"):
            book.advance(ORDERS, to=to, epoch=0)
    assert book.advance(ORDERS, to=6, epoch=1).last_sequence == 6
    with pytest.raises(StaleEpochError):
        book.advance(JOBS, to=1, epoch=1)


def test_any_request_may_expect_a_version(book: Ledger) -> None:
    book.advance(ORDERS, to=5, expected_version=0)
    asks: list[Any] = [
        lambda version: book.advance(ORDERS, to=6, expected_version=version),
        lambda version: book.reset(ORDERS, to=1, reason="x", expected_version=version),
        lambda version: book.record_error(ORDERS, "boom", expected_version=version),
    ]
    for count, ask in enumerate(asks, 1):
        for wrong in (0, count + 1):
            with pytest.raises(VersionConflictError, match=f"at version {count}, not {wrong}"):
                ask(wrong)
        ask(count)


def test_of_several_objections_the_first_is_the_one_to_act_on(book: Ledger) -> None:
    book.advance(ORDERS, to=5)
    book.reset(ORDERS, to=4, reason="x")
    with pytest.raises(VersionConflictError):
        book.advance(ORDERS, to=1, epoch=0, expected_version=9)
    with pytest.raises(StaleEpochError):
        book.advance(ORDERS, to=1, epoch=0)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_outcome_is_kept_and_moves_the_cursor_all_the_same(
    book: Ledger, outcome: Outcome
) -> None:
    assert book.advance(ORDERS, to=5, outcome=outcome).last_sequence == 5
    [entry] = book.history(ORDERS)
    assert entry.event.outcome is outcome  # type: ignore[union-attr]


def test_the_ledgers_own_time_never_goes_back_within_a_cursor(book: Ledger, clock: Clock) -> None:
    book.advance(ORDERS, to=1)
    first = clock.now
    clock.tick(-3600)
    book.advance(ORDERS, to=2)
    book.advance(JOBS, to=1)
    assert [entry.recorded_at for entry in book.history(ORDERS)] == [first, first]
    assert [entry.recorded_at for entry in book.history(JOBS)] == [clock.now]
    assert book.get(ORDERS).updated_at == clock.now


# --- replay ---


@pytest.fixture
def history(book: Ledger) -> list[ledger.Entry]:
    for to in (2, 5):
        book.advance(ORDERS, to=to)
    book.reset(ORDERS, to=3, reason="again")
    book.record_error(ORDERS, "boom")
    book.advance(ORDERS, to=4)
    return list(book.history(ORDERS))


def test_the_fold_of_the_history_is_the_cursor(book: Ledger, history: list[ledger.Entry]) -> None:
    assert ledger.fold(history) == book.get(ORDERS)
    halfway = ledger.fold(history[:2])
    assert ledger.fold(history[2:], halfway) == book.get(ORDERS)
    assert ledger.fold([]) is None


def moved(entry: ledger.Entry, **event: Any) -> ledger.Entry:
    return attrs.evolve(entry, event=attrs.evolve(entry.event, **event))


def test_a_replay_finds_what_the_law_does_not_allow(history: list[ledger.Entry]) -> None:
    first, second, reset, error, last = history
    unlawful = {
        "version is 2, but 1": [second],
        "version is 3, but 2": [first, reset],
        "starts from 1": [first, moved(second, previous_sequence=1)],
        "without a reset": [first, moved(second, sequence=1)],
        "epoch is 1": [first, attrs.evolve(second, epoch=1)],
        "epoch is 0": [first, second, attrs.evolve(reset, epoch=0)],
        "without a reason": [first, second, moved(reset, reason="")],
        "or an actor": [first, second, attrs.evolve(reset, actor="")],
        "no entry of webhooks": [first, attrs.evolve(second, key=JOBS)],
        "epoch is 2": [first, second, reset, attrs.evolve(error, epoch=2)],
        "starts from 3": [first, second, moved(reset, sequence=1), error, last],
    }
    for fault, entries in unlawful.items():
        with pytest.raises(BrokenChainError, match=fault):
            ledger.fold(entries)
