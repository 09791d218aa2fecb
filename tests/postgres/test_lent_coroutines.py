"""Coroutines on PostgreSQL: they wait for others in no thread, and can be cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

import ledger.aio
from ledger import Ledger
from ledger.stores.postgres.fitness import RELEASE, ROLLBACK, SAVEPOINT
from ledger.stores.postgres.lent_async import _Session
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.lending import awaited, lending
from support.servers import connect

ASYNC_KINDS = ["async driver", "AsyncSession", "AsyncConnection"]

HELD_UP = "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"

pytestmark = pytest.mark.parametrize("lent_kind", ASYNC_KINDS)


@asynchronous
async def test_the_loop_goes_on_while_a_call_waits_for_others_in_no_thread(
    lent_kind: str, target: str, book: Ledger
) -> None:
    book.advance(ORDERS, to=1)
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        await own.call("advance", JOBS, to=1)
        with connect(target, autocommit=False) as other:
            book.using(other).advance(ORDERS, to=2)
            threads = threading.active_count()
            task = asyncio.ensure_future(own.call("advance", ORDERS, to=3))
            until = time.monotonic() + 0.3
            ticks = 0
            while time.monotonic() < until:
                await asyncio.sleep(0.001)
                ticks += 1
            assert not task.done()
            assert threading.active_count() == threads
            assert ticks > 20
            # Cancelled while it waits: what the transaction had before is still good.
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await own.call("get", JOBS)).last_sequence == 1
            other.rollback()
        await own.call("advance", ORDERS, to=4)
        await awaited(own.commit())
    assert book.get(ORDERS).last_sequence == 4
    assert book.verify().ok


@asynchronous
async def test_a_new_cursor_that_another_has_made_meanwhile_is_gone_on_with(
    lent_kind: str, target: str, book: Ledger
) -> None:
    async with lending(lent_kind, target) as own:
        with connect(target, autocommit=False) as other:
            book.using(other).advance(ORDERS, to=1)
            await awaited(own.begin())
            await own.call("advance", JOBS, to=1)
            task = asyncio.ensure_future(own.call("advance", ORDERS, to=2))
            await asyncio.sleep(0.2)
            other.commit()
            assert (await task).version == 2
        await awaited(own.commit())
    assert book.get(JOBS).version == 1
    assert book.verify().ok


@asynchronous
async def test_a_call_that_waits_too_long_says_who_is_in_the_way(
    lent_kind: str, target: str, book: Ledger
) -> None:
    book.advance(ORDERS, to=1)
    async with lending(lent_kind, target) as own:
        with connect(target, autocommit=False, application_name="holder") as other:
            book.using(other).advance(ORDERS, to=2)
            await awaited(own.begin())
            await awaited(own.run("SET LOCAL lock_timeout = 50"))
            with pytest.raises(ledger.LedgerBusyError, match="holder"):
                await own.call("advance", ORDERS, to=3)
            await own.call("advance", JOBS, to=1)
            other.rollback()
        await awaited(own.commit())
    assert book.get(JOBS).version == 1


@asynchronous
async def test_settings_under_which_values_would_arrive_changed_are_refused(
    lent_kind: str, target: str, book: Ledger
) -> None:
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        await awaited(own.run("SET LOCAL array_nulls = off"))
        with pytest.raises(ledger.StorageError, match="SET array_nulls"):
            await own.call("advance", ORDERS, to=1)
        await awaited(own.rollback())
        await awaited(own.begin())
        await awaited(own.run("SET LOCAL standard_conforming_strings = off"))
        with pytest.raises(ledger.StorageError, match="SET standard_conforming_strings"):
            await own.call("advance", ORDERS, to=1)
        await awaited(own.rollback())
        await awaited(own.begin())
        with suppress(Exception):
            await awaited(own.run("SELECT nonsense"))
        with pytest.raises(ledger.StorageError, match="roll it back"):
            await own.call("advance", ORDERS, to=1)
        await awaited(own.rollback())
    assert book.find(ORDERS) is None


@asynchronous
async def test_a_connection_that_dies_while_a_call_is_cancelled_hides_no_cancellation(
    lent_kind: str, target: str, book: Ledger
) -> None:
    if lent_kind == "async driver":
        pytest.skip("who lends a driver's connection rolls back by hand")
    book.advance(ORDERS, to=1)
    async with lending(lent_kind, target) as own:
        with connect(target, autocommit=False) as other, connect(target) as looking:
            book.using(other).advance(ORDERS, to=2)

            async def work() -> None:
                # Its owner rolls back when this is cancelled, which fails on a dead connection.
                async with own.given.begin():
                    await own.call("advance", ORDERS, to=3)

            task = asyncio.ensure_future(work())
            while not (waiting := looking.execute(HELD_UP, (other.info.backend_pid,)).fetchall()):
                await asyncio.sleep(0.01)
            looking.execute("SELECT pg_terminate_backend(%s, 5000)", waiting[0])
            # Before the loop hears of it.
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            other.rollback()
        await own.call("advance", ORDERS, to=4)
        await awaited(own.commit())
    assert book.get(ORDERS).version == 2


@asynchronous
async def test_many_requests_that_wait_for_a_lock_on_the_whole_table_can_be_cancelled(
    lent_kind: str, target: str, book: Ledger
) -> None:
    many = [ledger.AdvanceCursor(ORDERS, n) for n in range(1, 60)]
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        with connect(target, autocommit=False) as other, connect(target) as looking:
            other.execute("LOCK TABLE ledger_events IN SHARE MODE NOWAIT")
            task = asyncio.ensure_future(own.call("append", many))
            while not looking.execute(HELD_UP, (other.info.backend_pid,)).fetchall():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # The lock is held until here.
            other.rollback()
        await own.call("advance", JOBS, to=1)
        await awaited(own.commit())
    assert book.find(ORDERS) is None
    assert book.get(JOBS).version == 1


@asynchronous
async def test_an_advance_is_one_task_beside_that_of_its_caller(
    lent_kind: str, target: str, book: Ledger
) -> None:
    # A task more for each statement took a call a tenth more time.
    book.advance(ORDERS, to=1)
    made = []

    def noting(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        await own.call("advance", ORDERS, to=2)
        loop = asyncio.get_running_loop()
        loop.set_task_factory(noting)
        try:
            await own.call("advance", ORDERS, to=3)
        finally:
            loop.set_task_factory(None)
        await awaited(own.commit())
    assert len(made) == 1
    assert book.get(ORDERS).version == 3


@pytest.mark.parametrize("step", [SAVEPOINT, RELEASE])
@asynchronous
async def test_a_call_that_is_cancelled_around_its_savepoint_goes_on_to_the_end_of_that_step(
    lent_kind: str, step: bytes, target: str, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the call could not tell whether there is a savepoint, and what goes back to one that is
    # not there fails the transaction.
    book.advance(ORDERS, to=1)
    at_it, ran = asyncio.Event(), []
    run = _Session.run

    async def run_late(session: _Session, statement: bytes) -> None:
        if statement == step and not at_it.is_set():
            at_it.set()
            for _ in range(9):
                await asyncio.sleep(0)
        await run(session, statement)
        ran.append(statement)

    monkeypatch.setattr(_Session, "run", run_late)
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        task = asyncio.ensure_future(own.call("advance", ORDERS, to=2))
        await at_it.wait()
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        assert ran == [SAVEPOINT, *([ROLLBACK] if step == SAVEPOINT else []), RELEASE]
        # What the transaction had before, and does next, is good.
        await own.call("advance", JOBS, to=1)
        await awaited(own.commit())
    assert book.get(JOBS).version == 1
    assert book.get(ORDERS).version == (1 if step == SAVEPOINT else 2)
