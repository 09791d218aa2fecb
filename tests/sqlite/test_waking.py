"""How waiters are woken in a file: by another process, across a fork, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import Cursor, CursorKey, Ledger, StorageError
from ledger.opening import utc_now
from ledger.stores.sqlite import open_store, statements
from ledger.testing import in_memory
from ledger.waking.polling import Polling, listening_to
from ledger.writing.committer import Committer
from support.children import child
from support.cursors import JOBS, ORDERS

LONG_S = 20.0


@pytest.fixture
def waiters() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def waits(book: Ledger, number: int = 1) -> None:
    until(lambda: book._waker is not None and len(book._waker.waiters) == number)


def test_another_process_wakes(path: Path, waiters: ThreadPoolExecutor) -> None:
    with ledger.open(path) as book:
        waiting = waiters.submit(book.wait, JOBS, 0, LONG_S)
        waits(book)
        child("with ledger.open(sys.argv[1]) as book: book.advance(jobs, to=7)", path)
        cursor = waiting.result(LONG_S)
    assert cursor is not None
    assert cursor.last_sequence == 7


def test_a_fork_while_somebody_waits_takes_no_connection_along(
    path: Path, waiters: ThreadPoolExecutor
) -> None:
    with ledger.open(path) as book:
        book.advance(JOBS, to=1)
        waiting = waiters.submit(book.wait, ORDERS, 0, LONG_S)
        waits(book)
        until(lambda: book._waker is not None and not book._waker._fresh)
        began = time.monotonic()
        heard, said = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                refused = ""
                try:
                    book.wait(JOBS, 9, 0)
                except StorageError as error:
                    refused = str(error)
                book.close()
                with ledger.open(path) as again:
                    again.advance(ORDERS, to=5)
                os.write(said, refused.encode())
            finally:
                os._exit(0)
        took = time.monotonic() - began
        os.close(said)
        with os.fdopen(heard) as answer:
            assert "before this process was forked" in answer.read()
        os.waitpid(pid, 0)
        cursor = waiting.result(LONG_S)
        assert cursor is not None
        assert cursor.last_sequence == 5
        assert took < 1, "the fork had to wait for a connection"
        assert book.verify().ok


def test_forks_beside_waits_that_come_and_go(path: Path, waiters: ThreadPoolExecutor) -> None:
    over = threading.Event()
    with ledger.open(path) as book:
        book.advance(JOBS, to=1)

        def wait_again_and_again() -> int:
            n = 0
            while not over.is_set():
                assert book.wait(ORDERS, 10**6, 0.001) is None
                n += 1
            return n

        waiting = [waiters.submit(wait_again_and_again) for _ in range(2)]
        for n in range(2, 12):
            if (pid := os.fork()) == 0:
                code = 1
                try:
                    with ledger.open(path) as again:
                        again.advance(JOBS, to=n)
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        over.set()
        assert all(each.result(LONG_S) for each in waiting)
        assert book.get(JOBS).last_sequence == 11
        assert book.verify().ok


def test_ctrl_c_ends_a_wait(path: Path) -> None:
    script = (
        "import ledger, sys\n"
        "with ledger.open(sys.argv[1]) as book:\n"
        "    print('waiting', flush=True)\n"
        "    try:\n"
        "        book.wait(ledger.CursorKey('mailer', 'jobs'), 0)\n"
        "    except KeyboardInterrupt:\n"
        "        print(len(book._waker.waiters), flush=True)\n"
        "print('closed')\n"
    )
    waiting = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "waiting\n"
    time.sleep(0.3)
    began = time.monotonic()
    waiting.send_signal(signal.SIGINT)
    assert waiting.communicate(timeout=LONG_S)[0] == "0\nclosed\n"
    assert time.monotonic() - began < 5
    assert waiting.returncode == 0


def test_a_program_may_end_while_a_thread_waits(path: Path) -> None:
    script = """
        import threading, time
        book = ledger.open(sys.argv[1])
        threading.Thread(target=book.wait, args=(jobs, 0), daemon=True).start()
        time.sleep(0.1)
        print("over")
    """
    assert child(script, path) == ["over"]


def test_a_signal_handler_may_wait_and_close(path: Path) -> None:
    """The handler runs in the thread that waits."""
    book = ledger.open(path)
    said: list[object] = []

    def handler(*_: object) -> None:
        said.append(book.wait(JOBS, 0, 0.01))
        book.close()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(StorageError, match="was closed while this waited"):
            book.wait(ORDERS, 0, LONG_S)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert said == [None]


def test_a_file_that_is_gone_is_told_of(path: Path, waiters: ThreadPoolExecutor) -> None:
    with ledger.open(path) as book:
        book.advance(JOBS, to=1)
        waiting = waiters.submit(book.wait, ORDERS, 0, LONG_S)
        waits(book)
        path.rename(path.with_name("elsewhere.db"))
        with pytest.raises(StorageError, match="deleted, moved or replaced"):
            waiting.result(LONG_S)


def test_in_memory_a_wait_is_woken(waiters: ThreadPoolExecutor) -> None:
    with ledger.open(":memory:", actor="ines") as book:
        for version in range(5):
            waiting = waiters.submit(book.wait, JOBS, version, LONG_S)
            waits(book)
            cursor = book.advance(JOBS, to=version + 1)
            assert waiting.result(LONG_S) == cursor
        entries = waiters.submit(book.wait_for_entries, 5, LONG_S)
        waits(book)
        book.advance(ORDERS, to=1)
        assert entries.result(LONG_S) == 6


def test_a_file_that_may_only_be_read_is_waited_for(
    path: Path, waiters: ThreadPoolExecutor
) -> None:
    with ledger.open(path) as writing:
        writing.advance(JOBS, to=1)
        with ledger.open(path) as book:
            waiting = waiters.submit(book.wait, JOBS, 1, LONG_S)
            waits(book)
            writing.advance(JOBS, to=2)
            assert waiting.result(LONG_S) == book.get(JOBS)


def test_of_a_long_import_only_the_cursors_are_looked_at(
    path: Path, waiters: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is new in the log is not read if fewer cursors are waited for."""
    with ledger.open(path) as book, ledger.open(path) as other:
        waiting = waiters.submit(book.wait, ORDERS, 0, LONG_S)
        waits(book)
        many = [ledger.AdvanceCursor(CursorKey("mailer", str(n)), 1) for n in range(2_000)]
        until(lambda: book._waker is not None and not book._waker._fresh)
        monkeypatch.setattr(statements, "MOVED", "this is not run")
        other.append([*many, ledger.AdvanceCursor(ORDERS, 3)])
        cursor = waiting.result(LONG_S)
        assert cursor is not None
        assert cursor.last_sequence == 3


