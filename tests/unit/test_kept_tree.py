"""The kept tree, in blocks of two and four: the naive tree says what every root has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.evidence.kept import (
    BLOCKS_AT_ONCE,
    Blocks,
    Grown,
    KeptTree,
    NotKeptError,
    grown,
    kept_of,
    signable,
    turns_of,
)
from ledger.evidence.merkle import LEVELS, TreeRow
from ledger.evidence.paths import (
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
    leaf_hash,
)
from ledger.evidence.tree_rows import check_rows
from support.kept_trees import KeepingLog, naive_root, true_rows

# A list has few elements as a rule, unless it has to have more.
HOLES = st.integers(0, 150).flatmap(
    lambda size: st.lists(st.integers(0, 3), min_size=size, max_size=size)
)
LOGS = st.builds(KeepingLog.of, HOLES, st.sampled_from([2, 4]))
LIES: dict[str, Callable[[TreeRow], TreeRow]] = {
    "another root": lambda row: row._replace(root=sha256(row.root).digest()),
    "an earlier position": lambda row: row._replace(position=row.position - 1),
    "a later position": lambda row: row._replace(position=row.position + 1),
    "a position far behind": lambda row: row._replace(position=row.position + 40),
    "a root that is none": lambda row: row._replace(root=b""),
}


@pytest.fixture(autouse=True, scope="module")
def few_are_compared() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.evidence.kept.BLOCKS_A_TURN", 2)
        yield


def kept_at(log: KeepingLog, sizes: list[int]) -> None:
    """Make checkpoints when the log has those sizes."""
    entries = log.entries
    for size in sorted(sizes):
        log.entries = entries[: size % (len(entries) + 1)]
        log.checkpoint()
    log.entries = entries


def lie_in(log: KeepingLog, data: st.DataObject) -> None:
    """Change some of the rows that are kept."""
    if not log.rows_kept:
        return
    for place in data.draw(st.lists(st.sampled_from(sorted(log.rows_kept)))):
        lie = data.draw(st.sampled_from(sorted(LIES)))
        log.rows_kept[place] = LIES[lie](log.rows_kept[place])


@given(LOGS, st.lists(st.integers(0, 200), max_size=4), st.integers(0, 3))
def test_a_checkpoint_is_the_naive_one_whatever_was_kept_before(
    log: KeepingLog, sizes: list[int], unsettled: int
) -> None:
    kept_at(log, sizes)
    # What was settled once stays so.
    kept = max((row.position for row in log.rows_kept.values()), default=0)
    log.unsettled = min(unsettled, sum(position > kept for position, _ in log.entries))
    found = grown(log, block=log.block)
    assert found.now.root == naive_root(log.digests)
    assert found.now.entries == len(log.digests)
    assert found.now.position == log.settled()
    assert found.now.first == (log.digests[0] if log.digests else None)
    log.keep(found.rows)
    settled = log.entries[: len(log.digests)]
    assert set(log.rows_kept.values()) == true_rows(settled, log.block)
    assert not grown(log, block=log.block).rows
    log.read = 0
    assert grown(log, block=log.block).now == found.now
    assert log.read <= 4 * log.block + log.unsettled + 1
    assert not check_rows(log, block=log.block).all()


@given(LOGS, st.lists(st.integers(0, 200), max_size=3), st.integers(0, 200))
def test_what_is_signed_is_the_naive_tree_and_what_it_was(
    log: KeepingLog, sizes: list[int], then: int
) -> None:
    kept_at(log, sizes)
    signed = min(then, len(log.entries))
    root = naive_root(log.digests[:signed])
    found = signable(log, signed, root, block=log.block)
    assert found.then is not None
    assert (found.then.root, found.now.root) == (root, naive_root(log.digests))
    log.keep(found.rows)
    assert set(log.rows_kept.values()) == true_rows(log.entries, log.block)
    log.read = 0
    again = signable(log, signed, root, block=log.block)
    assert (again.then, again.now, list(again.rows)) == (found.then, found.now, [])
    assert log.read <= len(log.entries) - signed + 4 * log.block + 1
    more = signable(log, len(log.entries) + 1, root, block=log.block)
    assert more.then is None


@given(LOGS, st.lists(st.integers(0, 200), min_size=1, max_size=3), st.data())
def test_nothing_false_is_signed_whichever_row_lies(
    log: KeepingLog, sizes: list[int], data: st.DataObject
) -> None:
    kept_at(log, [*sizes, len(log.entries)])
    lie_in(log, data)
    signed = data.draw(st.integers(0, len(log.entries)))
    root = naive_root(log.digests[:signed])
    found = signable(log, signed, root, block=log.block)
    assert found.then is not None
    assert (found.then.root, found.now.root) == (root, naive_root(log.digests))
    assert found.now.entries == len(log.entries)
    # Nor does one who has signed another tree find its own.
    stranger = naive_root([sha256(b"x").digest()] * (signed + 1))
    other = signable(log, signed, stranger, block=log.block)
    assert other.then is not None
    assert other.then.root == root


@pytest.mark.slow("it tries every size up to a bound")
@pytest.mark.parametrize("lie", LIES)
def test_nothing_false_is_signed_at_any_size_whatever_one_row_says(lie: str) -> None:
    log = KeepingLog.of([0, 1, 0, 0, 2] * 8, 4)
    log.checkpoint()
    roots = [naive_root(log.digests[:size]) for size in range(41)]
    for place, row in log.rows_kept.items():
        lying = attrs.evolve(log, rows_kept={**log.rows_kept, place: LIES[lie](row)})
        for size, root in enumerate(roots):
            found = signable(lying, size, root, block=4)
            assert found.then is not None
            assert (found.then.root, found.now.root) == (root, roots[-1])
            assert found.now.entries == 40


@pytest.mark.slow("it tries every size up to a bound")
@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 16, 17])
def test_an_entry_that_is_edited_under_a_row_is_found_when_it_is_its_turn(blocks: int) -> None:
    log = KeepingLog.of([0, 1, 0, 2, 0] * blocks, 4)
    log.checkpoint()
    root, size = naive_root(log.digests), len(log.entries)
    turns = 1 << (-(-(size // 4) // 2) - 1).bit_length()
    found = 0
    for index in range(size // 4 * 4):
        entries = list(log.entries)
        entries[index] = (entries[index][0], sha256(b"edited").digest())
        edited = attrs.evolve(log, entries=entries)
        truth = naive_root(edited.digests)
        roots = [grown(edited, turn=turn, block=4).now.root for turn in range(7, 7 + turns)]
        assert set(roots) <= {root, truth}
        assert truth in roots
        found += roots.count(truth)
        then = [signable(edited, size, root, turn=turn, block=4).then for turn in range(turns)]
        assert [tree for tree in then if tree is not None and tree.root == truth]
    # A part at a time, or it would not be quick.
    assert blocks < 7 or found < size * turns / 2


def test_a_row_that_is_missing_is_made_again_or_named() -> None:
    log = KeepingLog.of([0, 1, 0, 0, 2] * 16, 4)
    log.checkpoint()
    truth = true_rows(log.entries, 4)
    root, earlier = naive_root(log.digests), naive_root(log.digests[:79])
    makers: list[Callable[[KeepingLog], Grown]] = [
        lambda holed: grown(holed, block=4),
        lambda holed: signable(holed, 79, earlier, block=4),
    ]
    for missing in log.rows_kept:
        rows = {place: row for place, row in log.rows_kept.items() if place != missing}
        for make in makers:
            holed = attrs.evolve(log, rows_kept=dict(rows))
            assert KeptTree(holed, 80, block=4).roots([(0, 80)]) == [root]
            found = make(holed)
            assert found.now.root == root
            holed.keep(found.rows)
            # One that a larger block covers is not needed to go on: verify names it.
            whole = set(holed.rows_kept.values()) == truth
            assert whole != bool(check_rows(holed, block=4).all())
            assert whole or missing[0] < LEVELS


@given(LOGS, st.lists(st.integers(0, 200), min_size=1, max_size=3), st.data())
def test_rows_that_lie_end_no_proof_in_a_loop_or_a_crash(
    log: KeepingLog, sizes: list[int], data: st.DataObject
) -> None:
    kept_at(log, [*sizes, len(log.entries)])
    lie_in(log, data)
    size = len(log.entries)
    with suppress(NotKeptError):
        kept = KeptTree(log, size, block=log.block)
        for position, _ in log.entries:
            assert kept.index_of(position) >= 0
        for index in range(size):
            kept.roots(inclusion_ranges(index, size))
    with suppress(NotKeptError):
        KeptTree(log, size + 1, block=log.block).roots([(0, size + 1)])
    grown(log, block=log.block)


@given(LOGS, st.lists(st.integers(0, 200), max_size=2), st.data())
def test_proofs_by_the_kept_tree_are_those_of_the_naive_one(
    log: KeepingLog, sizes: list[int], data: st.DataObject
) -> None:
    kept_at(log, sizes)
    if not log.entries:
        return
    size = data.draw(st.integers(1, len(log.entries)))
    kept = KeptTree(log, size, block=log.block)
    index = data.draw(st.integers(0, size - 1))
    position, digest = log.entries[index]
    assert kept.index_of(position) == index
    path = kept.roots(inclusion_ranges(index, size))
    root = naive_root(log.digests[:size])
    assert is_included(index, size, leaf_hash(digest), path, root)
    old = data.draw(st.integers(0, size))
    grown_by = kept.roots(consistency_ranges(old, size))
    assert is_consistent(old, size, grown_by, naive_root(log.digests[:old]), root)
    assert kept.roots([(0, size)]) == [root]


@pytest.mark.parametrize("lie", LIES)
def test_each_row_that_lies_is_found(lie: str) -> None:
    log = KeepingLog.of([0, 1, 0, 2] * 20, 4)
    log.checkpoint()
    assert {level for level, _ in log.rows_kept} == set(range(1, LEVELS + 1))
    for place, row in log.rows_kept.items():
        lying = attrs.evolve(log, rows_kept={**log.rows_kept, place: LIES[lie](row)})
        [fault] = check_rows(lying, block=4).all()
        assert f"row {row.number} of level {row.level}:" in fault.detail
        assert (fault.kind, fault.position) == ("tree", row.position)


def test_each_row_that_is_missing_in_between_is_found() -> None:
    log = KeepingLog.of([0, 1, 0, 2] * 20, 4)
    log.checkpoint()
    last = max(number for level, number in log.rows_kept if level == 1)
    for place in log.rows_kept:
        rows = {at: row for at, row in log.rows_kept.items() if at != place}
        found = check_rows(attrs.evolve(log, rows_kept=rows), block=4).all()
        # A ledger that has kept less has kept no row of level 1 behind.
        if place == (1, last) and (last + 1) % 4:
            assert not found
        else:
            assert [f"row {place[1]} of level {place[0]}: it is missing" in found[0].detail]


def test_rows_that_are_too_many_are_found() -> None:
    log = KeepingLog.of([0] * 10, 4)
    log.checkpoint()
    for row in (
        TreeRow(1, 2, 12, bytes(32)),
        TreeRow(1, 7, 32, bytes(32)),
        TreeRow(1, -1, 1, bytes(32)),
        TreeRow(2, 0, 10, bytes(32)),
        TreeRow(3, 0, 10, bytes(32)),
    ):
        rows = {**log.rows_kept, (row.level, row.number): row}
        found = check_rows(attrs.evolve(log, rows_kept=rows), block=4).all()
        assert f"row {row.number} of level {row.level}: " in found[0].detail


def test_two_rows_that_were_exchanged_are_found() -> None:
    log = KeepingLog.of([0] * 20, 4)
    log.checkpoint()
    one, two = log.rows_kept[1, 0], log.rows_kept[1, 1]
    log.rows_kept[1, 0], log.rows_kept[1, 1] = two._replace(number=0), one._replace(number=1)
    assert len(check_rows(log, block=4).all()) == 2


@pytest.mark.parametrize("kept", [16, 17, 20, 70])
def test_rows_of_another_log_are_not_believed(kept: int) -> None:
    """As after a backup was restored without the table of the tree, or with a newer one."""
    other = KeepingLog.of([0] * kept, 4, tag="another")
    other.checkpoint()
    for size in (0, 5, 16, 18, 30, 80):
        log = KeepingLog.of([0] * size, 4)
        log.keep(list(other.rows_kept.values()))
        found = grown(log, block=4)
        assert found.now.root == naive_root(log.digests)
        assert not found.rows or found.now.entries < 4


def test_a_tail_that_is_too_long_is_left_to_a_pass_over_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert BLOCKS_AT_ONCE > 1
    monkeypatch.setattr("ledger.evidence.kept.BLOCKS_AT_ONCE", 8)
    log = KeepingLog.of([0] * 150, 4)
    with pytest.raises(NotKeptError):
        KeptTree(log, 150, block=4)
    rounds = 0
    while (tree := grown(log, block=4)).rows:
        assert len(tree.rows) <= 8 + 2 + 1
        log.keep(tree.rows)
        assert not check_rows(log, block=4).all()
        rounds += 1
    assert rounds == 5
    assert set(log.rows_kept.values()) == true_rows(log.entries, 4)
    assert KeptTree(log, 150, block=4).roots([(0, 150)]) == [naive_root(log.digests)]


@pytest.mark.slow("it checks a long log in many turns")
@pytest.mark.parametrize("blocks", [4, 5, 16, 17, 64])
def test_an_entry_that_is_edited_with_its_row_is_found_when_it_is_its_turn(blocks: int) -> None:
    """The row of a block that is in a larger one proves nothing by itself."""
    log = KeepingLog.of([0] * 4 * blocks, 4)
    log.checkpoint()
    root, turns = naive_root(log.digests), turns_of(blocks)
    for number in range(blocks):
        at = number * 4 + 1
        edited = attrs.evolve(log, rows_kept=dict(log.rows_kept), entries=list(log.entries))
        edited.entries[at] = (edited.entries[at][0], sha256(b"edited").digest())
        [own] = [row for row in true_rows(edited.entries, 4) if row[:2] == (1, number)]
        edited.rows_kept[1, number] = own
        truth = naive_root(edited.digests)
        made = [grown(edited, turn=turn, block=4).now.root for turn in range(turns)]
        assert truth in made
        then = [
            signable(edited, 4 * blocks, root, turn=turn, block=4).then for turn in range(turns)
        ]
        assert [tree for tree in then if tree is not None and tree.root == truth]


@pytest.mark.parametrize("odd", ["x", b"x", None, 0.5])
def test_a_position_that_is_none_ends_no_check_in_a_crash(odd: Any) -> None:
    log = KeepingLog.of([0] * 80, 4)
    log.checkpoint()
    root = naive_root(log.digests)
    for place, row in log.rows_kept.items():
        lying = attrs.evolve(log, rows_kept={**log.rows_kept, place: row._replace(position=odd)})
        for turn in range(16):
            assert grown(lying, turn=turn, block=4).now.root == root


def test_each_entry_is_in_the_block_that_is_compared_for_it() -> None:
    log = KeepingLog.of([0, 2, 1] * 100, 4)
    log.checkpoint()
    for size in (16, 64, 100, 299):
        blocks = Blocks(log, kept_of(log, 4, size // 4), block=4)
        for index, (position, _) in enumerate(log.entries[:size]):
            log.read = 0
            blocks.confirm(position)
            is_first = index % 4 == 0 and index // 4 < size // 4
            assert log.read == (4 if is_first else 0)
            if index < size // 4 * 4:
                assert blocks.position_before(index // 4) < position
                assert position <= blocks.row(1, index // 4).position
