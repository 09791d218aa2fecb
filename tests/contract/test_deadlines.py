"""No call waits for others longer than the busy time-out, wherever the time is spent."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

import ledger
import ledger.aio
from ledger import AdvanceCursor, CursorKey, Ledger, LedgerBusyError
from ledger.stores.postgres.address import Address
from support.cursors import JOBS, ORDERS
from support.targets import new_target

WAITS_S = 1.0
THREADS = 8

# Another process takes what a writer takes, and keeps it until it is told to end.
# They measure how long calls wait, so they do not run beside each other.
pytestmark = pytest.mark.xdist_group("waits")

HOLDER = """
import sys

target = sys.argv[1]
if target.startswith("postgresql:"):
    import psycopg
    from ledger.stores.postgres.address import Address
    address = Address.parse(target)
    connection = address.connect()
    connection.autocommit = False
    connection.execute(f"LOCK TABLE {address.schema}.ledger_cursors IN EXCLUSIVE MODE")
else:
    import sqlite3
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(target: str) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, target],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.stdin.close()


class Lateness:
    """How late a thread of this process comes on this machine, while something is measured."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.is_set():
            before = time.monotonic()
            time.sleep(0.01)
            self.worst = max(self.worst, time.monotonic() - before - 0.01)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def bound(self) -> float:
        # A wait is made of some dozens of steps, a few of which come that late.
        return 1.2 * WAITS_S + 5 * self.worst


def longest(*works: Callable[[], object], apart_s: float = 0.0) -> float:
    """Run each of `works` in a thread of its own, begun so far apart; return the longest wait."""
    took: list[float] = []

    def measured(nth: int, work: Callable[[], object]) -> None:
        time.sleep(nth * apart_s)
        before = time.monotonic()
        with pytest.raises(LedgerBusyError):
            work()
        took.append(time.monotonic() - before)

    threads = [
        threading.Thread(target=measured, args=(nth, work)) for nth, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == len(works)
    return max(took)


@pytest.fixture
def few(kind: str, path: Path) -> Iterator[str]:
    """Yield a target; on a server, one with fewer connections than there are callers."""
    with new_target(kind, path) as target:
        yield target if kind == "sqlite" else target + "&pool_max_size=2"


@pytest.fixture
def waiting(few: str) -> Iterator[Ledger]:
    with ledger.open(few, actor="tester", busy_timeout_s=WAITS_S) as book:
        book.append([AdvanceCursor(JOBS, 1), AdvanceCursor(ORDERS, 1)])
        yield book


@pytest.mark.parametrize("apart_s", [0.0, 0.12])
def test_callers_who_come_one_after_another_each_wait_their_own_time(
    few: str, waiting: Ledger, apart_s: float
) -> None:
    calls = [lambda nth=nth: waiting.advance(ORDERS, to=nth + 2) for nth in range(THREADS)]
    with held(few), Lateness() as late:
        assert longest(*calls, apart_s=apart_s) <= late.bound()
    assert waiting.get(ORDERS).version == 1
    assert waiting.advance(ORDERS, to=9).version == 2


def test_what_is_submitted_waits_no_longer_than_what_is_waited_for(
    few: str, waiting: Ledger
) -> None:
    calls = [
        lambda nth=nth: waiting.submit(AdvanceCursor(ORDERS, nth + 2)).result()
        for nth in range(THREADS)
    ]
    with held(few), Lateness() as late:
        assert longest(*calls, apart_s=0.12) <= late.bound()
        mixed = [
            work
            for nth in range(THREADS // 2)
            for work in (calls[nth], lambda nth=nth: waiting.advance(JOBS, to=nth + 2))
        ]
        assert longest(*mixed, apart_s=0.12) <= late.bound()
    assert waiting.submit(AdvanceCursor(ORDERS, 9)).result().version == 2


def test_coroutines_wait_no_longer(few: str) -> None:
    async def measured(book: ledger.aio.AsyncLedger, nth: int) -> float:
        await asyncio.sleep(nth * 0.12)
        before = time.monotonic()
        with pytest.raises(LedgerBusyError):
            await book.advance(ORDERS, to=nth + 2)
        return time.monotonic() - before

    async def main() -> float:
        async with ledger.aio.open(few, actor="tester", busy_timeout_s=WAITS_S) as book:
            await book.append([AdvanceCursor(ORDERS, 1)])
            with held(few):
                return max(await asyncio.gather(*(measured(book, n) for n in range(THREADS))))

    with Lateness() as late:
        assert asyncio.run(main()) <= late.bound()


def test_to_rebuild_and_to_copy_wait_their_time_once(
    few: str, waiting: Ledger, kind: str, tmp_path: Path
) -> None:
    with ledger.open(tmp_path / "source.db", actor="tester") as source:
        source.append([AdvanceCursor(CursorKey("c", "s"), n) for n in range(1, 4)])
        with (
            new_target(kind, tmp_path / "copy.db") as target,
            ledger.open(target, busy_timeout_s=WAITS_S) as copy,
        ):
            with held(target), Lateness() as late:
                assert longest(lambda: source.copy_to(copy)) <= late.bound()
            assert source.copy_to(copy).entries == 3
    with held(few), Lateness() as late:
        works: list[Callable[[], object]] = [
            waiting.rebuild,
            lambda: waiting.advance(JOBS, to=2),
        ]
        assert longest(*works * 3, apart_s=0.12) <= late.bound()


def test_to_read_and_to_close_do_not_wait_longer(few: str) -> None:
    book = ledger.open(few, actor="tester", busy_timeout_s=WAITS_S)
    book.advance(ORDERS, to=1)
    with held(few), Lateness() as late:
        asked = [book.submit(AdvanceCursor(ORDERS, nth + 2)) for nth in range(2_000)]
        before = time.monotonic()
        assert book.get(ORDERS).version == 1
        assert len(list(book.history(ORDERS))) == 1
        assert book.verify().ok
        book.close()
        assert time.monotonic() - before <= late.bound()
    assert {type(future.exception()) for future in asked} == {LedgerBusyError}


def test_a_lent_connection_waits_as_long_as_it_is_set_to(few: str, waiting: Ledger) -> None:
    lent: Any
    if few.startswith("postgresql"):
        lent = Address.parse(few).connect()
        lent.autocommit = False
        lent.execute("SET lock_timeout = '1s'")
    else:
        lent = sqlite3.connect(few, timeout=WAITS_S, check_same_thread=False)
    with held(few), Lateness() as late:
        assert longest(lambda: waiting.using(lent).advance(ORDERS, to=2)) <= late.bound()
    lent.rollback()
    assert waiting.using(lent).advance(ORDERS, to=2).version == 2
    lent.commit()
    lent.close()
