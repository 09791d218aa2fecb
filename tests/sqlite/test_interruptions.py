"""Signals, callbacks and exits in the middle of a commit: nobody hangs, and nothing is lost."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, Cursor, Ledger, StorageError
from ledger.opening import utc_now
from ledger.writing import group_commit, serving
from support.cursors import JOBS, ORDERS
from support.gated import gated, held
from support.interrupted import InterruptError, steps_interrupted


class Slow:
    """A clock that takes its time, in the main thread or in others: so long a commit lasts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.in_main_thread = True
        self.reached = threading.Event()

    def __call__(self) -> datetime:
        main = threading.current_thread() is threading.main_thread()
        if self.seconds and main == self.in_main_thread:
            self.reached.set()
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:
                time.sleep(0.01)
        return utc_now()


@pytest.fixture(autouse=True)
def nothing_logged() -> Iterator[None]:
    """A handler of logging that is interrupted between its lock and its `try` keeps the lock."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slow_book(path: Path, slow: Slow) -> Iterator[Ledger]:
    with ledger.open(path, actor="tester", clock=slow, busy_timeout_s=5) as book:
        yield book


@contextmanager
def on_signal(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def soon(work: Callable[[], object], after_s: float = 0.1) -> threading.Timer:
    timer = threading.Timer(after_s, work)
    timer.start()
    return timer


def signal_soon(after_s: float = 0.1) -> threading.Timer:
    return soon(lambda: os.kill(os.getpid(), signal.SIGUSR1), after_s)


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Return the kinds of the errors that were reported like those that end a thread."""
    kinds: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: kinds.append(args.exc_type))
    return kinds


def leave(*_: object) -> None:
    raise SystemExit(0)


# --- callbacks ---


def test_a_callback_that_raises_anything_leaves_the_others_their_answers(
    path: Path, reported: list[type[BaseException]]
) -> None:
    with gated(path) as (book, store):
        # A callback that is added too late is called by who adds it.
        with held(book, store):
            asked = [book.submit(AdvanceCursor(ORDERS, to)) for to in range(1, 101)]
            asked[0].add_done_callback(leave)
        for to in range(101, 200):
            asked.append(book.submit(AdvanceCursor(ORDERS, to)))
            with suppress(SystemExit):
                asked[-1].add_done_callback(leave)
        assert [future.result(10).version for future in asked] == list(range(1, 200))
        assert book.advance(ORDERS, to=200).version == 200
    assert SystemExit in reported


def test_a_future_that_its_owner_answers_himself_is_not_in_the_way_of_others(
    book: Ledger, reported: list[type[BaseException]]
) -> None:
    cursor = book.advance(ORDERS, to=1)
    for _ in range(100):
        with suppress(InvalidStateError):
            book.submit(AdvanceCursor(ORDERS, 2)).set_result(cursor)
    assert book.submit(AdvanceCursor(ORDERS, 3)).result(10).last_sequence == 3
    assert book.verify().ok
    assert set(reported) <= {InvalidStateError}


def test_a_callback_is_appended_for_in_the_order_in_which_it_asks(book: Ledger) -> None:
    answers: list[Future[Cursor]] = []
    done = threading.Event()

    def go_on(_: Future[Cursor]) -> None:
        answers.append(book.submit(AdvanceCursor(ORDERS, 2)))
        assert book.advance(ORDERS, to=3).version == 3
        done.set()

    book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(go_on)
    assert done.wait(10)
    assert answers[0].result(10).version == 2


def test_closing_in_a_callback_commits_what_was_accepted(book: Ledger) -> None:
    waits, queued = threading.Event(), threading.Event()

    def close(_: Future[Cursor]) -> None:
        waits.set()
        queued.wait()
        book.close()

    book.submit(AdvanceCursor(ORDERS, 1)).add_done_callback(close)
    assert waits.wait(10)
    accepted = [book.submit(AdvanceCursor(ORDERS, to)) for to in range(2, 700)]
    queued.set()
    assert accepted[-1].result(10).version == 699
    with pytest.raises(StorageError, match="closed"):
        book.submit(AdvanceCursor(ORDERS, 700))


# --- closing ---


def test_closing_waits_for_one_who_commits_alone(slow_book: Ledger, slow: Slow) -> None:
    slow.seconds = 0.3
    closed: list[float] = []

    def close() -> None:
        slow.reached.wait()
        slow_book.close()
        closed.append(time.monotonic())

    closing = threading.Thread(target=close)
    closing.start()
    assert slow_book.advance(ORDERS, to=1).version == 1
    committed = time.monotonic()
    closing.join(10)
    assert closed
    assert closed[0] > committed - 0.05


def test_a_handler_of_signals_may_close_the_ledger_in_the_middle_of_a_commit(
    slow_book: Ledger, slow: Slow
) -> None:
    answers: list[object] = []

    def other() -> None:
        slow.reached.wait()
        try:
            answers.append(slow_book.advance(JOBS, to=1))
        except StorageError as error:
            answers.append(error)

    slow.seconds = 0.5
    waiting = threading.Thread(target=other)
    waiting.start()
    with on_signal(lambda *_: slow_book.close()):
        signal_soon(0.3)
        assert slow_book.advance(ORDERS, to=1).version == 1
    waiting.join(10)
    assert "closed" in str(answers[0])


