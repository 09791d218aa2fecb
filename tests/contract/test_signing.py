"""Every store signs its checkpoints, and proves its entries and its growth to others."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    ConsistencyProof,
    CursorKey,
    DivergedError,
    EntryProof,
    InvalidCursorError,
    Ledger,
    TreeHead,
    UnprovenError,
)
from support.clock import Clock
from support.cursors import JOBS, ORDERS

NAME = "example.com/cursors"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    ledger.make_key(tmp_path / "key", NAME)
    return tmp_path / "key"


@pytest.fixture
def key(key_file: Path) -> ledger.VerifierKey:
    return ledger.SigningKey.parse(key_file.read_text()).verifier


def grow(book: Ledger, by: int = 1) -> None:
    at = book.horizon().last
    for number in range(by):
        cursor = ORDERS if number % 3 else JOBS
        book.advance(cursor, to=at + number + 1, metadata={"number": f"{number}", "ä": '"é\\'})


def test_every_entry_is_proved_in_every_later_checkpoint(
    book: Ledger, key_file: Path, key: ledger.VerifierKey
) -> None:
    notes = [book.sign(key_file)]
    for _ in range(9):
        grow(book)
        notes.append(book.sign(key_file))
    book.record_error(ORDERS, "HTTP 503")
    book.reset(ORDERS, to=1, reason="receiver lost some")
    book.start(CursorKey("reports", "orders"), at=7, reason="first of May")
    notes.append(book.sign(key_file))
    entries = list(book.entries())
    assert len(entries) == 12
    for index, entry in enumerate(entries):
        for note in notes[index + 1 :]:
            text = book.prove(entry.position, note).text
            proved = EntryProof.parse(text).verify([key])
            assert (proved.index, proved.entry.digest) == (index, entry.digest)
            assert (proved.entry.key, proved.entry.event) == (entry.key, entry.event)
            assert proved.entry.metadata == entry.metadata
        with pytest.raises(InvalidCursorError, match="is not among the"):
            book.prove(entry.position, notes[min(index, 9)])
    for older, old in enumerate(notes):
        for note in notes[older:]:
            proof = ConsistencyProof.parse(book.prove_growth(old, note).text)
            assert proof.verify(old, [key]) == TreeHead.unverified(note)
        for note in notes[:older]:
            with pytest.raises(InvalidCursorError, match="exchange them"):
                book.prove_growth(old, note)


def test_a_proof_holds_only_with_the_key_the_origin_and_the_note_that_are_trusted(
    book: Ledger, key_file: Path, key: ledger.VerifierKey, tmp_path: Path
) -> None:
    grow(book, 5)
    old = book.sign(key_file)
    grow(book, 4)
    note = book.sign(key_file)
    stranger = ledger.make_key(tmp_path / "stranger", NAME)
    proof, grown = book.prove(3, note), book.prove_growth(old, note)
    with pytest.raises(UnprovenError, match="not by"):
        proof.verify([stranger.verifier])
    with pytest.raises(UnprovenError, match="not about"):
        proof.verify([key], origin="example.com/others")
    with pytest.raises(UnprovenError, match="the proof begins at 5 entries"):
        grown.verify(note, [key])
    with pytest.raises(UnprovenError, match="not by"):
        grown.verify(book.sign(tmp_path / "stranger"), [key])
    other_old = stranger.sign(TreeHead(NAME, 5, bytes(32)).text)
    with pytest.raises(UnprovenError, match="the proof is false"):
        grown.verify(other_old, [key, stranger.verifier])
    renamed = ledger.make_key(tmp_path / "renamed", "example.com/renamed")
    other_name = renamed.sign(TreeHead("example.com/renamed", 5, bytes(32)).text)
    with pytest.raises(UnprovenError, match="the older note is about"):
        grown.verify(other_name, [key, renamed.verifier])


def test_what_another_ledger_has_signed_is_not_proved(
    book: Ledger, key_file: Path, tmp_path: Path, clock: Clock
) -> None:
    grow(book, 5)
    with ledger.open(tmp_path / "other.db", actor="x", clock=clock) as other:
        grow(other, 6)
        ledger.make_key(tmp_path / "key2", NAME)
        theirs = other.sign(tmp_path / "key2")
        grow(other)
        later = other.sign(tmp_path / "key2")
        book.sign(key_file)
        with pytest.raises(DivergedError, match="are not those that"):
            other.sign(key_file)
    for prove in (lambda: book.prove(2, theirs), lambda: book.prove_growth(theirs, later)):
        with pytest.raises(UnprovenError, match="do not have the root in the note"):
            prove()


def test_a_note_is_held_against_the_ledger(
    book: Ledger, key_file: Path, key: ledger.VerifierKey
) -> None:
    grow(book, 5)
    kept = TreeHead.opened(book.sign(key_file), [key]).checkpoint
    grow(book, 2)
    found = book.verify(kept)
    assert found.ok
    assert (found.unvouched, found.against[0].standing) == (2, ledger.Standing.KEPT)
    assert found.against[0].checkpoint.position == list(book.entries())[4].position
    false = TreeHead(NAME, 5, bytes(32)).checkpoint
    too_long = TreeHead(NAME, 8, bytes(32)).checkpoint
    compared = [each.standing for each in book.verify([false, too_long]).against]
    assert compared == [ledger.Standing.CHANGED, ledger.Standing.CUT_OFF]


def test_a_checkpoint_says_when_it_was_made_and_of_which_ledger(book: Ledger, clock: Clock) -> None:
    identity = book.identity()
    kept = book.checkpoint()
    assert kept.taken_at == clock()
    assert kept.origin == (f"cursor-ledger/{identity}" if identity else None)
    assert book.checkpoint(origin=NAME).origin == NAME


@pytest.mark.parametrize("position", [0, -1, 99, "1", None])
def test_a_position_that_has_no_entry_is_refused(
    book: Ledger, key_file: Path, position: object
) -> None:
    grow(book)
    with pytest.raises(InvalidCursorError, match=r"^position "):
        book.prove(position, book.sign(key_file))  # type: ignore[arg-type]


def test_positions_with_holes_are_proved_by_the_entries_before_them(
    book: Ledger, key_file: Path, key: ledger.VerifierKey
) -> None:
    grow(book, 2)
    with pytest.raises(ledger.LedgerError):
        book.append([AdvanceCursor(ORDERS, 9), AdvanceCursor(ORDERS, 1)])
    grow(book, 20)
    note = book.sign(key_file)
    positions = [entry.position for entry in book.entries()]
    for index, position in enumerate(positions):
        assert book.prove(position, note).verify([key]).index == index
