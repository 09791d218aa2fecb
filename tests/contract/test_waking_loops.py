"""An idle loop of a consumer is told of a reset, and need not look at the cursor for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import Cursor, CursorKey, Entry, EntryQuery, Ledger
from ledger.consuming import running, running_coroutines
from support.cursors import ORDERS
from support.loops import RUNS, Runner, Source

NEVER_S = 3_600.0


@pytest.fixture(params=RUNS)
def runner(request: pytest.FixtureRequest, book: Ledger) -> Runner:
    return Runner(book, request.param)


@pytest.fixture
def told_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have loops look at the cursor only because they were told."""
    for module in (running, running_coroutines):
        monkeypatch.setattr(module, "LOOK_ALSO_S", NEVER_S)


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> list[CursorKey]:
    """Return the keys of the cursors that are read by a ledger."""
    found: list[CursorKey] = []

    def wrapped(find: Callable[..., Any]) -> Callable[..., Any]:
        def noting(self: object, key: CursorKey) -> Any:
            found.append(key)
            return find(self, key)

        return noting

    for kind in (Ledger, ledger.aio.AsyncLedger):
        monkeypatch.setattr(kind, "find", wrapped(kind.find))
    return found


def idle(runner: Runner, source: Source, sequence: int) -> None:
    runner.until(runner.at(sequence))
    runner.until(lambda: source.positions[-1] == sequence)
    waker = runner.book._waker
    assert waker is not None
    runner.until(lambda: len(waker.waiters) == 1 and not waker._fresh)


@pytest.mark.usefixtures("told_only")
@pytest.mark.parametrize("by", ["itself", "another"])
def test_a_reset_is_told_of(runner: Runner, target: str, by: str) -> None:
    source = Source([1, 2, 3])
    with ledger.open(target, actor="another") as other:
        resetting = other if by == "another" else runner.book
        runner.start(source.after, source.send, in_flight=2, poll_s=NEVER_S)
        for n in range(1, 4):
            idle(runner, source, 3)
            resetting.reset(ORDERS, to=1, reason="again")
            runner.until(lambda n=n: len(source.sent) == 3 + 2 * n)  # type: ignore[misc]
            runner.until(runner.at(3))
        runner.end()
    assert runner.raised is None
    waker = runner.book._waker
    assert waker is not None
    assert not waker.waiters, "a loop that has ended does not wait"


def test_an_idle_loop_does_not_look_twenty_times_a_second(
    runner: Runner, finds: list[CursorKey]
) -> None:
    source = Source([1])
    runner.start(source.after, source.send, poll_s=NEVER_S)
    idle(runner, source, 1)
    finds.clear()
    time.sleep(0.6)
    assert len(finds) <= 2
    runner.end()


def test_a_loop_that_is_not_told_looks(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that wakes may be gone, or deaf: then a reset is seen a second later."""
    for module in (running, running_coroutines):
        monkeypatch.setattr(module, "LOOK_ALSO_S", 0.2)
    monkeypatch.setattr("ledger.waking.waiters.Waiters.moved", lambda *_: None)
    source = Source([1, 2, 3])
    runner.start(source.after, source.send, poll_s=NEVER_S)
    idle(runner, source, 3)
    runner.book.reset(ORDERS, to=1, reason="again")
    runner.until(lambda: len(source.sent) == 5)
    runner.end()
    assert runner.raised is None


def test_a_book_that_cannot_tell_is_looked_at(book: Ledger) -> None:
    class Wrapped:
        """A ledger behind something of the program's own."""

        def find(self, key: CursorKey) -> Cursor | None:
            return book.find(key)

        def append(self, requests: Any) -> list[Cursor]:
            return book.append(requests)

        def entries(self, query: EntryQuery | None = None) -> Iterator[Entry]:
            return book.entries(query)

    consumer, source, stop = ledger.Consumer(Wrapped(), ORDERS), Source([1]), threading.Event()
    running = threading.Thread(
        target=consumer.run, args=(source.after, source.send), kwargs={"stop": stop, "poll_s": 60}
    )
    running.start()
    try:
        for n in range(1, 3):
            end = time.monotonic() + 15
            while len(source.sent) < n or not source.positions or source.positions[-1] != 1:
                assert time.monotonic() < end
                time.sleep(0.002)
            source.positions.clear()
            book.reset(ORDERS, to=0, reason="again")
    finally:
        stop.set()
        running.join()
