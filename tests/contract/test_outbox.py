"""The outbox of docs/outbox.md: twenty writers at once, and nothing is skipped."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

import ledger
from support.guides import code_of
from support.servers import connect, own_database

WRITERS = 20
ORDERS_EACH = 8
WAIT_S = 120

Connect = Callable[[], Any]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, path: object) -> Iterator[tuple[str, Connect]]:
    """Return a ledger's target, and what connects to its database by other means."""
    if request.param == "sqlite":
        target = str(path)
        yield (
            target,
            lambda: sqlite3.connect(
                target, isolation_level=None, timeout=WAIT_S, check_same_thread=False
            ),
        )
        return
    with own_database("postgres") as url:
        yield url, lambda: connect(url)


@contextmanager
def outbox(target: str, connect: Connect) -> Iterator[Any]:
    """Return the code of the guide, on the database of `target`."""
    guide = code_of("outbox.md")
    guide.place.__globals__["book"] = guide.book = ledger.open(
        target, actor="shop", durability="normal"
    )
    of_postgres = target.startswith("postgresql://")
    if of_postgres:
        guide.place.__globals__["INSERT"] = guide.INSERT.replace("?", "%s")
    number = "serial" if of_postgres else "INTEGER"
    with guide.book, closing(connect()) as connection:
        connection.execute(f"CREATE TABLE orders (id {number} PRIMARY KEY, customer TEXT)")
        guide.begin = "BEGIN" if of_postgres else "BEGIN IMMEDIATE"
        yield guide


def write(guide: Any, connect: Connect, writer: int) -> list[int]:
    """Place orders, some of which are rolled back; return those that were committed."""
    chance = random.Random(writer)
    committed = []
    with closing(connect()) as connection:
        for _ in range(ORDERS_EACH):
            connection.execute(guide.begin)
            order = guide.place(connection, f"writer-{writer}")
            # The longer it takes, the more others commit what is numbered later.
            time.sleep(chance.choice((0, 0.001, 0.01, 0.05)))
            if chance.random() < 0.25:
                connection.execute("ROLLBACK")
            else:
                connection.execute("COMMIT")
                committed.append(order)
    return committed


def test_twenty_writers_of_which_some_roll_back_skip_nothing(place: tuple[str, Connect]) -> None:
    target, connect = place
    stop = threading.Event()
    sent: list[tuple[int, int]] = []
    with outbox(target, connect) as guide, ThreadPoolExecutor(WRITERS + 1) as threads:
        delivering = threads.submit(
            guide.deliver_all, lambda position, order, _: sent.append((position, int(order))), stop
        )
        writers = [threads.submit(write, guide, connect, n) for n in range(WRITERS)]
        try:
            # On SQLite, the id of an order that was rolled back is given again.
            committed = [order for writer in writers for order in writer.result(WAIT_S)]
            until = time.monotonic() + WAIT_S
            while len(sent) < len(committed) and time.monotonic() < until:
                time.sleep(0.02)
        finally:
            stop.set()
        delivering.result(WAIT_S)
        assert sorted(order for _, order in sent) == sorted(committed)
        assert [position for position, _ in sent] == sorted(position for position, _ in sent)
        assert len(committed) < WRITERS * ORDERS_EACH
        assert guide.book.verify().ok


def test_what_a_serial_column_skips_the_log_does_not(place: tuple[str, Connect]) -> None:
    target, connect = place
    if not target.startswith("postgresql://"):
        pytest.skip("one writer at a time: there is no other transaction that could be slow")
    with outbox(target, connect) as guide, closing(connect()) as slow, closing(connect()) as fast:
        slow.execute("BEGIN")
        first = guide.place(slow, "slow")
        fast.execute("BEGIN")
        second = guide.place(fast, "fast")
        fast.execute("COMMIT")
        seen = fast.execute("SELECT id FROM orders WHERE id > 0 ORDER BY id").fetchall()
        assert seen == [(second,)]
        assert guide.events_after(0) == []
        slow.execute("COMMIT")
        # The reader of the column goes on behind what it has seen, and the first is behind that.
        assert fast.execute("SELECT id FROM orders WHERE id > %s", seen[-1]).fetchall() == []
        assert [entry.key.subject_id for entry in guide.events_after(0)] == [
            str(first),
            str(second),
        ]
