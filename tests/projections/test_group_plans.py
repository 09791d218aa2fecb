"""Plans with a place for each cursor, what they leave out, and resets that were made together."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey, CursorNotFoundError, EntryQuery, InvalidCursorError, Ledger
from projections import (
    ImpossiblePlanError,
    LeftOut,
    Missing,
    ResetPlan,
    reset_groups,
    resets,
)
from support.clock import Clock
from support.depth import thorough
from support.plan_files import sealed
from support.topics import ABSENT, PARTITIONS, places

STORES = "every"


def by_subject(cursors: list[ledger.Cursor]) -> dict[str, int]:
    return {cursor.key.subject_id: cursor.last_sequence for cursor in cursors}


# --- where each goes ---


def test_each_cursor_goes_to_its_own_place(topic: Ledger) -> None:
    targets = {key: 90 + 3 * partition for partition, key in enumerate(PARTITIONS)}
    plan = ResetPlan.make(topic, to=targets, reason="lost")
    assert [reset.key for reset in plan.resets] == PARTITIONS
    assert by_subject(plan.apply(topic)) == {key.subject_id: to for key, to in targets.items()}
    found = list(resets(topic))
    assert len({reset.metadata["cursor-ledger/batch"] for reset in found}) == 1
    assert {reset.direction.value for reset in found} == {"back", "nowhere", "forward"}


def test_one_number_for_all_still_makes_what_is_not_there(topic: Ledger) -> None:
    for policy in (None, Missing.ZERO, "zero"):
        plan = ResetPlan.make(topic, [PARTITIONS[0], ABSENT], to=7, reason="x", missing=policy)  # type: ignore[arg-type]
        assert [(r.version, r.sequence) for r in plan.resets] == [(2, 7), (0, 7)]


def test_targets_name_the_cursors(topic: Ledger) -> None:
    with pytest.raises(InvalidCursorError, match="leave out keys"):
        ResetPlan.make(topic, PARTITIONS, to={PARTITIONS[0]: 1}, reason="x")
    with pytest.raises(InvalidCursorError, match="exactly one"):
        ResetPlan.make(topic, to={PARTITIONS[0]: 1}, by=1, reason="x")
    with pytest.raises(InvalidCursorError, match="to of mailer/orders/1 must be from 0"):
        ResetPlan.make(topic, to={PARTITIONS[0]: 1, PARTITIONS[1]: -1}, reason="x")
    with pytest.raises(InvalidCursorError, match="to of mailer/orders/1 must be an integer"):
        ResetPlan.make(topic, to={PARTITIONS[1]: "7"}, reason="x")  # type: ignore[dict-item]
    with pytest.raises(InvalidCursorError, match="key must be a CursorKey"):
        ResetPlan.make(topic, to={"mailer/orders": 7}, reason="x")  # type: ignore[dict-item]
    assert list(resets(topic)) == []
    assert ResetPlan.make(topic, to={}, reason="x").resets == ()


# --- what is not there ---


def test_a_target_for_what_is_not_there_is_refused_made_or_left_out(topic: Ledger) -> None:
    targets = {PARTITIONS[0]: 7, ABSENT: 8}
    for policy in (None, Missing.REFUSE):
        with pytest.raises(CursorNotFoundError, match="mailer/orders/12 has no cursor"):
            ResetPlan.make(topic, to=targets, reason="x", missing=policy)
    less = ResetPlan.make(topic, to=targets, reason="x", missing=Missing.SKIP)
    assert [reset.key for reset in less.resets] == [PARTITIONS[0]]
    [left] = less.left_out
    assert (left.key, "has no cursor" in left.why) == (ABSENT, True)
    made = ResetPlan.make(topic, to=targets, reason="x", missing=Missing.ZERO)
    assert [(r.version, r.previous_sequence, r.sequence) for r in made.resets] == [
        (2, 100, 7),
        (0, 0, 8),
    ]
    assert made.left_out == ()
    made.apply(topic)
    assert topic.get(ABSENT).last_sequence == 8


def test_a_cursor_that_was_not_there_then_goes_to_0_or_is_left_out(
    topic: Ledger, clock: Clock
) -> None:
    then = clock.now - timedelta(seconds=30)
    with pytest.raises(ImpossiblePlanError, match="mailer/orders/11 had no entry yet"):
        ResetPlan.make(topic, PARTITIONS, as_of=then, reason="x")
    less = ResetPlan.make(topic, PARTITIONS, as_of=then, reason="x", missing=Missing.SKIP)
    assert [left.key for left in less.left_out] == [PARTITIONS[11]]
    assert [reset.delivery_id for reset in less.resets] == ["early"] * 11
    zero = ResetPlan.make(
        topic, [*PARTITIONS, ABSENT], as_of=then, reason="x", missing=Missing.ZERO
    )
    assert [(r.sequence, r.delivery_id) for r in zero.resets] == [(50, "early")] * 11 + [
        (0, "")
    ] * 2


def test_nobody_knows_where_a_cursor_stood_before_it_was_started(
    topic: Ledger, clock: Clock
) -> None:
    topic.start(ABSENT, at=1_000, source="kafka group mailer", reason="moved here")
    then = clock.now - timedelta(seconds=30)
    for policy in (Missing.ZERO, Missing.REFUSE, None):
        with pytest.raises(ImpossiblePlanError, match="started at 1000 from kafka group mailer"):
            ResetPlan.make(topic, [PARTITIONS[0], ABSENT], as_of=then, reason="x", missing=policy)
    skip = ResetPlan.make(
        topic, [PARTITIONS[0], ABSENT], as_of=then, reason="x", missing=Missing.SKIP
    )
    assert [left.key for left in skip.left_out] == [ABSENT]


def test_cursors_go_to_where_their_stream_was(topic: Ledger, clock: Clock) -> None:
    heads = [CursorKey("cursor-ledger/head", "orders", str(partition)) for partition in range(11)]
    for partition, head in enumerate(heads):
        topic.advance(head, to=70 + partition, delivery_id="the last one")
    # The head of a stream is not the head of a subject in it.
    topic.advance(CursorKey("cursor-ledger/head", "orders"), to=9_000)
    then = clock.tick(10)
    clock.tick(10)
    for head in heads:
        topic.advance(head, to=500)
    last = next(topic.entries(EntryQuery(newest_first=True, recorded_until=then))).position
    for moment in (then, last):
        plan = ResetPlan.make(topic, PARTITIONS[:-1], stream_as_of=moment, reason="x")
        assert [(r.sequence, r.delivery_id) for r in plan.resets] == [
            (70 + partition, "") for partition in range(11)
        ]
    now = ResetPlan.make(topic, PARTITIONS[:-1], stream_as_of=clock.now, reason="x")
    assert {reset.sequence for reset in now.resets} == {500}
    with pytest.raises(ImpossiblePlanError, match="how far the stream of mailer/orders/11 goes"):
        ResetPlan.make(topic, PARTITIONS, stream_as_of=then, reason="x")
    zero = ResetPlan.make(topic, PARTITIONS, stream_as_of=then, reason="x", missing=Missing.ZERO)
    assert zero.resets[11].sequence == 0
    skip = ResetPlan.make(topic, PARTITIONS, stream_as_of=then, reason="x", missing=Missing.SKIP)
    assert [left.key for left in skip.left_out] == [PARTITIONS[11]]
    with pytest.raises(InvalidCursorError, match="exactly one"):
        ResetPlan.make(topic, PARTITIONS, stream_as_of=then, as_of=then, reason="x")
    with pytest.raises(InvalidCursorError, match="moment"):
        ResetPlan.make(topic, PARTITIONS, stream_as_of="today", reason="x")  # type: ignore[arg-type]


def test_the_ledgers_own_consumers_are_not_chosen_with_all(topic: Ledger) -> None:
    topic.advance(CursorKey("cursor-ledger/head", "orders", "0"), to=500)
    keys = [cursor.key for cursor in topic.cursors()]
    assert keys == [*sorted(PARTITIONS, key=str)]


def test_what_is_impossible_is_not_missing(topic: Ledger) -> None:
    for policy in Missing:
        with pytest.raises(ImpossiblePlanError, match="by -105 it would be at -5"):
            ResetPlan.make(topic, PARTITIONS, by=-105, reason="x", missing=policy)
    for odd in ("none", "", 7, "ZERO"):
        with pytest.raises(InvalidCursorError, match="missing must be"):
            ResetPlan.make(topic, PARTITIONS, to=1, reason="x", missing=odd)  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError, match="undo"):
        ResetPlan.undo(topic, PARTITIONS, missing=Missing.ZERO)


# --- its file ---


def test_a_plan_keeps_in_its_file_what_it_leaves_out(topic: Ledger, tmp_path: Path) -> None:
    targets = {PARTITIONS[0]: 7, ABSENT: 8}
    plan = ResetPlan.make(topic, to=targets, reason="x", missing=Missing.SKIP)
    plan.save(tmp_path / "plan.jsonl")
    header = json.loads((tmp_path / "plan.jsonl").read_text().splitlines()[0])
    # A version that does not know of it refuses the format.
    assert header["format"] == "cursor-ledger-plan/2"
    assert ResetPlan.load(tmp_path / "plan.jsonl") == plan
    whole = ResetPlan.make(topic, to={PARTITIONS[0]: 7}, reason="x")
    assert json.loads(next(whole.lines()))["format"] == "cursor-ledger-plan/1"


@pytest.mark.parametrize(
    "left_out",
    [
        7,
        [7],
        [{}],
        [{"key": {"consumer_id": "a", "stream_name": "b"}}],
        [{"key": {"consumer_id": "a"}, "why": "x"}],
        [{"key": {"consumer_id": "a", "stream_name": "b"}, "why": 7}],
        [{"key": {"consumer_id": "a", "stream_name": "b"}, "why": "x", "more": 1}],
    ],
)
def test_what_a_file_leaves_out_is_not_coerced(topic: Ledger, left_out: object) -> None:
    header, line = ResetPlan.make(topic, [PARTITIONS[0]], to=1, reason="x").lines()
    changed = sealed(json.dumps({**json.loads(header), "left_out": left_out}), json.loads(line))
    with pytest.raises(InvalidCursorError):
        ResetPlan.of_lines(changed)


def test_the_format_of_a_plan_is_the_one_that_its_header_needs(topic: Ledger) -> None:
    plan = ResetPlan.make(topic, to={PARTITIONS[0]: 7, ABSENT: 1}, reason="x", missing=Missing.SKIP)
    first, *rest = plan.lines()
    with pytest.raises(InvalidCursorError, match="changed"):
        ResetPlan.of_lines([first.replace("plan/2", "plan/1"), *rest])


def test_a_cursor_that_is_left_out_is_a_value() -> None:
    with pytest.raises(InvalidCursorError):
        LeftOut(key="mailer/orders", why="x")  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError):
        LeftOut(key=ABSENT, why=7)  # type: ignore[arg-type]


# --- all of it or nothing ---


@pytest.mark.parametrize("moved", [0, 5, 11])
def test_if_one_cursor_has_moved_none_is_reset(topic: Ledger, moved: int) -> None:
    plan = ResetPlan.make(topic, to=dict.fromkeys(PARTITIONS, 1), reason="x")
    topic.advance(PARTITIONS[moved], to=500)
    before = list(topic.entries())
    for attempt in (plan.check, plan.apply):
        with pytest.raises(ledger.VersionConflictError, match=f"orders/{moved} is at version"):
            attempt(topic)
    assert list(topic.entries()) == before


@pytest.mark.slow("a group of many thousands of records or cursors")
def test_a_group_of_more_than_one_batch_of_the_writer_is_one_transaction(book: Ledger) -> None:
    keys = [CursorKey("mailer", "orders", f"{n:04}") for n in range(1_100)]
    plan = ResetPlan.make(book, to=dict.fromkeys(keys, 5), reason="x", missing=Missing.ZERO)
    late = book.advance(keys[-1], to=1).key
    with pytest.raises(ledger.VersionConflictError):
        plan.apply(book)
    assert [cursor.key for cursor in book.cursors()] == [late]
    again = ResetPlan.make(book, to=dict.fromkeys(keys, 5), reason="x", missing=Missing.ZERO)
    again.apply(book)
    assert set(places(book)) == {5}
    [group] = reset_groups(book)
    assert (group.resets, group.passed_over) == (1_100, 5 * 1_099 + 4)


@pytest.mark.timeout(60)
def test_of_two_groups_at_once_one_is_made_and_one_is_refused(target: str) -> None:
    """They lock the same cursors in opposite orders, and still do not wait for each other."""
    with ledger.open(target, actor="ines") as one, ledger.open(target, actor="omar") as other:
        one.append([ledger.AdvanceCursor(key, 100) for key in PARTITIONS])
        for turn in range(thorough(20, 5)):
            plans = [
                (book, ResetPlan.make(book, to=dict.fromkeys(keys, turn), reason="x"))
                for book, keys in ((one, PARTITIONS), (other, PARTITIONS[::-1]))
            ]
            ready = threading.Barrier(len(plans))
            ends: list[str] = []

            def apply(book: Ledger, plan: ResetPlan) -> None:
                ready.wait()  # noqa: B023 - joined within the turn
                try:
                    plan.apply(book)
                    ends.append("made")  # noqa: B023
                except ledger.VersionConflictError:
                    ends.append("refused")  # noqa: B023

            threads = [threading.Thread(target=apply, args=each) for each in plans]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(ends) == ["made", "refused"]
            assert len({cursor.version for cursor in one.cursors()}) == 1
        assert sum(group.resets == 12 for group in reset_groups(one)) == turn + 1
