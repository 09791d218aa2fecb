"""Resets that are planned: looked at, kept in a file, made only if nothing has changed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import ledger
from ledger import CursorKey, CursorNotFoundError, InvalidCursorError, Ledger
from projections import ImpossiblePlanError, PlannedReset, ResetPlan, as_of, resets
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import histories, written
from support.plan_files import sealed

STORES = "every"


@pytest.fixture
def full(book: Ledger, clock: Clock) -> Ledger:
    for sequence in (40, 41, 44):
        book.advance(ORDERS, to=sequence, delivery_id=f"msg-{sequence}")
        clock.tick(60)
    book.advance(JOBS, to=7)
    return book


def test_a_plan_is_looked_at_kept_read_and_applied(full: Ledger, tmp_path: Path) -> None:
    plan = ResetPlan.make(full, [ORDERS, JOBS], by=-3, reason="lost", metadata={"ticket": "7"})
    orders, jobs = plan.resets
    assert (orders.key, orders.version, orders.previous_sequence, orders.sequence) == (
        ORDERS,
        3,
        44,
        41,
    )
    assert str(orders.delivered_again) == "3 sequences, 42 to 44"
    assert orders.passed_over is None
    plan.save(tmp_path / "plan.jsonl")
    assert ResetPlan.load(tmp_path / "plan.jsonl") == plan
    assert full.get(ORDERS).last_sequence == 44
    cursors = plan.apply(full, actor="ines")
    assert [cursor.last_sequence for cursor in cursors] == [41, 4]
    first, second = resets(full)
    assert (first.actor, first.reason, first.metadata["ticket"]) == ("ines", "lost", "7")
    assert first.metadata["cursor-ledger/batch"] == second.metadata["cursor-ledger/batch"]
    with pytest.raises(ledger.VersionConflictError):
        plan.apply(full)
    with pytest.raises(ledger.VersionConflictError):
        plan.check(full)
    assert jobs.metadata["cursor-ledger/batch"]


def test_a_plan_made_of_one_that_was_read_is_no_longer_the_one_in_the_file(full: Ledger) -> None:
    plan = ResetPlan.of_lines(ResetPlan.make(full, [ORDERS], to=1, reason="x").lines())
    assert plan.digest
    assert plan.adding({"ticket": "7"}).digest == plan.digest
    other = attrs.evolve(plan, resets=(attrs.evolve(plan.resets[0], sequence=2),))
    other.apply(full)
    [made] = resets(full)
    assert made.sequence == 2
    assert "plan" not in made.metadata


def test_the_file_of_a_plan_says_what_will_happen(full: Ledger) -> None:
    plan = ResetPlan.make(full, [ORDERS], to=50, reason="Prüfung", planned_by="ines")
    header, line = map(json.loads, plan.lines())
    *_, last = full.history(ORDERS)
    assert list(header) == ["format", "digest", "ledger", "planned_by", "planned_at", "resets"]
    assert (header["format"], header["resets"]) == ("cursor-ledger-plan/1", 1)
    assert header["planned_by"] == "ines"
    assert line == {
        "key": {"consumer_id": "webhooks", "stream_name": "orders", "subject_id": "customer-7"},
        "version": 3,
        "previous_sequence": 44,
        "sequence": 50,
        "reason": "Prüfung",
        "delivery_id": "",
        "delivered_at": None,
        "occurred_at": None,
        "metadata": {},
        "head": last.digest.hex(),
        "delivered_again": None,
        "passed_over": {"first": 45, "last": 50},
    }


def test_a_cursor_goes_to_where_it_stood(full: Ledger, clock: Clock) -> None:
    at = clock.now - timedelta(seconds=120)
    for moment in (at, 2):
        [planned] = ResetPlan.make(full, [ORDERS], as_of=moment, reason="x").resets
        assert (planned.sequence, planned.delivery_id) == (41, "msg-41")
        assert planned.delivered_at == at
    [planned] = ResetPlan.make(full, [ORDERS], like=JOBS, reason="x").resets
    assert (planned.sequence, planned.delivery_id) == (7, "")
    [planned] = ResetPlan.make(full, [CursorKey("new", "orders")], to=5, reason="x").resets
    assert (planned.version, planned.previous_sequence) == (0, 0)


def test_what_cannot_be_planned_says_why(full: Ledger, clock: Clock) -> None:
    new = CursorKey("new", "orders")
    before = clock.now - timedelta(days=1)
    plans: list[tuple[Any, type[Exception], str]] = [
        ({"by": -45}, ImpossiblePlanError, "it would be at -1"),
        ({"by": 2**63 - 1}, ImpossiblePlanError, "outside"),
        ({"as_of": before}, ImpossiblePlanError, "no entry yet at 2026-05-04"),
        ({"as_of": 0}, ImpossiblePlanError, "position 0"),
        ({"like": new}, CursorNotFoundError, "new/orders"),
        ({"to": -1}, InvalidCursorError, "from 0"),
        ({"to": 1.5}, InvalidCursorError, "integer"),
        ({"by": "3"}, InvalidCursorError, "integer"),
        ({}, InvalidCursorError, "exactly one"),
        ({"to": 1, "by": 1}, InvalidCursorError, "exactly one"),
        ({"to": 1, "reason": " "}, ledger.ResetReasonRequiredError, "needs a reason"),
        ({"to": 1, "reason": "x" * 4_097}, InvalidCursorError, "4,096"),
        ({"to": 1, "metadata": {"a": 1}}, InvalidCursorError, "metadata"),
    ]
    for how, error, said in plans:
        with pytest.raises(error, match=said):
            ResetPlan.make(full, [ORDERS], **{"reason": "x", **how})
    with pytest.raises(InvalidCursorError, match="twice"):
        ResetPlan.make(full, [ORDERS, ORDERS], to=1, reason="x")
    with pytest.raises(ImpossiblePlanError, match="never reset"):
        ResetPlan.undo(full, [ORDERS])
    with pytest.raises(CursorNotFoundError):
        ResetPlan.undo(full, [new])
    assert list(resets(full)) == []


def test_an_undo_names_what_it_undoes(full: Ledger) -> None:
    full.reset(ORDERS, to=41, reason="lost", actor="ines")
    before = as_of(full, ORDERS, full.get(ORDERS).version - 1)
    assert before is not None
    plan = ResetPlan.undo(full, [ORDERS], reason="wrong customer")
    [after] = plan.apply(full, actor="omar")
    assert (after.last_sequence, after.last_delivery_id) == (44, "msg-44")
    *_, undone = resets(full)
    assert undone.reason == "wrong customer (undoes the reset at position 5 by ines)"
    assert undone.metadata == {"undoes": "5"}
    # The undo is a reset like any other, and can be undone.
    ResetPlan.undo(full, [ORDERS]).apply(full, actor="ines")
    assert full.get(ORDERS).last_sequence == 41
    full.advance(ORDERS, to=45)
    with pytest.raises(ImpossiblePlanError, match="has been back since: it is at 45"):
        ResetPlan.undo(full, [ORDERS])


def test_a_skip_is_undone_from_wherever_the_consumer_got_to(full: Ledger) -> None:
    full.reset(ORDERS, to=60, reason="refunded", actor="ines")
    full.advance(ORDERS, to=61)
    [planned] = ResetPlan.undo(full, [ORDERS]).resets
    assert (planned.previous_sequence, planned.sequence) == (61, 44)


@settings(max_examples=thorough(100, 10))
@given(asked=histories(), to=st.integers(0, 12))
def test_an_undo_restores_the_place_and_its_delivery(asked: Any, to: int) -> None:
    with written(asked) as book:
        assume(list(book.cursors()))
        before = book.get(ORDERS)
        book.reset(ORDERS, to=to, reason="x", actor="ines")
        [after] = ResetPlan.undo(book, [ORDERS]).apply(book, actor="omar")
        assert after.last_sequence == before.last_sequence
        assert after.last_delivery_id == before.last_delivery_id
        assert after.last_delivered_at == before.last_delivered_at
        assert after.epoch == before.epoch + 2


@settings(max_examples=thorough(80, 10))
@given(asked=histories([ORDERS, JOBS]), late=st.sampled_from([ORDERS, JOBS]))
def test_a_stale_plan_changes_nothing(asked: Any, late: CursorKey) -> None:
    with written(asked) as book:
        book.record_error(ORDERS, "x")
        book.record_error(JOBS, "x")
        plan = ResetPlan.make(book, [ORDERS, JOBS], to=3, reason="x")
        book.record_error(late, "something came in between")
        before = list(book.entries())
        with pytest.raises(ledger.VersionConflictError):
            plan.apply(book, actor="ines")
        assert list(book.entries()) == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[]", "must be an object"),
        ("{}", "key is missing"),
        ('{"op": "reset"}', "'op' is not known here"),
        ('{"key": {}, "version": 1, "previous_sequence": 1, "sequence": 0, "reason": "x"}', "miss"),
    ],
)
def test_a_bad_line_of_a_plan_is_named(full: Ledger, line: str, said: str) -> None:
    header, good = ResetPlan.make(full, [ORDERS], to=1, reason="x").lines()
    with pytest.raises(InvalidCursorError, match=f"line 3 is not a planned reset: .*{said}"):
        ResetPlan.of_lines(sealed(header, json.loads(good), json.loads(line)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "1"),
        ("version", -1),
        ("previous_sequence", 1.0),
        ("sequence", True),
        ("sequence", -1),
        ("reason", 7),
        ("delivered_at", "2026-05-05"),
        ("occurred_at", 7),
        ("metadata", []),
        ("delivery_id", None),
        ("key", "webhooks/orders"),
        ("head", 7),
        ("head", "no digest"),
        ("head", "00"),
    ],
)
def test_a_plan_is_not_coerced(full: Ledger, name: str, value: object) -> None:
    header, line = ResetPlan.make(full, [ORDERS], to=1, reason="x").lines()
    changed = sealed(header, {**json.loads(line), name: value})
    with pytest.raises(InvalidCursorError, match="line 2"):
        ResetPlan.of_lines(changed)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("planned_by", 7),
        ("planned_by", "x" * 513),
        ("planned_at", 7),
        ("planned_at", "2026-05-05"),
        ("ledger", 7),
        ("ledger", {"position": 1}),
        ("ledger", {"id": "", "position": "1", "digest": "00" * 32}),
        ("ledger", {"id": "", "position": 1, "digest": "0"}),
        ("ledger", {"id": 7, "position": 1, "digest": "00" * 32}),
        ("more", 7),
    ],
)
def test_the_header_of_a_plan_is_not_coerced(full: Ledger, name: str, value: object) -> None:
    header, line = ResetPlan.make(full, [ORDERS], to=1, reason="x").lines()
    changed = sealed(json.dumps({**json.loads(header), name: value}), json.loads(line))
    with pytest.raises(InvalidCursorError):
        ResetPlan.of_lines(changed)


def test_a_planned_reset_is_valid_at_birth() -> None:
    planned = PlannedReset(
        key=ORDERS, version=0, previous_sequence=0, sequence=3, reason=" x ", delivery_id=" d "
    )
    assert (planned.reason, planned.delivery_id) == ("x", "d")
    assert isinstance(planned.request, ledger.ResetCursor)
