"""A ledger over the connections of the caller's own pool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import create_async_engine

import ledger
import ledger.aio
from ledger import AdvanceCursor, CursorKey, InvalidCursorError, Ledger, StorageError
from ledger.stores.postgres.address import Address
from support.cursors import JOBS, ORDERS
from support.servers import connect

SIZE = 2

SETTINGS = {
    "search_path": "public",
    "lock_timeout": "7s",
    "default_transaction_isolation": "serializable",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "client_encoding": "LATIN1",
}


def name_of(target: str) -> str:
    """Return what the sessions of the pool are called: others have a pool on the same server."""
    return f"the pool on {Address.parse(target).schema}"


@contextmanager
def pool_of(target: str) -> Iterator[Any]:
    """Return a pool of psycopg whose sessions are set for programs of long ago."""

    def configure(connection: psycopg.Connection[Any]) -> None:
        for name, value in SETTINGS.items():
            connection.execute(f"SET {name} = '{value}'".encode())
        connection.commit()

    with psycopg_pool.ConnectionPool(
        Address.parse(target).conninfo,
        kwargs={"application_name": name_of(target), "row_factory": psycopg.rows.dict_row},
        configure=configure,
        min_size=0,
        max_size=SIZE,
        max_idle=0.2,
    ) as pool:
        yield pool


@contextmanager
def engine_of(target: str) -> Iterator[Any]:
    """Return an engine whose sessions are set likewise."""
    url = Address.parse(target).conninfo.replace("postgresql://", "postgresql+psycopg://")
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    engine = sqlalchemy.create_engine(
        url,
        pool_size=SIZE,
        max_overflow=0,
        connect_args={"application_name": name_of(target), "options": options},
    )
    yield engine
    engine.dispose()


SHARED: list[Callable[..., Any]] = [pool_of, engine_of]

pytestmark = pytest.mark.parametrize("shared_by", SHARED, ids=["ConnectionPool", "Engine"])


@pytest.fixture
def given(shared_by: Callable[..., Any], target: str) -> Iterator[Any]:
    with shared_by(target) as given:
        yield given


@pytest.fixture
def shared(given: Any, target: str) -> Iterator[Ledger]:
    with ledger.open(given, schema=Address.parse(target).schema, actor="shared") as book:
        yield book


def connections(target: str) -> int:
    with connect(target) as own:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        row = own.execute(statement, (name_of(target),)).fetchone()
        assert row
        return int(row[0])


def settings(given: Any) -> list[dict[str, str]]:
    """Return the settings of both connections of the pool, as their owner finds them."""
    found = []
    if isinstance(given, psycopg_pool.ConnectionPool):
        with given.connection() as first, given.connection() as second:
            for each in (first, second):
                assert not each.autocommit
                row: Any = each.execute("SELECT 1 AS one").fetchone()
                assert row == {"one": 1}
                found.append(_settings(each))
        return found
    with given.connect() as first, given.connect() as second:
        for each in (first, second):
            driver = each.connection.driver_connection
            assert not driver.autocommit
            found.append(_settings(driver))
    return found


def _settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row)
    found = {}
    for name in SETTINGS:
        [[found[name]]] = rows.execute(f"SHOW {name}".encode()).fetchall()
    return found


def test_a_ledger_keeps_all_its_promises_over_a_pool_and_leaves_that_as_it_was(
    shared: Ledger, given: Any, book: Ledger
) -> None:
    before = settings(given)
    key = CursorKey("日本", r"a\'b")
    shared.advance(key, to=1, delivery_id=r"\x41", metadata={"a": r"\b"})
    shared.advance(key, to=2)
    shared.record_error(key, r"NULL \ {}")
    shared.append([AdvanceCursor(key, n, delivery_id=r"\N") for n in range(10, 90)])
    shared.append_each([AdvanceCursor(key, 90), AdvanceCursor(key, 1), AdvanceCursor(JOBS, 1)])
    shared.reset(JOBS, to=0, reason="lost", actor="ines")
    with pytest.raises(ledger.NonMonotonicCursorError):
        shared.advance(key, to=1)
    assert [entry.version for entry in shared.history(key)] == list(range(1, 85))
    assert len(list(shared.cursors())) == 2
    assert shared.verify().ok
    assert book.verify().entries == 86
    assert book.identity() == shared.identity()
    assert settings(given) == before
    assert before[0]["search_path"] == "public"


def test_many_threads_need_no_more_connections_than_the_pool_has(
    shared: Ledger, target: str
) -> None:
    failures: list[Exception] = []
    counts: list[int] = []

    def work(number: int) -> None:
        try:
            for to in range(1, 8):
                shared.advance(CursorKey("many", str(number)), to=to)
                shared.get(CursorKey("many", str(number)))
        except Exception as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts.append(connections(target))
    assert failures == []
    assert max(counts) <= SIZE
    assert shared.verify().entries == 16 * 7
    # One more, as long as somebody waits for what others append.
    waiting = threading.Thread(target=shared.wait, args=(ORDERS, 0, 30))
    waiting.start()
    until = threading.Event()
    for _ in range(100):
        if max(counts := [connections(target)]) or until.wait(0.02):
            break
    shared.advance(ORDERS, to=1)
    waiting.join(30)
    assert not waiting.is_alive()
    assert connections(target) <= SIZE + 1


def test_a_connection_that_was_lost_while_idle_is_replaced(shared: Ledger, target: str) -> None:
    shared.advance(ORDERS, to=1)
    with connect(target) as own:
        own.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (name_of(target),),
        )
    assert shared.advance(ORDERS, to=2).version == 2
    assert shared.get(ORDERS).last_sequence == 2


def test_a_session_of_the_same_engine_is_lent(shared: Ledger, given: Any) -> None:
    if not isinstance(given, sqlalchemy.Engine):
        refused = pytest.raises(StorageError, match="SET client_encoding")
        with given.connection() as connection, refused:
            shared.using(connection)
        return
    with orm.Session(given) as session:
        session.execute(sqlalchemy.text("SET LOCAL standard_conforming_strings = on"))
        session.execute(sqlalchemy.text("SET LOCAL client_encoding = 'UTF8'"))
        session.execute(sqlalchemy.text("SET LOCAL array_nulls = on"))
        shared.using(session).advance(ORDERS, to=1)
        session.rollback()
    assert shared.find(ORDERS) is None


def test_closing_the_ledger_leaves_the_pool_open(given: Any, target: str) -> None:
    with ledger.open(given, schema=Address.parse(target).schema) as book:
        book.advance(ORDERS, to=1)
    with pytest.raises(StorageError, match="closed"):
        book.get(ORDERS)
    assert len(settings(given)) == SIZE


def test_what_cannot_be_shared_is_refused_with_the_reason(
    shared_by: Callable[..., Any], target: str, tmp_path: Path
) -> None:
    memory = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(InvalidCursorError, match=r"ledger\.testing\.in_memory"):
        ledger.open(memory)
    with pytest.raises(InvalidCursorError, match="schema"):
        ledger.open(tmp_path / "x.db", schema="other")
    file = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'cursors.db'}")
    with ledger.open(file) as book, orm.Session(file) as session:
        book.using(session).advance(ORDERS, to=1)
        session.commit()
        assert book.get(ORDERS).version == 1
    file.dispose()
    url = Address.parse(target).conninfo.replace("postgresql://", "postgresql+psycopg://")
    with pytest.raises(InvalidCursorError, match="belong to an event loop"):
        ledger.open(create_async_engine(url))
    with shared_by(target) as closed:
        pass
    if isinstance(closed, psycopg_pool.ConnectionPool):
        with pytest.raises(StorageError, match="open it first"):
            ledger.open(closed)
    else:
        with pytest.raises(InvalidCursorError, match="schema"):
            ledger.open(closed, schema="")


def test_coroutines_share_the_pool(given: Any, target: str) -> None:
    async def main() -> int:
        schema = Address.parse(target).schema
        async with ledger.aio.open(given, schema=schema) as book:
            keys = [CursorKey("async", str(n)) for n in range(20)]
            await asyncio.gather(*(book.advance(key, to=1) for key in keys))
            return len([cursor async for cursor in book.cursors()])

    assert asyncio.run(main()) == 20
    assert connections(target) <= SIZE
