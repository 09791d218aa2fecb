"""A wait ends when it says, and wakes when it should, while a pool has no connection to give."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg_pool
import pytest
import sqlalchemy

import ledger
import ledger.aio
from ledger import Ledger, LedgerBusyError
from ledger.stores.postgres.address import Address
from support.cursors import JOBS, ORDERS

SIZE = 2
BUSY_S = 8.0
SHORT_BUSY_S = 1.5
LONG_S = 60.0


def time_out(wait_s: float) -> float:
    """Return how long a wait for `wait_s` may take, with a look of a quarter of a second."""
    return wait_s + 2.0


@contextmanager
def own_pool(target: str, busy_s: float = BUSY_S) -> Iterator[tuple[Ledger, Callable[[], Any]]]:
    with ledger.open(f"{target}&pool_max_size={SIZE}", busy_timeout_s=busy_s) as book:
        yield book, book._store.connections._pool.connection  # type: ignore[attr-defined]


@contextmanager
def callers_pool(target: str, busy_s: float = BUSY_S) -> Iterator[tuple[Ledger, Callable[[], Any]]]:
    address = Address.parse(target)
    with (
        psycopg_pool.ConnectionPool(address.conninfo, min_size=1, max_size=SIZE) as pool,
        ledger.open(pool, schema=address.schema, busy_timeout_s=busy_s) as book,
    ):
        yield book, pool.connection


@contextmanager
def engine(target: str, busy_s: float = BUSY_S) -> Iterator[tuple[Ledger, Callable[[], Any]]]:
    address = Address.parse(target)
    url = address.conninfo.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url, pool_size=SIZE, max_overflow=0)
    with ledger.open(engine, schema=address.schema, busy_timeout_s=busy_s) as book:
        yield book, engine.connect
    engine.dispose()


pytestmark = pytest.mark.parametrize("opened", [own_pool, callers_pool, engine])


@contextmanager
def full(take: Callable[[], Any]) -> Iterator[None]:
    """Take all connections of the pool."""
    with take(), take():
        yield


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def test_it_ends_at_its_time_out(opened: Any, target: str, book: Ledger) -> None:
    moved = book.advance(ORDERS, to=1)
    with opened(target) as (own, take), full(take):
        for wait_s in (0, 0.3):
            began = time.monotonic()
            assert own.wait(ORDERS, moved.version, wait_s) is None
            assert own.wait_for_entries(book.horizon().last, wait_s) is None
            assert wait_s <= time.monotonic() - began < 2 * time_out(wait_s)


def test_what_is_there_is_returned_all_the_same(opened: Any, target: str, book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    with opened(target) as (own, take), full(take):
        began = time.monotonic()
        assert own.wait(ORDERS, 0).last_sequence == 1
        assert time.monotonic() - began < time_out(0)


def test_it_wakes_all_the_same(
    opened: Any, target: str, book: Ledger, threads: ThreadPoolExecutor
) -> None:
    moved = book.advance(ORDERS, to=1)
    with opened(target) as (own, take), full(take):
        waiting = threads.submit(own.wait, ORDERS, moved.version, LONG_S)
        time.sleep(0.5)
        began = time.monotonic()
        book.advance(ORDERS, to=2)
        assert waiting.result(LONG_S).last_sequence == 2
        assert time.monotonic() - began < time_out(0)


def test_entries_are_told_of_once_the_pool_has_a_connection(
    opened: Any, target: str, book: Ledger, threads: ThreadPoolExecutor
) -> None:
    last = book.horizon().last
    with opened(target) as (own, take):
        with full(take):
            waiting = threads.submit(own.wait_for_entries, last, LONG_S)
            book.advance(ORDERS, to=1)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert waiting.result(time_out(0)) > last


def test_coroutines_wait_no_longer_either(opened: Any, target: str, book: Ledger) -> None:
    moved = book.advance(ORDERS, to=1)

    async def wait(own: ledger.aio.AsyncLedger) -> None:
        began = time.monotonic()
        assert await own.wait(ORDERS, moved.version, 0) is None
        assert await own.wait(ORDERS, moved.version, 0.3) is None
        assert await own.wait_for_entries(book.horizon().last, 0.3) is None
        assert 0.6 <= time.monotonic() - began < 3 * time_out(0.3)
        assert (await own.wait(ORDERS, 0, LONG_S)).version == 1  # type: ignore[union-attr]

    with opened(target) as (own, take), full(take):
        asyncio.run(wait(ledger.aio.AsyncLedger(own)))


def test_a_call_that_does_not_wait_for_a_cursor_waits_as_ever(
    opened: Any, target: str, book: Ledger
) -> None:
    # Long beside a look of a quarter of a second, and no longer.
    with opened(target, SHORT_BUSY_S) as (own, take), full(take):
        began = time.monotonic()
        with pytest.raises(LedgerBusyError):
            own.find(JOBS)
        assert time.monotonic() - began >= SHORT_BUSY_S * 0.9
    assert book.find(JOBS) is None
