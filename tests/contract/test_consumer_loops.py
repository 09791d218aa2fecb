"""The loops of a consumer, in threads and in tasks: retried, given up, stopped, woken, failed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

import ledger
import ledger.aio
from ledger import CursorAdvanced, Delivery, GiveUp, Ledger, Outcome, Retry, StorageError
from ledger.aio import AsyncConsumer
from ledger.consuming import running
from support.cursors import ORDERS

PROMPT = Retry(tries_max=3, wait_s=0.001, wait_max_s=0.002)
RUNS = ["threads", "tasks"]


@attrs.frozen
class Event:
    sequence: int
    delivery_id: str = ""


class Source:
    """A stream of events; its consumer stops once `stop_at` is confirmed."""

    def __init__(self, sequences: Sequence[int]) -> None:
        self.events = [Event(each, f"msg-{each}") for each in sequences]
        self.positions: list[int] = []
        self.sent: list[int] = []
        self.lock = threading.Lock()

    def after(self, position: int) -> list[Event]:
        self.positions.append(position)
        return [event for event in self.events if event.sequence > position]

    def send(self, event: Event, _: Delivery) -> None:
        with self.lock:
            self.sent.append(event.sequence)


class Runner:
    """Runs a loop in threads or in tasks, in a thread of its own, until it is told to stop."""

    def __init__(self, book: Ledger, how: str) -> None:
        self.book, self.how = book, how
        self.stop: Callable[[], object] = lambda: None
        self.raised: BaseException | None = None
        self.consumer: Any = None
        self._started = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, fetch: Any, deliver: Any, *, in_flight: int = 1, **options: Any) -> None:
        options = {"retry": PROMPT, "poll_s": 0.02} | options
        target = self._run if self.how == "threads" else self._run_tasks
        self._thread = threading.Thread(
            target=self._noting, args=(target, fetch, deliver, in_flight, options)
        )
        self._thread.start()
        assert self._started.wait(10)

    def end(self) -> None:
        assert self._thread is not None
        self.stop()
        self.wait()

    def wait(self) -> None:
        assert self._thread is not None
        self._thread.join(20)
        assert not self._thread.is_alive()

    def until(self, said: Callable[[], bool], within_s: float = 15) -> float:
        """Wait until `said`, and return how long that took."""
        began = time.monotonic()
        while not said():
            assert self._thread is not None
            assert self._thread.is_alive(), self.raised
            assert time.monotonic() - began < within_s
            time.sleep(0.002)
        return time.monotonic() - began

    def at(self, sequence: int) -> Callable[[], bool]:
        def is_there() -> bool:
            cursor = self.book.find(ORDERS)
            return cursor is not None and cursor.last_sequence == sequence

        return is_there

    def _noting(self, target: Callable[..., None], *arguments: Any) -> None:
        try:
            target(*arguments)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.raised = error
        finally:
            self._started.set()

    def _run(self, fetch: Any, deliver: Any, in_flight: int, options: dict[str, Any]) -> None:
        stop = threading.Event()
        self.stop = stop.set
        with self.book.consumer(ORDERS, in_flight=in_flight) as self.consumer:
            self._started.set()
            self.consumer.run(fetch, deliver, stop=stop, **options)

    def _run_tasks(self, fetch: Any, deliver: Any, in_flight: int, options: dict[str, Any]) -> None:
        async def main() -> None:
            stop, loop = asyncio.Event(), asyncio.get_running_loop()
            self.stop = lambda: loop.call_soon_threadsafe(stop.set)
            book = ledger.aio.AsyncLedger(self.book)

            async def delivering(event: Event, delivery: Delivery) -> None:
                answer = deliver(event, delivery)
                if asyncio.iscoroutine(answer):
                    await answer

            try:
                async with AsyncConsumer(book, ORDERS, in_flight=in_flight) as self.consumer:
                    self._started.set()
                    await self.consumer.run(fetch, delivering, stop=stop, **options)
            finally:
                book._readers.close()

        asyncio.run(main())


@pytest.fixture(params=RUNS)
def runner(request: pytest.FixtureRequest, book: Ledger) -> Runner:
    return Runner(book, request.param)


def advances(book: Ledger) -> list[CursorAdvanced]:
    return [
        entry.event for entry in book.history(ORDERS) if isinstance(entry.event, CursorAdvanced)
    ]


# --- delivered, retried, given up ---


@pytest.mark.parametrize("in_flight", [1, 8])
def test_everything_is_delivered_once_and_confirmed_in_order(
    runner: Runner, in_flight: int
) -> None:
    source = Source(range(2, 60, 3))
    runner.start(source.after, source.send, in_flight=in_flight)
    runner.until(runner.at(59))
    source.events += [Event(70, "late")]
    runner.until(runner.at(70))
    runner.end()
    assert runner.raised is None
    sequences = [*range(2, 60, 3), 70]
    assert [event.sequence for event in advances(runner.book)] == sequences
    assert [event.delivery_id for event in advances(runner.book)][-2:] == ["msg-59", "late"]
    assert sorted(source.sent) == sequences
    if in_flight == 1:
        assert source.sent == sequences


def test_an_event_that_fails_is_delivered_again(runner: Runner) -> None:
    source, tries = Source(range(1, 21)), Counter[int]()

    def send(event: Event, delivery: Delivery) -> None:
        tries[event.sequence] += 1
        assert delivery.tries == tries[event.sequence]
        if event.sequence % 5 == 0 and delivery.tries < 3:
            raise ConnectionError("503")

    runner.start(source.after, send, in_flight=4)
    runner.until(runner.at(20))
    runner.end()
    assert runner.raised is None
    assert {tries[each] for each in (5, 10, 15, 20)} == {3}
    assert [event.sequence for event in advances(runner.book)] == list(range(1, 21))


def test_giving_up_by_stopping_raises_the_error(runner: Runner) -> None:
    source, tries = Source([1, 2, 3]), Counter[int]()

    def send(event: Event, _: Delivery) -> None:
        tries[event.sequence] += 1
        if event.sequence == 2:
            raise ConnectionError("503")

    runner.start(source.after, send, in_flight=2)
    runner.wait()
    assert isinstance(runner.raised, ConnectionError)
    assert tries[2] == 3
    assert runner.book.get(ORDERS).last_sequence == 1, "2 holds the cursor"


def test_giving_up_by_skipping_says_why_without_its_secrets(runner: Runner) -> None:
    source = Source([1, 2, 3])

    def send(event: Event, _: Delivery) -> None:
        if event.sequence == 2:
            raise ConnectionError("password=hunter2 was refused\n\x00\ud800")

    runner.start(source.after, send, retry=attrs.evolve(PROMPT, give_up=GiveUp.SKIP))
    runner.until(runner.at(3))
    runner.end()
    [skipped] = [
        entry
        for entry in runner.book.history(ORDERS)
        if isinstance(entry.event, CursorAdvanced) and entry.event.outcome is Outcome.SKIPPED
    ]
    assert isinstance(skipped.event, CursorAdvanced)
    assert (skipped.event.sequence, skipped.event.delivery_id) == (2, "msg-2")
    said = skipped.metadata["given_up"]
    assert said.startswith("3 tries failed; the last: ConnectionError: password=*** was refused")
    assert skipped.metadata["tries"] == "3"


def test_events_may_have_no_delivery_id_and_other_names(runner: Runner) -> None:
    runner.start(
        lambda position: [each for each in (4, 5) if each > position],
        lambda _event, _delivery: None,
        sequence=lambda number: number,
    )
    runner.until(runner.at(5))
    runner.end()
    assert [event.delivery_id for event in advances(runner.book)] == ["", ""]


# --- stopped, woken ---


def test_it_stops_and_leaves_no_thread_behind(runner: Runner) -> None:
    before = threading.active_count()
    runner.start(lambda _position: [], lambda _event, _delivery: None, poll_s=3_600)
    began = time.monotonic()
    runner.end()
    assert time.monotonic() - began < 5
    assert threading.active_count() <= before + 1


def test_it_stops_while_it_waits_for_room(runner: Runner) -> None:
    held = threading.Event()
    source = Source([1, 2, 3])

    def send(_event: Event, _: Delivery) -> Any:
        if runner.how == "threads":
            held.wait(10)
            return None
        return asyncio.get_running_loop().run_in_executor(None, held.wait, 10)

    async def sending(event: Event, delivery: Delivery) -> None:
        await send(event, delivery)

    runner.start(source.after, send if runner.how == "threads" else sending, poll_s=3_600)
    runner.until(lambda: runner.consumer.has_begun)
    runner.stop()
    time.sleep(0.1)
    held.set()
    runner.wait()
    assert runner.book.get(ORDERS).last_sequence == 1, "what was in flight is confirmed"


def test_a_reset_wakes_an_idle_loop(runner: Runner) -> None:
    source = Source([1, 2, 3])
    runner.start(source.after, source.send, in_flight=2, poll_s=3_600)
    runner.until(runner.at(3))
    runner.until(lambda: source.positions[-1] == 3)
    runner.book.reset(ORDERS, to=1, reason="again", actor="ines")
    assert runner.until(runner.at(3)) < 1
    runner.end()
    assert runner.raised is None
    assert sorted(source.sent) == [1, 2, 2, 3, 3]


def test_a_reset_while_events_are_delivered_starts_over(runner: Runner) -> None:
    source = Source(range(1, 31))

    def send(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        if event.sequence == 20 and source.sent.count(20) == 1:
            runner.book.reset(ORDERS, to=3, reason="again", actor="ines")

    runner.start(source.after, send, in_flight=4)
    runner.until(lambda: source.sent.count(20) == 2)
    runner.until(runner.at(30))
    runner.end()
    assert runner.raised is None
    landed = [event.sequence for event in advances(runner.book)]
    assert landed[-27:] == list(range(4, 31)), "after the reset, everything behind 3 again"
    assert runner.book.verify().ok


def test_a_second_run_begins_with_what_the_first_has_left(book: Ledger) -> None:
    source, broken = Source([1, 2]), [True]
    consumer, stop = book.consumer(ORDERS), threading.Event()

    def send(event: Event, _delivery: Delivery) -> None:
        if broken:
            raise ConnectionError("503")
        if event.sequence == 2:
            stop.set()

    with pytest.raises(ConnectionError):
        consumer.run(source.after, send, retry=PROMPT, stop=stop, poll_s=0.01)
    broken.clear()
    consumer.run(source.after, send, retry=PROMPT, stop=stop, poll_s=0.01)
    assert book.get(ORDERS).last_sequence == 2


# --- what fails ---


class Failing:
    """Has the reads and appends of all ledgers fail for a while, once it is installed."""

    def __init__(self, for_s: float) -> None:
        self.for_s = for_s
        self.failures = 0
        self.until = 0.0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        self.until = time.monotonic() + self.for_s
        patch.setattr(Ledger, "append", self.failing(Ledger.append))
        patch.setattr(Ledger, "find", self.failing(Ledger.find))

    def failing(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def fail(*arguments: Any) -> Any:
            if time.monotonic() < self.until:
                self.failures += 1
                raise StorageError("the disk is full")
            return work(*arguments)

        return fail


def test_a_database_that_fails_for_a_while_is_waited_for(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, failing = Source(range(1, 30)), Failing(0.3)
    runner = Runner(book, "threads")

    def send(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        if event.sequence == 8:
            failing.install(monkeypatch)

    runner.start(source.after, send, in_flight=8, retry=Retry(tries_max=4, wait_s=0.2, jitter=0))
    runner.until(lambda: runner.consumer.position == 29)
    runner.end()
    assert runner.raised is None
    assert failing.failures > 0
    assert [event.sequence for event in advances(book)] == list(range(1, 30))
    assert sorted(source.sent) == list(range(1, 30))


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

        with pytest.raises(asyncio.CancelledError):
            await consumer.run(Source([1]).after, send)

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
