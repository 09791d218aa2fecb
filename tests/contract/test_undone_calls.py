"""A call that only returns what would do its work is refused, and nothing is taken for done."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from ledger import Delivery, GiveUp, InvalidCursorError, Ledger, Retry
from ledger.aio import AsyncLedger
from ledger.testing import Event, Source
from support.cursors import ORDERS

CALLS: list[int] = []


async def awaited(event: Event, _: Delivery) -> None:
    CALLS.append(event.sequence)


async def streamed(event: Event, _: Delivery) -> AsyncIterator[int]:
    yield event.sequence


def yielded(event: Event, _: Delivery) -> Iterator[int]:
    CALLS.append(event.sequence)
    yield event.sequence


class Called:
    async def __call__(self, event: Event, _: Delivery) -> None:
        CALLS.append(event.sequence)

    async def method(self, event: Event, _: Delivery) -> None:
        CALLS.append(event.sequence)


class Awaited:
    def __await__(self) -> Iterator[None]:
        yield


UNDONE = [
    awaited,
    streamed,
    yielded,
    Called(),
    Called().method,
    partial(awaited),
    partial(Called()),
]


def plainly(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function that does not tell what it returns."""

    def called(*given: Any) -> Any:
        return call(*given)

    return called


def run(book: Ledger, deliver: Any, **options: Any) -> None:
    stop = threading.Event()
    timer = threading.Timer(10, stop.set)
    timer.start()
    try:
        with book.consumer(ORDERS) as consumer:
            consumer.run(Source.numbered(3).after, deliver, stop=stop, poll_s=0.01, **options)
    finally:
        timer.cancel()


@pytest.mark.parametrize("deliver", UNDONE)
def test_what_would_do_nothing_is_refused_before_it_is_called(book: Ledger, deliver: Any) -> None:
    with pytest.raises(InvalidCursorError, match=r"^deliver (is an `async def`|has a `yield`)"):
        run(book, deliver)
    with pytest.raises(InvalidCursorError, match=r"^deliver (is an `async def`|has a `yield`)"):
        Source.numbered(3).consume(book, ORDERS, deliver)
    assert book.find(ORDERS) is None


@pytest.mark.parametrize(
    "made", [awaited, streamed, yielded, plainly(lambda *_: Awaited()), lambda *_: Future[None]()]
)
def test_what_a_plain_function_has_only_begun_is_not_confirmed(book: Ledger, made: Any) -> None:
    begun = []

    def deliver(event: Event, delivery: Delivery) -> Any:
        begun.append(event.sequence)
        return made(event, delivery)

    # What is never awaited would be told of while it is dropped.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidCursorError, match=r"^deliver returned a "):
            run(book, deliver, retry=Retry(tries_max=3, wait_s=0, give_up=GiveUp.SKIP))
    assert begun == [1], "it is tried once"
    assert book.get(ORDERS).last_sequence == 0


def test_a_source_has_delivered_nothing_that_is_only_begun(book: Ledger) -> None:
    source = Source.numbered(3)
    with pytest.raises(InvalidCursorError, match="deliver returned a coroutine"):
        source.consume(book, ORDERS, plainly(awaited))
    assert source.delivered == []


def test_a_fetch_that_would_be_awaited_is_refused(book: Ledger) -> None:
    async def fetch(_: int) -> list[Event]:
        return []

    with pytest.raises(InvalidCursorError, match=r"^fetch is an `async def`"):
        book.consumer(ORDERS).run(fetch, lambda *_: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("result", [0, ["a"], iter("ab"), threading.Event()])
def test_a_result_that_is_no_promise_is_left_alone(book: Ledger, result: object) -> None:
    cursor = Source.numbered(1).consume(book, ORDERS, lambda *_: result)
    assert cursor is not None
    assert cursor.last_sequence == 1


def test_work_in_a_thread_is_not_a_coroutine(book: Ledger) -> None:
    async def work(book: Ledger) -> int:
        return book.get(ORDERS).version

    async def main() -> None:
        abook = AsyncLedger(book)
        try:
            for name, call in (
                ("work is", lambda: abook.run(work)),
                ("work returned", lambda: abook.run(plainly(work))),
                ("fold is", lambda: abook.entries().into(work)),  # type: ignore[arg-type]
                ("fold returned", lambda: abook.entries().into(plainly(work))),
            ):
                with pytest.raises(InvalidCursorError, match=f"^{name}"):
                    await call()
            with pytest.raises(InvalidCursorError, match=r"^work is an `async def`"):
                abook.stream(work)  # type: ignore[arg-type]
        finally:
            abook._readers.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())


# --- in coroutines ---


def arun(book: Ledger, deliver: Any, **options: Any) -> None:
    async def main() -> None:
        abook, stop = AsyncLedger(book), asyncio.Event()
        asyncio.get_running_loop().call_later(10, stop.set)
        try:
            async with abook.consumer(ORDERS) as consumer:
                source = Source.numbered(3)

                def fetch(position: int) -> list[Event]:
                    if position == 3 == consumer.position:
                        stop.set()
                    return source.after(position)

                await consumer.run(fetch, deliver, stop=stop, poll_s=0.01, **options)
        finally:
            abook._readers.close()

    asyncio.run(main())


def test_a_plain_function_has_delivered_when_it_returns(book: Ledger) -> None:
    sent = []

    def deliver(event: Event, delivery: Delivery) -> int:
        delivery.metadata["status"] = "202"
        sent.append(event.sequence)
        return 202

    arun(book, deliver)
    assert sent == [1, 2, 3]
    assert [(each.version, dict(each.metadata)) for each in book.history(ORDERS)] == [
        (version, {"status": "202"}) for version in (1, 2, 3)
    ]


def test_a_plain_function_that_returns_an_awaitable_is_awaited(book: Ledger) -> None:
    CALLS.clear()
    arun(book, plainly(awaited))
    assert CALLS == [1, 2, 3]
    assert book.get(ORDERS).last_sequence == 3


@pytest.mark.parametrize("deliver", [streamed, yielded, partial(yielded)])
def test_a_task_that_would_do_nothing_is_refused_before(book: Ledger, deliver: Any) -> None:
    with pytest.raises(InvalidCursorError, match=r"^deliver has a `yield`"):
        arun(book, deliver)
    assert book.find(ORDERS) is None


@pytest.mark.parametrize("made", [streamed, yielded, awaited, lambda *_: Future[None]()])
def test_what_a_coroutine_has_only_begun_is_not_confirmed(book: Ledger, made: Any) -> None:
    begun = []

    async def deliver(event: Event, delivery: Delivery) -> Any:
        begun.append(event.sequence)
        return made(event, delivery)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidCursorError, match=r"^deliver returned a "):
            arun(book, deliver, retry=Retry(tries_max=3, wait_s=0, give_up=GiveUp.SKIP))
    assert begun == [1], "it is tried once"
    assert book.get(ORDERS).last_sequence == 0


def test_a_source_takes_plain_functions_and_refuses_what_is_only_begun(book: Ledger) -> None:
    async def main() -> None:
        abook, source = AsyncLedger(book), Source.numbered(2)
        try:
            await source.aconsume(abook, ORDERS, lambda *_: None)
            assert source.delivered == [1, 2]
            source.events.append(Event(3))
            with pytest.raises(InvalidCursorError, match="deliver returned a generator"):
                await source.aconsume(abook, ORDERS, plainly(yielded))
            assert source.delivered == [1, 2]
        finally:
            abook._readers.close()

    asyncio.run(main())
