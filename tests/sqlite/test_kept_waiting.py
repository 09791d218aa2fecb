"""A checkpoint beside another writer; a call in the middle of a transaction of its thread."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ledger
from ledger import Ledger, StorageError
from ledger.stores.sqlite.write_ahead_log import WriteAheadLog
from support.cursors import ORDERS


def opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def test_a_checkpoint_waits_a_moment_for_another_writer_and_then_copies_all(path: Path) -> None:
    ledger.open(path).close()
    with closing(opened(path)) as other, closing(opened(path)) as holder:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE ledger_tags SET tag = tag WHERE 0")
        ended = threading.Timer(0.03, other.execute, ["COMMIT"])
        ended.start()
        with closing(opened(path)) as copier:
            WriteAheadLog(str(path), busy_timeout_s=10).checkpoint(holder, copier)
            _, pages, copied = copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        ended.join()
        assert pages == copied
        assert not holder.in_transaction


def test_a_checkpoint_does_not_wait_longer_than_a_moment(path: Path) -> None:
    ledger.open(path).close()
    with (
        closing(opened(path)) as other,
        closing(opened(path)) as holder,
        closing(opened(path)) as copier,
    ):
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            WriteAheadLog(str(path), busy_timeout_s=10).checkpoint(holder, copier)
        assert 0.09 < time.monotonic() - began < 5
        assert not holder.in_transaction


@pytest.mark.parametrize(
    "within",
    [
        pytest.param(lambda book: book.get(ORDERS), id="get"),
        pytest.param(lambda book: list(book.entries()), id="entries"),
        pytest.param(lambda book: book.verify(), id="verify"),
    ],
)
def test_in_memory_a_clock_cannot_read_the_ledger_whose_clock_it_is(
    within: Callable[[Ledger], object],
) -> None:
    """There is one connection, and the clock is asked in the middle of its transaction."""
    asked: list[object] = []

    def clock() -> datetime:
        if asked:
            asked.append(within(book))
        return datetime(2026, 5, 5, tzinfo=UTC)

    with ledger.open(":memory:", clock=clock) as book:
        book.advance(ORDERS, to=1)
        asked.append("from now on")
        with pytest.raises(StorageError, match="in the middle of a transaction of this ledger"):
            book.advance(ORDERS, to=2)
        asked.clear()
        assert book.advance(ORDERS, to=3).version == 2
