"""The ledger for asyncio: the same names, the same answers, the same engine."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from conftest import JOBS, ORDERS
from test_files import child
from test_writer import gated, held

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
from ledger.aio import AsyncLedger


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own, in which nothing may block or be left behind."""

    async def watched(*args: Any, **kwargs: Any) -> None:
        complaints: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        await test(*args, **kwargs)
        # A future that is dropped with an exception that nobody asked for complains as it goes.
        gc.collect()
        assert complaints == []

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(watched(*args, **kwargs), debug=True)

    return run


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Refuse threads as the system does that has no more memory for them."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


@contextmanager
def reading_held_up(book: AsyncLedger) -> Iterator[Callable[[], Future[bool]]]:
    """Give what keeps one more of the threads that read busy, until the end, or for 5 s."""
    over = threading.Event()
    try:
        yield lambda: book._start(over.wait, 5)
    finally:
        over.set()


def test_its_methods_are_those_of_the_ledger() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    # A connection is lent in the thread that it is used in; and this is itself another way through.
    assert public(Ledger) - public(AsyncLedger) == {"using", "through"}
    assert public(AsyncLedger) - public(Ledger) == set()
    for name in public(AsyncLedger) - {"submit", "close", "immutable"}:
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
            for _ in range(ledger.aio.THREADS_MAX):
                hold_up()
            with held(sync, store):
                confirm.set()
                await asyncio.sleep(0.05)
            await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert store.batches == [1, 64]
        await book.close()


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
        for _ in range(ledger.aio.THREADS_MAX):
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


async def read_on(history: AsyncIterator[object]) -> int:
    return len([entry async for entry in history])


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
            for _ in range(ledger.aio.THREADS_MAX):
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
