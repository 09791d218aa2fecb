"""Coroutines wait for cursors to move without a thread of their own."""

from __future__ import annotations

import asyncio
import threading

import pytest

import ledger.aio
from ledger import AdvanceCursor, CursorKey, Ledger, StorageError
from ledger.aio import AsyncLedger
from support.coroutines import asynchronous
from support.cursors import ORDERS

LONG_S = 20.0


@asynchronous
async def test_a_coroutine_is_woken(target: str) -> None:
    async with ledger.aio.open(target, actor="ines") as book:
        assert await book.wait(ORDERS, 0, 0.01) is None
        waiting = asyncio.create_task(book.wait(ORDERS, 0, LONG_S))
        entries = asyncio.create_task(book.wait_for_entries(0, LONG_S))
        await asyncio.sleep(0.01)
        cursor = await book.advance(ORDERS, to=41)
        assert await waiting == cursor
        assert await entries == 1
        assert await book.wait(ORDERS, 0) == cursor


@pytest.mark.slow("a group of many thousands of records or cursors")
def test_ten_thousand_coroutines_wait_in_one_thread(target: str) -> None:
    # Not in the debugging mode of asyncio, which keeps the stack of every call.
    asyncio.run(ten_thousand_wait(target))


async def ten_thousand_wait(target: str) -> None:
    keys = [CursorKey("mailer", "orders", str(n)) for n in range(2_000)]
    async with ledger.aio.open(target) as book:
        threads = threading.active_count()
        waiting = [asyncio.create_task(book.wait(key, 0)) for key in keys for _ in range(5)]
        await asyncio.sleep(0.1)
        assert threading.active_count() <= threads + 1 + 10, "the pool of the server has some"
        assert len(book._ledger._waker.waiters) == len(waiting)  # type: ignore[union-attr]
        for begin in range(0, len(keys), 500):
            await book.append(AdvanceCursor(key, 1) for key in keys[begin : begin + 500])
        async with asyncio.timeout(LONG_S):
            found = await asyncio.gather(*waiting)
        assert [cursor.key for cursor in found if cursor] == [key for key in keys for _ in range(5)]


@asynchronous
async def test_a_coroutine_that_is_cancelled_waits_no_more(target: str) -> None:
    async with ledger.aio.open(target) as book:
        waiting = asyncio.create_task(book.wait(ORDERS, 0))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not book._ledger._waker.waiters  # type: ignore[union-attr]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await book.wait(ORDERS, 0, LONG_S)
        assert not book._ledger._waker.waiters  # type: ignore[union-attr]


@asynchronous
async def test_closing_tells_coroutines(target: str) -> None:
    async with ledger.aio.open(target) as book:
        waiting = asyncio.create_task(book.wait(ORDERS, 0))
        entries = asyncio.create_task(book.wait_for_entries(0))
        await asyncio.sleep(0.02)
    # The second may not have begun to wait yet, if the machine is busy.
    for each in (waiting, entries):
        with pytest.raises(StorageError, match="closed"):
            await each
    with pytest.raises(StorageError, match="closed"):
        await book.wait(ORDERS, 0)


def test_a_loop_that_is_gone_does_not_disturb_the_others(book: Ledger) -> None:
    async def begin() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        abandoned.append(asyncio.ensure_future(AsyncLedger(book).wait(ORDERS, 0)))
        await asyncio.sleep(0.02)

    abandoned: list[object] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    threading.Timer(0.05, lambda: book.advance(ORDERS, to=1)).start()
    cursor = book.wait(ORDERS, 0, LONG_S)
    assert cursor == book.get(ORDERS)
    abandoned[0]._log_destroy_pending = False  # type: ignore[attr-defined]
