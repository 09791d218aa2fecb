"""One connection that several threads lend at the same time, and a session of each thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, LedgerBusyError, NonMonotonicCursorError
from ledger.integrations.sqlalchemy import begin_immediate
from ledger.opening import utc_now
from ledger.stores.postgres.address import Address
from ledger.stores.turns import _TURNS, turn_of
from support.cursors import JOBS, ORDERS
from support.lending import engine_url

WAITS_S = 0.3


@contextmanager
def driver(target: str) -> Iterator[Any]:
    if not target.startswith("postgresql://"):
        with closing(sqlite3.connect(target, check_same_thread=False, timeout=0)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            yield connection
        return
    address = Address.parse(target)
    options = f"-c search_path={address.schema}"
    with closing(psycopg.connect(address.conninfo, options=options)) as connection:
        connection.execute("SELECT 1")
        yield connection


@contextmanager
def engine_of(target: str, **more: Any) -> Iterator[sqlalchemy.Engine]:
    url, options = engine_url(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **options, **more)
    if engine.dialect.name == "sqlite":
        begin_immediate(engine)
    yield engine
    engine.dispose()


@contextmanager
def session(target: str) -> Iterator[Any]:
    with engine_of(target) as engine, orm.Session(engine) as given:
        given.execute(sqlalchemy.text("SELECT 1"))
        yield given


@contextmanager
def connection(target: str) -> Iterator[Any]:
    with engine_of(target) as engine, engine.connect() as given:
        yield given


@pytest.mark.parametrize("given_by", [driver, session, connection])
def test_what_a_thread_appends_is_not_undone_with_what_another_is_refused(
    given_by: Any, target: str, book: Ledger
) -> None:
    inside, done = threading.Event(), threading.Event()

    def clock() -> datetime:
        # In the middle of what is refused, until the other thread is done, or waits.
        inside.set()
        done.wait(WAITS_S)
        return utc_now()

    def refused(given: Any, slow: Ledger) -> None:
        with pytest.raises(NonMonotonicCursorError):
            slow.using(given).append([AdvanceCursor(JOBS, 2), AdvanceCursor(JOBS, 1)])

    # Two ledgers, because each lends the connection by itself.
    with (
        given_by(target) as given,
        ledger.open(target, actor="slow", clock=clock) as slow,
        ThreadPoolExecutor(1) as thread,
    ):
        lent = book.using(given)
        other = thread.submit(refused, given, slow)
        assert inside.wait(10)
        answered = lent.advance(ORDERS, to=5)
        done.set()
        other.result(10)
        assert lent.get(ORDERS) == answered
        given.commit()
    assert book.get(ORDERS) == answered
    assert book.find(JOBS) is None
    assert book.verify().ok


@pytest.mark.parametrize("given_by", [driver, session, connection])
def test_threads_that_read_and_append_over_one_connection_each_get_what_is_theirs(
    given_by: Any, target: str, book: Ledger
) -> None:
    each = range(10, 210, 10)

    with given_by(target) as given, ThreadPoolExecutor(4) as threads:

        def work(number: int) -> list[int]:
            key = CursorKey(f"w{number}", "jobs")
            seen = []
            for to in each:
                lent = book.using(given)
                lent.advance(key, to=to)
                with pytest.raises(NonMonotonicCursorError):
                    lent.append([AdvanceCursor(key, to + 1), AdvanceCursor(key, 1)])
                seen.append(lent.get(key).last_sequence)
            return seen

        assert list(threads.map(work, range(4))) == [list(each)] * 4
        given.commit()
    assert [cursor.version for cursor in book.cursors()] == [20] * 4
    assert book.verify().ok
    assert _TURNS == {}


def test_a_call_in_the_middle_of_another_in_the_same_thread_is_refused() -> None:
    lent = object()
    with turn_of(lent, writes=True), turn_of(lent):
        with pytest.raises(ledger.StorageError, match="signal handler"), turn_of(lent, writes=True):
            pytest.fail("it was let in")
        assert _TURNS
    assert _TURNS == {}


def test_a_scoped_session_is_lent_by_whichever_thread_calls_and_none_is_taken_before(
    target: str, book: Ledger
) -> None:
    with engine_of(target, pool_size=1, max_overflow=0, pool_timeout=1) as engine:
        session = orm.scoped_session(orm.sessionmaker(engine))
        lent = book.using(session)
        assert not session.registry.has()
        once = orm.Session(engine)
        also = book.using(once)
        assert not once.in_transaction()
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]

        def work() -> int:
            try:
                version = lent.advance(ORDERS, to=1).version
                session.commit()
                return version
            finally:
                session.remove()

        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(work).result(10) == 1
        assert book.advance(ORDERS, to=2).version == 2
        with once.begin():
            assert also.advance(ORDERS, to=3).version == 3
        assert book.get(ORDERS).version == 3


def test_a_session_that_others_are_in_the_way_of_is_busy(target: str, book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    more: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    if not target.startswith("postgresql://"):
        more["connect_args"] = {"timeout": 0.1}
    with engine_of(target, **more) as engine, orm.Session(engine) as given:
        with driver(target) as first:
            if target.startswith("postgresql://"):
                with engine.connect(), pytest.raises(LedgerBusyError, match="no connection"):
                    book.using(given).advance(ORDERS, to=2)
                given.rollback()
                given.execute(sqlalchemy.text("SET lock_timeout = '100ms'"))
            book.using(first).advance(ORDERS, to=2)
            with pytest.raises(LedgerBusyError, match="try again"):
                book.using(given).advance(ORDERS, to=3)
            first.rollback()
        given.rollback()
        book.using(given).advance(ORDERS, to=3)
        given.commit()
    assert book.get(ORDERS).version == 2
