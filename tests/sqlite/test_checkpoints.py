"""Verify tells in which way a checkpoint is not kept."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import ledger
from ledger import Checkpoint, FaultKind, Ledger, Standing
from support.cursors import ORDERS
from support.falsified_files import edited, run


def test_the_way_in_which_a_checkpoint_is_not_kept_is_told(full: Ledger, path: Path) -> None:
    kept = full.checkpoint()
    other = Checkpoint(entries=2, position=2, root=bytes(32), first=bytes(31) + b"x")
    bare = Checkpoint(entries=7, position=7, root=kept.root)
    assert [each.standing for each in full.verify([kept, other, bare]).against] == [
        Standing.KEPT,
        Standing.OTHER,
        Standing.KEPT,
    ]
    edited("position = 8", 7)(path)
    assert full.verify(kept).against[0].standing is Standing.CHANGED
    run("DELETE FROM ledger_events WHERE position = 8")(path)
    assert full.verify(iter([kept])).against[0].standing is Standing.CUT_OFF


def test_a_checkpoint_over_an_entry_that_was_edited_is_not_kept(full: Ledger, path: Path) -> None:
    kept = full.checkpoint()
    before = Checkpoint(entries=1, position=1, root=_root_of_the_first(full))
    edited("actor = 'nobody'")(path)
    found = full.verify([before, kept])
    assert [each.standing for each in found.against] == [Standing.KEPT, Standing.CHANGED]
    assert "position 2 no longer says what its digest covers" in found.against[1].detail
    assert (found.unvouched, found.entries) == (6, 7)


def _root_of_the_first(book: Ledger) -> bytes:
    return hashlib.sha256(b"\0" + next(book.entries()).digest).digest()


def test_many_checkpoints_are_checked_in_one_pass_and_the_first_that_fails_is_named(
    book: Ledger, path: Path
) -> None:
    kept = []
    for sequence in range(1, 9):
        book.advance(ORDERS, to=sequence)
        kept.append(book.checkpoint())
    book.advance(ORDERS, to=9)
    found = book.verify(reversed(kept))
    assert found.ok
    assert (found.unvouched, found.unsettled) == (1, 0)
    edited("actor = 'x'", 5)(path)
    edited("digest = zeroblob(32)", 5)(path)
    found = book.verify(kept)
    lost = [fault for fault in found.faults if fault.kind is FaultKind.CHECKPOINT]
    assert [fault.place for fault in lost] == [
        f"the checkpoint over {size} entries" for size in (5, 6, 7, 8)
    ]
    assert lost[0].detail.endswith("the first 4 are, by an earlier checkpoint")
    assert found.unvouched == 5


@pytest.mark.parametrize("kept", [7, "root", [None], {"entries": 1}, object()])
def test_what_is_no_checkpoint_is_refused(book: Ledger, kept: object) -> None:
    with pytest.raises(ledger.InvalidCursorError, match="against must be a Checkpoint"):
        book.verify(kept)  # type: ignore[arg-type]
