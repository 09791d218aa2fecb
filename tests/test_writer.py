"""Many callers, one commit: each is answered on its own, once its entry is safe."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import pytest
from conftest import JOBS, ORDERS

import ledger
import ledger.writing.group_commit
from ledger import (
    AdvanceCursor,
    Cursor,
    CursorKey,
    Ledger,
    LedgerBusyError,
    LedgerError,
    NonMonotonicCursorError,
    ResetCursor,
    StorageError,
)
from ledger.opening import utc_now
from ledger.stores import Transaction, sqlite
from ledger.writing import group_commit
from ledger.writing.committer import Committer
from ledger.writing.group_commit import Writer

T = TypeVar("T")

THREADS = 64
ROUNDS = int(os.environ.get("CURSOR_LEDGER_TEST_ROUNDS", "300"))
KILLS = 50


class Gated:
    """A SQLite store whose transactions can be held up, made to fail, and counted."""

    def __init__(self, path: Path, durability: str = "full") -> None:
        self._store = sqlite.open_store(str(path), durability=durability)
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.failure: Callable[[], Exception | None] = lambda: None
        self.batches: list[int] = []

    def write(self, work: Callable[[Transaction], T], until: float | None = None) -> T:
        counted = 0

        def watched(transaction: Transaction) -> T:
            nonlocal counted
            self.entered.set()
            self.open.wait()
            before = transaction_changes(transaction)
            result = work(transaction)
            counted = transaction_changes(transaction) - before
            if (failure := self.failure()) is not None:
                raise failure
            return result

        result: T = self._store.write(watched, until)
        self.batches.append(counted)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def transaction_changes(transaction: Any) -> int:
    """Give how many events this connection has appended so far."""
    connection = transaction.session.connection
    return int(connection.execute("SELECT count(*) FROM ledger_events").fetchone()[0])


@contextmanager
def gated(
    path: Path, *, durability: str = "full", busy_timeout_s: float = 30, **bounds: Any
) -> Iterator[tuple[Ledger, Gated]]:
    store = Gated(path, durability)
    committer = Committer(store, "tester", utc_now)
    writer = Writer(committer, busy_timeout_s=busy_timeout_s, **bounds)
    with Ledger(committer, writer) as book:
        yield book, store
        store.open.set()


@contextmanager
def held(book: Ledger, store: Gated) -> Iterator[threading.Thread]:
    """Hold up a commit that a thread of its own makes, so that what comes behind it is queued."""
    store.open.clear()
    store.entered.clear()
    alone = threading.Thread(target=lambda: book.advance(JOBS, to=1_000_000))
    alone.start()
    store.entered.wait()
    try:
        yield alone
    finally:
        store.open.set()
        alone.join()


def started(work: Callable[[], T]) -> Future[T]:
    """Run `work` in a thread, and give its future once it is waiting for something."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
            future.set_exception(error)

    threading.Thread(target=run).start()
    time.sleep(0.05)
    return future


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
    monkeypatch.setattr(group_commit, "IDLE_S", 3_600)
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
                book.advance(CursorKey(f"consumer-{nth}", "orders"), to=to)

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


def test_who_submits_waits_for_room_and_then_goes_on(path: Path) -> None:
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
            taken.append(len(store.batches) - before)
        flooding.join()
        # The queue holds four full batches; one is being committed, and one is the answer's own.
        assert max(taken) <= 8
        assert len(taken) > 10
        assert asked[-1].result().version == 100_000


# --- submit, cancel, close ---


def test_cancelling_is_honoured_until_the_commit_begins(path: Path) -> None:
    with gated(path) as (book, store):
        with held(book, store):
            first, second = (book.submit(AdvanceCursor(ORDERS, n)) for n in (1, 2))
            assert first.cancel()
        assert second.result().version == 1
        store.open.clear()
        store.entered.clear()
        third = book.submit(AdvanceCursor(ORDERS, 3))
        store.entered.wait()
        assert not third.cancel()
        store.open.set()
        assert third.result().version == 2
        with pytest.raises(CancelledError):
            first.result()


def test_what_cannot_be_submitted_is_refused_at_once(book: Ledger, path: Path) -> None:
    with pytest.raises(ledger.InvalidCursorError):
        book.submit("advance")  # type: ignore[arg-type]
    connection = sqlite3.connect(path)
    with pytest.raises(ledger.InvalidCursorError, match="use append"):
        book.using(connection).submit(AdvanceCursor(ORDERS, 1))
    connection.close()
    book.close()
    with pytest.raises(StorageError, match="closed"):
        book.submit(AdvanceCursor(ORDERS, 1))


def test_closing_commits_what_was_accepted(path: Path) -> None:
    book = ledger.open(path)
    asked = [book.submit(AdvanceCursor(ORDERS, n)) for n in range(1, 1_501)]
    book.close()
    assert [future.result(0).version for future in asked] == list(range(1, 1_501))
    with ledger.open(path) as again:
        assert again.get(ORDERS).version == 1_500


