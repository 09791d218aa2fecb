"""The threads of a ledger for asyncio, how it is closed, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    StorageError,
)
from ledger.aio import AsyncLedger, readers
from support.children import child
from support.coroutines import asynchronous, no_more_threads, read_on, reading_held_up
from support.cursors import ORDERS
from support.gated import gated

# --- threads ---


@asynchronous
async def test_what_is_done_in_a_thread_sees_the_context_of_its_caller(path: Path) -> None:
    asked_by = ContextVar("asked_by", default="nobody")
    async with ledger.aio.open(path) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 10_001)])
        seen: list[str] = []
        asked_by.set("ines")
        await book.verify(progress=lambda _: seen.append(asked_by.get()))
        assert seen == ["ines"]


@asynchronous
async def test_where_no_thread_can_be_had_it_says_so_and_does_nothing(path: Path) -> None:
    entered = ledger.aio.open(path)
    with no_more_threads(), pytest.raises(StorageError, match="can't start new thread"):
        await entered
    assert not path.exists()

    async with entered as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 10_001)])
        told: list[int] = []
        with reading_held_up(book) as hold_up:
            hold_up()
            with no_more_threads(), pytest.raises(StorageError, match="can't start new thread"):
                await book.rebuild(progress=told.append)
            with no_more_threads(), pytest.raises(StorageError, match="can't start new thread"):
                await book.get(ORDERS)
        assert (await book.get(ORDERS)).version == 10_000
        with no_more_threads(), pytest.raises(StorageError, match="can't start new thread"):
            await book.close()
    # The thread that was busy has come to all that was queued.
    assert told == []


def test_a_ledger_is_not_carried_into_a_fork(path: Path) -> None:
    script = """
    import asyncio, ledger.aio, signal, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)

    async def begin():
        book = await ledger.aio.open(sys.argv[1])
        await book.advance(jobs, to=1)
        await book.get(jobs)
        return book

    async def go_on():
        async def read():
            return [entry async for entry in book.history(jobs)]
        for deed in (lambda: book.get(jobs), lambda: book.advance(jobs, to=2), read):
            try:
                await deed()
            except ledger.StorageError as error:
                print("forked" in str(error), flush=True)
        # It has nothing to wait for, and so needs no thread to wait in.
        size = threading.stack_size(1 << 46)
        await book.close()
        threading.stack_size(size)
        async with ledger.aio.open(sys.argv[1]) as own:
            await own.advance(jobs, to=3)

    async def end():
        print((await book.advance(jobs, to=4)).version)
        await book.close()

    book = asyncio.run(begin())
    if os.fork() == 0:
        signal.alarm(10)
        asyncio.run(go_on())
        os._exit(0)
    print(os.wait()[1])
    asyncio.run(end())
    """
    assert child(script, path) == ["True", "True", "True", "0", "3"]


# --- the end ---


@asynchronous
async def test_what_was_asked_for_before_it_is_closed_is_answered(path: Path) -> None:
    book = await ledger.aio.open(path)
    await book.advance(ORDERS, to=1)
    with reading_held_up(book) as hold_up:
        for _ in range(readers.THREADS_MAX):
            hold_up()
        reads = [asyncio.create_task(book.get(ORDERS)) for _ in range(100)]
        writes = [asyncio.create_task(book.advance(ORDERS, to=1)) for _ in range(100)]
        await asyncio.sleep(0)
        closed = asyncio.create_task(book.close())
        # The reads are queued still, when what was written is long committed.
        assert {(await write).version for write in writes} == set(range(2, 102))
        await asyncio.sleep(0.05)
    await closed
    assert {cursor.version for cursor in await asyncio.gather(*reads)} == {101}


@asynchronous
async def test_closing_does_not_hold_up_the_loop_and_refuses_what_comes_after(path: Path) -> None:
    book = await ledger.aio.open(path)
    await book.advance(ORDERS, to=1)
    delivery = book.delivering(ORDERS, to=9)
    await delivery.__aenter__()
    with reading_held_up(book) as hold_up:
        reading = hold_up()
        closers = [asyncio.create_task(book.close()) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(closer.done() for closer in closers)
        for call in (
            book.advance(ORDERS, to=9),
            book.get(ORDERS),
            anext(book.history(ORDERS)),
            delivery.__aexit__(None, None, None),
        ):
            with pytest.raises(StorageError, match="closed"):
                await call
    await asyncio.gather(*closers)
    assert reading.result()


@asynchronous
async def test_a_close_that_is_cancelled_goes_on_and_can_be_waited_for(path: Path) -> None:
    with gated(path) as (sync, _):
        book = AsyncLedger(sync)
        with reading_held_up(book) as hold_up:
            hold_up()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(book.close(), 0.05)
            sync.advance(ORDERS, to=1)
        await book.close()
        with pytest.raises(StorageError, match="closed"):
            sync.advance(ORDERS, to=2)


@asynchronous
async def test_a_ledger_whose_opening_is_cancelled_is_not_left_open(path: Path) -> None:
    async def open_and_close() -> None:
        async with ledger.aio.open(path):
            pytest.fail("it was cancelled")

    gc.disable()  # It would close it as well, some time.
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            task = asyncio.create_task(open_and_close())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        while any(thread.name == "cursor-ledger asyncio" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert path.stat().st_size
        assert not path.with_name(f"{path.name}-wal").exists()
    finally:
        gc.enable()


@asynchronous
async def test_a_history_may_be_left_half_way(path: Path) -> None:
    async with ledger.aio.open(path) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 1_001)])
        async for entry in book.history(ORDERS):
            if entry.version == 300:
                break
        history = book.history(ORDERS)
        assert (await anext(history)).version == 1
        with reading_held_up(book) as hold_up:
            for _ in range(readers.THREADS_MAX):
                hold_up()
            reading = asyncio.create_task(read_on(history))
            await asyncio.sleep(0.05)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await read_on(history) == 0


def test_it_outlives_the_loop_that_it_was_opened_in(path: Path) -> None:
    async def begin() -> tuple[AsyncLedger, Any]:
        book = await ledger.aio.open(path)
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 1_001)])
        return book, book.history(ORDERS)

    async def go_on() -> None:
        await asyncio.gather(*(book.get(ORDERS) for _ in range(64)))
        assert (await book.advance(ORDERS, to=1_001)).version == 1_001
        assert await read_on(history) == 1_001

    async def end() -> None:
        await asyncio.gather(book.close(), book.close())
        with pytest.raises(StorageError, match="closed"):
            await book.get(ORDERS)

    book, history = asyncio.run(begin(), debug=True)
    for part in (go_on, end):
        asyncio.run(part(), debug=True)
