"""A delivery that awaits what somebody else has cancelled has failed; it was not cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from ledger import Delivery, ErrorRecorded, Ledger
from ledger.aio import AsyncConsumer, AsyncLedger
from support.cursors import ORDERS
from support.loops import PROMPT, Event, Source, advances


def asynchronously(book: Ledger, test: Callable[[AsyncLedger], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        abook = AsyncLedger(book)
        try:
            async with asyncio.timeout(20):
                await test(abook)
        finally:
            abook._readers.close()

    asyncio.run(main())


@asynccontextmanager
async def consuming(book: AsyncLedger) -> AsyncIterator[AsyncConsumer]:
    async with book.consumer(ORDERS, in_flight=2) as consumer:
        yield consumer


async def of_a_pool_that_closes() -> None:
    """Await what is cancelled by somebody else."""
    task = asyncio.create_task(asyncio.sleep(60))
    asyncio.get_running_loop().call_later(0.01, task.cancel)
    await task


def errors(book: Ledger) -> list[str]:
    return [
        entry.event.message
        for entry in book.history(ORDERS)
        if isinstance(entry.event, ErrorRecorded)
    ]


def test_it_is_recorded_and_delivered_again(book: Ledger) -> None:
    async def test(abook: AsyncLedger) -> None:
        stop, source = asyncio.Event(), Source([1, 2, 3])

        async def deliver(event: Event, delivery: Delivery) -> None:
            if event.sequence == 2 and delivery.tries < 3:
                await of_a_pool_that_closes()
            if event.sequence == 3:
                stop.set()

        async with consuming(abook) as consumer:
            await consumer.run(source.after, deliver, retry=PROMPT, stop=stop, poll_s=0.01)
            while consumer.failed:  # It may have been stopped first.
                async with consumer.delivering(2):
                    pass

    asynchronously(book, test)
    assert [event.sequence for event in advances(book)] == [1, 2, 3]
    assert set(errors(book)) == {"CancelledError"}


@pytest.mark.parametrize("grouped", [True, False])
def test_one_that_fails_for_good_ends_the_loop_with_an_error(book: Ledger, grouped: bool) -> None:
    async def test(abook: AsyncLedger) -> None:
        async def deliver(_event: Event, _delivery: Delivery) -> None:
            await of_a_pool_that_closes()

        async def run() -> None:
            async with consuming(abook) as consumer:
                await consumer.run(Source([1]).after, deliver, retry=PROMPT)

        async def run_in_a_group() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(run())

        with pytest.raises(ExceptionGroup if grouped else RuntimeError) as raised:
            await (run_in_a_group() if grouped else run())
        error = raised.value
        if isinstance(error, ExceptionGroup):
            [error] = error.exceptions
        assert isinstance(error, RuntimeError)
        assert isinstance(error.__cause__, asyncio.CancelledError)

    asynchronously(book, test)
    assert errors(book) == ["CancelledError"] * 3


def test_a_fetch_that_awaits_such_a_one_ends_the_loop_with_an_error(book: Ledger) -> None:
    sent = []

    async def test(abook: AsyncLedger) -> None:
        async def deliver(event: Event, _delivery: Delivery) -> None:
            await asyncio.sleep(0.05)
            sent.append(event.sequence)

        async def fetch(_position: int) -> AsyncIterator[Event]:
            yield Event(1)
            await of_a_pool_that_closes()

        async def fetched(position: int) -> Any:
            return fetch(position)

        async with consuming(abook) as consumer:
            with pytest.raises(RuntimeError, match="the loop was not cancelled"):
                await consumer.run(fetched, deliver)

    asynchronously(book, test)
    assert sent == [1], "what is in flight ends"
    assert book.get(ORDERS).last_sequence == 1


def test_a_task_that_delivers_and_is_cancelled_itself_ends_the_loop_with_an_error(
    book: Ledger,
) -> None:
    async def test(abook: AsyncLedger) -> None:
        async def deliver(_event: Event, _delivery: Delivery) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(60)

        async with consuming(abook) as consumer:
            with pytest.raises(RuntimeError, match="the loop was not cancelled"):
                await consumer.run(Source([1]).after, deliver, retry=PROMPT)

    asynchronously(book, test)
    assert book.find(ORDERS) is None, "a cancellation says nothing of the event"


@pytest.mark.parametrize("also_elsewhere", [True, False])
def test_the_cancellation_of_the_run_ends_it_and_records_nothing(
    book: Ledger, also_elsewhere: bool
) -> None:
    async def test(abook: AsyncLedger) -> None:
        begun = asyncio.Event()

        async def deliver(_event: Event, _delivery: Delivery) -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                if also_elsewhere:
                    await of_a_pool_that_closes()

        async with consuming(abook) as consumer:
            run = asyncio.create_task(consumer.run(Source([1]).after, deliver, retry=PROMPT))
            await begun.wait()
            run.cancel()
            await asyncio.wait([run])
            assert run.cancelled()
            assert consumer.failed == (1,)

    asynchronously(book, test)
    assert book.find(ORDERS) is None


@pytest.mark.parametrize("alone", [True, False])
def test_a_body_that_awaits_such_a_one_is_recorded(book: Ledger, alone: bool) -> None:
    async def test(abook: AsyncLedger) -> None:
        async with consuming(abook) as consumer:
            way: Any = abook.delivering(ORDERS, to=1) if alone else consumer.delivering(1)
            try:
                async with way:
                    await of_a_pool_that_closes()
            except asyncio.CancelledError:
                pass
            else:
                pytest.fail("what the body raises comes out")

    asynchronously(book, test)
    assert errors(book) == ["CancelledError"]


@pytest.mark.parametrize("alone", [True, False])
def test_a_body_that_runs_out_of_time_outside_is_not_recorded(book: Ledger, alone: bool) -> None:
    async def test(abook: AsyncLedger) -> None:
        async with consuming(abook) as consumer:
            way: Any = abook.delivering(ORDERS, to=1) if alone else consumer.delivering(1)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05), way:
                    await asyncio.sleep(60)
                pytest.fail("it has run out of time")

    asynchronously(book, test)
    assert book.find(ORDERS) is None