def test_closing_wakes_those_who_wait_for_room(path: Path) -> None:
    with gated(path, queue_length_max=1) as (book, store):
        with held(book, store):
            accepted = book.submit(AdvanceCursor(ORDERS, 1))
            waiting = started(lambda: book.submit(AdvanceCursor(ORDERS, 2)))
            closing = started(book.close)
            assert isinstance(waiting.exception(5), StorageError)
        closing.result(5)
        assert accepted.result().version == 1


SUBMIT_AND_END = """
import sys, ledger
book = ledger.open(sys.argv[1])
for n in range(1, 501):
    book.submit(ledger.AdvanceCursor(ledger.CursorKey("a", "b"), n))
"""


def test_a_program_that_ends_without_closing_loses_nothing(path: Path) -> None:
    subprocess.run([sys.executable, "-c", SUBMIT_AND_END, path], check=True, timeout=60)
    with ledger.open(path) as book:
        assert book.get(CursorKey("a", "b")).version == 500


def test_a_callback_may_use_the_ledger_and_close_it(path: Path) -> None:
    with gated(path) as (book, store):
        done = threading.Event()
        versions = []

        def go_on(_: Future[Cursor]) -> None:
            versions.append(book.advance(ORDERS, to=2).version)
            second = book.submit(AdvanceCursor(ORDERS, 3))
            book.close()
            second.add_done_callback(lambda _: done.set())

        with held(book, store):
            book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(go_on)
        assert done.wait(10)
        assert versions == [2]


def test_an_interrupted_caller_is_withdrawn(path: Path) -> None:
    def interrupt() -> None:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with gated(path) as (book, store):
            with held(book, store):
                threading.Thread(target=interrupt).start()
                with pytest.raises(KeyboardInterrupt):
                    book.advance(ORDERS, to=1)
            book.submit(AdvanceCursor(JOBS, 2_000_000)).result()
            assert [entry.key for entry in book.entries()] == [JOBS, JOBS]
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_thread_goes_home_when_nothing_is_left(path: Path) -> None:
    with ledger.open(path) as book:
        book.submit(AdvanceCursor(ORDERS, 1)).result()
        until = time.monotonic() + 10
        while writing_threads() and time.monotonic() < until:
            time.sleep(0.02)
        assert writing_threads() == []
        assert book.submit(AdvanceCursor(ORDERS, 2)).result().version == 2


# --- nobody is told too early, and nothing is lost ---

LOOK_UP = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    found = connection.execute(
        "SELECT count(*) FROM ledger_log WHERE delivery_id = ?", (line.strip(),)
    ).fetchone()
    print(found[0], flush=True)
"""


def test_who_is_answered_can_be_read_from_another_process(path: Path) -> None:
    with ledger.open(path) as book:
        book.record_error(JOBS, "makes the file")
        command = [sys.executable, "-c", LOOK_UP, str(path)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as reader:
            assert reader.stdin
            assert reader.stdout
            assert reader.stdout.readline() == "ready\n"
            asking = threading.Lock()
            found = []

            def work(nth: int) -> None:
                for to in range(1, 16):
                    book.advance(
                        CursorKey(f"consumer-{nth}", "orders"), to=to, delivery_id=f"{nth}-{to}"
                    )
                    with asking:
                        reader.stdin.write(f"{nth}-{to}\n")  # type: ignore[union-attr]
                        found.append(reader.stdout.readline())  # type: ignore[union-attr]

            run_threads(work)
            reader.stdin.close()
        assert found == ["1\n"] * (THREADS * 15)


class Storm:
    """A ledger that is closed and opened again, and a store that fails now and then."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.reopening = threading.Lock()
        self.book = self.opened()

    def opened(self) -> Ledger:
        store = Gated(self.path, "normal")
        store.failure = self.failure
        committer = Committer(store, "tester", utc_now)
        return Ledger(committer, Writer(committer, busy_timeout_s=60, batch_size_max=100))

    def failure(self) -> Exception | None:
        drawn = self.chance.random()
        if drawn < 0.01:
            return StorageError("the disk is full")
        return RuntimeError("a bug") if drawn < 0.02 else None

    def reopen(self) -> None:
        with self.reopening:
            before, self.book = self.book, self.opened()
        before.close()


