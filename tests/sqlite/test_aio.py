"""The ledger for asyncio: the same names, the same answers, the same engine."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    BrokenChainError,
    CursorKey,
    CursorNotFoundError,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    StaleEpochError,
    StorageError,
)
from ledger.aio import AsyncLedger, readers
from support.coroutines import asynchronous, reading_held_up
from support.cursors import JOBS, ORDERS
from support.gated import gated, held


def test_its_methods_are_those_of_the_ledger() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    def said(method: object) -> str:
        return (method.__doc__ or "").partition(">>>")[0].strip()

    # This is itself another way through.
    assert public(Ledger) - public(AsyncLedger) == {"through"}
    # These call what is written for the ledger for threads.
    assert public(AsyncLedger) - public(Ledger) == {"run", "stream"}
    for name in public(AsyncLedger) - {"submit", "close", "immutable", "run", "stream"}:
        own, its = getattr(AsyncLedger, name), getattr(Ledger, name)
        # The examples of a Ledger are not those of a coroutine; and an asynchronous consumer takes
        # a cursor over when it is entered, and other connections are lent.
        if name not in {"consumer", "using"}:
            assert said(own) == said(its)
        if not isinstance(own, property) and name != "using":
            assert inspect.signature(own).parameters == inspect.signature(its).parameters


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
async def test_what_comes_before_an_entry_that_cannot_be_read_is_given(path: Path) -> None:
    with ledger.open(path) as book:
        book.append([AdvanceCursor(ORDERS, n) for n in range(1, 101)])
        with closing(sqlite3.connect(path)) as raw, raw:
            raw.execute("DROP TRIGGER ledger_events_refuse_update")
            raw.execute("UPDATE ledger_events SET occurred_at = 'noon' WHERE position = 100")
        expected: list[int] = []
        with pytest.raises(BrokenChainError):
            expected.extend(entry.version for entry in book.history(ORDERS))
    assert expected
    async with ledger.aio.open(path) as again:
        given: list[int] = []

        async def read() -> None:
            async for entry in again.history(ORDERS):
                given.append(entry.version)  # noqa: PERF401 - a comprehension would lose them

        with pytest.raises(BrokenChainError):
            await read()
    assert given == expected


@asynchronous
async def test_what_is_wrong_is_refused_where_it_is_asked(path: Path) -> None:
    with pytest.raises(InvalidCursorError):
        async with ledger.aio.open(path, durability="none"):  # type: ignore[arg-type]
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


@asynchronous
async def test_what_the_body_raises_comes_out_of_a_ledger_that_was_closed_in_it(path: Path) -> None:
    book = await ledger.aio.open(path)

    async def deliver() -> None:
        async with book.delivering(ORDERS, to=1):
            await book.close()
            raise RuntimeError("refused by the receiver")

    with pytest.raises(RuntimeError, match="refused") as raised:
        await deliver()
    [note] = raised.value.__notes__
    assert "could not record this error: StorageError: This ledger is closed" in note

    async def deliver_well() -> None:
        async with (
            await ledger.aio.open(path) as other,
            other.delivering(ORDERS, to=1),
        ):
            await other.close()

    with pytest.raises(StorageError, match="closed"):
        await deliver_well()


@asynchronous
async def test_what_the_body_raises_comes_out_when_the_commit_fails_later(path: Path) -> None:
    with gated(path) as (sync, store):
        book = AsyncLedger(sync)
        store.failure = lambda: StorageError("disk full")

        async def deliver() -> None:
            async with book.delivering(ORDERS, to=1):
                raise RuntimeError("refused by the receiver")

        with pytest.raises(RuntimeError, match="refused") as raised:
            await deliver()
        assert raised.value.__notes__ == [
            "cursor-ledger could not record this error: StorageError: disk full"
        ]
        await book.close()


@asynchronous
async def test_deliveries_share_transactions_and_do_not_wait_for_those_who_read(path: Path) -> None:
    with gated(path) as (sync, store):
        book = AsyncLedger(sync)
        delivered, confirm = 0, asyncio.Event()

        async def deliver(nth: int) -> None:
            nonlocal delivered
            async with book.delivering(CursorKey(f"consumer-{nth}", "orders"), to=1):
                delivered += 1
                await confirm.wait()

        tasks = [asyncio.create_task(deliver(nth)) for nth in range(64)]
        while delivered < 64:
            await asyncio.sleep(0.005)
        with reading_held_up(book) as hold_up:
            for _ in range(readers.THREADS_MAX):
                hold_up()
            with held(sync, store):
                confirm.set()
                await asyncio.sleep(0.05)
            await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert store.batches == [1, 64]
        await book.close()
