"""The ledger for asyncio: the same names, the same answers, the same engine."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from conftest import JOBS, ORDERS
from test_writer import gated, held

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorNotFoundError,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    StaleEpochError,
    StorageError,
)
from ledger.aio import AsyncLedger


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own, in which nothing may block or be left behind."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs), debug=True)

    return run


def test_its_methods_are_those_of_the_ledger() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    # A connection is lent in the thread that it is used in; and this is itself another way through.
    assert public(Ledger) - public(AsyncLedger) == {"using", "through"}
    assert public(AsyncLedger) - public(Ledger) == set()
    for name in public(AsyncLedger) - {"submit", "close"}:
        own, its = getattr(AsyncLedger, name), getattr(Ledger, name)
        assert own.__doc__ == its.__doc__
        assert inspect.signature(own) == inspect.signature(its)


@asynchronous
async def test_a_life_of_a_cursor(path: Path) -> None:
    async with ledger.aio.open(path, actor="tester") as book:
        with pytest.raises(CursorNotFoundError):
            await book.get(ORDERS)
        assert (await book.advance(ORDERS, to=5, delivery_id="d-5")).last_sequence == 5
        assert (await book.record_error(ORDERS, "HTTP 503")).last_error == "HTTP 503"
        assert (await book.reset(ORDERS, to=2, reason="lost")).epoch == 1
        cursors = await book.append([AdvanceCursor(ORDERS, 3), AdvanceCursor(JOBS, 1)])
        assert [cursor.version for cursor in cursors] == [4, 1]
        answers = await book.append_each([AdvanceCursor(ORDERS, 1), AdvanceCursor(JOBS, 2)])
        assert isinstance(answers[0], NonMonotonicCursorError)
        assert (await book.submit(AdvanceCursor(JOBS, 3))).version == 3
        assert [entry.version async for entry in book.history(ORDERS)] == [1, 2, 3, 4]
        assert [cursor.key async for cursor in book.cursors()] == [JOBS, ORDERS]
        assert len([entry async for entry in book.entries()]) == 7
        assert (await book.verify()).ok
        assert (await book.checkpoint()).entries == 7
        assert (await book.rebuild()).repaired == ()
    for call in (book.advance(ORDERS, to=9), book.get(ORDERS)):
        with pytest.raises(StorageError, match="closed"):
            await call


@asynchronous
async def test_long_histories_come_in_pages(path: Path) -> None:
    async with ledger.aio.open(path) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 1_001)])
        assert [entry.version async for entry in book.history(ORDERS)] == list(range(1, 1_001))


@asynchronous
async def test_it_is_opened_by_await_as_well(path: Path) -> None:
    book = await ledger.aio.open(path)
    await book.advance(ORDERS, to=1)
    await book.close()
    await book.close()


@asynchronous
async def test_what_is_wrong_is_refused_where_it_is_asked(path: Path) -> None:
    with pytest.raises(InvalidCursorError):
        async with ledger.aio.open(path, durability="none"):
            pass
    async with ledger.aio.open(path) as book:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: book.advance(ORDERS, to=0),
            lambda: book.reset(ORDERS, to=0, reason="x"),
            lambda: book.submit("advance"),  # type: ignore[arg-type]
            lambda: book.get("webhooks"),  # type: ignore[arg-type]
        ]
        for call in calls:
            with pytest.raises(ledger.LedgerError):
                await call()
        with pytest.raises(InvalidCursorError):
            book.history("webhooks")  # type: ignore[arg-type]
        assert [entry async for entry in book.entries()] == []


# --- delivering ---


@asynchronous
async def test_delivering_advances_records_and_keeps_its_epoch(path: Path) -> None:
    async with ledger.aio.open(path, actor="tester") as book:
        async with book.delivering(ORDERS, to=1, delivery_id="d-1") as cursor:
            assert cursor is None

        async def fail_to_deliver() -> None:
            async with book.delivering(ORDERS, to=2) as cursor:
                assert cursor is not None
                assert cursor.last_delivery_id == "d-1"
                raise RuntimeError("refused by the receiver")

        with pytest.raises(RuntimeError, match="refused"):
            await fail_to_deliver()
        assert (await book.get(ORDERS)).last_error == "RuntimeError: refused by the receiver"

        async def deliver_what_is_reset() -> None:
            async with book.delivering(ORDERS, to=3):
                assert (await book.reset(ORDERS, to=0, reason="again")).epoch == 1

        with pytest.raises(StaleEpochError):
            await deliver_what_is_reset()
        assert (await book.get(ORDERS)).last_sequence == 0


@asynchronous
async def test_a_delivery_that_is_cancelled_is_neither_confirmed_nor_an_error(path: Path) -> None:
    async with ledger.aio.open(path, actor="tester") as book:
        begun = asyncio.Event()

        async def deliver() -> None:
            async with book.delivering(ORDERS, to=1):
                begun.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(deliver())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [entry async for entry in book.entries()] == []


# --- the same engine ---


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
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.05)
                assert not task.done()
            store.open.set()
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
async def test_what_was_asked_before_closing_is_answered(path: Path) -> None:
    book = await ledger.aio.open(path, actor="tester")
    await book.advance(ORDERS, to=1)
    asked = [asyncio.create_task(book.get(ORDERS)) for _ in range(300)]
    await asyncio.sleep(0)
    await asyncio.gather(book.close(), book.close())
    assert {cursor.version for cursor in await asyncio.gather(*asked)} == {1}
    with pytest.raises(StorageError, match="closed"):
        await book.get(ORDERS)


@asynchronous
async def test_a_delivery_keeps_its_own_exception_when_the_ledger_was_closed_in_it(
    path: Path,
) -> None:
    book = await ledger.aio.open(path, actor="tester")

    async def deliver() -> None:
        async with book.delivering(ORDERS, to=1):
            await book.close()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        await deliver()
    assert "could not record" in caught.value.__notes__[0]


@asynchronous
async def test_what_no_thread_could_be_started_for_is_not_done_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ledger.aio.open(path, actor="tester") as book:
        await book.advance(JOBS, to=1)
        delivery = book.delivering(ORDERS, to=1)
        await delivery.__aenter__()
        release = threading.Event()
        busy = [asyncio.create_task(book._run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(StorageError, match="No thread could be started"):
                await delivery.__aexit__(None, None, None)
        release.set()
        await asyncio.gather(*busy)
        with pytest.raises(CursorNotFoundError):
            await book.get(ORDERS)


def test_in_a_forked_child_it_is_refused_and_does_not_hang(path: Path) -> None:
    async def opened() -> AsyncLedger:
        book = await ledger.aio.open(path, actor="tester")
        await book.advance(ORDERS, to=1)
        await book.get(ORDERS)
        return book

    book = asyncio.run(opened())

    async def use() -> None:
        for call in (book.get(ORDERS), book.advance(ORDERS, to=2)):
            with pytest.raises(StorageError, match="forked"):
                await call
        await book.close()

    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            asyncio.run(use())
        except BaseException:  # noqa: BLE001 - said by the exit code
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(book.close())
