"""Plans with a place for each cursor, what they leave out, and resets that were made together."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

STORES = "every"

PARTITIONS = [CursorKey("mailer", "orders", str(partition)) for partition in range(12)]
NONE = CursorKey("mailer", "orders", "12")


@pytest.fixture
def topic(book: Ledger, clock: Clock) -> Ledger:
    """Give a ledger where partition p stands at 100 + p, and where all but the last stood at 50."""
    for key in PARTITIONS[:-1]:
        book.advance(key, to=50, delivery_id="early")
    clock.tick(60)
    for partition, key in enumerate(PARTITIONS):
        book.advance(key, to=100 + partition, delivery_id="late")
    return book


def places(book: Ledger) -> list[int]:
    return [cursor.last_sequence for cursor in book.cursors()]


def by_subject(cursors: list[ledger.Cursor]) -> dict[str, int]:
    return {cursor.key.subject_id: cursor.last_sequence for cursor in cursors}


# --- where each goes ---


def test_each_cursor_goes_to_its_own_place(topic: Ledger) -> None:
    targets = {key: 90 + 3 * partition for partition, key in enumerate(PARTITIONS)}
    plan = ResetPlan.make(topic, to=targets, reason="lost")
    assert [reset.key for reset in plan.resets] == PARTITIONS
    assert by_subject(plan.apply(topic)) == {key.subject_id: to for key, to in targets.items()}
    found = list(resets(topic))
    assert len({reset.metadata["batch"] for reset in found}) == 1
    assert {reset.direction.value for reset in found} == {"back", "nowhere", "forward"}


def test_one_number_for_all_still_makes_what_is_not_there(topic: Ledger) -> None:
    for policy in (None, Missing.ZERO, "zero"):
        plan = ResetPlan.make(topic, [PARTITIONS[0], NONE], to=7, reason="x", missing=policy)  # type: ignore[arg-type]
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
    targets = {PARTITIONS[0]: 7, NONE: 8}
    for policy in (None, Missing.REFUSE):
        with pytest.raises(CursorNotFoundError, match="mailer/orders/12 has no cursor"):
            ResetPlan.make(topic, to=targets, reason="x", missing=policy)
    less = ResetPlan.make(topic, to=targets, reason="x", missing=Missing.SKIP)
    assert [reset.key for reset in less.resets] == [PARTITIONS[0]]
    [left] = less.left_out
    assert (left.key, "has no cursor" in left.why) == (NONE, True)
    made = ResetPlan.make(topic, to=targets, reason="x", missing=Missing.ZERO)
    assert [(r.version, r.previous_sequence, r.sequence) for r in made.resets] == [
        (2, 100, 7),
        (0, 0, 8),
    ]
    assert made.left_out == ()
    made.apply(topic)
    assert topic.get(NONE).last_sequence == 8


def test_a_cursor_that_was_not_there_then_goes_to_0_or_is_left_out(
    topic: Ledger, clock: Clock
) -> None:
    then = clock.now - timedelta(seconds=30)
    with pytest.raises(ImpossiblePlanError, match="mailer/orders/11 had no entry yet"):
        ResetPlan.make(topic, PARTITIONS, as_of=then, reason="x")
    less = ResetPlan.make(topic, PARTITIONS, as_of=then, reason="x", missing=Missing.SKIP)
    assert [left.key for left in less.left_out] == [PARTITIONS[11]]
    assert [reset.delivery_id for reset in less.resets] == ["early"] * 11
    zero = ResetPlan.make(topic, [*PARTITIONS, NONE], as_of=then, reason="x", missing=Missing.ZERO)
    assert [(r.sequence, r.delivery_id) for r in zero.resets] == [(50, "early")] * 11 + [
        (0, "")
    ] * 2


def test_nobody_knows_where_a_cursor_stood_before_it_was_started(
    topic: Ledger, clock: Clock
) -> None:
    topic.start(NONE, at=1_000, source="kafka group mailer", reason="moved here")
    then = clock.now - timedelta(seconds=30)
    for policy in (Missing.ZERO, Missing.REFUSE, None):
        with pytest.raises(ImpossiblePlanError, match="started at 1000 from kafka group mailer"):
            ResetPlan.make(topic, [PARTITIONS[0], NONE], as_of=then, reason="x", missing=policy)
    skip = ResetPlan.make(
        topic, [PARTITIONS[0], NONE], as_of=then, reason="x", missing=Missing.SKIP
    )
    assert [left.key for left in skip.left_out] == [NONE]


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
    targets = {PARTITIONS[0]: 7, NONE: 8}
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
    plan = ResetPlan.make(topic, to={PARTITIONS[0]: 7, NONE: 1}, reason="x", missing=Missing.SKIP)
    first, *rest = plan.lines()
    with pytest.raises(InvalidCursorError, match="changed"):
        ResetPlan.of_lines([first.replace("plan/2", "plan/1"), *rest])


def test_who_is_left_out_is_a_value() -> None:
    with pytest.raises(InvalidCursorError):
        LeftOut(key="mailer/orders", why="x")  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError):
        LeftOut(key=NONE, why=7)  # type: ignore[arg-type]


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


@settings(max_examples=thorough(60, 15))
@given(
    starts=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    targets=st.lists(st.integers(0, 60), min_size=6, max_size=6),
    more=st.lists(st.integers(0, 20), min_size=6, max_size=6),
)
def test_a_group_is_undone_from_wherever_its_consumers_got_to(
    starts: list[int], targets: list[int], more: list[int]
) -> None:
    with ledger.open(":memory:", actor="ines") as book:
        keys = PARTITIONS[: len(starts)]
        for key, start in zip(keys, starts, strict=True):
            book.advance(key, to=start, delivery_id="d")
        ResetPlan.make(book, to=dict(zip(keys, targets, strict=False)), reason="x").apply(book)
        back: dict[CursorKey, bool] = {}
        for key, start, step in zip(keys, starts, more, strict=False):
            at = book.get(key).last_sequence
            if step:
                book.advance(key, to=at + step)
            back[key] = at < start <= at + step
        plan = ResetPlan.undo(book, group=len(keys) + 1, missing=Missing.SKIP)
        assert {left.key for left in plan.left_out} == {key for key in keys if back[key]}
        plan.apply(book)
        for key, start in zip(keys, starts, strict=True):
            if not back[key]:
                cursor = book.get(key)
                assert (cursor.last_sequence, cursor.last_delivery_id) == (start, "d")


# --- undone as one ---


def test_a_group_is_undone_as_one_by_the_position_of_any_of_it(topic: Ledger) -> None:
    first = 24
    before = places(topic)
    ResetPlan.make(topic, to=dict.fromkeys(PARTITIONS, 1), reason="mistake").apply(topic)
    assert set(places(topic)) == {1}
    middle = [reset.position for reset in resets(topic)][5]
    plan = ResetPlan.undo(topic, group=middle, reason="wrong topic")
    plan.apply(topic, actor="omar")
    assert places(topic) == before
    assert {cursor.last_delivery_id for cursor in topic.cursors()} == {"late"}
    undone, undo = reset_groups(topic)
    assert (undone.position, undone.resets, undone.undone) == (first, 12, 12)
    assert (undo.resets, undo.undone, undo.actor) == (12, 0, "omar")
    assert undo.reason == (
        f"wrong topic (undoes the group of resets at position {first} by tester)"
    )
    made = list(resets(topic))
    assert [reset.metadata["undoes"] for reset in made[12:]] == [
        str(reset.position) for reset in made[:12]
    ]


def test_a_group_in_which_a_cursor_was_reset_since_is_refused(topic: Ledger) -> None:
    ResetPlan.make(topic, PARTITIONS[:3], to=1, reason="x").apply(topic)
    topic.reset(PARTITIONS[1], to=9, reason="for another cause", actor="omar")
    with pytest.raises(
        ImpossiblePlanError, match=r"orders/1 was reset again at position 27 by omar"
    ):
        ResetPlan.undo(topic, group=24)
    rest = ResetPlan.undo(topic, group=24, missing=Missing.SKIP)
    assert [reset.key for reset in rest.resets] == [PARTITIONS[0], PARTITIONS[2]]
    assert [left.key for left in rest.left_out] == [PARTITIONS[1]]


def test_a_takeover_is_no_reset_to_be_undone(topic: Ledger) -> None:
    ResetPlan.make(topic, PARTITIONS[:3], to=1, reason="mistake").apply(topic)
    topic.consumer(PARTITIONS[1], take_over="deploy 1.4.2")
    takeover = next(topic.entries(EntryQuery(newest_first=True)))
    assert [group.resets for group in reset_groups(topic)] == [3]
    plan = ResetPlan.undo(topic, group=24)
    assert [reset.sequence for reset in plan.resets] == [100, 101, 102]
    with pytest.raises(ImpossiblePlanError, match="no reset was made at position"):
        ResetPlan.undo(topic, group=takeover.position)


def test_what_names_no_group_is_refused(topic: Ledger) -> None:
    for position in (1, 24, 2**62):
        with pytest.raises(ImpossiblePlanError, match=f"no reset was made at position {position}"):
            ResetPlan.undo(topic, group=position)
    for odd in (0, -1, "1", True, 1.0, 2**63):
        with pytest.raises(InvalidCursorError, match="group must be"):
            ResetPlan.undo(topic, group=odd)  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError, match="not by both"):
        ResetPlan.undo(topic, PARTITIONS, group=1)


def test_what_was_reset_alone_is_a_group_of_one(topic: Ledger) -> None:
    topic.reset(PARTITIONS[0], to=1, reason="a")
    topic.reset(PARTITIONS[1], to=2, reason="b")
    assert [(g.position, g.resets, g.reason) for g in reset_groups(topic)] == [
        (24, 1, "a"),
        (25, 1, "b"),
    ]
    [reset] = ResetPlan.undo(topic, group=24).resets
    assert (reset.key, reset.sequence) == (PARTITIONS[0], 100)


# --- groups in the log ---


def test_groups_are_counted_and_summed(topic: Ledger, clock: Clock) -> None:
    targets = {PARTITIONS[0]: 90, PARTITIONS[1]: 111, PARTITIONS[2]: 102, PARTITIONS[3]: 100}
    ResetPlan.make(topic, to=targets, reason="a", metadata={"ticket": "7"}).apply(topic)
    topic.advance(PARTITIONS[3], to=103)
    ResetPlan.make(topic, [*PARTITIONS[4:6], CursorKey("a", "b")], to=0, reason="b").apply(
        topic, actor="omar"
    )
    one, other = reset_groups(topic)
    assert (one.position, one.last_position, one.recorded_at) == (24, 27, clock.now)
    assert (one.delivered_again, one.passed_over) == (10 + 3, 10)
    assert (one.rewound, one.back, one.resets) == (2, 1, 4)
    assert (one.consumer_id, one.stream_name, one.actor) == ("mailer", "orders", "tester")
    assert one.metadata["ticket"] == "7"
    assert (other.consumer_id, other.stream_name, other.reason) == ("", "", "b")
    assert (other.resets, other.actor) == (3, "omar")
    newest = reset_groups(topic, EntryQuery(newest_first=True))
    assert [group.position for group in newest] == [other.position, one.position]
    only = reset_groups(topic, EntryQuery(limit=1))
    assert [group.position for group in only] == [24]
    assert [g.position for g in reset_groups(topic, EntryQuery(actor="omar"))] == [other.position]


def test_whether_a_group_was_undone_does_not_depend_on_the_filter(topic: Ledger) -> None:
    ResetPlan.make(topic, PARTITIONS, to=1, reason="x").apply(topic)
    ResetPlan.undo(topic, group=24).apply(topic, actor="omar")
    for query in (EntryQuery(actor="tester"), EntryQuery(position_until=35)):
        [group] = reset_groups(topic, query)
        assert (group.resets, group.undone) == (12, 12)


def test_a_batch_that_others_name_is_not_joined_to_it(topic: Ledger) -> None:
    ResetPlan.make(topic, PARTITIONS[:2], to=1, reason="x").apply(topic, actor="ines")
    batch = next(resets(topic)).metadata["batch"]
    topic.reset(PARTITIONS[5], to=1, reason="x", actor="mallory", metadata={"batch": batch})
    assert [group.resets for group in reset_groups(topic)] == [2, 1]
    undo = ResetPlan.undo(topic, group=24)
    assert [reset.key for reset in undo.resets] == PARTITIONS[:2]


def test_a_plan_of_the_first_format_is_read_and_written_as_it_was() -> None:
    """These lines were written by the version that had one place for all."""
    reset = (
        '{"key":{"consumer_id":"mailer","stream_name":"orders","subject_id":"%s"},"version":2,'
        '"previous_sequence":44,"sequence":41,"reason":"lost €","delivery_id":"m-41",'
        '"delivered_at":null,"occurred_at":null,"metadata":{"batch":"b","ticket":"OPS-7"},'
        '"head":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",'
        '"delivered_again":{"first":42,"last":44},"passed_over":null}'
    )
    header = (
        '{"format":"cursor-ledger-plan/1","digest":'
        '"44eb97c03605b5f28f20cdfee3953d7d003e7ff59ac2fbec6a067df2d7bc118d","ledger":null,'
        '"planned_by":"ines","planned_at":"2026-05-05T16:00:00Z","resets":2}'
    )
    lines = [header, reset % 0, reset % 1]
    plan = ResetPlan.of_lines(lines)
    assert [planned.key.subject_id for planned in plan.resets] == ["0", "1"]
    assert list(plan.lines()) == lines
