"""One queue before a file: repair and copy have their turn in it, and one deadline each."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, Cursor, Ledger, LedgerBusyError, Rebuild, StorageError
from ledger.stores.sqlite import turn
from support.cursors import JOBS, ORDERS
from support.gated import gated, held, started
from support.interrupted import steps_interrupted


def test_a_repair_has_its_turn_among_the_calls_that_are_queued(path: Path) -> None:
    with gated(path) as (book, store):
        with held(book, store):
            before = [book.submit(AdvanceCursor(ORDERS, to)) for to in (1, 2)]
            seen: list[tuple[str, int | None]] = []

            def look(transaction: ledger.stores.Transaction) -> None:
                head = transaction.head(ORDERS)
                version = head.cursor.version if head else None
                seen.append((threading.current_thread().name, version))

            repairs = [started(lambda: book._appender.run(look)) for _ in range(2)]
            behind = book.submit(AdvanceCursor(ORDERS, 3))
        assert [future.result().version for future in before] == [1, 2]
        for repair in repairs:
            repair.result(10)
        assert behind.result(10).version == 3
        assert [version for _, version in seen] == [2, 2]
        assert {name for name, _ in seen}.isdisjoint({"cursor-ledger writer"})
        # The lone call, what was before the repairs, each of these, and what was behind them.
        assert store.batches == [1, 2, 0, 0, 1]


def test_calls_of_one_thread_keep_their_order_around_a_repair(path: Path) -> None:
    with ledger.open(path, durability="normal") as book:
        for nth in range(50):
            asked = [book.submit(AdvanceCursor(ORDERS, 10 * nth + n)) for n in range(1, 5)]
            assert book.rebuild().repaired == ()
            assert all(future.done() for future in asked)
            assert book.advance(ORDERS, to=10 * nth + 5).version == 5 * nth + 5


def test_what_waits_for_its_turn_too_long_is_withdrawn(path: Path) -> None:
    with gated(path, busy_timeout_s=0.2) as (book, store):
        with held(book, store):
            with pytest.raises(LedgerBusyError, match="Other calls to this ledger"):
                book.rebuild()
            behind = book.submit(AdvanceCursor(ORDERS, 1))
        assert behind.result(10).version == 1
        assert isinstance(book.rebuild(), Rebuild)


def test_an_interrupt_that_waits_for_its_turn_leaves_the_others_theirs(path: Path) -> None:
    def interrupt() -> None:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with gated(path) as (book, store):
        with held(book, store):
            threading.Thread(target=interrupt).start()
            with pytest.raises(KeyboardInterrupt) as caught:
                book.rebuild()
            behind = book.submit(AdvanceCursor(ORDERS, 1))
        assert not hasattr(caught.value, "__notes__")
        assert behind.result(10).version == 1
        assert book.advance(ORDERS, to=2).version == 2


def test_a_repair_that_fails_gives_the_turn_back_and_carries_no_note(path: Path) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with gated(path) as (book, store):
        with held(book, store):
            failing = started(lambda: book._appender.run(fail))
            behind = book.submit(AdvanceCursor(ORDERS, 1))
        error = failing.exception(10)
        assert isinstance(error, ZeroDivisionError)
        assert not hasattr(error, "__notes__")
        assert behind.result(10).version == 1


def test_a_callback_may_repair_and_copy_and_a_clock_may_not(path: Path, tmp_path: Path) -> None:
    with ledger.open(path, actor="tester") as book, ledger.open(tmp_path / "copy.db") as copy:
        done = threading.Event()
        found: list[object] = []

        def work(_: object) -> None:
            late = book.submit(AdvanceCursor(ORDERS, 2))
            found.append(book.rebuild().cursors)
            found.append(late.done())
            found.append(book.copy_to(copy).entries)
            done.set()

        book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(work)
        assert done.wait(30)
        assert found == [1, True, 2]


def test_a_clock_that_would_repair_is_refused(path: Path) -> None:
    refused: list[str] = []

    def clock() -> object:
        with pytest.raises(StorageError) as caught:
            book.rebuild()
        refused.append(str(caught.value))
        return ledger.opening.utc_now()

    with ledger.open(path, clock=clock) as book:  # type: ignore[arg-type]
        assert book.advance(ORDERS, to=1).version == 1
    assert "in the middle of a commit" in refused[0]


@pytest.mark.parametrize("how", ["append", "rebuild"])
def test_the_queue_and_the_file_share_one_deadline(path: Path, how: str) -> None:
    """Most of the time goes in the queue; what is left of it is all that the file may take."""
    waits_s, queued_s = 1.5, 1.0
    took: list[float] = []

    def call(book: Ledger) -> Cursor | Rebuild:
        began = time.monotonic()
        try:
            return book.rebuild() if how == "rebuild" else book.advance(ORDERS, to=1)
        finally:
            took.append(time.monotonic() - began)

    with (
        gated(path, busy_timeout_s=waits_s) as (book, store),
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other,
    ):
        book.advance(JOBS, to=1)

        with held(book, store):
            asked = started(lambda: call(book))
            time.sleep(queued_s)
            # When its turn has come, another program has the file.
            store.before = partial(other.execute, "BEGIN IMMEDIATE")
        error = asked.exception(30)
        other.execute("ROLLBACK")
    assert isinstance(error, LedgerBusyError)
    assert waits_s <= took[0] + 0.01
    assert took[0] < waits_s + queued_s - 0.1


# CPython runs no signal handler between the lock and these.
ENDS_OF_TURN = ("try:", "self.owner = None", "self._lock.release()", "lock.release()")


def test_an_interrupted_check_of_what_is_in_memory_leaves_it_to_other_threads() -> None:
    with ledger.open(":memory:", actor="tester", busy_timeout_s=1) as book:
        book.advance(ORDERS, to=1)
        with ThreadPoolExecutor(1) as other:
            steps = 0
            for _ in steps_interrupted(turn, book.verify, never_at=ENDS_OF_TURN):
                steps += 1
                gc.collect()
                assert other.submit(book.get, ORDERS).result(10).last_sequence == 1, steps
        assert steps >= 6
        assert book.verify().ok
