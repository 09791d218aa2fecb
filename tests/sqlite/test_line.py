"""Processes wait in line for one file: each has its share, and nobody is locked out."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey, LedgerBusyError
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import line
from ledger.stores.sqlite.line import Line
from support.interrupted import steps_interrupted
from support.records import recorded
from support.spawned import processes_of_their_own

KEY = CursorKey("webhooks", "orders")


def queue_of(path: Path) -> Path:
    return path.with_name(path.name + line.SUFFIX)


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], None]]:
    """Have a program that knows nothing of the line write, until the end or until it is told."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")

        def end() -> None:
            if other.in_transaction:
                other.execute("ROLLBACK")

        yield end
        end()


def begin_after(tries: int) -> Callable[[], None]:
    """Return an attempt that finds the file locked so many times."""
    left = [tries]

    def attempt() -> None:
        left[0] -= 1
        if left[0] >= 0:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error

    return attempt


# --- places ---


def test_places_are_in_the_order_of_coming_and_go_with_their_handle(path: Path) -> None:
    path.touch()
    lines = [Line(str(path)) for _ in range(3)]
    places = [each._join() for each in lines]
    assert places == [1, 2, 3]
    ahead = [each._ahead(place) for each, place in zip(lines, places, strict=True)]
    assert (ahead[0], ahead[1] > 0, ahead[2] > 0) == (0, True, True)
    lines[0].abandon()
    assert lines[1]._ahead(2) == 0
    assert lines[2]._ahead(3) == 1
    # It comes back, behind all others.
    assert lines[0]._join() == 4
    for each in lines:
        each.abandon()


def hold_first_place(path: str, told: Any) -> None:
    Line(path)._join()
    told.put("first")
    time.sleep(60)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_nobody_waits_for_ever_behind_a_process_that_is_killed_or_stopped(
    path: Path, sign: signal.Signals
) -> None:
    with ledger.open(path, busy_timeout_s=30) as book:
        context = processes_of_their_own()
        told = context.Queue()
        first = context.Process(target=hold_first_place, args=(str(path), told))
        first.start()
        assert told.get(timeout=60) == "first"
        assert first.pid
        os.kill(first.pid, sign)
        if sign == signal.SIGKILL:
            first.join()
        began = time.monotonic()
        assert book.advance(KEY, to=1).version == 1
        took = time.monotonic() - began
        assert took < (line.PATIENCE_S if sign == signal.SIGKILL else 5)
        first.kill()
        first.join()


