"""Every store keeps the tree beside the log: made by checkpoints, believed by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, DivergedError, FaultKind, Ledger, TreeHead
from ledger.evidence.merkle import BLOCK, LEVELS, TreeRow, checkpoint_over
from ledger.evidence.proving import entry_proof
from ledger.evidence.verification import settled
from support.cursors import ORDERS
from support.kept_trees import true_rows

KEYS = [CursorKey("mailer", f"stream-{number}") for number in range(16)]


def grow(book: Ledger, by: int) -> None:
    at = book.horizon().last
    book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(by)])


def rows(book: Ledger) -> set[TreeRow]:
    with book._store.snapshot() as log:
        return {row for level in range(1, LEVELS + 1) for row in log.tree_rows(level)}  # type: ignore[attr-defined]


def by_all_leaves(book: Ledger) -> ledger.Checkpoint:
    with book._store.snapshot() as log:
        return checkpoint_over(settled(log))


def true(book: Ledger) -> set[TreeRow]:
    with book._store.snapshot() as log:
        return true_rows(list(settled(log)), BLOCK)


def forge(book: Ledger, *lies: TreeRow) -> None:
    """Keep other rows than the tree has, as whoever may write to the table can."""
    book._store.keep_tree(lies)  # type: ignore[attr-defined]


def test_checkpoints_keep_what_is_full_and_appends_keep_nothing(book: Ledger) -> None:
    grow(book, BLOCK - 1)
    assert book.checkpoint() == by_all_leaves(book)
    assert rows(book) == set()
    grow(book, 1)
    assert rows(book) == set()
    assert book.checkpoint() == by_all_leaves(book)
    assert rows(book) == true(book) != set()
    for by in (1, 700, 255, 257):
        grow(book, by)
        before = rows(book)
        assert book.verify().ok
        assert rows(book) == before
        found = book.checkpoint()
        assert found == by_all_leaves(book)
        assert found.first == next(book.entries()).digest
        assert rows(book) == true(book)
        assert book.verify(found).ok
    assert book.rebuild().repaired == ()
    assert rows(book) == true(book)


def test_notes_and_proofs_by_what_is_kept_are_verified(book: Ledger, tmp_path: Path) -> None:
    key = ledger.make_key(tmp_path / "key", "example.com/cursors").verifier
    notes = [book.sign(tmp_path / "key")]
    for by in (300, 212, 1, 600, 5):
        grow(book, by)
        notes.append(book.sign(tmp_path / "key"))
        assert TreeHead.unverified(notes[-1]).root == by_all_leaves(book).root
        assert rows(book) == true(book)
    entries = list(book.entries())
    for index in (0, 1, 255, 256, 299, 300, 511, 512, 513, 1_000, 1_112, 1_117):
        for note in notes[1:]:
            if index < TreeHead.unverified(note).entries:
                proof = book.prove(entries[index].position, note)
                assert proof.verify([key]).index == index
    for nth, old in enumerate(notes):
        for note in notes[nth:]:
            assert book.prove_growth(old, note).verify(old, [key]) == TreeHead.unverified(note)


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("shift", [0, 1, -1])
def test_a_row_that_lies_is_named_signs_nothing_false_and_can_be_removed(
    book: Ledger, tmp_path: Path, number: int, shift: int
) -> None:
    key = ledger.make_key(tmp_path / "key", "example.com/cursors").verifier
    grow(book, 4 * BLOCK + 7)
    old = book.sign(tmp_path / "key")
    truth = rows(book)
    # As on a copy of the log without its rows: they come from somebody else.
    with ledger.open(":memory:") as copy:
        book.copy_to(copy)
        lie = next(row for row in truth if row[:2] == (1, number))
        root = lie.root if shift else bytes(32)
        forge(copy, *(truth - {lie}), lie._replace(root=root, position=lie.position + shift))
        found = copy.verify()
        [fault] = found.faults
        assert (fault.kind, fault.place, fault.position) == (
            FaultKind.TREE,
            "ledger_tree",
            lie.position,
        )
        assert "verify --repair" in fault.detail
        note = copy.sign(tmp_path / "key")
        assert TreeHead.unverified(note).root == by_all_leaves(copy).root
        for index in (0, 255, 256, 700, 1_030):
            position = list(copy.entries())[index].position
            assert copy.prove(position, note).verify([key]).index == index
        assert copy.prove_growth(old, note).verify(old, [key]).entries == 4 * BLOCK + 7
        rebuilt = copy.rebuild()
        assert rebuilt.repaired == (fault,)
        assert rows(copy) == set()
        assert copy.verify().ok
        assert copy.checkpoint() == by_all_leaves(copy)
        assert rows(copy) == truth
        assert copy.verify().ok


def test_one_that_lies_about_its_last_block_is_not_believed_by_a_checkpoint(book: Ledger) -> None:
    grow(book, 3 * BLOCK)
    [one, two, three] = sorted(true(book))
    forge(book, one, two, three._replace(root=one.root))
    assert book.checkpoint() == by_all_leaves(book)


def test_rows_beyond_the_entries_are_of_another_log(book: Ledger, tmp_path: Path) -> None:
    """As after a backup of the entries was restored beside newer rows."""
    ledger.make_key(tmp_path / "key", "example.com/cursors")
    grow(book, 2 * BLOCK)
    with ledger.open(":memory:") as other:
        book.copy_to(other)
        grow(other, 2 * BLOCK)
        newer = true(other)
    forge(book, *newer)
    grow(book, 20)
    assert book.checkpoint() == by_all_leaves(book)
    assert TreeHead.unverified(book.sign(tmp_path / "key")).root == by_all_leaves(book).root
    assert {fault.kind for fault in book.verify().faults} == {FaultKind.TREE}
    book.rebuild()
    assert book.verify().ok


def test_a_ledger_that_was_cut_is_refused_whatever_is_kept(book: Ledger, tmp_path: Path) -> None:
    ledger.make_key(tmp_path / "key", "example.com/cursors")
    grow(book, 2 * BLOCK + 3)
    with ledger.open(":memory:") as backup:
        book.copy_to(backup)
        grow(book, BLOCK)
        book.sign(tmp_path / "key")
        forge(backup, *rows(book))
        with pytest.raises(DivergedError, match="settled entries, but"):
            backup.sign(tmp_path / "key")
        grow(backup, 2 * BLOCK)
        backup.advance(ORDERS, to=1)
        with pytest.raises(DivergedError, match="are not those"):
            backup.sign(tmp_path / "key")


def test_a_proof_falls_back_to_the_log_and_what_it_says_is_of_the_log(
    book: Ledger, tmp_path: Path
) -> None:
    key = ledger.make_key(tmp_path / "key", "example.com/cursors").verifier
    empty = book.sign(tmp_path / "key")
    grow(book, 2 * BLOCK + 3)
    [one, two] = sorted(true(book))
    forge(book, one._replace(root=bytes(32)), two._replace(position=two.position - 1))
    note = book.sign(tmp_path / "key")
    entry = list(book.entries())[300]
    with book._store.snapshot() as log:
        previous = book.history(entry.key)
        before = {each.version: each.digest for each in previous}[entry.version - 1]
        proof = entry_proof(log, entry, before, note)
    assert proof.verify([key]).index == 300
    with ledger.open(":memory:") as other:
        grow(other, 700)
        other.advance(ORDERS, to=1)
        other.checkpoint()
        for prove in (
            lambda: other.prove(3, note),
            lambda: other.prove_growth(note, note),
            lambda: other.prove_growth(empty, note),
        ):
            with pytest.raises(ledger.UnprovenError, match="ledger, or entries were changed"):
                prove()
