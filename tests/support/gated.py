"""A SQLite store that is held up on purpose, and many callers before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ledger import Ledger
from ledger.opening import utc_now
from ledger.stores import Durability, Transaction, sqlite
from ledger.stores.deadline import Deadline
from ledger.writing.committer import Committer
from ledger.writing.group_commit import Writer
from support.cursors import JOBS

T = TypeVar("T")

THREADS = 64


class Gated:
    """A SQLite store whose transactions can be held up, made to fail, and counted."""

    def __init__(self, path: Path, durability: Durability = "full") -> None:
        self._store = sqlite.open_store(str(path), durability=durability)
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.before: Callable[[], object] = lambda: None
        self.failure: Callable[[], Exception | None] = lambda: None
        self.batches: list[int] = []

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
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

        self.before()
        result: T = self._store.write(watched, deadline)
        self.batches.append(counted)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def transaction_changes(transaction: Any) -> int:
    """Return how many events this connection has appended so far."""
    connection = transaction.session.connection
    return int(connection.execute("SELECT count(*) FROM ledger_events").fetchone()[0])


@contextmanager
def gated(
    path: Path, *, durability: Durability = "full", busy_timeout_s: float = 30, **bounds: Any
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
