"""Programs that lend the ledger what they have: each kind of connection, with the same handles."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
)
from typing import Any

import aiosqlite
import attrs
import psycopg
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine

import ledger
import ledger.aio
from ledger.integrations.sqlalchemy import begin_immediate
from ledger.stores.postgres.address import Address

__all__ = ["KINDS", "Program", "engine_url", "lending"]

KINDS = [
    "driver",
    "Session",
    "scoped_session",
    "Connection",
    "async driver",
    "AsyncSession",
    "async_scoped_session",
    "AsyncConnection",
]


@attrs.frozen(kw_only=True)
class Program:
    """A program with a connection of its own, which it lends; every step can be awaited."""

    given: Any
    lent: Any
    """What `using` has returned for it, once for the whole test."""
    using: Callable[[Any], Any]
    run: Callable[[str], Any]
    begin: Callable[[], Any]
    commit: Callable[[], Any]
    rollback: Callable[[], Any]

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the lent ledger."""
        return await awaited(getattr(self.lent, name)(*args, **kwargs))

    async def all(self, name: str, *args: Any) -> list[Any]:
        """Return everything that an iterating method of the lent ledger yields."""
        found = getattr(self.lent, name)(*args)
        if hasattr(found, "__aiter__"):
            return [each async for each in found]
        return list(found)

    async def numbers(self) -> list[int]:
        """Return the rows of its own table."""
        return [row[0] for row in await awaited(self.run("SELECT n FROM mine ORDER BY n"))]


async def awaited(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


def engine_url(target: str, *, asynchronous: bool) -> tuple[str, dict[str, Any]]:
    """Return what an engine to the database of `target` is made from."""
    if not target.startswith("postgresql://"):
        return f"sqlite+{'aiosqlite' if asynchronous else 'pysqlite'}:///{target}", {}
    address = Address.parse(target)
    url = address.conninfo.replace("postgresql://", "postgresql+psycopg://")
    return url, {"connect_args": {"options": f"-c search_path={address.schema}"}}


def lending(kind: str, target: str, book: Any = None) -> AbstractAsyncContextManager[Program]:
    """Return a program that lends connections of `kind` to the database of `target`.

    With `book`, it lends them to that ledger, and leaves it open.
    """
    opened: Any = nullcontext(book)
    if book is None:
        opened = (ledger.aio.open if "sync" in kind else ledger.open)(target, actor="lender")
    match kind:
        case "driver":
            return _driver(opened, target)
        case "async driver":
            return _async_driver(opened, target)
        case "Session" | "scoped_session" | "Connection":
            return _sqlalchemy(opened, kind, target)
        case _:
            return _async_sqlalchemy(opened, kind, target)


@asynccontextmanager
async def _driver(opened: Any, target: str) -> AsyncIterator[Program]:
    connection: Any
    if target.startswith("postgresql://"):
        address = Address.parse(target)
        options = f"-c search_path={address.schema}"
        connection = psycopg.connect(address.conninfo, options=options)
        begin = "SELECT 1"
    else:
        connection = sqlite3.connect(target, isolation_level=None, timeout=0)
        begin = "BEGIN IMMEDIATE"
    try:
        with opened as book:
            yield Program(
                given=connection,
                using=book.using,
                lent=book.using(connection),
                run=lambda statement: _rows(connection.execute(statement)),
                begin=lambda: connection.execute(begin),
                commit=connection.commit,
                rollback=connection.rollback,
            )
    finally:
        connection.close()


@asynccontextmanager
async def _async_driver(opened: Any, target: str) -> AsyncIterator[Program]:
    connection: Any
    if target.startswith("postgresql://"):
        address = Address.parse(target)
        options = f"-c search_path={address.schema}"
        connection = await psycopg.AsyncConnection.connect(address.conninfo, options=options)
        begin = "SELECT 1"
    else:
        connection = await aiosqlite.connect(target, isolation_level=None, timeout=0)
        begin = "BEGIN IMMEDIATE"

    async def run(statement: str) -> Any:
        cursor = await connection.execute(statement)
        return await cursor.fetchall() if cursor.description else None

    try:
        async with opened as book:
            yield Program(
                given=connection,
                using=book.using,
                lent=book.using(connection),
                run=run,
                begin=lambda: connection.execute(begin),
                commit=connection.commit,
                rollback=connection.rollback,
            )
    finally:
        await connection.close()


@asynccontextmanager
async def _sqlalchemy(opened: Any, kind: str, target: str) -> AsyncIterator[Program]:
    url, options = engine_url(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        begin_immediate(engine)
    given: Any
    match kind:
        case "Session":
            given = orm.Session(engine)
        case "scoped_session":
            given = orm.scoped_session(orm.sessionmaker(engine))
        case _:
            given = engine.connect()
    try:
        with opened as book:
            yield Program(
                given=given,
                using=book.using,
                lent=book.using(given),
                run=lambda statement: _fetched(given.execute(sqlalchemy.text(statement))),
                begin=lambda: given.execute(sqlalchemy.text("SELECT 1")),
                commit=given.commit,
                rollback=given.rollback,
            )
    finally:
        given.close()
        engine.dispose()


@asynccontextmanager
async def _async_sqlalchemy(opened: Any, kind: str, target: str) -> AsyncIterator[Program]:
    url, options = engine_url(target, asynchronous=True)
    engine = create_async_engine(url, **options)
    if engine.dialect.name == "sqlite":
        begin_immediate(engine)
    given: Any
    match kind:
        case "AsyncSession":
            given = AsyncSession(engine)
        case "async_scoped_session":
            maker = sqlalchemy.ext.asyncio.async_sessionmaker(engine)
            given = async_scoped_session(maker, scopefunc=lambda: 0)
        case _:
            given = await engine.connect()

    async def run(statement: str) -> Any:
        return _fetched(await given.execute(sqlalchemy.text(statement)))

    try:
        async with opened as book:
            yield Program(
                given=given,
                using=book.using,
                lent=book.using(given),
                run=run,
                begin=lambda: given.execute(sqlalchemy.text("SELECT 1")),
                commit=given.commit,
                rollback=given.rollback,
            )
    finally:
        await given.close()
        await engine.dispose()


def _rows(cursor: Any) -> Any:
    return cursor.fetchall() if cursor.description else None


def _fetched(result: Any) -> Any:
    return result.fetchall() if result.returns_rows else None