class Consumer:
    """One thread of the storm: what it was told, by the name that it gave each entry."""

    def __init__(self, storm: Storm, nth: int, seed: int) -> None:
        self.storm = storm
        self.nth = nth
        self.chance = random.Random(seed)
        self.own = CursorKey(f"consumer-{nth}", "orders")
        self.asked = 0
        self.appended: list[str] = []
        self.refused: list[str] = []

    def request(self, key: CursorKey, to: int, **more: Any) -> AdvanceCursor:
        self.asked += 1
        name = f"{self.nth}-{self.asked}"
        return AdvanceCursor(key, to, delivery_id=name, **more)

    def next_request(self) -> AdvanceCursor:
        """Ask for a place that is fine, long passed, or fought for with all others."""
        drawn = self.chance.random()
        if drawn < 0.6:
            return self.request(self.own, self.asked + 1)
        if drawn < 0.7:
            return self.request(self.own, 1)
        if drawn < 0.8:
            return self.request(self.own, self.asked + 1, epoch=7)
        return self.request(JOBS, self.chance.randrange(1, 10**6))

    def tell(self, requests: list[AdvanceCursor], work: Callable[[], list[Any]]) -> None:
        try:
            answers = work()
        except (LedgerError, RuntimeError, CancelledError) as error:
            answers = [error] * len(requests)
        for request, answer in zip(requests, answers, strict=True):
            told = self.appended if isinstance(answer, Cursor) else self.refused
            told.append(request.delivery_id)

    def step(self) -> None:
        book = self.storm.book
        drawn = self.chance.random()
        several = [self.next_request() for _ in range(self.chance.randrange(1, 5))]
        one = several[:1]
        if drawn < 0.5:
            self.tell(one, lambda: book.append(one))
        elif drawn < 0.65:
            self.tell(several, lambda: book.append(several))
        elif drawn < 0.8:
            self.tell(several, lambda: book.append_each(several))
        elif drawn < 0.9:
            self.tell(one, lambda: [book.submit(one[0]).result()])
        elif drawn < 0.99:
            self.tell(one, lambda: [cancelled(book.submit(one[0]))])
        elif drawn < 0.999:
            self.storm.reopen()


def cancelled(future: Future[Cursor]) -> Cursor:
    future.cancel()
    return future.result()


def test_a_storm_of_refusals_failures_and_closes_loses_and_doubles_nothing(path: Path) -> None:
    storm = Storm(path, seed=7)
    consumers = [Consumer(storm, nth, seed=1_000 + nth) for nth in range(THREADS)]

    def work(nth: int) -> None:
        for _ in range(ROUNDS):
            consumers[nth].step()

    run_threads(work, timeout_s=60 + ROUNDS)
    storm.book.close()
    with ledger.open(path) as book:
        found = Counter(
            entry.event.delivery_id
            for entry in book.entries()
            if isinstance(entry.event, ledger.CursorAdvanced)
        )
        assert book.verify().ok
    appended = [name for consumer in consumers for name in consumer.appended]
    refused = [name for consumer in consumers for name in consumer.refused]
    assert found == Counter(appended)
    assert not found.keys() & set(refused)
    assert len(appended) > ROUNDS
    assert len(refused) > ROUNDS


def deliver_in_64_threads(path: str, said: Connection) -> None:
    book = ledger.open(path, actor="victim")

    def work(nth: int) -> None:
        key = CursorKey(f"consumer-{nth}", "orders")
        try:
            to = book.get(key).last_sequence
        except ledger.CursorNotFoundError:
            to = 0
        while True:
            to += 1
            book.advance(key, to=to)
            said.send_bytes(f"{nth} {to}".encode())

    for nth in range(THREADS):
        threading.Thread(target=work, args=(nth,)).start()
    time.sleep(600)


def test_a_process_killed_under_load_has_lost_nothing_that_it_acknowledged(path: Path) -> None:
    # A server forks the victims, so that they need not import everything first.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ledger.writer", "concurrent.futures"])
    chance = random.Random(50)
    acknowledged: dict[int, int] = {}
    for _ in range(KILLS):
        heard, said = context.Pipe(duplex=False)
        victim = context.Process(target=deliver_in_64_threads, args=(str(path), said))
        victim.start()
        said.close()
        # It lives for a while after the first word.
        heard.poll(60)
        time.sleep(chance.uniform(0, 0.1))
        victim.kill()
        victim.join()
        with heard, suppress(EOFError):
            while True:
                nth, to = map(int, heard.recv_bytes().split())
                acknowledged[nth] = to
        with ledger.open(path) as book:
            for nth, to in acknowledged.items():
                assert book.get(CursorKey(f"consumer-{nth}", "orders")).last_sequence >= to
    assert len(acknowledged) > THREADS / 2
    with ledger.open(path) as book:
        assert book.verify().ok
        for nth in acknowledged:
            entries = book.history(CursorKey(f"consumer-{nth}", "orders"))
            # Every place once: nothing that was acknowledged was lost, and nothing doubled.
            assert all(
                entry.version == entry.event.sequence  # type: ignore[union-attr]
                for entry in entries
            )


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


# --- parts ---


def run_threads(work: Callable[[int], None], *, timeout_s: float = 120) -> None:
    """Run `work` in 64 threads, and see that all of them come back."""
    failures: list[BaseException] = []

    def guarded(nth: int) -> None:
        try:
            work(nth)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(nth,), daemon=True) for nth in range(THREADS)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0, until - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    assert failures == []


def writing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "cursor-ledger writer"]
