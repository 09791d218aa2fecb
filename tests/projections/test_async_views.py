"""Views through an `AsyncLedger` are those of a `Ledger`, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, assert_type

import pytest

import ledger
import ledger.aio
import projections
from ledger import (
    AdvanceCursor,
    BrokenChainError,
    Cursor,
    CursorKey,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    StorageError,
    VersionConflictError,
)
from ledger.aio import AsyncLedger, Stream
from ledger.stores.stopping import StoppedError
from projections import (
    Explanation,
    Gap,
    Projector,
    RecordedReset,
    ResetPlan,
    explain,
    follow,
    gaps,
    resets,
)
from support.clock import Clock
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS, fill

STORES = "every"

LONG_S = 20.0
NEVER_S = 3_600.0


def forever(book: Ledger) -> Iterator[Entry]:
    """Read the log again and again."""
    while True:
        yield from book.entries()


async def settles(true: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG_S):
        while not true():
            await asyncio.sleep(0.002)


async def listed(rows: AsyncIterator[Any]) -> list[Any]:
    return [row async for row in rows]


# --- the same answers ---


@asynchronous
async def test_the_views_are_the_same(target: str, clock: Clock) -> None:
    with ledger.open(target, actor="tester", clock=clock) as book:
        fill(book, clock)
        book.record_error(JOBS, "503")
        book.record_error(JOBS, "504")
        last = book.horizon().position
        async with ledger.aio.open(target) as abook:
            for view in (gaps, projections.repeats):
                for key in (ORDERS, JOBS):
                    assert await listed(view(abook.history(key))) == list(view(book.history(key)))
            assert await listed(gaps(abook.history(JOBS), dense=True)) == list(
                gaps(book.history(JOBS), dense=True)
            )
            for merged in (projections.error_streaks, projections.stalls):
                found = await listed(merged(abook.entries()))
                assert found == list(merged(book.entries()))
            for sequence in (1, 4, 9):
                story = await explain(abook.history(ORDERS), sequence)
                assert story == explain(book.history(ORDERS), sequence)
            life = await projections.timeline(history=abook.history(ORDERS))
            assert life == projections.timeline(history=book.history(ORDERS))
            assert await listed(resets(abook)) == list(resets(book))
            query = EntryQuery(actor="tester")
            assert await listed(resets(abook, query, reason="AGAIN")) == list(
                resets(book=book, query=query, reason="AGAIN")
            )
            for moment in range(last + 1):
                assert await projections.as_of(abook, ORDERS, moment) == projections.as_of(
                    book, ORDERS, moment
                )
                assert await listed(projections.cursors_as_of(abook, moment)) == list(
                    projections.cursors_as_of(book, moment)
                )
            for later in range(1, last + 1):
                changes = await listed(projections.diff(abook, 1, later))
                assert changes == list(projections.diff(book, 1, later))


def test_type_checkers_know_what_comes_back() -> None:
    """The gate runs mypy over this; nothing of it is called."""

    async def said(book: Ledger, abook: AsyncLedger) -> None:
        assert_type(gaps(book.history(ORDERS)), Iterator[Gap])
        assert_type(gaps(abook.history(ORDERS), dense=True), Stream[Gap])
        assert_type(explain(book.history(ORDERS), 1), Explanation)
        assert_type(await explain(abook.history(ORDERS), 1), Explanation)
        assert_type(resets(book), Iterator[RecordedReset])
        assert_type(resets(abook), Stream[RecordedReset])
        assert_type(await projections.as_of(abook, ORDERS, 1), Cursor | None)
        assert_type(await abook.run(ResetPlan.make, [ORDERS], to=1, reason="x"), ResetPlan)
        assert_type(abook.stream(resets), Stream[RecordedReset])

    assert inspect.iscoroutinefunction(said)


@asynchronous
async def test_plans_are_made_and_applied(target: str) -> None:
    async with ledger.aio.open(target, actor="ines") as book:
        await book.advance(ORDERS, to=44)
        plan = await book.run(ResetPlan.make, [ORDERS], to=41, reason="42 was lost")
        await book.run(plan.check)
        [cursor] = await book.run(plan.apply, metadata={"ticket": "7"})
        assert (cursor.last_sequence, cursor.epoch) == (41, 1)
        with pytest.raises(VersionConflictError):
            await book.run(plan.apply)
        undo = await book.run(ResetPlan.undo, [ORDERS])
        [cursor] = await book.run(undo.apply)
        assert cursor.last_sequence == 44


@asynchronous
async def test_what_belongs_to_a_thread_says_how_it_is_used(path: Path) -> None:
    async with ledger.aio.open(path, actor="ines") as book:
        await book.advance(ORDERS, to=44)
        wrong: Any = book
        with closing(sqlite3.connect(path, check_same_thread=False)) as db:
            with pytest.raises(InvalidCursorError, match=r"await book.run\(lambda book: Projector"):
                Projector(book=wrong, name="view", connection=db, apply=print)
            seen: list[int] = []
            applied = await book.run(
                lambda book: Projector(
                    book=book, name="view", connection=db, apply=lambda e: seen.append(e.position)
                ).catch_up()
            )
            assert (applied, seen) == (1, [1])
        with pytest.raises(InvalidCursorError, match=r"await book.run\(ResetPlan.make, keys"):
            ResetPlan.make(wrong, [ORDERS], to=41, reason="42 was lost")
        with pytest.raises(InvalidCursorError, match=r"async for entry in afollow\(book\)"):
            next(follow(wrong))
        with pytest.raises(InvalidCursorError, match=r"pass book.history\(key\)"):
            gaps(wrong)

        async def own() -> AsyncIterator[Entry]:
            async for entry in book.entries():
                yield entry

        mine: Any = own()
        with pytest.raises(InvalidCursorError, match="an asynchronous iterator of your own"):
            gaps(mine)


@asynchronous
async def test_a_refusal_comes_where_the_view_raises_it(target: str) -> None:
    async with ledger.aio.open(target) as book:
        await book.append([AdvanceCursor(ORDERS, 1), AdvanceCursor(JOBS, 2)])
        with pytest.raises(InvalidCursorError, match="a history is the entries of one cursor"):
            await listed(gaps(book.entries()))
        with pytest.raises(InvalidCursorError, match="sequence must be from 1"):
            await explain(book.history(ORDERS), 0)
        with pytest.raises(InvalidCursorError, match="query must be EntryQuery"):
            book.entries(JOBS)  # type: ignore[arg-type]


@asynchronous
async def test_what_came_before_an_error_is_yielded_first(target: str) -> None:
    def broken(book: Ledger) -> Iterator[Entry]:
        yield from book.entries()
        raise BrokenChainError("there", "it was edited")

    async with ledger.aio.open(target) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 4)])
        found: list[Entry] = []
        stream = book.stream(broken)

        async def read_on() -> None:
            while True:
                found.append(await anext(stream))

        with pytest.raises(BrokenChainError):
            await read_on()
        assert len(found) == 3


# --- lazy, and nothing left behind ---


@asynchronous
async def test_no_more_is_read_than_is_asked_for(target: str) -> None:
    read = 0

    def counted(entries: Iterator[Entry]) -> Iterator[Entry]:
        nonlocal read
        for entry in entries:
            read += 1
            yield entry

    async with ledger.aio.open(target) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 1_001)])
        stream = book.history(ORDERS).through(counted)
        assert read == 0
        taken = 0
        async for _ in stream:
            taken += 1
            assert read <= taken + 256
            if taken == 300:
                break
        await stream.aclose()
        assert book._readers._reading == set()
        assert read <= 600


@asynchronous
async def test_rows_that_come_slowly_are_not_held_back(target: str) -> None:
    wanted = threading.Event()

    def slowly(book: Ledger) -> Iterator[int]:
        yield book.horizon().position
        time.sleep(0.1)
        yield 1
        assert wanted.wait(LONG_S), "the first were held back until there were more"
        yield 2

    async with ledger.aio.open(target) as book:
        found = []
        async for row in book.stream(slowly):
            found.append(row)
            if row == 1:
                wanted.set()
        assert found == [0, 1, 2]


@pytest.mark.parametrize("how", ["cancelled", "timed out", "left", "dropped", "closed"])
@asynchronous
async def test_a_view_that_is_not_wanted_any_more_leaves_nothing(target: str, how: str) -> None:
    ended = threading.Event()

    def endless(entries: Iterator[Entry]) -> Iterator[Entry]:
        try:
            for n, entry in enumerate(entries):
                if n < 300 or how in {"left", "dropped", "closed"}:
                    yield entry
        finally:
            ended.set()

    async with ledger.aio.open(target) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 201)])
        stream = book.stream(forever).through(endless)
        match how:
            case "cancelled":
                task = asyncio.create_task(listed(stream))
                await settles(lambda: book._readers._reading)
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            case "timed out":
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await listed(stream)
            case "left":
                async with aclosing(stream):
                    async for _ in stream:
                        break
            case "dropped":
                async for _ in stream:
                    break
                del stream
                gc.collect()
                await settles(ended.is_set)
            case _:
                await anext(stream)
                await stream.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)
        assert ended.is_set()
        assert book._readers._reading == set()


@asynchronous
async def test_an_answer_that_is_not_wanted_any_more_stops_its_thread(target: str) -> None:
    raised: list[BaseException] = []

    def endless(entries: Iterator[Entry]) -> int:
        try:
            return sum(entry.position for entry in entries)
        except BaseException as error:
            raised.append(error)
            raise

    async with ledger.aio.open(target) as book:
        await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 20)])

        def in_one_step(book: Ledger) -> int:
            return endless(forever(book))

        for asked in (book.stream(forever).into(endless), book.run(in_one_step)):
            task = asyncio.ensure_future(asked)
            await settles(lambda: book._readers._reading)
            await asyncio.sleep(0.02)
            # Some frameworks cancel a task again and again until it has ended.
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            assert book._readers._reading == set()
        assert [type(each) for each in raised] == [StoppedError, StoppedError]


@asynchronous
async def test_what_is_cancelled_while_it_appends_is_settled(target: str) -> None:
    begun = threading.Event()

    def plan_and_apply(book: Ledger) -> list[Cursor]:
        begun.set()
        time.sleep(0.05)
        return book.append([AdvanceCursor(ORDERS, 1)])

    async with ledger.aio.open(target) as book:
        task = asyncio.create_task(book.run(plan_and_apply))
        await settles(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = await book.find(ORDERS)
        await asyncio.sleep(0.1)
        assert await book.find(ORDERS) == before, "it was settled when the await ended"


@asynchronous
async def test_closing_the_ledger_ends_what_was_being_read(target: str) -> None:
    book = await ledger.aio.open(target)
    await book.append([AdvanceCursor(ORDERS, n) for n in range(1, 601)])
    stream = gaps(book.history(ORDERS))
    entries = book.history(ORDERS)
    await anext(entries)
    await book.close()
    with pytest.raises(StorageError, match="is closed"):
        await listed(entries)
    with pytest.raises(StorageError, match="is closed"):
        await listed(stream)


@asynchronous
async def test_many_views_at_once_are_more_than_there_are_threads(target: str) -> None:
    async with ledger.aio.open(target) as book:
        keys = [CursorKey("mailer", "orders", str(n)) for n in range(100)]
        await book.append([AdvanceCursor(key, n) for key in keys for n in (1, 5)])
        found = await asyncio.gather(*(listed(gaps(book.history(key))) for key in keys))
        assert [[(gap.first, gap.last) for gap in each] for each in found] == [[(2, 4)]] * 100


@pytest.mark.slow("it measures memory over long logs")
def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    # What is held at once is a page of rows, however long the history.
    async def peak(entries: int) -> int:
        async with ledger.aio.open(tmp_path / f"{entries}.db", durability="normal") as book:
            for begin in range(1, entries, 2_000):
                await book.append([AdvanceCursor(ORDERS, begin + n) for n in range(2_000)])
            await explain(book.history(ORDERS), 7)
            tracemalloc.start()
            try:
                assert await listed(gaps(book.history(ORDERS))) == []
                assert (await explain(book.history(ORDERS), 7)).deliveries == 1
                read = 0
                async for _ in book.history(ORDERS):
                    read += 1
                assert read == entries
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    few, many = asyncio.run(peak(2_000)), asyncio.run(peak(20_000))
    assert many < 1.5 * few + 300_000
