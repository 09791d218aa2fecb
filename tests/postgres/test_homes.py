"""A connection to a copy of the ledger is not one to the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

import ledger
import ledger.aio
from ledger import InvalidCursorError
from ledger.stores.postgres.homes import Home
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.servers import Server, own_database, wheel_binaries

COPY = "a copy of this ledger, in another database than"


@pytest.fixture
def both(kind: str) -> Iterator[tuple[str, str]]:
    """Return a database with a ledger, and one that was made as a copy of it."""
    with own_database(kind) as url, own_database(kind) as copy:
        ledger.open(url).close()
        name, copied = (url.rpartition("/")[2], copy.rpartition("/")[2])
        with psycopg.connect(url.replace(name, "postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {copied}".encode())
            connection.execute(f"CREATE DATABASE {copied} TEMPLATE {name}".encode())
        yield url, copy


def test_a_connection_to_a_copy_of_the_database_is_refused(both: tuple[str, str]) -> None:
    url, copy = both
    engine = sqlalchemy.create_engine(copy.replace("postgresql://", "postgresql+psycopg://"))
    with ledger.open(url) as book:
        with psycopg.connect(copy) as connection, pytest.raises(InvalidCursorError, match=COPY):
            book.using(connection)
        with orm.Session(engine) as session, pytest.raises(InvalidCursorError, match=COPY):
            book.using(session).advance(ORDERS, to=1)
        with psycopg.connect(url) as connection:
            book.using(connection).advance(ORDERS, to=2)
        assert book.get(ORDERS).version == 1
    engine.dispose()
    with ledger.open(copy) as other:
        assert other.find(ORDERS) is None


@asynchronous
async def test_an_async_engine_of_a_copy_is_refused_too(both: tuple[str, str]) -> None:
    url, copy = both
    engine = create_async_engine(copy.replace("postgresql://", "postgresql+psycopg://"))
    async with ledger.aio.open(url) as book:
        async with AsyncSession(engine) as session:
            with pytest.raises(InvalidCursorError, match=COPY):
                await book.using(session).advance(ORDERS, to=1)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await book.using(connection).advance(ORDERS, to=2)
        assert (await book.get(ORDERS)).version == 1
    await engine.dispose()


@pytest.mark.slow("a server of its own, which is started anew, and copied as files")
def test_a_server_that_was_started_anew_is_the_same_and_a_copy_of_its_files_is_not() -> None:
    server = Server(wheel_binaries()).make()
    with ledger.open(server.url) as book:
        closed = ledger.open(server.url)
        closed.close()
        copy = server.standby()
        with psycopg.connect(copy.url) as connection:
            # One that follows it may be read from.
            assert book.using(connection).find(ORDERS) is None
        server.stop()
        server.start()
        with psycopg.connect(server.url) as connection:
            book.using(connection).advance(ORDERS, to=1)
            closed.using(connection).advance(JOBS, to=1)
        copy.promote()
        with (
            closing(psycopg.connect(copy.url)) as connection,
            pytest.raises(InvalidCursorError, match=COPY),
        ):
            book.using(connection)
        assert [cursor.version for cursor in book.cursors()] == [1, 1]
    copy.remove()
    server.remove()


@pytest.mark.parametrize(
    ("ledger_id", "database", "may_be"),
    [
        ("a", "16384 today", True),
        ("a", "", True),  # A standby, or a connection whose database is known from before.
        ("a", "16385 today", False),
        ("b", "16384 today", False),
        ("b", "", False),
        ("", "", False),
    ],
)
def test_a_home_is_a_ledger_in_a_database(ledger_id: str, database: str, may_be: bool) -> None:
    own, found = Home("a", "16384 today"), Home(ledger_id, database)
    assert own.may_be(found) is found.may_be(own) is may_be


def test_of_two_ledgers_that_have_lost_their_ids_one_is_not_the_other(
    both: tuple[str, str],
) -> None:
    for url in both:
        with psycopg.connect(url) as owner:
            owner.execute("DELETE FROM ledger_identity")
    url, copy = both
    with ledger.open(url) as book:
        with psycopg.connect(copy) as connection, pytest.raises(InvalidCursorError, match=COPY):
            book.using(connection)
        with psycopg.connect(url) as connection:
            assert book.using(connection).advance(ORDERS, to=1).version == 1