def test_a_child_keeps_no_place_of_its_parent(path: Path) -> None:
    path.touch()
    mine, other = Line(str(path)), Line(str(path))
    mine._join()
    (heard, said), (end_heard, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(said, b"x")
        os.close(end)
        os.read(end_heard, 1)
        os._exit(0)
    os.read(heard, 1)
    mine.abandon()
    assert other._join() == 1
    os.close(end)
    os.waitpid(child, 0)
    for handle in (heard, said, end_heard):
        os.close(handle)
    other.abandon()


def test_an_interrupt_leaves_no_place_behind(path: Path) -> None:
    path.touch()
    mine, other = Line(str(path)), Line(str(path))

    def interrupted() -> None:
        raise KeyboardInterrupt

    other._join()
    other.abandon()
    with pytest.raises(KeyboardInterrupt):
        mine._begin_in_line(interrupted, Deadline.after(1))
    assert not other._others_wait()


# --- time-outs ---


def test_the_busy_time_out_holds_for_each_in_line(path: Path) -> None:
    books = [ledger.open(path, busy_timeout_s=0.5) for _ in range(4)]
    books[0].advance(KEY, to=1)
    took: list[float] = []

    def wait(book: ledger.Ledger) -> None:
        began = time.monotonic()
        with pytest.raises(LedgerBusyError, match="another connection of this process"):
            book.advance(KEY, to=2)
        took.append(time.monotonic() - began)

    with locked(path):
        threads = [threading.Thread(target=wait, args=(book,)) for book in books]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(took) == 4
    assert min(took) >= 0.5
    assert max(took) < 2
    for book in books:
        assert book.advance(KEY, to=2).last_sequence == 2
        book.close()
    assert not queue_of(path).exists()


def test_a_call_goes_on_as_soon_as_the_file_is_free(path: Path) -> None:
    with ledger.open(path) as book:
        book.advance(KEY, to=1)
        with locked(path) as end:
            free_at: list[float] = []

            def let_go() -> None:
                time.sleep(0.3)
                free_at.append(time.monotonic())
                end()

            letting = threading.Thread(target=let_go)
            letting.start()
            assert book.advance(KEY, to=2).version == 2
            assert time.monotonic() - free_at[0] < 0.1
            letting.join()


# --- the file ---


def test_a_process_that_is_alone_makes_no_file(path: Path) -> None:
    with ledger.open(path) as book:
        until = time.monotonic() + 5 * line.BATCH_S
        to = 0
        while time.monotonic() < until:
            to += 1
            book.advance(KEY, to=to)
        assert not queue_of(path).exists()


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_the_file_is_for_those_who_may_use_the_database_and_goes_at_the_end(
    path: Path, mode: int
) -> None:
    path.touch()
    path.chmod(mode)
    with ledger.open(path, busy_timeout_s=0.05) as book:
        book.advance(KEY, to=1)
        with locked(path), pytest.raises(LedgerBusyError):
            book.advance(KEY, to=2)
        assert stat.S_IMODE(queue_of(path).stat().st_mode) == mode
        assert queue_of(path).stat().st_size == 0
    assert not queue_of(path).exists()


def test_a_file_that_a_crash_has_left_goes_with_the_next_ledger(path: Path) -> None:
    with ledger.open(path) as book:
        queue_of(path).touch()
        book.advance(KEY, to=1)
    assert not queue_of(path).exists()


def test_a_file_that_was_replaced_is_not_waited_in(path: Path) -> None:
    path.touch()
    mine, other = Line(str(path)), Line(str(path))
    assert mine._join() == 1
    queue_of(path).unlink()
    assert other._join() == 1
    assert other._ahead(1) == 0
    assert mine._join() == 2
    mine.abandon()
    other.abandon()


@pytest.mark.parametrize("what", ["folder", "link", "pipe", "a ledger", "no locks"])
def test_where_there_can_be_no_line_the_file_is_waited_for_all_the_same(
    path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = path.with_name("elsewhere")
    if what == "folder":
        queue_of(path).mkdir()
    elif what == "link":
        queue_of(path).symlink_to(elsewhere)
    elif what == "pipe":
        os.mkfifo(queue_of(path))
    elif what == "a ledger":
        with ledger.open(elsewhere) as other:
            other.advance(KEY, to=7)
        # None is made there, but it may be put there.
        elsewhere.rename(queue_of(path))
    else:
        monkeypatch.setattr(fcntl, "F_OFD_SETLK", 9_999)
    with ledger.open(path, busy_timeout_s=10) as book, recorded() as records:
        book.advance(KEY, to=1)
        with locked(path) as end:
            letting = threading.Timer(0.2, end)
            letting.start()
            assert book.advance(KEY, to=2).version == 2
            letting.join()
    assert [vars(record)["event"] for record in records] == ["line_abandoned", "waited_in_line"]
    assert vars(records[1])["wait_ms"] >= 100
    assert not elsewhere.exists()
    if what == "a ledger":
        with ledger.open(queue_of(path)) as other:
            assert other.get(KEY).last_sequence == 7


def test_without_a_line_it_is_tried_again_less_and_less_often(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(line, "sleep", slept.append)
    monkeypatch.setattr(line, "_AVAILABLE", False)
    path.touch()
    Line(str(path)).begin(begin_after(6), Deadline.after(10))
    assert slept == [0.002, 0.004, 0.008, 0.016, 0.032]


def test_an_interrupt_of_the_end_never_closes_the_file_of_somebody_else(path: Path) -> None:
    path.touch()
    waiting = Line(str(path))

    def end() -> None:
        assert waiting._opened(make=True)
        waiting.close()

    steps = 0
    # No signal handler runs between the store and the call.
    ends = ("if fd >= 0:", "try:  # noqa: SIM105 - a context manager would be a call")
    for _ in steps_interrupted(line, end, never_at=ends):
        steps += 1
        with path.open("rb") as theirs:
            waiting.close()
            assert os.fstat(theirs.fileno()).st_ino == path.stat().st_ino, steps
    assert steps >= 4
