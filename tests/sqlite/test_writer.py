"""Many callers, one commit: each is answered on its own, once its entry is safe."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    Cursor,
    CursorKey,
    LedgerBusyError,
    LedgerError,
    NonMonotonicCursorError,
    ResetCursor,
    StorageError,
)
from ledger.writing import serving
from ledger.writing.group_commit import BATCH_SIZE_MAX, QUEUE_LENGTH_MAX
from support.cursors import JOBS, ORDERS
from support.gated import THREADS, gated, held, run_threads, started, writing_threads

# --- each its own answer ---


def test_one_caller_commits_in_its_own_thread(path: Path) -> None:
    with gated(path) as (book, store):
        for to in range(1, 4):
            book.advance(ORDERS, to=to)
        assert store.batches == [1, 1, 1]
        assert writing_threads() == []


def test_callers_who_wait_share_a_transaction_and_are_answered_each(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The thread is told when there is something to do; it does not come and look.
    monkeypatch.setattr(serving, "IDLE_S", 3_600)
    with gated(path, busy_timeout_s=10) as (book, store):
        book.advance(ORDERS, to=5)
        with held(book, store):
            fine = started(lambda: book.advance(ORDERS, to=6))
            stale = started(lambda: book.advance(ORDERS, to=2))
            whole = started(
                lambda: book.append([AdvanceCursor(JOBS, 10**6 + 1), AdvanceCursor(ORDERS, 3)])
            )
            each = started(
                lambda: book.append_each([AdvanceCursor(ORDERS, 1), AdvanceCursor(ORDERS, 7)])
            )
            last = started(lambda: book.record_error(JOBS, "HTTP 503"))
        assert fine.result().last_sequence == 6
        with pytest.raises(NonMonotonicCursorError) as caught:
            stale.result()
        assert caught.value.current
        assert caught.value.current.last_sequence == 6
        with pytest.raises(NonMonotonicCursorError):
            whole.result()
        assert [type(answer) for answer in each.result()] == [NonMonotonicCursorError, Cursor]
        assert last.result().last_sequence == 1_000_000
        assert store.batches == [1, 1, 3]
        assert [entry.version for entry in book.history(ORDERS)] == [1, 2, 3]
        assert book.verify().ok


def test_a_group_that_is_refused_leaves_the_cursors_of_others_as_they_were(path: Path) -> None:
    with gated(path) as (book, store):
        with held(book, store):
            started(lambda: book.advance(ORDERS, to=5))
            refused = started(
                lambda: book.append(
                    [
                        AdvanceCursor(ORDERS, 6),
                        AdvanceCursor(ORDERS, 7),
                        AdvanceCursor(CursorKey("new", "orders"), 1),
                        ResetCursor(ORDERS, 9, "x", expected_version=1),
                    ]
                )
            )
            after = started(lambda: book.advance(ORDERS, to=6, expected_version=1))
        assert isinstance(refused.exception(), LedgerError)
        assert after.result().version == 2
        assert [cursor.key for cursor in book.cursors()] == [JOBS, ORDERS]
        assert book.verify().ok


@pytest.mark.parametrize("failure", [StorageError("the disk is full"), RuntimeError("a bug")])
def test_a_failure_of_the_commit_is_told_to_all_in_it_and_leaves_nothing(
    path: Path, failure: Exception
) -> None:
    with gated(path) as (book, store):
        with held(book, store):
            asked = [started(partial(book.advance, ORDERS, to=n)) for n in range(1, 5)]
            store.failure = lambda: None if store.batches == [] else failure
        errors = [future.exception() for future in asked]
        assert [(type(error), str(error)) for error in errors] == [
            (type(failure), str(failure))
        ] * 4
        if isinstance(failure, StorageError):
            # Where an error is raised, it is given a traceback: nobody shares one.
            assert len(set(map(id, errors))) == 4
        store.failure = lambda: None
        assert [entry.key for entry in book.entries()] == [JOBS]
        assert book.advance(ORDERS, to=1).version == 1
        assert book.verify().ok


def test_the_order_of_a_thread_is_kept(path: Path) -> None:
    with gated(path, durability="normal") as (book, _):
        asked: list[Future[Cursor]] = []
        for to in range(1, 301):
            if to % 7 == 3:
                assert book.advance(ORDERS, to=to).version == to
            else:
                asked.append(book.submit(AdvanceCursor(ORDERS, to)))
        assert [future.result().version for future in asked] == [
            to for to in range(1, 301) if to % 7 != 3
        ]


def test_at_64_threads_the_mean_batch_is_over_16(path: Path) -> None:
    with gated(path) as (book, store):

        def work(nth: int) -> None:
            for to in range(1, 51):
                asking.add(nth)
                book.advance(CursorKey(f"consumer-{nth}", "orders"), to=to)
                asking.discard(nth)
            at_work.discard(nth)

        def as_slow_as_a_disk() -> None:
            """Commit when most of the callers ask again, however little time they are given."""
            until = time.monotonic() + 1
            while len(asking) < len(at_work) * 0.75 and time.monotonic() < until:
                time.sleep(0.0005)

        asking: set[int] = set()
        at_work = set(range(THREADS))
        store.before = as_slow_as_a_disk
        run_threads(work)
        assert sum(store.batches) == THREADS * 50
        assert sum(store.batches) / len(store.batches) > 16
        assert book.verify().ok


# --- bounds ---


def test_batches_and_the_queue_are_bounded(path: Path) -> None:
    with gated(path, busy_timeout_s=0.2, batch_size_max=10, queue_length_max=25) as (book, store):
        with held(book, store):
            asked = [book.submit(AdvanceCursor(ORDERS, n)) for n in range(1, 26)]
            with pytest.raises(LedgerBusyError, match="25 calls are queued"):
                book.submit(AdvanceCursor(ORDERS, 26))
        assert [future.result().last_sequence for future in asked] == list(range(1, 26))
        # A call is never divided: one that is too large has a transaction to itself.
        with held(book, store):
            large = started(
                lambda: book.append([AdvanceCursor(JOBS, 10**7 + n) for n in range(30)])
            )
            small = started(lambda: book.advance(ORDERS, to=26))
        assert len(large.result()) == 30
        assert small.result().version == 26
        assert store.batches == [1, 10, 10, 5, 1, 30, 1]


def test_a_caller_that_submits_waits_for_room_and_continues(path: Path) -> None:
    with gated(path, batch_size_max=10, queue_length_max=10) as (book, store):
        with held(book, store):
            asked = [book.submit(AdvanceCursor(ORDERS, n)) for n in range(1, 11)]
            waiting = started(lambda: book.submit(AdvanceCursor(ORDERS, 11)))
            assert not waiting.done()
        assert waiting.result().result().version == 11
        assert all(future.done() for future in asked)


def test_a_caller_who_waits_too_long_is_told_and_nothing_is_appended(path: Path) -> None:
    with gated(path, busy_timeout_s=0.2) as (book, store):
        with held(book, store), pytest.raises(LedgerBusyError, match="try again"):
            book.advance(ORDERS, to=1)
        # Whatever was still queued would come before this.
        book.submit(AdvanceCursor(JOBS, 2_000_000)).result()
        assert [entry.key for entry in book.entries()] == [JOBS, JOBS]


def test_a_caller_whose_commit_takes_too_long_waits_for_its_end(path: Path) -> None:
    with gated(path, busy_timeout_s=0.3) as (book, store):
        with held(book, store):
            asked = started(lambda: book.advance(ORDERS, to=1))
            store.failure = lambda: time.sleep(0.8) if store.batches else None
        assert asked.result().version == 1


@pytest.mark.slow("it looks for a race, at random")
def test_a_lone_advance_beside_a_flood_is_answered_within_a_few_batches(path: Path) -> None:
    with gated(path, durability="normal") as (book, store):
        asked: list[Future[Cursor]] = []

        def flood() -> None:
            asked.extend(book.submit(AdvanceCursor(ORDERS, n)) for n in range(1, 100_001))

        flooding = threading.Thread(target=flood)
        flooding.start()
        taken: list[int] = []
        while flooding.is_alive():
            before = len(store.batches)
            book.advance(JOBS, to=len(taken) + 1)
            taken.append(sum(store.batches[before:]))
        flooding.join()
        assert len(taken) > 10
        # The queue is full; one batch is being committed, and one is the answer's own. What is
        # committed just before the call is queued is counted, too, on a machine that is busy.
        mostly = sorted(taken)[: len(taken) * 9 // 10]
        assert max(mostly) <= QUEUE_LENGTH_MAX + 2 * BATCH_SIZE_MAX
        assert asked[-1].result().version == 100_000


# --- what the connection that writes remembers ---


def test_others_who_write_are_noticed(path: Path) -> None:
    with ledger.open(path) as one, ledger.open(path) as other:
        for n in range(1, 20):
            assert one.advance(ORDERS, to=2 * n - 1).version == 4 * n - 3
            assert other.advance(ORDERS, to=2 * n).version == 4 * n - 2
            cursor = one.reset(ORDERS, to=0, reason="x", actor="ines")
            assert cursor.epoch == n
            assert other.advance(ORDERS, to=2 * n, epoch=n).version == 4 * n
        assert one.verify().ok


def test_a_stored_cursor_that_somebody_has_edited_is_read_again(path: Path) -> None:
    with ledger.open(path) as book:
        book.advance(ORDERS, to=5)
        raw = sqlite3.connect(path)
        raw.execute("UPDATE ledger_cursors SET last_sequence = 9")
        raw.commit()
        with pytest.raises(NonMonotonicCursorError):
            book.advance(ORDERS, to=6)
        raw.close()
        assert [fault.detail for fault in book.rebuild().repaired] != []
        assert book.advance(ORDERS, to=6).version == 2


def test_what_a_failed_transaction_stored_is_forgotten(path: Path) -> None:
    with gated(path) as (book, store):
        book.advance(ORDERS, to=1)
        store.failure = lambda: StorageError("the disk is full")
        with pytest.raises(StorageError):
            book.advance(ORDERS, to=2)
        with pytest.raises(StorageError):
            book.advance(CursorKey("new", "orders"), to=2)
        store.failure = lambda: None
        assert book.advance(ORDERS, to=2).version == 2
        assert book.advance(CursorKey("new", "orders"), to=1).version == 1
        assert book.verify().ok


def test_a_lent_connection_that_writes_is_noticed(path: Path) -> None:
    with ledger.open(path) as book:
        book.advance(ORDERS, to=1)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        book.using(connection).advance(ORDERS, to=2)
        connection.execute("COMMIT")
        assert book.advance(ORDERS, to=3).version == 3
        connection.close()
        assert book.verify().ok
