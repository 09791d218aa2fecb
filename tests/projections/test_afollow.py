"""Following the log from asyncio: woken by what is appended, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import ledger.aio
from ledger import AdvanceCursor, Entry, EntryQuery, InvalidCursorError, StorageError
from projections import afollow
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS

STORES = "every"

LONG_S = 20.0
NEVER_S = 3_600.0


async def settles(true: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG_S):
        while not true():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("by", ["itself", "another"])
@asynchronous
async def test_a_follower_is_woken_by_what_is_appended(target: str, by: str) -> None:
    async with (
        ledger.aio.open(target, actor="ines") as book,
        ledger.aio.open(target, actor="b") as other,
    ):
        await book.advance(ORDERS, to=1)
        stop, found = asyncio.Event(), list[int]()

        async def collect() -> None:
            query = EntryQuery(stream_name=ORDERS.stream_name)
            async for entry in afollow(book, query, poll_s=NEVER_S, stop=stop):
                found.append(entry.event.sequence)  # type: ignore[union-attr]

        task = asyncio.create_task(collect())
        appending = book if by == "itself" else other
        for n in range(2, 8):
            await settles(lambda n=n: len(found) == n - 1)  # type: ignore[misc]
            await appending.advance(JOBS, to=n)
            await appending.advance(ORDERS, to=n)
        await settles(lambda: len(found) == 7)
        began = time.monotonic()
        stop.set()
        await task
        assert time.monotonic() - began < 5
        assert found == [1, 2, 3, 4, 5, 6, 7]
        assert book._waker is not None
        assert not book._waker.waiters


@asynchronous
async def test_a_follower_goes_on_after_a_position_within_its_bounds(target: str) -> None:
    async with ledger.aio.open(target) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 1_001)])
        stop = asyncio.Event()
        stop.set()
        query = EntryQuery(position_until=990, newest_first=True, limit=3)
        found = [entry.position async for entry in afollow(book, query, after=500, stop=stop)]
        assert found == list(range(501, 991))


@pytest.mark.parametrize("how", ["cancelled", "left", "closed ledger"])
@asynchronous
async def test_a_follower_that_ends_waits_no_more(target: str, how: str) -> None:
    async with ledger.aio.open(target) as book:
        await book.advance(ORDERS, to=1)
        entries = afollow(book, poll_s=NEVER_S)
        assert (await anext(entries)).position == 1
        waiter = book._waker
        assert waiter is not None
        if how == "left":
            await entries.aclose()
        else:
            task: asyncio.Task[Entry] = asyncio.create_task(_next(entries))
            await settles(lambda: waiter.waiters)
            if how == "cancelled":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                await book.close()
                with pytest.raises(StorageError, match="closed"):
                    await task
        assert not waiter.waiters


def _next(entries: AsyncIterator[Entry]) -> Coroutine[Any, Any, Entry]:
    async def ask() -> Entry:
        return await anext(entries)

    return ask()


@pytest.mark.parametrize("wrong", [{"after": -1}, {"poll_s": 0}, {"poll_s": True}])
@asynchronous
async def test_a_follower_refuses_what_follow_refuses(path: Path, wrong: dict[str, Any]) -> None:
    async with ledger.aio.open(path) as book:
        with pytest.raises(InvalidCursorError):
            await anext(afollow(book, **wrong))
