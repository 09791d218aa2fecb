"""What cannot be lent at all is named in its refusal, with what to lend in its place."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from pathlib import Path
from typing import Any

import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

import ledger.aio
from ledger import InvalidCursorError, Ledger, StorageError
from support.coroutines import asynchronous
from support.cursors import ORDERS
from support.lending import engine_url

ONE_DATABASE = "only in one database"


@pytest.fixture
def engine(target: str) -> Any:
    url, options = engine_url(target, asynchronous=False)
    made = sqlalchemy.create_engine(url, **options)
    yield made
    made.dispose()


def said_on(target: str, *, postgres: bool, said: str) -> str:
    """Return what is said of an object whose database is PostgreSQL, or else SQLite."""
    return said if postgres == target.startswith("postgresql") else ONE_DATABASE


def of(module: str, name: str) -> Any:
    """Return an object of a package that is not installed here."""
    return type(name, (), {"__module__": module})()


def unawaited() -> Any:
    async def connect() -> None:
        """Return nothing, because nobody awaits it."""

    made = connect()
    made.close()
    return made


def test_what_has_no_transaction_is_refused_with_what_has_one(
    book: Ledger, target: str, engine: sqlalchemy.Engine
) -> None:
    with engine.connect() as connection, orm.Session(engine) as session:
        driver: Any = connection.connection.driver_connection
        given: list[tuple[Any, str]] = [
            (engine, r"sqlalchemy\.engine\.base\.Engine\. An Engine has no transaction"),
            (orm.sessionmaker(engine), "sessionmaker has no transaction"),
            (session.begin(), r"SessionTransaction.* Lend the Session or the Connection"),
            (connection.connection, "Lend the Session or the Connection"),
            (driver.cursor(), r"cursor\.connection"),
            (AsyncSession(), r"not a sqlalchemy.*asynchronous: lend it to a ledger of ledger\.aio"),
            (async_sessionmaker(), r"asynchronous: lend it to a ledger of ledger\.aio\.open"),
            (create_async_engine("sqlite+aiosqlite://"), r"asynchronous: lend it to a ledger of"),
            (
                of("asyncpg.connection", "Connection"),
                said_on(
                    target, postgres=True, said=r"an asyncpg\.connection.*postgresql\+psycopg://"
                ),
            ),
            (
                of("psycopg2.extensions", "connection"),
                said_on(target, postgres=True, said="another driver: lend a"),
            ),
            (
                of("apsw", "Connection"),
                said_on(target, postgres=False, said=r"an apsw.*lend a sqlite3\.Conn.*qlite://"),
            ),
            (
                of("pymysql.connections", "Connection"),
                f"to MySQL, and this ledger .*{ONE_DATABASE}",
            ),
            (
                psycopg_pool.ConnectionPool("", open=False),
                said_on(target, postgres=True, said=r"with pool\.connection\(\)"),
            ),
            (
                psycopg_pool.AsyncConnectionPool("", open=False),
                said_on(target, postgres=True, said="asynchronous: lend a connection of it to"),
            ),
            (sqlite3.Cursor, r"not the class sqlite3\.Cursor\. Lend one that you have made"),
            (orm.Session, r"not the class sqlalchemy\.orm\.session\.Session\. Lend one that"),
            (engine.begin(), "Lend what it gives when it is entered: with"),
            (contextlib.aclosing(engine), "Lend what it gives when it is entered"),
            (unawaited(), "not a coroutine. Await it"),
            (of("django.db.backends.sqlite3.base", "DatabaseWrapper"), r"transaction\.atomic\(\)"),
            (of("peewee", "Database"), r"not a peewee\.Database\. Lend the one that you write"),
            (None, "not nothing. Lend the one that you write your rows with"),
            ("cursors.db", "not a str"),
            (7, "not an int"),
        ]
        for each, said in given:
            with pytest.raises(InvalidCursorError, match=said):
                book.using(each)


@asynchronous
async def test_what_coroutines_cannot_lend_is_refused_with_what_they_can(
    target: str, engine: sqlalchemy.Engine
) -> None:
    url, options = engine_url(target, asynchronous=True)
    asynchronous_engine = create_async_engine(url, **options)
    async with ledger.aio.open(target) as book:
        with (
            engine.connect() as connection,
            orm.Session(engine) as session,
            contextlib.closing(sqlite3.connect(":memory:")) as memory,
        ):
            driver: Any = connection.connection.driver_connection
            blocking: Any = session
            given: list[tuple[Any, str]] = [
                (blocking, "block the event loop"),
                (orm.scoped_session(orm.sessionmaker(engine)), "block the event loop"),
                (connection, "block the event loop"),
                (driver, "block the event loop. Lend a"),
                (driver.cursor(), "block the event loop. Lend a"),
                (engine, "block the event loop"),
                (orm.sessionmaker(engine), "block the event loop"),
                (asynchronous_engine, "AsyncEngine has no transaction"),
                (async_sessionmaker(asynchronous_engine), "async_sessionmaker has no transaction"),
                (asynchronous_engine.begin(), "when it is entered: async with"),
                (
                    of("aiosqlite.cursor", "Cursor"),
                    said_on(target, postgres=False, said="that it is of"),
                ),
                (
                    of("psycopg", "AsyncCursor"),
                    said_on(target, postgres=True, said=r"of: cursor\.connection"),
                ),
                (
                    of("asyncpg.pool", "Pool"),
                    said_on(target, postgres=True, said=r"lend a psycopg\.Async"),
                ),
                (
                    memory,
                    said_on(target, postgres=False, said=r"Lend an aiosqlite\.Conn"),
                ),
                (
                    psycopg_pool.ConnectionPool("", open=False),
                    said_on(
                        target,
                        postgres=True,
                        said="block the event loop. Lend a connection of an Async",
                    ),
                ),
                (
                    psycopg_pool.AsyncConnectionPool("", open=False),
                    said_on(target, postgres=True, said=r"async with pool\.connection\(\)"),
                ),
                (of("aiomysql.connection", "Connection"), f"to MySQL.*{ONE_DATABASE}"),
                (unawaited(), "Await it"),
                (AsyncSession, r"not the class sqlalchemy\.ext"),
                (of("django.db.backends.sqlite3.base", "DatabaseWrapper"), "are not awaited"),
                (None, "not nothing"),
                (object(), "AsyncSession or AsyncConnection"),
            ]
            for each, said in given:
                with pytest.raises(InvalidCursorError, match=said):
                    book.using(each)
    with pytest.raises(StorageError, match="closed"):
        book.using(asynchronous_engine)  # type: ignore[arg-type]
    await asynchronous_engine.dispose()


def test_nothing_is_lent_where_nobody_has_imported_aiosqlite(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def lend() -> None:
        async with ledger.aio.open(tmp_path / "cursors.db") as book:
            monkeypatch.delitem(sys.modules, "aiosqlite")
            with pytest.raises(
                InvalidCursorError, match=r"an aiosqlite\.Connection .* not nothing"
            ):
                book.using(None)  # type: ignore[arg-type]

    asyncio.run(lend())


def test_a_driver_s_connection_that_is_closed_is_said_to_be(
    book: Ledger, engine: sqlalchemy.Engine
) -> None:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        connection.detach()
    driver.close()
    with pytest.raises(StorageError, match=r"connection to \S+ is closed\. Lend one that is open"):
        book.using(driver)


@asynchronous
async def test_a_session_of_several_engines_is_refused_with_the_next_step(target: str) -> None:
    async with ledger.aio.open(target) as book:
        with pytest.raises(StorageError, match=r"Lend the AsyncConnection: await session\.conn"):
            await book.using(AsyncSession()).find(ORDERS)
        elsewhere = "sqlite+aiosqlite://" if "postgresql" in target else "postgresql+psycopg://"
        session = AsyncSession(create_async_engine(elsewhere))
        with pytest.raises(InvalidCursorError, match=r"lend an AsyncSession.* create_async_engine"):
            await book.using(session).find(ORDERS)
        await session.close()