def test_a_store_that_cannot_be_listened_to_is_asked(
    path: Path, waiters: ThreadPoolExecutor
) -> None:
    class Bare:
        """A store of somebody else's, without a way to listen."""

        def __init__(self) -> None:
            self._store: Any = open_store(str(path))

        def __getattr__(self, name: str) -> object:
            if name == "listen":
                raise AttributeError(name)
            return getattr(self._store, name)

    store: Any = Bare()
    assert isinstance(listening_to(store), Polling)
    with Ledger(Committer(store, "x", utc_now)) as book, ledger.open(path) as other:
        waiting = waiters.submit(book.wait, JOBS, 0, LONG_S)
        entries = waiters.submit(book.wait_for_entries, 0, LONG_S)
        waits(book, 2)
        other.advance(JOBS, to=1)
        found = waiting.result(LONG_S)
        assert isinstance(found, Cursor)
        assert entries.result(LONG_S) == 1


def test_in_memory_that_is_shared_a_transaction_of_the_caller_wakes(
    waiters: ThreadPoolExecutor,
) -> None:
    with (
        closing(sqlite3.connect(":memory:", check_same_thread=False)) as db,
        in_memory(db, actor="ines") as book,
    ):
        waiting = waiters.submit(book.wait, JOBS, 0, LONG_S)
        entries = waiters.submit(book.wait_for_entries, 0, LONG_S)
        waits(book, 2)
        with db:
            book.using(db).advance(JOBS, to=1)
        assert waiting.result(LONG_S) == book.get(JOBS)
        assert entries.result(LONG_S) == 1
        again = waiters.submit(book.wait, JOBS, 1, LONG_S)
        waits(book)
        book.reset(JOBS, to=0, reason="again")
        assert again.result(LONG_S) == book.get(JOBS)


def test_a_connection_of_one_thread_says_why_it_cannot_wait() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as db,
        in_memory(db) as book,
        pytest.raises(StorageError, match="thread"),
    ):
        book.wait(JOBS, 0, LONG_S)
