"""A held snapshot lets the write-ahead log grow, but does not starve writers."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger.stores.sqlite import write_ahead_log
from ledger.stores.sqlite.write_ahead_log import (
    DRAIN_PAUSES,
    DRAIN_ROUNDS_MAX,
    PAGE_BYTES,
    PAGES_LONG,
    WriteAheadLog,
)
from support.cursors import JOBS


class Connections:
    """One that writes, one that copies and is counted, and one that holds a snapshot."""

    def __init__(self, path: Path) -> None:
        self.holder, self.copier, self.reader = (
            sqlite3.connect(path, isolation_level=None) for _ in range(3)
        )
        self._copies = 0
        self.holder.execute("PRAGMA journal_mode = WAL")
        for connection in (self.holder, self.copier, self.reader):
            connection.execute("PRAGMA wal_autocheckpoint = 0")
        self.holder.execute("CREATE TABLE mine (n)")
        self.copier.set_trace_callback(self._count)

    def _count(self, statement: str) -> None:
        self._copies += "wal_checkpoint" in statement

    def write(self, pages: int) -> None:
        self.holder.execute("INSERT INTO mine VALUES (zeroblob(?))", (pages * PAGE_BYTES,))

    def checkpoint(self, log: WriteAheadLog) -> int:
        """Make one, and give how often the log was copied for it."""
        self._copies = 0
        log.checkpoint(self.holder, self.copier)
        return self._copies


@pytest.fixture
def connections(path: Path) -> Iterator[Connections]:
    connections = Connections(path)
    with (
        closing(connections.holder),
        closing(connections.copier),
        closing(connections.reader),
    ):
        yield connections


def test_a_fruitless_drain_is_not_tried_again_for_ten_times_as_long_as_it_took(
    path: Path, connections: Connections
) -> None:
    # A second passes between any two looks at this clock: so a drain takes one second.
    log = WriteAheadLog(str(path), 1.0, clock=itertools.count().__next__)
    connections.reader.execute("BEGIN")
    connections.reader.execute("SELECT count(*) FROM mine").fetchone()
    connections.write(PAGES_LONG)
    copies = [connections.checkpoint(log) for _ in range(200)]
    assert set(copies) == {1, DRAIN_ROUNDS_MAX}
    drains = [nth for nth, copied in enumerate(copies) if copied > 1]
    # A checkpoint takes a look, and a drain two more.
    pauses = [after - before for before, after in itertools.pairwise(drains)]
    assert pauses == [DRAIN_PAUSES, 2 * DRAIN_PAUSES, 4 * DRAIN_PAUSES, 8 * DRAIN_PAUSES]

    connections.reader.execute("ROLLBACK")
    size = path.with_name(path.name + "-wal").stat().st_size
    assert connections.checkpoint(log) == 1
    for _ in range(3):
        connections.write(PAGES_LONG // 2)
        connections.checkpoint(log)
    assert path.with_name(path.name + "-wal").stat().st_size == size


def test_one_that_was_of_use_is_tried_again_at_once(path: Path, connections: Connections) -> None:
    log = WriteAheadLog(str(path), 1.0, clock=itertools.count().__next__)
    for _ in range(5):
        connections.write(PAGES_LONG)
        # He begins to read where the log ends, so that it is copied whole, but not begun anew.
        connections.reader.execute("BEGIN")
        connections.reader.execute("SELECT count(*) FROM mine").fetchone()
        assert connections.checkpoint(log) == 2
        connections.write(1)
        connections.reader.execute("ROLLBACK")


@pytest.mark.skipif(not write_ahead_log.RESET_RACE, reason="this SQLite makes its own checkpoints")
def test_a_ledger_drains_now_and_then_while_somebody_selects(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    drains: list[float] = []

    def drain(log: WriteAheadLog, copier: sqlite3.Connection, *, whole: bool) -> bool:
        drains.append(now)
        return drained(log, copier, whole=whole)

    def clock() -> float:
        nonlocal now
        now += 0.01
        return now

    drained = WriteAheadLog._drain
    monkeypatch.setattr(WriteAheadLog, "_drain", drain)
    with ledger.open(path, durability="normal") as book, closing(sqlite3.connect(path)) as raw:
        book._store.connections._log._clock = clock  # type: ignore[attr-defined]
        book.record_error(JOBS, "x")
        raw.execute("BEGIN")
        raw.execute("SELECT count(*) FROM ledger_events").fetchone()
        for _ in range(1_500):
            book.record_error(JOBS, "x" * 1_000)
    assert len(drains) in {2, 3}
