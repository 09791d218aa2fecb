"""Pools that lend what is in use, or have nothing to lend, and connections that are lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy import event, orm
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool, StaticPool

import ledger
import ledger.aio
from ledger import InvalidCursorError, Ledger, LedgerBusyError, StorageError
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.sharing import EngineSource
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.lending import engine_url
from support.servers import connect

PEER = "SELECT pg_terminate_backend(%s)"


@contextmanager
def engine_of(target: str, **more: Any) -> Iterator[sqlalchemy.Engine]:
    url, options = engine_url(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **options, **more)
    yield engine
    engine.dispose()


def opened(engine: Any, target: str, **more: Any) -> Ledger:
    return ledger.open(engine, schema=Address.parse(target).schema, actor="shared", **more)


def end(target: str, pid: object) -> None:
    with connect(target) as other:
        other.execute(PEER, (pid,))
    time.sleep(0.1)


@pytest.mark.parametrize("of_kind", [StaticPool, SingletonThreadPool], ids=["static", "singleton"])
def test_a_pool_that_lends_one_connection_twice_is_refused_and_nothing_is_rolled_back(
    of_kind: Any, target: str, book: Ledger
) -> None:
    with engine_of(target, poolclass=of_kind) as engine:
        session = orm.Session(engine)
        with session, session.begin():
            book.using(session).advance(ORDERS, to=1)
            with pytest.raises(InvalidCursorError, match=f"{of_kind.__name__}.*QueuePool"):
                opened(engine, target)
    assert book.get(ORDERS).last_sequence == 1


def test_a_pool_that_was_exchanged_for_such_a_one_is_refused_by_the_next_call(
    target: str, book: Ledger
) -> None:
    with engine_of(target) as engine, opened(engine, target) as shared:
        shared.advance(ORDERS, to=1)
        before, engine.pool = engine.pool, StaticPool(engine.pool._creator)
        with orm.Session(engine) as session, session.begin():
            book.using(session).advance(JOBS, to=1)
            with pytest.raises(InvalidCursorError, match="StaticPool"):
                shared.advance(ORDERS, to=2)
        engine.pool.dispose()
        engine.pool = before
    assert [book.get(key).last_sequence for key in (JOBS, ORDERS)] == [1, 1]


@pytest.mark.parametrize("timeout_s", [1, 60], ids=["in time", "as long as it takes"])
def test_what_comes_back_after_the_engine_was_disposed_of_is_closed(
    target: str, timeout_s: float
) -> None:
    with engine_of(target, pool_timeout=30) as engine:
        source = EngineSource(engine)
        early = source.take(timeout_s)
        source.give_back(early)
        late = source.take(timeout_s)
        assert (late, late.closed) == (early, False)
        engine.dispose()
        source.give_back(late)
        assert late.closed


@pytest.mark.parametrize("of_kind", [QueuePool, NullPool], ids=["queue", "null"])
def test_a_transaction_that_a_listener_has_begun_is_left_alone(
    of_kind: Any, target: str, book: Ledger
) -> None:
    with engine_of(target, poolclass=of_kind) as engine, opened(engine, target) as shared:

        @event.listens_for(engine, "checkout")
        def begins(driver: Any, *_: object) -> None:
            driver.execute("SELECT 1")

        with pytest.raises(StorageError, match=r"in a transaction.*commit it there"):
            shared.advance(ORDERS, to=1)
        event.remove(engine, "checkout", begins)
        shared.advance(ORDERS, to=1)
    assert book.get(ORDERS).version == 1


def test_a_connection_of_a_pool_in_the_callers_transaction_is_not_rolled_back(
    target: str, book: Ledger
) -> None:
    class Twice(psycopg_pool.ConnectionPool[Any]):
        """Lends the same one to all who ask."""

        def getconn(self, *_: object) -> Any:
            return one

        def putconn(self, connection: Any) -> None:
            pass

    address = Address.parse(target)
    with connect(target) as one, Twice(address.conninfo, open=False) as pool:
        one.autocommit = False
        with ledger.open(pool, schema=address.schema, actor="shared") as shared:
            shared.advance(JOBS, to=1)
            book.using(one).advance(ORDERS, to=1)
            with pytest.raises(StorageError, match="leaves alone"):
                shared.find(ORDERS)
            with pytest.raises(StorageError, match="leaves alone"):
                shared.advance(JOBS, to=2)
            one.commit()
    assert [book.get(key).last_sequence for key in (JOBS, ORDERS)] == [1, 1]


def test_a_call_waits_for_an_engine_no_longer_than_its_own_time_out(
    target: str, book: Ledger
) -> None:
    with (
        engine_of(target, pool_size=1, max_overflow=0, pool_timeout=4) as engine,
        opened(engine, target, busy_timeout_s=0.4) as shared,
    ):
        shared.advance(ORDERS, to=1)
        began = time.monotonic()
        assert shared.wait(ORDERS, 9, timeout=0.3) is None
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            # The waker has a connection beside the pool.
            assert shared.wait(ORDERS, 9, timeout=0.3) is None
            assert shared.wait(ORDERS, 0, timeout=4).version == 1  # type: ignore[union-attr]
            with pytest.raises(LedgerBusyError, match="no connection to give"):
                shared.find(ORDERS)
            with pytest.raises(LedgerBusyError, match="no connection to give"):
                shared.advance(ORDERS, to=2)
            assert time.monotonic() - began < 3
        # Those who waited in the pool's queue have given back what they got.
        assert shared.advance(ORDERS, to=3).version == 2
        until = time.monotonic() + 5
        while engine.pool.checkedout() and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert book.get(ORDERS).version == 2


def test_a_caller_that_waits_has_a_connection_beside_a_pool_that_has_none_to_spare(
    target: str, book: Ledger
) -> None:
    seen: list[object] = []
    with (
        engine_of(target, pool_size=1, max_overflow=0, pool_timeout=4) as engine,
        opened(engine, target) as shared,
    ):
        event.listen(engine, "connect", lambda driver, _: seen.append(driver))
        store = shared._store
        listening = store.listen()  # type: ignore[attr-defined]
        with engine.connect():
            began = time.monotonic()
            assert listening.moved({ORDERS: 0}, ()) == []
            book.advance(ORDERS, to=1)
            assert [cursor.version for cursor in listening.moved({ORDERS: 0}, ())] == [1]
            assert time.monotonic() - began < 3
        listening.close()
        assert len(seen) == 1  # The listeners of the engine have made it fit as well.


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("of_kind", ["driver", "Session"])
def test_a_cursor_made_meanwhile_that_a_transaction_cannot_see_is_no_fault_but_busy(
    of_kind: str, level: str, target: str, book: Ledger
) -> None:
    with engine_of(target, isolation_level=level) as engine, orm.Session(engine) as session:
        session.execute(sqlalchemy.text("SELECT count(*) FROM ledger_cursors"))
        given: Any = session
        if of_kind == "driver":
            given = session.connection().connection.driver_connection
        lent = book.using(given)
        book.advance(ORDERS, to=1)
        with pytest.raises(LedgerBusyError, match="try again"):
            lent.advance(ORDERS, to=2)
        session.rollback()
        book.using(session).advance(ORDERS, to=2)
        session.commit()
    assert book.get(ORDERS).version == 2


@asynchronous
async def test_an_async_caller_is_told_of_a_hidden_cursor_and_of_a_lost_connection(
    target: str, book: Ledger
) -> None:
    url, options = engine_url(target, asynchronous=True)
    engine = create_async_engine(url, isolation_level="REPEATABLE READ", **options)
    async with ledger.aio.open(target) as own, AsyncSession(engine) as session:
        await session.execute(sqlalchemy.text("SELECT count(*) FROM ledger_cursors"))
        book.advance(ORDERS, to=1)
        with pytest.raises(LedgerBusyError, match="try again"):
            await own.using(session).advance(ORDERS, to=2)
        await session.rollback()
        pid = (await session.execute(sqlalchemy.text("SELECT pg_backend_pid()"))).scalar()
        await session.rollback()

        async def work() -> None:
            async with session.begin():
                await session.execute(sqlalchemy.text("SELECT 1"))
                end(target, pid)
                await own.using(session).advance(ORDERS, to=3)

        with pytest.raises(StorageError, match="terminating connection"):
            await work()
        assert (await session.execute(sqlalchemy.text("SELECT 1"))).scalar() == 1
    await engine.dispose()
    assert book.get(ORDERS).version == 1


@pytest.mark.parametrize("known", [False, True], ids=["first call", "later call"])
@pytest.mark.parametrize("name", ["advance", "get"])
@pytest.mark.parametrize("of_kind", ["Session", "scoped_session", "Connection"])
def test_a_connection_that_dies_is_said_to_have_and_its_owner_goes_on_with_another(
    of_kind: str, name: str, known: bool, target: str, book: Ledger
) -> None:
    book.advance(ORDERS, to=1)
    with engine_of(target, pool_size=1, max_overflow=0) as engine:
        makers: dict[str, Any] = {
            "Session": lambda: orm.Session(engine),
            "scoped_session": orm.scoped_session(orm.sessionmaker(engine)),
            "Connection": engine.connect,
        }
        with makers[of_kind]() as given:

            def work() -> None:
                with given.begin():
                    pid = given.execute(sqlalchemy.text("SELECT pg_backend_pid()")).scalar()
                    lent = book.using(given)
                    if known:
                        lent.get(ORDERS)
                    end(target, pid)
                    lent.advance(ORDERS, to=2) if name == "advance" else lent.get(ORDERS)

            with pytest.raises(StorageError, match="terminating connection"):
                work()
            given.rollback()
            book.using(given).advance(ORDERS, to=3)
            given.commit()
    assert book.get(ORDERS).version == 2


@pytest.mark.parametrize("name", ["advance", "get"])
@pytest.mark.parametrize("of_kind", ["Session", "scoped_session", "Connection"])
def test_what_a_signal_handler_raises_in_a_call_is_not_hidden_by_the_rollback(
    of_kind: str, name: str, target: str, book: Ledger, request: pytest.FixtureRequest
) -> None:
    class LateError(Exception):
        """As a soft time limit of Celery has it."""

    def late(*_: object) -> None:
        raise LateError

    book.advance(ORDERS, to=1)
    before = signal.signal(signal.SIGUSR1, late)
    request.addfinalizer(lambda: signal.signal(signal.SIGUSR1, before))
    with engine_of(target, pool_size=1, max_overflow=0) as engine:
        makers: dict[str, Any] = {
            "Session": lambda: orm.Session(engine),
            "scoped_session": orm.scoped_session(orm.sessionmaker(engine)),
            "Connection": engine.connect,
        }
        with makers[of_kind]() as given, connect(target, autocommit=False) as other:
            lent = book.using(given)
            lent.find(JOBS)
            given.rollback()
            other.execute("LOCK TABLE ledger_cursors IN ACCESS EXCLUSIVE MODE")
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            with pytest.raises(LateError), given.begin():
                lent.advance(ORDERS, to=2) if name == "advance" else lent.get(ORDERS)
            other.rollback()
            lent.advance(ORDERS, to=3)
            given.commit()
    assert book.get(ORDERS).version == 2


@asynchronous
async def test_a_session_of_a_task_whose_connection_dies_leaves_no_other_one_behind(
    target: str, book: Ledger
) -> None:
    url, options = engine_url(target, asynchronous=True)
    engine = create_async_engine(url, **options)
    made: list[AsyncSession] = []

    class Noted(AsyncSession):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    sessions = async_sessionmaker(engine, class_=Noted)
    session = async_scoped_session(sessions, scopefunc=asyncio.current_task)
    async with ledger.aio.open(target) as own:
        pid = (await session.execute(sqlalchemy.text("SELECT pg_backend_pid()"))).scalar()
        await asyncio.to_thread(end, target, pid)
        with pytest.raises(StorageError, match="terminating connection"):
            await own.using(session).advance(ORDERS, to=1)
        await session.rollback()
        await own.using(session).advance(ORDERS, to=2)
        await session.commit()
        await session.remove()
    await engine.dispose()
    assert len(made) == 1
    assert book.get(ORDERS).version == 1