def test_a_handler_that_would_append_in_the_middle_of_a_commit_is_refused_at_once(
    slow_book: Ledger, slow: Slow
) -> None:
    refused: list[str] = []

    def handle(*_: object) -> None:
        try:
            slow_book.advance(JOBS, to=1)
        except StorageError as error:
            refused.append(str(error))
        submitted.append(slow_book.submit(AdvanceCursor(JOBS, 2)))

    submitted: list[Future[Cursor]] = []
    slow.seconds = 0.3
    with on_signal(handle):
        signal_soon()
        assert slow_book.advance(ORDERS, to=1).version == 1
    assert "in the middle of a commit" in refused[0]
    assert submitted[0].result(10).version == 1


# --- interrupts ---


def test_a_call_that_is_interrupted_while_queued_is_withdrawn(
    slow_book: Ledger, slow: Slow
) -> None:
    slow.seconds, slow.in_main_thread = 0.5, False
    other = threading.Thread(target=lambda: slow_book.advance(JOBS, to=1))
    other.start()
    slow.reached.wait()
    with on_signal(leave):
        signal_soon()
        with pytest.raises(SystemExit) as caught:
            slow_book.advance(ORDERS, to=1)
    other.join()
    slow.seconds = 0
    assert not hasattr(caught.value, "__notes__")
    slow_book.submit(AdvanceCursor(JOBS, 2)).result(10)
    assert [entry.key for entry in slow_book.entries()] == [JOBS, JOBS]


@pytest.mark.parametrize("module", [group_commit, serving])
def test_a_submit_that_is_interrupted_is_withdrawn_or_says_that_it_may_be_committed(
    book: Ledger, module: ModuleType
) -> None:
    book.advance(JOBS, to=1)
    unheard: list[int] = []
    futures: list[Future[Cursor]] = []
    to = 0

    def submit() -> None:
        nonlocal to
        to += 1
        try:
            asked = AdvanceCursor(ORDERS, to, metadata={"to": str(to)})
            futures.append(book.submit(asked))
        except InterruptError as interrupt:
            if not hasattr(interrupt, "__notes__"):
                unheard.append(to)

    # No signal handler runs before a lock is released, nor where nothing was called.
    ends = ("with server.lock:", "return future")
    for _ in steps_interrupted(module, submit, never_at=ends):
        book.submit(AdvanceCursor(JOBS, 1)).result(10)
    appended = [int(entry.metadata["to"]) for entry in book.history(ORDERS)]
    assert unheard
    assert not set(unheard) & set(appended)
    assert futures[-1].result(10).last_sequence == to


# One that comes while the interpreter destroys something can only be reported.
# It has the one timer of the process for itself.
@pytest.mark.slow("it looks for a race, at random")
@pytest.mark.timeout(method="thread")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_storm_of_interrupts_leaves_a_ledger_that_works(path: Path) -> None:
    class InterruptError(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise InterruptError

    stop = threading.Event()

    def beside(book: Ledger) -> None:
        to = 0
        while not stop.is_set():
            to += 1
            book.advance(JOBS, to=to)
            if to % 5 == 0:
                book.submit(AdvanceCursor(JOBS, to))

    told: set[int] = set()
    noted: set[int] = set()
    interrupted: set[int] = set()
    with ledger.open(path, actor="tester", durability="normal", busy_timeout_s=5) as book:
        other = threading.Thread(target=beside, args=(book,))
        other.start()
        before = signal.signal(signal.SIGALRM, interrupt)
        until = time.monotonic() + 2
        to = 0
        try:
            while time.monotonic() < until:
                to += 1
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.0004 * (to % 11) / 11)
                    book.advance(ORDERS, to=to)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    told.add(to)
                except InterruptError as error:
                    if hasattr(error, "__notes__"):
                        noted.add(to)
                    elif passed_through_the_writer(error):
                        interrupted.add(to)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        stop.set()
        other.join()
        assert book.advance(ORDERS, to=10**6).last_sequence == 10**6
        assert book.submit(AdvanceCursor(JOBS, 10**6)).result(5).last_sequence == 10**6
        appended = {
            entry.event.sequence
            for entry in book.history(ORDERS)
            if isinstance(entry.event, ledger.CursorAdvanced)
        }
        assert book.verify().ok
    assert told <= appended
    assert interrupted
    assert noted
    # A caller that was interrupted and appended all the same was told so.
    assert not interrupted & appended


def passed_through_the_writer(error: BaseException) -> bool:
    """Return whether the interrupt came while the writer worked, and not after the end."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(Path(frame.filename).name == "group_commit.py" for frame in frames)


# --- threads that cannot be had ---

APPEND_AT_EXIT = """
import atexit, sys, ledger
key = ledger.CursorKey("a", "b")
book = ledger.open(sys.argv[1])
book.advance(key, to=1)
def last():
    asked = [book.submit(ledger.AdvanceCursor(key, n)) for n in range(2, 52)]
    print(asked[-1].result().version, book.advance(key, to=52).version)
atexit.register(last)
"""


def test_what_is_accepted_at_the_exit_of_the_interpreter_is_committed(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APPEND_AT_EXIT, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("51 52\n", "")


def test_where_no_thread_can_be_had_the_caller_serves(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    asked = [book.submit(AdvanceCursor(ORDERS, to)) for to in range(1, 10)]
    assert [future.result(0).version for future in asked] == list(range(1, 10))
    assert book.advance(ORDERS, to=10).version == 10


def test_an_interrupt_in_the_start_of_the_thread_makes_no_second_one_commit(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        monkeypatch.setattr(threading.Thread, "start", start)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        book.submit(AdvanceCursor(ORDERS, 1))
    asked = [book.submit(AdvanceCursor(ORDERS, to)) for to in range(1, 300)]
    book.close()
    assert [future.result(0).version for future in asked] == list(range(1, 300))
