"""A group of resets is found whole, or not at all, while a transaction holds up readers."""

from __future__ import annotations

import threading

import pytest

import ledger
from ledger import CursorKey, Ledger, LedgerBusyError
from projections import ResetPlan
from projections.resets import groups
from support.cursors import JOBS
from support.servers import connect

KEYS = [CursorKey("mailer", "orders", str(partition)) for partition in range(12)]


def test_what_holds_up_readers_for_too_long_is_refused(
    book: Ledger, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.append([ledger.AdvanceCursor(key, 100) for key in KEYS])
    ResetPlan.make(book, KEYS, to=1, reason="mistake").apply(book)
    position = len(KEYS) + 1
    monkeypatch.setattr(groups, "SETTLED_S", 0.1)
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(JOBS, to=1)
        # Whatever is appended now stands behind it.
        book.advance(KEYS[0], to=2)
        with pytest.raises(LedgerBusyError, match="a part of the group may not be seen yet"):
            ResetPlan.undo(book, group=position)
        caller.rollback()
    assert len(ResetPlan.undo(book, group=position).resets) == 12


def test_a_group_that_was_appended_behind_an_open_transaction_is_waited_for(
    book: Ledger, target: str
) -> None:
    book.append([ledger.AdvanceCursor(key, 100) for key in KEYS])
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(JOBS, to=1)
        cursors = ResetPlan.make(book, KEYS, to=1, reason="mistake").apply(book)
        position = next(iter(book.history(KEYS[3]))).position + len(KEYS) + 1
        assert [cursor.last_sequence for cursor in cursors] == [1] * 12
        ends = threading.Timer(0.3, caller.commit)
        ends.start()
        plan = ResetPlan.undo(book, group=position)
        ends.join()
    assert sorted(reset.key.subject_id for reset in plan.resets) == sorted(
        key.subject_id for key in KEYS
    )
