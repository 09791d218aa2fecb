"""How waiters are woken on a server: told of resets; and after their connection was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, EntryQuery, Ledger, ResetCursor
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.listening import Listener
from ledger.waking.waiting import for_reset
from support.cursors import JOBS, ORDERS

LONG_S = 20.0
NEVER_S = 3_600.0


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing asked for by itself for an hour, so that only being told wakes anybody."""
    monkeypatch.setattr(Listener, "entries_s", NEVER_S)
    monkeypatch.setattr(Listener, "resets_s", NEVER_S)
    monkeypatch.setattr("ledger.waking.waker.REST_MAX_S", NEVER_S)


@pytest.fixture
def other(target: str, book: Ledger) -> Iterator[Ledger]:  # noqa: ARG001 - it has made the tables
    with ledger.open(target, actor="other") as other:
        yield other


@pytest.fixture
def lent(target: str, book: Ledger) -> Iterator[Any]:  # noqa: ARG001 - it has made the tables
    connection = Address.parse(target).connect()
    connection.autocommit = False
    with connection:
        yield connection


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def listener(book: Ledger) -> Listener:
    assert book._waker is not None
    assert isinstance(book._waker._listening, Listener)
    return book._waker._listening


def watched(book: Ledger, key: CursorKey, epoch: int) -> Future[object]:
    """Wait for a reset of `key`, once the server has been asked what is there."""
    news: Future[object] = Future()
    assert book._waker is not None
    book._waker.watch(for_reset(key, epoch), news.set_result)
    until(lambda: listener(book)._session is not None)
    until(lambda: book._waker is not None and not book._waker._fresh)
    time.sleep(0.1)
    return news


def backend_of(book: Ledger) -> int:
    session = listener(book)._session
    assert session is not None
    return session.connection.info.backend_pid


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("way", ["reset", "append", "append many", "submit"])
def test_a_reset_by_another_is_told_of(book: Ledger, other: Ledger, way: str) -> None:
    book.advance(ORDERS, to=5)
    other.advance(ORDERS, to=6)
    told = watched(book, ORDERS, 0)
    reset = ResetCursor(ORDERS, 3, "lost 4")
    match way:
        case "reset":
            other.reset(ORDERS, to=3, reason="lost 4")
        case "append":
            other.append([AdvanceCursor(ORDERS, 7), reset, AdvanceCursor(ORDERS, 4)])
        case "append many":
            other.append([*(AdvanceCursor(JOBS, n) for n in range(1, 60)), reset])
        case _:
            other.submit(reset).result(LONG_S)
    cursor = told.result(LONG_S)
    assert isinstance(cursor, ledger.Cursor)
    assert (cursor.key, cursor.epoch) == (ORDERS, 1)


@pytest.mark.usefixtures("deaf")
def test_an_advance_is_not_told_of(book: Ledger, other: Ledger) -> None:
    """Told in each append, all commits of the server would wait for one another."""
    told = watched(book, ORDERS, 0)
    for n in range(1, 5):
        other.advance(ORDERS, to=n)
    other.record_error(ORDERS, "503")
    with psycopg.connect(_plain(book)) as connection:
        connection.execute("LISTEN cursor_ledger_resets")
        connection.commit()
        other.advance(ORDERS, to=9)
        # Tests beside this one tell of resets in schemas of their own.
        told_of = {each.payload for each in connection.notifies(timeout=0.1)}
        assert _schema(book) not in told_of
    assert not told.done()


def test_a_reset_of_another_schema_is_not_ours(book: Ledger, other: Ledger) -> None:
    told = watched(book, ORDERS, 0)
    until(lambda: not listener(book)._heard)
    with psycopg.connect(_plain(book), autocommit=True) as connection:
        connection.execute("SELECT pg_notify('cursor_ledger_resets', 'another schema')")
    time.sleep(0.1)
    assert not listener(book)._heard
    other.reset(ORDERS, to=0, reason="ours")
    assert told.result(LONG_S)


def test_after_its_connection_was_lost_it_asks_over_another(book: Ledger, other: Ledger) -> None:
    told = watched(book, ORDERS, 0)
    waiting = ThreadPoolExecutor(1).submit(book.wait, JOBS, 0, LONG_S)
    lost = backend_of(book)
    with psycopg.connect(_plain(book), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (lost,))
    other.reset(ORDERS, to=0, reason="nobody was there to be told")
    other.advance(JOBS, to=1)
    assert told.result(LONG_S)
    cursor = waiting.result(LONG_S)
    assert cursor is not None
    assert cursor.last_sequence == 1
    again = watched(book, ORDERS, 1)
    assert backend_of(book) != lost
    other.reset(ORDERS, to=0, reason="told of again")
    assert again.result(LONG_S)


def test_a_reset_that_was_not_told_of_is_found_by_asking(book: Ledger, lent: Any) -> None:
    told = watched(book, ORDERS, 0)
    book.using(lent).reset(ORDERS, to=0, reason="in a transaction of the caller")
    lent.commit()
    assert told.result(LONG_S)


def test_a_caller_can_prepare_a_transaction_with_a_reset(book: Ledger, lent: Any) -> None:
    """A transaction that has told of anything cannot be prepared."""
    told = watched(book, ORDERS, 0)
    lent.tpc_begin(lent.xid(1, f"reset-{time.monotonic_ns()}", "ledger"))
    book.using(lent).reset(ORDERS, to=0, reason="in two phases")
    lent.tpc_prepare()
    lent.tpc_commit()
    assert told.result(LONG_S)


def test_entries_that_are_not_settled_are_waited_for(
    book: Ledger, other: Ledger, lent: Any
) -> None:
    book.using(lent).advance(JOBS, to=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(book.wait_for_entries, 0, LONG_S)
        time.sleep(0.1)
        other.advance(ORDERS, to=1)
        time.sleep(0.1)
        assert not waiting.done(), "an entry may come before the one that is there"
        lent.commit()
        settled = waiting.result(LONG_S)
    assert settled == 2
    assert [entry.position for entry in book.entries(EntryQuery(position_until=2))] == [1, 2]


def test_a_connection_is_held_only_while_somebody_waits(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.waking.waker.IDLE_S", 0.02)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(book.wait, ORDERS, 0, LONG_S)
        until(lambda: book._waker and book._waker._listening and listener(book)._session)
        pid = backend_of(book)
        book.advance(ORDERS, to=1)
        assert waiting.result(LONG_S) is not None
    alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    with psycopg.connect(_plain(book), autocommit=True) as connection:
        until(lambda: connection.execute(alive, (pid,)).fetchall() == [(0,)])
    assert not [each for each in threading.enumerate() if each.name == "cursor-ledger waker"]


def _plain(book: Ledger) -> str:
    return str(book._store.connections._address.conninfo)  # type: ignore[attr-defined]


def _schema(book: Ledger) -> str:
    return listener(book)._schema
