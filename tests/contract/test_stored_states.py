"""A stored cursor that was set by hand poisons nothing: no entry goes on from what none has."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import ledger
from ledger import AdvanceCursor, BrokenChainError
from support.cursors import JOBS, ORDERS
from support.servers import connect

LAST = 2**63 - 1
STATES = {
    "version": ("0", "-5", str(LAST)),
    "epoch": ("-1", str(LAST)),
    "last_sequence": ("-5",),
    # An entry that is recorded then could not be read again.
    "recorded_at": (str(LAST), str(-LAST), "253402300800000000"),
}


def set_by_hand(target: str, column: str, value: str) -> None:
    change = (
        f"UPDATE ledger_cursors SET {column} = {value} WHERE consumer_id = '{ORDERS.consumer_id}'"
    )
    if "://" in target:
        with connect(target) as raw:
            raw.execute(change.encode())
        return
    with closing(sqlite3.connect(target, isolation_level=None)) as raw:
        raw.execute(change)


@pytest.mark.parametrize("column", STATES)
def test_nothing_is_appended_to_a_cursor_that_no_entries_make(target: str, column: str) -> None:
    with ledger.open(target, actor="ines") as book:
        book.advance(ORDERS, to=3)
        before = list(book.entries())
    for value in STATES[column]:
        set_by_hand(target, column, value)
        with ledger.open(target, actor="ines") as book:
            with pytest.raises(BrokenChainError, match="its stored cursor"):
                book.advance(ORDERS, to=9)
            with pytest.raises(BrokenChainError, match="its stored cursor"):
                book.append([AdvanceCursor(JOBS, 1), AdvanceCursor(ORDERS, 9)])
            # What it was is still there, and so it can be made anew.
            assert list(book.entries()) == before
            assert not book.verify().ok
            assert book.rebuild().repaired
            assert book.verify().ok
