"""Resets that were made together are undone together, and counted as one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
from ledger import CursorKey, EntryQuery, InvalidCursorError, Ledger
from projections import (
    ImpossiblePlanError,
    Missing,
    ResetPlan,
    reset_groups,
    resets,
)
from support.clock import Clock
from support.depth import thorough
from support.topics import PARTITIONS, places

STORES = "every"


@settings(max_examples=thorough(60, 10))
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
    batch = next(resets(topic)).metadata["cursor-ledger/batch"]
    copied = {"cursor-ledger/batch": batch}
    topic.reset(PARTITIONS[5], to=1, reason="x", actor="mallory", metadata=copied)
    assert [group.resets for group in reset_groups(topic)] == [2, 1]
    undo = ResetPlan.undo(topic, group=24)
    assert [reset.key for reset in undo.resets] == PARTITIONS[:2]


@pytest.mark.parametrize("batch", ["7", "0" * 32, "2f1e5c0a9b3d4e7f8a6b1c2d3e4f5a6b"])
def test_what_a_user_calls_a_batch_is_no_group(topic: Ledger, clock: Clock, batch: str) -> None:
    job = {"batch": batch}
    for key in PARTITIONS[:2]:
        ResetPlan.make(topic, [key], to=10, reason="x", metadata=job).apply(topic)
        clock.tick(1)
    assert [(group.position, group.resets) for group in reset_groups(topic)] == [(24, 1), (25, 1)]
    assert [reset.key for reset in ResetPlan.undo(topic, group=24).resets] == PARTITIONS[:1]
    # Nor does it tear a group apart, or join two.
    for keys in (PARTITIONS[2:4], PARTITIONS[4:6]):
        ResetPlan.make(topic, keys, to=10, reason="x", metadata=job).apply(topic)
        clock.tick(1)
    assert [group.resets for group in reset_groups(topic)] == [1, 1, 2, 2]
    assert [reset.key for reset in ResetPlan.undo(topic, group=29).resets] == PARTITIONS[4:6]


@pytest.mark.parametrize("batch", ["7", "0" * 32])
def test_what_the_first_version_cannot_have_written_is_no_group(topic: Ledger, batch: str) -> None:
    for key in PARTITIONS[:2]:
        topic.reset(key, to=10, reason="x", metadata={"batch": batch})
    assert [group.resets for group in reset_groups(topic)] == [1, 1]
    assert [reset.key for reset in ResetPlan.undo(topic, group=24).resets] == PARTITIONS[:1]


def test_what_the_first_version_made_together_is_a_group(topic: Ledger, clock: Clock) -> None:
    for batch in ("2f1e5c0a9b3d4e7f8a6b1c2d3e4f5a6b", "2f1e5c0a9b3d4e7f8a6b1c2d3e4f5a6c"):
        topic.append(
            ledger.ResetCursor(key, 10, "x", metadata={"batch": batch}) for key in PARTITIONS[:3]
        )
        clock.tick(1)
    assert [(group.position, group.resets) for group in reset_groups(topic)] == [(24, 3), (27, 3)]
    assert [reset.key for reset in ResetPlan.undo(topic, group=28).resets] == PARTITIONS[:3]


@pytest.mark.parametrize(
    "name", ["cursor-ledger/batch", " cursor-ledger/takeover", "cursor-ledger/"]
)
def test_metadata_of_a_plan_has_no_name_of_the_ledgers_own(topic: Ledger, name: str) -> None:
    told = {name: "7"}
    plan = ResetPlan.make(topic, PARTITIONS[:2], to=1, reason="x")
    for asked in (
        lambda: ResetPlan.make(topic, PARTITIONS[:2], to=1, reason="x", metadata=told),
        lambda: ResetPlan.undo(topic, PARTITIONS[:2], metadata=told),
        lambda: plan.adding(told),
        lambda: plan.apply(topic, metadata=told),
    ):
        with pytest.raises(InvalidCursorError, match="a name that the ledger keeps for itself"):
            asked()
    assert not list(resets(topic))


def test_a_plan_that_is_made_twice_makes_two_groups(topic: Ledger) -> None:
    plan = ResetPlan.make(topic, PARTITIONS[:2], to=1, reason="x")
    for _ in range(2):
        plan.apply(topic, if_unchanged=False)
    assert [(group.position, group.resets) for group in reset_groups(topic)] == [(24, 2), (26, 2)]


def test_only_a_reset_of_the_same_cursor_undoes_one(topic: Ledger) -> None:
    ResetPlan.make(topic, PARTITIONS[:2], to=1, reason="x").apply(topic)
    topic.reset(PARTITIONS[5], to=1, reason="y", metadata={"undoes": "24"})
    assert [group.undone for group in reset_groups(topic)] == [0, 0]


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
