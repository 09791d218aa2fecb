"""Two hundred requests at once, of which a third fail: rows and cursors agree afterwards."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

import ledger
import ledger.aio
from ledger import CursorKey, Ledger
from ledger.integrations.sqlalchemy import begin_immediate
from support.lending import engine_url

REQUESTS = 200
STREAMS = 7

INSERT = sqlalchemy.text("INSERT INTO mine (stream, n) VALUES (:stream, :n)")


class FailedError(Exception):
    """What a third of the requests end with."""


def options(target: str, *, asynchronous: bool) -> tuple[str, dict[str, Any]]:
    url, more = engine_url(target, asynchronous=asynchronous)
    if "sqlite" in url:
        more["connect_args"] = {"timeout": 60}
    # Fewer than there are requests, so that they wait for each other's connections.
    return url, {**more, "pool_size": 5, "max_overflow": 0, "pool_timeout": 60}


def place(number: int) -> tuple[CursorKey, dict[str, Any]]:
    stream = f"s-{number % STREAMS}"
    return CursorKey("web", stream), {"stream": stream, "n": number}


def agree(book: Ledger, engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        counted = sqlalchemy.text("SELECT stream, count(*) FROM mine GROUP BY stream")
        rows = {row[0]: row[1] for row in connection.execute(counted)}
        connection.execute(sqlalchemy.text("DROP TABLE mine"))
    assert {cursor.key.stream_name: cursor.version for cursor in book.cursors()} == rows
    assert {c.key.stream_name: c.last_sequence for c in book.cursors()} == rows
    assert sum(rows.values()) == sum(1 for number in range(REQUESTS) if number % 3)
    assert book.verify().ok


@pytest.mark.slow("many threads or tasks at once")
def test_threads_with_a_session_each(target: str, book: Ledger) -> None:
    url, more = options(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **more)
    if engine.dialect.name == "sqlite":
        begin_immediate(engine)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE mine (stream TEXT, n INTEGER)"))

    def request(number: int) -> bool:
        key, row = place(number)
        try:
            with orm.Session(engine) as session, session.begin():
                session.execute(INSERT, row)
                lent = book.using(session)
                session.execute(sqlalchemy.text(lock_of(engine)), {"key": number % STREAMS})
                found = lent.find(key)
                lent.advance(key, to=(found.last_sequence if found else 0) + 1)
                if number % 3 == 0:
                    raise FailedError
        except FailedError:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(request, range(REQUESTS))) > 0
    agree(book, engine)
    engine.dispose()


@pytest.mark.slow("many threads or tasks at once")
def test_tasks_with_an_asynchronous_session_each(target: str, book: Ledger) -> None:
    # Without the loop's debug mode, in which this takes five times as long.
    asyncio.run(all_requests(target))
    url, more = options(target, asynchronous=False)
    plain = sqlalchemy.create_engine(url, **more)
    agree(book, plain)
    plain.dispose()


async def all_requests(target: str) -> None:
    url, more = options(target, asynchronous=True)
    engine = create_async_engine(url, **more)
    if engine.dialect.name == "sqlite":
        begin_immediate(engine)
    async with engine.begin() as connection:
        await connection.execute(sqlalchemy.text("CREATE TABLE mine (stream TEXT, n INTEGER)"))
    async with ledger.aio.open(target) as own:

        async def request(number: int) -> None:
            key, row = place(number)
            async with AsyncSession(engine) as session, session.begin():
                await session.execute(INSERT, row)
                lent = own.using(session)
                lock = sqlalchemy.text(lock_of(engine.sync_engine))
                await session.execute(lock, {"key": number % STREAMS})
                found = await lent.find(key)
                await lent.advance(key, to=(found.last_sequence if found else 0) + 1)
                if number % 3 == 0:
                    raise FailedError

        answers = await asyncio.gather(*map(request, range(REQUESTS)), return_exceptions=True)
    assert [type(answer) for answer in answers if answer] == [FailedError] * len(
        range(0, REQUESTS, 3)
    )
    await engine.dispose()


def lock_of(engine: sqlalchemy.Engine) -> str:
    """Return what has requests of one stream wait for each other; a writer of SQLite is alone."""
    on_sqlite = engine.dialect.name == "sqlite"
    return "SELECT :key" if on_sqlite else "SELECT pg_advisory_xact_lock(4711, :key)"
