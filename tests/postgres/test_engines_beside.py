"""What an asynchronous engine or pool is refused with, done; and how many connections are kept."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

import ledger
import ledger.aio
from ledger import InvalidCursorError
from ledger.stores.postgres.address import Address
from support.cursors import JOBS, ORDERS
from support.servers import connect


def name_of(target: str) -> str:
    """Return what the sessions of a program are called: others are on the same server."""
    return f"beside {Address.parse(target).schema}"


def url_of(target: str) -> str:
    conninfo = Address.parse(target).conninfo.replace("postgresql://", "postgresql+psycopg://")
    return f"{conninfo}{'&' if '?' in conninfo else '?'}application_name={name_of(target)}"


def kept(target: str, most: int = 0) -> int:
    """Return how many sessions there are, once there are no more than `most`, or after a while."""
    end = time.monotonic() + 10
    with connect(target) as own:
        while True:
            statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            [[count]] = own.execute(statement, (name_of(target),)).fetchall()
            if count <= most or time.monotonic() > end:
                return int(count)
            time.sleep(0.02)


def test_an_engine_beside_an_asynchronous_one_keeps_no_connection(target: str) -> None:
    async def main() -> None:
        engine = create_async_engine(url_of(target))
        schema = Address.parse(target).schema
        with pytest.raises(InvalidCursorError, match=r"create_engine\(engine\.url, poolclass="):
            await ledger.aio.open(engine)
        beside = sqlalchemy.create_engine(engine.url, poolclass=sqlalchemy.NullPool)
        async with ledger.aio.open(beside, schema=schema) as book:
            await book.advance(JOBS, to=1)
            assert kept(target) == 0
            async with AsyncSession(engine) as session, session.begin():
                await book.using(session).advance(ORDERS, to=7)
                assert kept(target, 1) == 1
            assert (await book.get(ORDERS)).last_sequence == 7
            # The one of the program's own engine.
            assert kept(target, 1) == 1
        await engine.dispose()

    asyncio.run(main())


def test_a_pool_beside_an_asynchronous_one_keeps_no_connection(target: str) -> None:
    async def main() -> None:
        kwargs = {"application_name": name_of(target)}
        conninfo = Address.parse(target).conninfo
        theirs = psycopg_pool.AsyncConnectionPool(conninfo, kwargs=kwargs, open=False)
        with pytest.raises(InvalidCursorError, match=r"ConnectionPool\(pool\.conninfo, kwargs="):
            await ledger.aio.open(theirs)  # type: ignore[arg-type]
        given: dict[str, object] = dict(theirs.kwargs)  # type: ignore[arg-type]
        with psycopg_pool.ConnectionPool(
            str(theirs.conninfo), kwargs=given, min_size=0, max_size=4, max_idle=0.2
        ) as pool:
            async with ledger.aio.open(pool, schema=Address.parse(target).schema) as book:
                await book.advance(ORDERS, to=1)
                assert kept(target) == 0

    asyncio.run(main())


def test_lazy_takes_no_connections_of_a_parent(target: str) -> None:
    engine = sqlalchemy.create_engine(url_of(target))
    pool = psycopg_pool.ConnectionPool(Address.parse(target).conninfo, open=False)
    for lazy in (ledger.lazy, ledger.aio.lazy):
        for given in (engine, pool):
            with pytest.raises(InvalidCursorError, match="do not survive a fork"):
                lazy(given)  # type: ignore[arg-type]
        with pytest.raises(InvalidCursorError, match="event loop"):
            lazy(create_async_engine(url_of(target)))
    assert kept(target) == 0


def test_lazy_keeps_the_path_of_an_engine_to_a_file(path: Path) -> None:
    engines: list[sqlalchemy.Engine | AsyncEngine] = [
        sqlalchemy.create_engine(f"sqlite:///{path}"),
        create_async_engine(f"sqlite+aiosqlite:///{path}"),
    ]
    for number, engine in enumerate(engines, 1):
        book = ledger.lazy(engine)
        assert book.advance(ORDERS, to=number).version == 2 * number - 1
        child = os.fork()
        if child == 0:
            os._exit(0 if book.advance(ORDERS, to=number).version == 2 * number else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert book.get(ORDERS).version == 2 * number
        book.close()
    with ledger.open(engines[1]) as book:
        assert book.verify().ok
    with pytest.raises(InvalidCursorError, match="in_memory"):
        ledger.lazy(create_async_engine("sqlite+aiosqlite://"))
