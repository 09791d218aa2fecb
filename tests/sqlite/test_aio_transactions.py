"""Coroutines share the transactions of the ledger, and are settled when they are cancelled."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorNotFoundError,
)
from ledger.aio import AsyncLedger
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.gated import gated, held


@asynchronous
async def test_coroutines_share_transactions(path: Path) -> None:
    with gated(path) as (sync, store):
        book = AsyncLedger(sync)
        with held(sync, store):
            keys = [CursorKey(f"consumer-{nth}", "orders") for nth in range(64)]
            asked = [asyncio.create_task(book.advance(key, to=1)) for key in keys]
            await asyncio.sleep(0.05)
        assert [cursor.key for cursor in await asyncio.gather(*asked)] == keys
        assert store.batches == [1, 64]
        await book.close()


@asynchronous
async def test_the_loop_does_not_wait_for_room_in_the_queue(path: Path) -> None:
    with gated(path, queue_length_max=4) as (sync, store):
        book = AsyncLedger(sync)
        stood_still = threading.Timer(10, store.open.set)
        with held(sync, store):
            stood_still.start()
            more = range(1, 10)
            asked = [asyncio.create_task(book.advance(ORDERS, to=to)) for to in more]
            await asyncio.sleep(0)
            assert not store.open.is_set(), "the loop went on when the queue was served"
            stood_still.cancel()
        assert [cursor.version for cursor in await asyncio.gather(*asked)] == [*more]
        await book.close()


@asynchronous
async def test_a_call_is_withdrawn_if_it_is_cancelled_before_its_commit(path: Path) -> None:
    with gated(path) as (sync, store):
        book = AsyncLedger(sync)
        with held(sync, store):
            task = asyncio.create_task(book.advance(ORDERS, to=1))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert [entry.key async for entry in book.entries()] == [JOBS]
        await book.close()


@pytest.mark.parametrize("to", [1, 0])
def test_a_call_that_is_cancelled_later_is_settled_when_the_await_ends(path: Path, to: int) -> None:
    @asynchronous
    async def cancelled() -> None:
        with gated(path) as (sync, store):
            book = AsyncLedger(sync)
            await book.advance(ORDERS, to=1, delivery_id="before")
            store.open.clear()
            store.entered.clear()
            asked = AdvanceCursor(ORDERS, 1 + to)
            task = asyncio.create_task(book.submit(asked))
            await asyncio.to_thread(store.entered.wait)
            ended = []
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.05)
                ended.append(task.done())
            store.open.set()
            assert ended == [False] * 3
            with pytest.raises(asyncio.CancelledError):
                await task
            # It was accepted, or refused by the law; either way it is over.
            assert (await book.get(ORDERS)).version == 1 + to
            await book.close()

    cancelled()


@asynchronous
async def test_the_loop_goes_on_while_the_disk_is_waited_for(path: Path) -> None:
    with gated(path) as (sync, store):
        book = AsyncLedger(sync)
        with held(sync, store):
            task = asyncio.create_task(book.advance(ORDERS, to=1))
            for _ in range(10):
                await asyncio.sleep(0.005)
            assert not task.done()
        assert (await task).version == 1
        await book.close()


@asynchronous
async def test_time_outs_within_time_outs_each_know_their_own(path: Path) -> None:
    with gated(path) as (sync, store):
        book = AsyncLedger(sync)
        store.open.clear()
        threading.Timer(0.3, store.open.set).start()

        async def advance_in_time() -> None:
            async with asyncio.timeout(0.1):
                try:
                    async with asyncio.timeout(0.05):
                        await book.advance(ORDERS, to=1)
                except TimeoutError:
                    pytest.fail("the outer one has expired as well, and is not told")

        with pytest.raises(TimeoutError):
            await advance_in_time()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert (await book.get(ORDERS)).last_sequence == 1

        store.open.clear()
        threading.Timer(0.1, store.open.set).start()

        async def advance_beside_a_failure() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(book.advance(ORDERS, to=2))
                await asyncio.sleep(0.05)
                group.create_task(book.get(JOBS))

        with pytest.raises(ExceptionGroup) as raised:
            await advance_beside_a_failure()
        assert raised.group_contains(CursorNotFoundError)
        assert (await book.get(ORDERS)).last_sequence == 2
        await book.close()
