"""An asynchronous consumer keeps the promises of one for threads, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    CursorAdvanced,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Outcome,
    StaleEpochError,
    StorageError,
    UnknownOutcomeError,
    WindowFullError,
)
from ledger.aio import AsyncConsumer, AsyncLedger
from support.cursors import ORDERS


def within_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await test(**fixtures)

        asyncio.run(bounded())

    return run


@asynccontextmanager
async def consuming(book: Ledger, in_flight: int = 1) -> AsyncIterator[AsyncConsumer]:
    abook = AsyncLedger(book)
    try:
        async with abook.consumer(ORDERS, in_flight=in_flight) as consumer:
            yield consumer
    finally:
        abook._readers.close()


async def fail(consumer: AsyncConsumer, sequence: int, **given: Any) -> None:
    with pytest.raises(ConnectionError):
        async with consumer.delivering(sequence, **given):
            raise ConnectionError("503, password=hunter2")


async def deliver(consumer: AsyncConsumer, sequence: int) -> None:
    async with consumer.delivering(sequence):
        pass


# --- the promise ---


@within_a_loop
async def test_the_loop_of_a_new_user_does_not_undo_a_reset(book: Ledger) -> None:
    async with consuming(book) as consumer:
        await deliver(consumer, 5)
        book.reset(ORDERS, to=0, reason="the mails bounced", actor="ines")
        with pytest.raises(StaleEpochError, match="in epoch 1, because it was reset"):
            async with consumer.delivering(6):
                pytest.fail("it was delivered")
        assert book.get(ORDERS).last_sequence == 0
        await consumer.refresh()
        assert (consumer.position, consumer.epoch) == (0, 1)
        await deliver(consumer, 1)
        assert book.get(ORDERS).last_sequence == 1


@within_a_loop
async def test_a_reset_while_the_body_runs_is_noticed_behind_it(book: Ledger) -> None:
    async with consuming(book) as consumer:
        with pytest.raises(StaleEpochError):
            async with consumer.delivering(5):
                book.reset(ORDERS, to=2, reason="again", actor="ines")
        with pytest.raises(StaleEpochError):
            await consumer.delivering(6)
        await consumer.refresh()
    assert book.get(ORDERS).last_sequence == 2


@within_a_loop
async def test_a_failed_event_is_not_passed_by_those_behind_it(book: Ledger) -> None:
    async with consuming(book, 3) as consumer:
        first, failing, last = [await consumer.delivering(sequence) for sequence in (1, 2, 3)]
        async with last:
            pass
        assert book.find(ORDERS) is None
        with pytest.raises(ConnectionError):
            async with failing:
                raise ConnectionError("503")
        async with first:
            pass
        assert book.get(ORDERS).last_sequence == 1
        assert consumer.failed == (2,)
        async with consumer.delivering(2) as again:
            assert again.tries == 2
        assert book.get(ORDERS).last_sequence == 3


@within_a_loop
async def test_each_delivery_has_its_own_entry_with_its_outcome(book: Ledger) -> None:
    async with consuming(book, 2) as consumer:
        first = await consumer.delivering(7, delivery_id="msg-7", metadata={"attempt": "1"})
        async with consumer.delivering(9, delivery_id="msg-9") as second:
            second.outcome = Outcome.SUPPRESSED
            second.metadata["status"] = "410"
        async with first:
            assert first.delivery.sequence == 7
    said = [
        (entry.event.sequence, entry.event.delivery_id, entry.event.outcome, dict(entry.metadata))
        for entry in book.history(ORDERS)
        if isinstance(entry.event, CursorAdvanced)
    ]
    assert said == [
        (7, "msg-7", Outcome.DELIVERED, {"attempt": "1"}),
        (9, "msg-9", Outcome.SUPPRESSED, {"status": "410"}),
    ]


@within_a_loop
async def test_an_error_is_recorded_and_giving_up_goes_on(book: Ledger) -> None:
    async with consuming(book) as consumer:
        await fail(consumer, 1, delivery_id="msg-1")
        with pytest.raises(WindowFullError, match=r"1 failed") as full:
            await consumer.delivering(2)
        assert full.value.failed == (1,)
        await consumer.give_up(1, reason="the receiver is gone")
        await deliver(consumer, 2)
    error, skipped, _ = book.history(ORDERS)
    assert isinstance(error.event, ErrorRecorded)
    assert error.event.message == "ConnectionError: 503, password=***"
    assert dict(error.metadata) == {"sequence": "1"}
    assert isinstance(skipped.event, CursorAdvanced)
    assert (skipped.event.outcome, skipped.event.delivery_id) == (Outcome.SKIPPED, "msg-1")


# --- what is refused ---


@within_a_loop
async def test_what_could_not_be_confirmed_does_not_begin(book: Ledger) -> None:
    book.advance(ORDERS, to=7, delivery_id="msg-7")
    async with consuming(book, 2) as consumer:
        for wrong in (0, "5", 2**63):
            with pytest.raises(InvalidCursorError, match="last_sequence"):
                await consumer.delivering(wrong)  # type: ignore[arg-type]
        with pytest.raises(NonMonotonicCursorError):
            await consumer.delivering(3)
        with pytest.raises(InvalidCursorError, match="confirmed already"):
            await consumer.delivering(7, delivery_id="msg-7")
        running = await consumer.delivering(9)
        with pytest.raises(InvalidCursorError, match="9 was begun before 8"):
            await consumer.delivering(8)
        with pytest.raises(InvalidCursorError, match="entered with `async with`"):
            running.delivery.__enter__()
        async with running:
            pass
        with pytest.raises(InvalidCursorError, match="was entered before"):
            async with running:
                pytest.fail("it was delivered twice")
        with pytest.raises(InvalidCursorError, match="has not begun"):
            _ = consumer.delivering(10).delivery


@pytest.mark.parametrize("in_flight", [0, "3", None, True, 10_001])
def test_how_many_may_be_in_flight_is_checked(book: Ledger, in_flight: Any) -> None:
    with pytest.raises(InvalidCursorError, match="in_flight"):
        AsyncConsumer(AsyncLedger(book), ORDERS, in_flight=in_flight)


# --- in flight ---


@within_a_loop
async def test_the_bound_is_felt_and_a_place_that_is_free_is_taken(book: Ledger) -> None:
    async with consuming(book, 2) as consumer:
        first, second = [await consumer.delivering(sequence) for sequence in (1, 2)]
        with pytest.raises(WindowFullError, match="2 deliveries are in flight"):
            await consumer.delivering(3, timeout_s=0.02)
        waiting = asyncio.create_task(begun(consumer, 3))
        await asyncio.sleep(0.02)
        async with first:
            pass
        await waiting
        async with second:
            pass
    assert book.get(ORDERS).last_sequence == 2


async def begun(consumer: AsyncConsumer, sequence: int) -> ledger.aio.AsyncConsumer:
    await consumer.delivering(sequence)
    return consumer


@within_a_loop
async def test_a_task_does_not_wait_for_itself_or_for_those_who_wait_for_it(book: Ledger) -> None:
    async with consuming(book, 1) as consumer, consumer.delivering(1):
        with pytest.raises(WindowFullError):
            await consumer.delivering(2)
        waiting = asyncio.create_task(begun(consumer, 2))
        await asyncio.sleep(0.02)
        with pytest.raises(WindowFullError):
            await consumer.delivering(3)
        waiting.cancel()
        await asyncio.wait([waiting])


@within_a_loop
async def test_many_tasks_lose_nothing(book: Ledger) -> None:
    async with consuming(book, 8) as consumer, asyncio.TaskGroup() as tasks:
        for sequence in range(3, 150, 3):
            tasks.create_task(deliver(consumer, sequence))
    landed = [
        entry.event.sequence
        for entry in book.history(ORDERS)
        if isinstance(entry.event, CursorAdvanced)
    ]
    assert landed == list(range(3, 150, 3))


# --- cancelled, dropped, failed ---


@within_a_loop
async def test_a_delivery_that_is_cancelled_holds_the_cursor(book: Ledger) -> None:
    async with consuming(book) as consumer:
        entered = asyncio.Event()

        async def sleep() -> None:
            async with consumer.delivering(1):
                entered.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(sleep())
        await entered.wait()
        task.cancel()
        await asyncio.wait([task])
        assert consumer.failed == (1,)
        assert book.find(ORDERS) is None, "a cancellation says nothing of the event"
        await deliver(consumer, 1)
    assert book.get(ORDERS).last_sequence == 1


@within_a_loop
async def test_a_task_that_waits_for_room_may_be_cancelled(book: Ledger) -> None:
    async with consuming(book) as consumer:
        first = await consumer.delivering(1)
        waiting = [asyncio.create_task(begun(consumer, sequence)) for sequence in (2, 3)]
        await asyncio.sleep(0.02)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        async with first:
            pass
        await deliver(consumer, 2)
    assert book.get(ORDERS).last_sequence == 2


@within_a_loop
async def test_a_delivery_that_was_begun_and_dropped_counts_as_failed(book: Ledger) -> None:
    async with consuming(book) as consumer:
        await consumer.delivering(5)
        assert consumer.failed == (5,)
        await deliver(consumer, 5)


@within_a_loop
async def test_reading_anew_forgets_what_runs(book: Ledger) -> None:
    async with consuming(book) as consumer:
        running = await consumer.delivering(5)
        await consumer.refresh()
        with pytest.raises(StaleEpochError, match="Go on from 0"):
            async with running:
                pytest.fail("it was delivered")
    assert book.find(ORDERS) is None


@pytest.mark.parametrize("error", [StorageError("the disk is full"), UnknownOutcomeError("cut")])
def test_a_confirmation_that_failed_is_appended_later_and_once(
    book: Ledger, monkeypatch: pytest.MonkeyPatch, error: StorageError
) -> None:
    append = AsyncLedger.append

    async def broken(self: AsyncLedger, requests: Any) -> Any:
        if isinstance(error, UnknownOutcomeError):
            await append(self, requests)
        raise error

    async def main() -> None:
        async with consuming(book) as consumer:
            with monkeypatch.context() as patch:
                patch.setattr(AsyncLedger, "append", broken)
                with pytest.raises(StorageError):
                    await deliver(consumer, 5)
            await deliver(consumer, 6)

    asyncio.run(main())
    assert [entry.version for entry in book.history(ORDERS)] == [1, 2]


@within_a_loop
async def test_a_consumer_that_was_not_entered_reads_the_cursor_by_itself(book: Ledger) -> None:
    book.reset(ORDERS, to=4, reason="again", actor="ines")
    abook = AsyncLedger(book)
    consumer = abook.consumer(ORDERS)
    async with AsyncExitStack() as stack:
        stack.callback(abook._readers.close)
        await deliver(consumer, 5)
    assert book.get(ORDERS).last_sequence == 5


@within_a_loop
async def test_a_consumer_that_has_not_read_the_cursor_does_not_say_where_it_stands(
    book: Ledger,
) -> None:
    book.reset(ORDERS, to=20, reason="again", actor="ines")
    abook = AsyncLedger(book)
    async with AsyncExitStack() as stack:
        stack.callback(abook._readers.close)
        consumer = abook.consumer(ORDERS)
        for name in ("position", "reached", "token", "epoch"):
            with pytest.raises(InvalidCursorError, match=r"has not read .* `async with"):
                getattr(consumer, name)
        with pytest.raises(InvalidCursorError, match=r"has not read .* `async with"):
            await consumer.look()
        assert (consumer.key, consumer.in_flight, consumer.failed) == (ORDERS, 1, ())
        assert not consumer.has_begun
        await consumer.refresh()
        assert (consumer.position, consumer.epoch) == (20, 1)
        await consumer.look()


@within_a_loop
async def test_leaving_a_consumer_appends_what_is_ready(book: Ledger) -> None:
    async def leave() -> None:
        async with consuming(book, 2) as consumer:
            await deliver(consumer, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
    assert book.get(ORDERS).last_sequence == 1
