"""How SQLite reads: by which indexes, and what it leaves open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger import CursorKey, CursorReset, EntryQuery, Ledger
from ledger.stores.sqlite.reading import SQLiteSession
from support.clock import Clock
from support.cursors import JOBS, ORDERS


@pytest.fixture
def log(book: Ledger, clock: Clock) -> Ledger:
    """A hundred entries, a tick apart."""
    for n in range(1, 101):
        key = ORDERS if n % 2 else JOBS
        if n % 10 == 9:
            book.reset(key, to=n, reason="x")
        else:
            book.advance(key, to=n)
        clock.tick(n % 2)
    return book


def test_an_iterator_that_is_left_holds_nothing(log: Ledger, path: Path) -> None:
    left = [log.entries() for _ in range(50)]
    for entries in left:
        next(entries)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as raw:
        busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0


def plan(path: Path, query: EntryQuery) -> str:
    """Return how SQLite would answer `query`."""
    statements: list[str] = []
    with closing(sqlite3.connect(path)) as raw:
        raw.set_trace_callback(statements.append)
        SQLiteSession(raw).entries(query, None, 100, 10)
        raw.set_trace_callback(None)
        rows = raw.execute("EXPLAIN QUERY PLAN " + statements[-1]).fetchall()
    return " | ".join(row[3] for row in rows)


def test_resets_and_histories_are_found_by_their_indexes(log: Ledger, path: Path) -> None:
    log.record_error(ORDERS, "boom")
    resets = plan(path, EntryQuery(kinds=[CursorReset]))
    assert "INDEX ledger_events_resets" in resets
    by_key = plan(path, EntryQuery(key=ORDERS))
    assert "INDEX ledger_events_by_cursor (cursor_id=?" in by_key
    from_version = plan(path, EntryQuery(key=ORDERS, version_from=2))
    assert "INDEX ledger_events_by_cursor (cursor_id=? AND version>?" in from_version
    assert "INDEX ledger_events_resets" in plan(path, EntryQuery(key=ORDERS, kinds=[CursorReset]))
    for query in (EntryQuery(), EntryQuery(consumer_id="mailer"), EntryQuery(key=ORDERS)):
        assert "TEMP B-TREE" not in plan(path, query)


def test_the_view_shows_keys_tags_and_times_that_can_be_read(log: Ledger, path: Path) -> None:
    log.advance(
        CursorKey("old", "orders"),
        to=1,
        now=Clock().now.replace(year=1969, microsecond=1),
        metadata={"a": "b"},
    )
    with closing(sqlite3.connect(path)) as raw:
        raw.row_factory = sqlite3.Row
        row = raw.execute("SELECT * FROM ledger_log ORDER BY position DESC").fetchone()
    assert row["consumer_id"] == "old"
    assert row["occurred_at"] == "1969-05-05T16:00:00.000001Z"
    assert row["recorded_at"] == "2026-05-05T16:00:50.000000Z"
    assert (row["tag"], row["metadata"]) == ("cursor.advanced.v1", '{"a":"b"}')
    assert row["digest"] == next(iter(log.entries(EntryQuery(newest_first=True)))).digest.hex()
