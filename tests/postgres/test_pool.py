"""How many sessions a ledger on PostgreSQL uses: as few as do, because they have warm caches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

import ledger
from ledger import CursorKey
from ledger.stores.postgres import borrowing
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.pooling import MostRecentFirst
from support.cursors import ORDERS
from support.interrupted import steps_interrupted
from support.servers import connect

THREADS = 8
# A connection that was opened to look at the tables is not kept where the pool is to keep none.
OPENED = {0: 2, 1: 1, 3: 3}


@pytest.fixture
def name() -> str:
    """A name for the sessions of one test, because others on the server go only after a while."""
    return f"cursor-ledger-{uuid4().hex}"


def sessions(target: str, name: str) -> dict[int, object]:
    """Return when each session of that name began its last statement."""
    with connect(target) as owner:
        found = owner.execute(
            "SELECT pid, query_start FROM pg_stat_activity WHERE application_name = %s", (name,)
        )
        return dict(found.fetchall())


@pytest.mark.parametrize("pool_min_size", [0, 1, 3])
def test_a_lone_caller_has_no_session_opened_that_it_does_not_need(
    target: str, name: str, pool_min_size: int
) -> None:
    url = f"{target}&application_name={name}&pool_min_size={pool_min_size}"
    with ledger.open(url, actor="tester") as book:
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
            book.get(ORDERS)
        assert 1 <= len(sessions(target, name)) <= max(pool_min_size, 1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[psycopg.Connection[Any]]:
    """Return the connections that are opened from now on."""
    opened: list[psycopg.Connection[Any]] = []
    connect = psycopg.Connection.connect

    def noted(*where: str, **how: Any) -> psycopg.Connection[Any]:
        opened.append(connect(*where, **how))
        return opened[-1]

    for place in (psycopg, psycopg.Connection):
        monkeypatch.setattr(place, "connect", noted)
    return opened


@pytest.mark.parametrize("pool_min_size", OPENED)
def test_the_connection_that_looked_at_the_tables_is_the_first_of_the_pool(
    target: str, opened: list[psycopg.Connection[Any]], pool_min_size: int
) -> None:
    with ledger.open(f"{target}&pool_min_size={pool_min_size}", actor="tester") as book:
        assert opened[0].closed == (pool_min_size == 0)
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
        pool: Any = book._store.connections._pool  # type: ignore[attr-defined]
        pool.wait()
        assert len(opened) == OPENED[pool_min_size]
    assert [connection.closed for connection in opened] == [True] * len(opened)


def test_it_is_set_as_the_others_of_the_pool(
    target: str, opened: list[psycopg.Connection[Any]]
) -> None:
    url = f"{target}&pool_min_size=2"
    with ledger.open(url, durability="normal", busy_timeout_s=1.5) as book:
        pool: Any = book._store.connections._pool  # type: ignore[attr-defined]
        pool.wait()  # One that is wanted before would be opened beside them.
        with pool.connection() as one, pool.connection() as other:
            assert {one, other} == set(opened)
            for connection in (one, other):
                assert connection.prepare_threshold == 0
                assert connection.autocommit
                for name, value in {"lock_timeout": "1500ms", "synchronous_commit": "off"}.items():
                    assert connection.execute(f"SHOW {name}").fetchone() == (value,)
            paths = {each.execute("SHOW search_path").fetchone() for each in (one, other)}
            assert len(paths) == 1


def test_a_ledger_whose_tables_cannot_be_made_leaves_no_connection_open(
    target: str, opened: list[psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise psycopg.errors.InsufficientPrivilege("not by you")

    monkeypatch.setattr("ledger.stores.postgres.connections.home_of", fail)
    with pytest.raises(ledger.StorageError, match="may not do that"):
        ledger.open(target)
    assert [connection.closed for connection in opened] == [True]


def test_what_a_pool_has_not_got_yet_is_closed_with_it(target: str) -> None:
    address = Address.parse(target)
    first = address.connect()
    pool = MostRecentFirst.to(address, lambda _: None, first)
    pool.close()
    assert first.closed


def test_a_lone_caller_keeps_to_one_session_of_many(target: str, name: str) -> None:
    together = Barrier(THREADS)

    with ledger.open(f"{target}&application_name={name}", actor="tester") as book:

        def work(nth: int) -> None:
            together.wait()
            for to in range(1, 20):
                book.advance(CursorKey(f"c{nth}", "orders"), to=to)

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(work, range(THREADS)))
        before = sessions(target, name)
        assert len(before) > 2
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
        after = sessions(target, name)
    assert len([pid for pid in after if after[pid] != before.get(pid)]) == 1


# CPython runs signal handlers after calls, and where functions are entered; not before these.
NEVER_AT = (
    "self.owners[connection] = owner",
    "lent.connection = connection",
    "borrowing.owners[connection] = None",
    "borrowing.source.give_back(connection)",
)


@pytest.mark.parametrize("shared", [False, True], ids=["own", "caller's"])
def test_an_interrupt_leaves_no_connection_out_of_the_pool(target: str, shared: bool) -> None:
    with ExitStack() as stack:
        given: Any
        address, given = Address.parse(target), f"{target}&pool_max_size=2"
        schema: dict[str, Any] = {}
        if shared:
            given = stack.enter_context(
                ConnectionPool(address.conninfo, min_size=2, max_size=2, open=True)
            )
            schema = {"schema": address.schema}
        book = stack.enter_context(ledger.open(given, actor="tester", busy_timeout_s=0.3, **schema))
        book.advance(ORDERS, to=1)
        for _ in steps_interrupted(borrowing, lambda: book.get(ORDERS), never_at=NEVER_AT):
            assert book.get(ORDERS).last_sequence == 1
        pool = given if shared else book._store.connections._pool  # type: ignore[attr-defined]
        with pool.connection(5) as one:
            assert book.get(ORDERS).last_sequence == 1  # On the other one.
            assert one.execute("SELECT 1").fetchone() == (1,)
