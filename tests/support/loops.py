"""Loops of consumers, run in threads or in tasks, and the stream that they deliver."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs

import ledger
import ledger.aio
from ledger import CursorAdvanced, Delivery, Ledger, Retry
from ledger.aio import AsyncConsumer
from support.cursors import ORDERS

__all__ = ["PROMPT", "RUNS", "Event", "Runner", "Source", "advances"]

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


def advances(book: Ledger) -> list[CursorAdvanced]:
    return [
        entry.event for entry in book.history(ORDERS) if isinstance(entry.event, CursorAdvanced)
    ]
