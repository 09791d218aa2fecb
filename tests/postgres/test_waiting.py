"""How long a call waits on PostgreSQL, and what it says of the transactions it waited for."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, LedgerBusyError, RecordError
from ledger.errors import StorageError
from ledger.law.refusals import NonMonotonicCursorError
from ledger.stores.postgres.errors import translated
from ledger.stores.postgres.keys import cursor_id
from support.cursors import JOBS, ORDERS
from support.lost_connections import Cut
from support.servers import connect, own_database

# They measure how long calls wait, so they do not run beside each other.
pytestmark = pytest.mark.xdist_group("waits")

BUSY_S = 2.0
# A call may take 1.2 times as long; what a machine adds that has other things to do is not counted
# as the ledger's, and none of the faults that this is about adds less than the time once more.
BOUND_S = BUSY_S * 1.7


@contextmanager
def within_bounds() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < BOUND_S


@pytest.mark.parametrize("new", [False, True])
def test_several_that_others_hold_are_waited_for_within_one_time_out(
    target: str, new: bool
) -> None:
    # In the order in which they are locked.
    keys = sorted((CursorKey(f"c{n}", "orders") for n in range(3)), key=cursor_id)
    with ledger.open(target, actor="tester", busy_timeout_s=BUSY_S) as book, ExitStack() as stack:
        if not new:
            book.append([RecordError(key, "x") for key in keys])
        callers = [stack.enter_context(connect(target, autocommit=False)) for _ in keys]
        for caller, key in zip(callers, keys, strict=True):
            book.using(caller).record_error(key, "mine")
        # Each goes when the one before has been waited for for most of the time.
        ending = [
            threading.Timer(BUSY_S * 0.9 * (n + 1), caller.rollback)
            for n, caller in enumerate(callers)
        ]
        for timer in ending:
            timer.start()
        # Under the locks, whatever is remembered.
        requests = [AdvanceCursor(key, 1) for key in keys]
        with within_bounds(), pytest.raises(LedgerBusyError, match="try again"):
            book.append([*requests, *(RecordError(ORDERS, "x") for _ in range(40))])
        for timer in ending:
            timer.join()
        assert len(book.append(requests)) == 3
        assert book.verify().ok


def test_a_connection_and_a_lock_are_waited_for_within_one_time_out(target: str) -> None:
    url = target + "&pool_max_size=2"
    with ledger.open(url, actor="tester", busy_timeout_s=BUSY_S) as book:
        book.advance(ORDERS, to=1)
        taken = [book._store.connections._pool.getconn() for _ in range(2)]  # type: ignore[attr-defined]
        given_back = threading.Timer(
            BUSY_S * 0.9,
            lambda: book._store.connections._pool.putconn(taken[0]),  # type: ignore[attr-defined]
        )
        given_back.start()
        with connect(target, autocommit=False) as caller:
            caller.execute("SELECT 1 FROM ledger_cursors FOR UPDATE")
            with within_bounds(), pytest.raises(LedgerBusyError, match="held by"):
                book.advance(ORDERS, to=2)
        given_back.join()
        book._store.connections._pool.putconn(taken[1])  # type: ignore[attr-defined]
        assert book.advance(ORDERS, to=2).version == 2


def test_a_full_pool_is_waited_for_no_longer_than_asked(target: str) -> None:
    url = target + "&pool_max_size=2"
    with ledger.open(url, actor="tester", busy_timeout_s=0.3) as book:
        taken = [book._store.connections._pool.getconn() for _ in range(2)]  # type: ignore[attr-defined]
        began = time.monotonic()
        with pytest.raises(LedgerBusyError, match="all 2 are in use"):
            book.advance(ORDERS, to=1)
        # Not the second that connecting is given.
        assert time.monotonic() - began < 0.9
        for connection in taken:
            book._store.connections._pool.putconn(connection)  # type: ignore[attr-defined]


def test_what_a_call_has_set_for_itself_is_gone_afterwards(target: str) -> None:
    with ledger.open(target + "&pool_max_size=2", actor="tester", busy_timeout_s=7) as book:
        keys = [CursorKey(f"c{n}", "orders") for n in range(40)]
        book.append([RecordError(key, "x") for key in keys])
        book.append([RecordError(key, "x") for key in keys])
        pool = book._store.connections._pool  # type: ignore[attr-defined]
        with pool.connection() as connection:
            for name, value in (("lock_timeout", "7s"), ("statement_timeout", "0")):
                assert connection.execute(f"SHOW {name}").fetchone() == (value,)


HOLDING: dict[str, Callable[[psycopg.Connection[Any], Ledger], object]] = {
    "its row": lambda caller, _: caller.execute("SELECT 1 FROM ledger_cursors FOR UPDATE"),
    "by an append": lambda caller, book: book.using(caller).advance(ORDERS, to=5),
    "the table": lambda caller, _: caller.execute("LOCK TABLE ledger_cursors IN EXCLUSIVE MODE"),
    "all of it": lambda caller, _: caller.execute("LOCK TABLE ledger_cursors"),
}


@pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
@pytest.mark.parametrize("way", HOLDING)
def test_a_transaction_that_holds_a_cursor_is_named(target: str, way: str, lent: bool) -> None:
    options: dict[str, Any] = {"autocommit": False, "application_name": "billing\x1b[2J"}
    with (
        ledger.open(target, actor="tester", busy_timeout_s=0.3) as book,
        connect(target, **options) as caller,
        connect(target, autocommit=False) as other,
    ):
        book.advance(ORDERS, to=1)
        HOLDING[way](caller, book)
        other.execute("SET LOCAL lock_timeout = 300")
        asked = book.using(other) if lent else book
        with pytest.raises(LedgerBusyError) as busy:
            asked.advance(ORDERS, to=6)
        said = str(busy.value)
        # Older servers have put something else in its place.
        assert re.search(r"billing(\\x1b|\?)\[2J, process \d+, since 20", said)
        assert f"process {caller.info.backend_pid}," in said
        assert (
            "It is held by"
            if way != "by an append"
            else "These transactions have appended and not ended"
        ) in said
        assert "Nothing was appended" in said
        caller.rollback()
        assert asked.advance(ORDERS, to=6).version == 2


@pytest.mark.parametrize("lent", [False, True], ids=["own", "lent"])
def test_a_locked_table_is_waited_for_once_and_its_holder_is_named(target: str, lent: bool) -> None:
    with (
        ledger.open(target, actor="tester", busy_timeout_s=BUSY_S) as book,
        connect(target, autocommit=False) as caller,
        connect(target, autocommit=False) as other,
    ):
        book.advance(ORDERS, to=1)
        asked = book.using(other) if lent else book
        other.execute(f"SET LOCAL lock_timeout = {int(BUSY_S * 1_000)}".encode())
        caller.execute("LOCK TABLE ledger_cursors")
        call = partial(asked.advance, ORDERS, to=2) if lent else partial(asked.find, ORDERS)
        with within_bounds(), pytest.raises(LedgerBusyError, match="held by") as busy:
            call()
        assert f"process {caller.info.backend_pid}," in str(busy.value)
        caller.rollback()
        assert asked.advance(ORDERS, to=2).version == 2
        [set_to] = other.execute("SHOW lock_timeout").fetchone() or [""]
        assert set_to == f"{BUSY_S:.0f}s"


def test_a_reader_waits_for_a_connection_and_a_table_within_one_time_out(target: str) -> None:
    url = target + "&pool_max_size=2"
    with (
        ledger.open(url, actor="tester", busy_timeout_s=BUSY_S) as book,
        connect(target, autocommit=False) as caller,
    ):
        pool = book._store.connections._pool  # type: ignore[attr-defined]
        taken = [pool.getconn() for _ in range(2)]
        caller.execute("LOCK TABLE ledger_cursors")
        given_back = threading.Timer(BUSY_S * 0.9, lambda: pool.putconn(taken[0]))
        given_back.start()
        with within_bounds(), pytest.raises(LedgerBusyError, match="held by"):
            book.find(ORDERS)
        given_back.join()
        pool.putconn(taken[1])


def test_a_reader_behind_a_session_that_waits_for_a_table_is_told_in_time(target: str) -> None:
    with (
        ledger.open(target, actor="tester", busy_timeout_s=BUSY_S) as book,
        connect(target, autocommit=False) as caller,
        connect(target, autocommit=False) as other,
    ):
        book.advance(ORDERS, to=1)
        book.using(caller).advance(ORDERS, to=2)
        changing = threading.Thread(target=other.execute, args=("LOCK TABLE ledger_cursors",))
        changing.start()
        time.sleep(0.2)
        try:
            with within_bounds(), pytest.raises(LedgerBusyError):
                book.find(ORDERS)
        finally:
            caller.rollback()
            changing.join()


@contextmanager
def locked(target: str, table: str, *, for_s: float) -> Iterator[None]:
    """Keep everybody else off a table for a while, as VACUUM does where it gives pages back."""
    with connect(target, autocommit=False) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        ending = threading.Timer(for_s, other.rollback)
        ending.start()
        try:
            yield
        finally:
            ending.join()


@pytest.mark.parametrize("way", ["read", "remembered", "under locks"])
def test_the_servers_own_work_on_a_catalog_is_nobody_s(way: str) -> None:
    # In a database of its own, because all others would wait as well.
    with own_database("postgres") as url:
        ledger.open(url).close()
        with ledger.open(url, actor="tester", busy_timeout_s=0) as book:
            if way == "remembered":
                book.advance(JOBS, to=1)
            began = time.monotonic()
            # What a session keeps of a table is void once somebody has changed it.
            with connect(url) as owner:
                owner.execute(b"ALTER TABLE ledger_cursors SET (fillfactor = 80)")
            with locked(url, "pg_catalog.pg_attribute", for_s=0.3):
                if way == "read":
                    assert list(book.cursors()) == []
                else:
                    assert book.advance(JOBS, to=2).last_sequence == 2
            assert 0.3 <= time.monotonic() - began < BOUND_S


@pytest.mark.parametrize("table", ["ledger_cursors", "ledger_events"])
def test_a_table_that_a_session_has_is_held_by_it(target: str, table: str) -> None:
    # To make the tables takes a lock that others on the server may have.
    ledger.open(target).close()
    with ledger.open(target, actor="tester", busy_timeout_s=0) as book:
        with locked(target, table, for_s=BUSY_S):
            began = time.monotonic()
            with pytest.raises(LedgerBusyError):
                book.advance(JOBS, to=1)
            assert time.monotonic() - began < BUSY_S / 2
        assert book.advance(JOBS, to=1).version == 1


def test_a_catalog_that_is_locked_for_long_is_busy() -> None:
    with own_database("postgres") as url:
        ledger.open(url).close()
        with (
            ledger.open(url, actor="tester", busy_timeout_s=0) as book,
            locked(url, "pg_catalog.pg_attribute", for_s=2 * BUSY_S),
            pytest.raises(LedgerBusyError),
        ):
            book.advance(JOBS, to=1)


def test_that_it_cannot_be_known_who_holds_it_is_no_other_error(target: str) -> None:
    with (
        ledger.open(target, actor="tester", busy_timeout_s=0.2) as book,
        connect(target, autocommit=False) as caller,
        connect(target, autocommit=False) as other,
    ):
        book.advance(ORDERS, to=1)
        book.using(caller).advance(ORDERS, to=5)
        # Where the log as a whole is not read, nor can be who waits.
        other.execute(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = 200"
        )
        with pytest.raises(LedgerBusyError, match="Nothing was appended; try again"):
            book.using(other).advance(ORDERS, to=6)


def test_a_full_disk_is_said_to_be_full() -> None:
    error = psycopg.errors.DiskFull("could not extend file: No space left on device")
    said = str(translated(error, "postgresql://h/x"))
    assert "is full" in said
    assert isinstance(translated(error, "x"), StorageError)


@pytest.mark.parametrize("before", [True, False])
def test_a_transaction_that_appended_nothing_may_lose_its_answer(
    target: str, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    with ledger.open(target, actor="tester") as book:
        book.advance(ORDERS, to=5)
        for work in (
            lambda: book.append_each([AdvanceCursor(ORDERS, 1)]),
            lambda: [book.submit(AdvanceCursor(ORDERS, 1)).exception(20)],
        ):
            with monkeypatch.context() as patched:
                cut = Cut(patched, before=before)
                [refused] = work()
                assert cut.left == 0
            assert isinstance(refused, NonMonotonicCursorError)
        with connect(target) as owner:
            owner.execute("UPDATE ledger_cursors SET last_sequence = 1")
        with monkeypatch.context() as patched:
            cut = Cut(patched, before=before)
            book.rebuild()
            assert cut.left == 0
        assert book.get(ORDERS).last_sequence == 5
        assert book.advance(JOBS, to=1).version == 1
        assert book.verify().ok
