"""The loops of a consumer when what is around them fails, or cancels them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import Delivery, Ledger, Retry, StorageError
from ledger.aio import AsyncConsumer, AsyncLedger
from ledger.consuming import running, running_coroutines
from support.cursors import ORDERS
from support.loops import PROMPT, RUNS, Event, Runner, Source, advances


@pytest.fixture(params=RUNS)
def runner(request: pytest.FixtureRequest, book: Ledger) -> Runner:
    return Runner(book, request.param)


# --- what fails ---


class Failing:
    """Has the reads of all ledgers fail for a while, and their appends, once it is installed."""

    def __init__(self, for_s: float, *names: str) -> None:
        self.for_s = for_s
        self.names = names or ("append", "find")
        self.failures = 0
        self.until = 0.0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        self.until = time.monotonic() + self.for_s
        for name in self.names:
            patch.setattr(Ledger, name, self.failing(getattr(Ledger, name)))
            patch.setattr(AsyncLedger, name, self.failing_async(getattr(AsyncLedger, name)))

    def fail(self) -> None:
        if time.monotonic() < self.until:
            self.failures += 1
            raise StorageError("the disk is full")

    def failing(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            self.fail()
            return work(*arguments)

        return run

    def failing_async(self, work: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*arguments: Any) -> Any:
            self.fail()
            return await work(*arguments)

        return run


PATIENT = Retry(tries_max=4, wait_s=0.2, jitter=0)


def test_a_database_that_fails_for_a_while_is_waited_for(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, failing = Source(range(1, 30)), Failing(0.3)

    def send(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        if event.sequence == 8:
            failing.install(monkeypatch)

    runner.start(source.after, send, in_flight=8, retry=PATIENT)
    runner.until(lambda: runner.consumer.position == 29)
    runner.end()
    assert runner.raised is None
    assert failing.failures > 0
    assert [event.sequence for event in advances(runner.book)] == list(range(1, 30))
    assert sorted(source.sent) == list(range(1, 30))


def test_a_reset_is_followed_once_the_cursor_can_be_read_again(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, failing = Source(range(1, 9)), Failing(0.3, "find")

    def send(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        if event.sequence == 8 and not failing.failures:
            runner.book.reset(ORDERS, to=5, reason="lost 6, 7 and 8", actor="ines")
            failing.install(monkeypatch)

    runner.start(source.after, send, retry=PATIENT)
    runner.until(lambda: failing.failures > 0 and runner.consumer.position == 8)
    runner.end()
    assert runner.raised is None
    assert source.sent == [1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8]


def test_an_idle_loop_waits_until_the_cursor_can_be_read_again(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is told of resets, and looks once a second besides.
    for module in (running, running_coroutines):
        monkeypatch.setattr(module, "LOOK_ALSO_S", 0.02)
    source, failing = Source(range(1, 4)), Failing(0.3, "find")
    runner.start(source.after, source.send, retry=PATIENT)
    runner.until(runner.at(3))
    failing.install(monkeypatch)
    runner.until(lambda: failing.failures > 0)
    runner.book.reset(ORDERS, to=1, reason="lost 2 and 3", actor="ines")
    runner.until(lambda: source.sent == [1, 2, 3, 2, 3])
    runner.end()
    assert runner.raised is None


def test_a_database_that_fails_for_good_ends_the_loop(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = book.consumer(ORDERS)
    with monkeypatch.context() as broken:
        Failing(3_600).install(broken)
        with pytest.raises(StorageError, match="the disk is full"):
            consumer.run(
                Source([1]).after, lambda _event, _delivery: None, retry=PROMPT, poll_s=0.01
            )


def test_what_fetching_raises_comes_out_and_what_is_in_flight_ends(runner: Runner) -> None:
    source = Source([])

    def fetch(_position: int) -> Iterator[Event]:
        yield Event(1)
        yield Event(2)
        raise ZeroDivisionError

    runner.start(fetch, source.send, in_flight=4)
    runner.wait()
    assert isinstance(runner.raised, ZeroDivisionError)
    assert runner.book.get(ORDERS).last_sequence == 2


def test_a_generator_is_closed_when_the_loop_leaves_it(runner: Runner) -> None:
    closed = []

    def fetch(position: int) -> Iterator[Event]:
        try:
            for sequence in range(position + 1, 1_000_000):
                yield Event(sequence)
        finally:
            closed.append(position)

    runner.start(fetch, lambda _event, _delivery: None)
    runner.until(lambda: runner.consumer.position > 3)
    runner.end()
    assert closed == [0]


@pytest.mark.parametrize("how", RUNS)
def test_an_interrupt_in_a_delivery_ends_the_loop(book: Ledger, how: str) -> None:
    runner = Runner(book, how)

    def send(_event: Event, _delivery: Delivery) -> None:
        raise KeyboardInterrupt

    runner.start(Source([1]).after, send)
    runner.wait()
    assert isinstance(runner.raised, KeyboardInterrupt)
    assert book.find(ORDERS) is None


def test_a_thread_that_cannot_be_started_does_not_hang_the_loop(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        book.consumer(ORDERS).run(Source([1]).after, lambda _event, _delivery: None)


# --- tasks ---


def asynchronously(book: Ledger, test: Callable[[AsyncConsumer], Any], in_flight: int = 2) -> None:
    async def main() -> None:
        consumer = AsyncConsumer(ledger.aio.AsyncLedger(book), ORDERS, in_flight=in_flight)
        async with asyncio.timeout(20), consumer:
            await test(consumer)

    asyncio.run(main())


@pytest.mark.parametrize("shape", ["coroutine", "async generator", "coroutine of one"])
def test_events_are_fetched_in_any_shape(book: Ledger, shape: str) -> None:
    source = Source([1, 2, 3])

    async def coroutine(position: int) -> list[Event]:
        return source.after(position)

    async def generator(position: int) -> AsyncIterator[Event]:
        for event in source.after(position):
            yield event

    async def coroutine_of_one(position: int) -> AsyncIterator[Event]:
        return generator(position)

    fetch: Any = {
        "coroutine": coroutine,
        "async generator": generator,
        "coroutine of one": coroutine_of_one,
    }[shape]

    async def test(consumer: AsyncConsumer) -> None:
        stop = asyncio.Event()

        async def send(event: Event, _delivery: Delivery) -> None:
            if event.sequence == 3:
                stop.set()

        await consumer.run(fetch, send, stop=stop, poll_s=0.01)

    asynchronously(book, test)
    assert book.get(ORDERS).last_sequence == 3


def test_cancelling_the_run_cancels_what_is_delivered(book: Ledger) -> None:
    ended: list[int] = []

    async def test(consumer: AsyncConsumer) -> None:
        begun = asyncio.Event()

        async def send(event: Event, _delivery: Delivery) -> None:
            if event.sequence == 2:
                begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.02)
                ended.append(event.sequence)

        run = asyncio.create_task(consumer.run(Source([1, 2, 3]).after, send))
        await begun.wait()
        run.cancel()
        await asyncio.sleep(0.005)
        run.cancel()  # Some frameworks do so again and again.
        with pytest.raises(asyncio.CancelledError):
            await run
        assert sorted(ended) == [1, 2], "nothing is left behind"
        assert consumer.failed == (1, 2)

    asynchronously(book, test)
    assert book.find(ORDERS) is None


def test_a_delivery_that_is_cancelled_by_itself_does_not_hang_the_loop(book: Ledger) -> None:
    async def test(consumer: AsyncConsumer) -> None:
        async def send(_event: Event, _delivery: Delivery) -> None:
            raise asyncio.CancelledError

        with pytest.raises(RuntimeError, match="the loop was not cancelled"):
            await consumer.run(Source([1]).after, send, retry=PROMPT)

    asynchronously(book, test)


def test_a_slow_database_does_not_keep_the_loop_from_beginning(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Ledger.find

    def slow(*arguments: Any) -> Any:
        time.sleep(3 * running.LOOK_S)
        return find(*arguments)

    runner = Runner(book, "tasks")
    monkeypatch.setattr(Ledger, "find", slow)
    monkeypatch.setattr(ledger.aio.AsyncLedger, "find", in_thread(slow, book))
    source = Source([1, 2])
    runner.start(source.after, source.send)
    runner.until(lambda: source.sent == [1, 2])
    runner.end()


def in_thread(work: Callable[..., Any], book: Ledger) -> Callable[..., Any]:
    async def run(_: object, key: ledger.CursorKey) -> Any:
        return await asyncio.to_thread(work, book, key)

    return run
