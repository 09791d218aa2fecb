"""A ledger that is opened when it is first used is opened once, whatever a signal handler calls."""

from __future__ import annotations

from contextlib import suppress
from types import ModuleType

import pytest

import ledger
from ledger import StorageError, opening, per_process
from ledger.per_process import LazyLedger, PerProcess
from support.cursors import JOBS, ORDERS
from support.interrupted import steps_interrupted


@pytest.mark.parametrize("module", [per_process, opening])
def test_what_a_signal_handler_is_told_is_stored_stays_so(module: ModuleType) -> None:
    books: list[LazyLedger] = []
    told: list[ledger.Cursor] = []
    found: list[tuple[bool, bool]] = []

    def work() -> None:
        process = PerProcess(lambda: ledger.open(":memory:", actor="tester"), shared=False)
        book = LazyLedger(process, lambda: book)
        told.clear()
        books[:] = [book]
        book.advance(ORDERS, to=1)
        found.append((bool(told), book.find(JOBS) is not None))
        book.close()

    def handle() -> None:
        with suppress(StorageError, IndexError):
            told.append(books[0].advance(JOBS, to=1))

    for step in steps_interrupted(module, work, handle=handle):
        was_told, is_stored = found[-1]
        assert was_told <= is_stored, step
        books.clear()
    assert {was_told for was_told, _ in found} >= {False}
