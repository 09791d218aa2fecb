"""A fork takes no connection along: what parent and child commit is there afterwards."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ledger
from ledger import Ledger, StorageError
from ledger.opening import utc_now
from ledger.stores.sqlite import connecting
from ledger.stores.sqlite import connections as pool
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.writing import futures, waits
from support.cursors import JOBS, ORDERS


def in_child(work: Callable[[], str]) -> str:
    """Run `work` in a forked child, and give what it says."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(said, work().encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
            os.write(said, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(said)
    with os.fdopen(heard) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return found


def advance_again(path: Path, to: int) -> Callable[[], str]:
    def work() -> str:
        with ledger.open(path, actor="child") as book:
            for n in range(to, to + 20):
                book.advance(ORDERS, to=n)
            return str(book.get(ORDERS).version)

    return work


def test_what_a_child_commits_after_opening_again_stays_when_the_parent_closes(path: Path) -> None:
    book = ledger.open(path, actor="parent")
    book.advance(ORDERS, to=1)
    assert in_child(advance_again(path, 2)) == "21"
    # The log of the file goes with its last connection, and this must not be taken for the last.
    child = os.fork()
    if child == 0:
        again = ledger.open(path, actor="child")
        again.advance(ORDERS, to=50)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert book.get(ORDERS).version == 22
    book.close()
    with ledger.open(path) as third:
        assert third.get(ORDERS).last_sequence == 50
        assert third.verify().ok


def test_parent_and_children_write_at_the_same_time_and_nothing_is_lost(path: Path) -> None:
    with ledger.open(path, actor="parent") as book:
        book.advance(JOBS, to=1)
        children = []
        for nth in range(4):
            child = os.fork()
            if child == 0:
                with ledger.open(path, actor="child") as own:
                    for to in range(1, 101):
                        own.advance(ledger.CursorKey(f"child-{nth}", "orders"), to=to)
                os._exit(0)
            children.append(child)
        for to in range(2, 101):
            book.advance(JOBS, to=to)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    with ledger.open(path) as book:
        assert [cursor.version for cursor in book.cursors()] == [100] * 5
        assert book.verify().ok


def test_the_log_that_a_fork_has_deleted_is_not_missed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread may be about to read when another one forks, which closes all connections."""
    with ledger.open(path, actor="parent") as book:
        book.advance(ORDERS, to=1)
        pool = book._store.connections  # type: ignore[attr-defined]
        close, log = SQLiteSession.close, path.with_name(path.name + "-wal")
        seen = []

        def close_and_look(session: SQLiteSession) -> None:
            close(session)
            seen.append(log.exists())
            pool._watch.check_at_once()

        assert log.exists()
        with monkeypatch.context() as patched:
            patched.setattr(SQLiteSession, "close", close_and_look)
            assert pool.before_fork()
            pool.after_fork()
        assert seen[-1] is False
        assert book.advance(ORDERS, to=2).version == 2


def test_the_parent_goes_on_after_a_fork_beside_threads_that_write_and_read(path: Path) -> None:
    with ledger.open(path, actor="parent", durability="normal") as book:
        book.advance(ORDERS, to=1)
        stop = threading.Event()
        failures: list[BaseException] = []

        def busy(work: Callable[[int], object]) -> None:
            n = 0
            try:
                while not stop.is_set():
                    n += 1
                    work(n)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
                failures.append(error)

        threads = [
            threading.Thread(target=busy, args=(lambda n: book.advance(JOBS, to=n),)),
            threading.Thread(target=busy, args=(lambda _: book.get(ORDERS),)),
            threading.Thread(target=busy, args=(lambda _: list(book.entries()),)),
        ]
        for thread in threads:
            thread.start()
        said = [in_child(advance_again(path, 2 + 20 * n)) for n in range(5)]
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        # Where a thread does not end in time what it does, the child is told to do without.
        well = [n for n in range(5) if said[n] == str(21 + 20 * n)]
        refused = [n for n in range(5) if "Fork while no other thread uses" in said[n]]
        assert sorted(well + refused) == [0, 1, 2, 3, 4]
        assert well
        assert book.verify().ok


def test_the_ledger_of_the_parent_is_refused_in_the_child(book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    assert "open it again" in in_child(lambda: str(book.get(ORDERS)))
    assert "open it again" in in_child(lambda: str(book.advance(ORDERS, to=2)))
    assert in_child(lambda: str(book.close() is None)) == "True"  # type: ignore[func-returns-value]
    assert book.advance(ORDERS, to=2).version == 2


def test_a_child_that_inherits_a_connection_is_refused_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FORK_WAITS_S", 0.05)
    said: list[str] = []

    def clock() -> object:
        # In the middle of a transaction of this very thread: it cannot be closed.
        if not said:
            said.append(in_child(advance_again(path, 2)))
        return utc_now()

    with ledger.open(path, actor="parent", clock=clock) as book:  # type: ignore[arg-type]
        book.advance(ORDERS, to=1)
        assert "was being used when this process was forked" in said[0]
        with book._store.snapshot():
            assert StorageError.__name__ in in_child(advance_again(path, 2))
        assert in_child(advance_again(path, 2)) == "21"


def test_a_fork_does_not_wait_long_for_one_who_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "FORK_WAITS_S", 0.1)
    entered, release = threading.Event(), threading.Event()

    def clock() -> object:
        entered.set()
        release.wait()
        return utc_now()

    with ledger.open(path, actor="parent", clock=clock) as book:  # type: ignore[arg-type]
        writing = threading.Thread(target=lambda: book.advance(ORDERS, to=1))
        writing.start()
        entered.wait()
        began = time.monotonic()
        assert in_child(lambda: "fine") == "fine"
        assert time.monotonic() - began < 5
        release.set()
        writing.join()
        assert book.get(ORDERS).version == 1


@pytest.mark.parametrize("module", [futures, waits])
def test_a_lock_that_another_thread_holds_during_a_fork_does_not_stop_the_child(
    path: Path, module: ModuleType
) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with module._lock:
            held.set()
            release.wait(30)

    def submit() -> str:
        signal.alarm(20)  # A child that hangs ends.
        with ledger.open(path, actor="child") as book:
            return str(book.submit(ledger.AdvanceCursor(ORDERS, 1)).result().version)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait()
    try:
        assert in_child(submit) == "1"
    finally:
        release.set()
        holding.join()


def test_a_fork_waits_for_a_connection_that_is_being_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has locks of its own then, which the child would find locked for good."""
    with ledger.open(path, actor="parent") as book:
        book.advance(ORDERS, to=1)
        connect, begun = connecting.connect, threading.Event()
        opening: list[str] = []

        def slow(file: str, way: str, busy_timeout_s: float) -> sqlite3.Connection:
            opening.append(file)
            begun.set()
            time.sleep(0.1)
            connection = connect(file, way, busy_timeout_s)
            opening.pop()
            return connection

        monkeypatch.setattr(connecting, "connect", slow)
        book._store.connections._close_idle(writer=False)  # type: ignore[attr-defined]
        reader = threading.Thread(target=book.get, args=(ORDERS,))
        reader.start()
        assert begun.wait(10)
        assert in_child(lambda: str(opening)) == "[]"
        reader.join()


def locks_of_modules() -> dict[str, Any]:
    """Return the locks that modules of the ledger have for all of the process."""
    return {
        f"{name}.{each}": value
        for name, module in sorted(sys.modules.items())
        if name.split(".")[0] == "ledger"
        for each, value in vars(module).items()
        if isinstance(value, LOCKS)
    }


LOCKS = (type(threading.Lock()), type(threading.RLock()))


def test_a_child_finds_no_lock_that_another_thread_of_its_parent_had() -> None:
    for info in pkgutil.walk_packages(ledger.__path__, "ledger."):
        # Django's parts are not to be imported without a project.
        if not any(part in info.name for part in ("conformance", "__main__", "django", "plugin")):
            with suppress(ImportError):  # Of what is not installed.
                importlib.import_module(info.name)
    held = locks_of_modules()
    assert "ledger.stores.sqlite.file._creating" in held
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in held.values():
                stack.enter_context(lock)
            taken.set()
            done.wait(30)

    def stuck() -> str:
        return ", ".join(
            name for name, lock in locks_of_modules().items() if not lock.acquire(timeout=0.1)
        )

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert taken.wait(30)
        assert in_child(stuck) == ""
    finally:
        done.set()
        holder.join()
