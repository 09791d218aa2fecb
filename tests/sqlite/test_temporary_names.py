"""What a connection has for itself: temporary and attached tables by the names of the ledger's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.testing
from ledger import CursorKey, Ledger, StorageError
from ledger.stores.sqlite import migrations
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS

NAMES = ("ledger_events", "ledger_cursors", "ledger_tags", "_sqlite_migrations")
NAME = "temporary trigger on the ledger's tables, reverts"
REVERTS = (
    "CREATE TEMP TRIGGER reverts AFTER UPDATE ON main.ledger_cursors BEGIN"
    " UPDATE ledger_cursors SET last_sequence = OLD.last_sequence WHERE id = OLD.id; END"
)


def cover(connection: Any) -> None:
    for name in NAMES:
        connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM main.{name}")


@pytest.fixture
def connection(book: Ledger, path: Path) -> Iterator[sqlite3.Connection]:
    book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        yield connection


def test_temporary_tables_do_not_stand_in_front_of_the_ledgers(
    book: Ledger, connection: sqlite3.Connection
) -> None:
    lent = book.using(connection)
    for covered in (False, True):  # Also those that were made after it was lent.
        if covered:
            cover(connection)
        connection.execute("BEGIN IMMEDIATE")
        to = lent.get(ORDERS).last_sequence + 1
        assert lent.advance(ORDERS, to=to).last_sequence == to
        lent.advance(CursorKey(f"new-{covered}", "jobs"), to=1)
        lent.record_error(ORDERS, "HTTP 503")
        lent.append([ledger.AdvanceCursor(ORDERS, to + 1), ledger.AdvanceCursor(JOBS, to)])
        seen = (list(lent.cursors()), list(lent.entries()), lent.moves([(ORDERS, 2)]))
        connection.execute("COMMIT")
        assert seen == (list(book.cursors()), list(book.entries()), book.moves([(ORDERS, 2)]))
        assert lent.horizon() == book.horizon()
    assert book.get(ORDERS).last_sequence == 5
    assert book.verify().ok
    again = book.using(connection)
    assert again.get(ORDERS) == book.get(ORDERS)
    for name in NAMES[:2]:
        assert f"table {name}" in str(lent.verify().faults)


def test_an_attached_ledger_is_not_taken_for_the_one_of_the_connection(
    book: Ledger, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    with ledger.open(tmp_path / "other.db") as other:
        other.advance(JOBS, to=9)
    connection.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    connection.execute("BEGIN IMMEDIATE")
    lent = book.using(connection)
    assert lent.find(JOBS) is None
    lent.advance(JOBS, to=1)
    connection.execute("COMMIT")
    assert book.get(JOBS).last_sequence == 1
    # Nor by one that has none itself.
    with closing(sqlite3.connect(tmp_path / "none.db")) as none:
        none.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
        with pytest.raises(ledger.InvalidCursorError):
            book.using(none)


def test_a_temporary_trigger_that_writes_is_refused_also_when_it_is_made_later(
    book: Ledger, connection: sqlite3.Connection
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    lent = book.using(connection)
    lent.advance(ORDERS, to=2)
    connection.execute(REVERTS)
    with pytest.raises(StorageError, match=NAME):
        lent.advance(ORDERS, to=3)
    connection.execute("DROP TRIGGER temp.reverts")
    lent.advance(ORDERS, to=4)
    connection.execute("COMMIT")
    assert [entry.event.sequence for entry in book.history(ORDERS)] == [1, 2, 4]  # type: ignore[union-attr]
    assert book.verify().ok


def test_a_first_start_is_refused_where_its_script_would_find_temporary_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    with monkeypatch.context() as older:
        older.setattr(migrations, "LATER", ())
        ledger.open(path).close()
    with ledger.open(path) as book, closing(sqlite3.connect(path)) as connection:
        connection.isolation_level = None
        assert migrations.STARTS not in migrations.applied(connection)
        connection.execute("CREATE TEMP TABLE ledger_tags AS SELECT * FROM main.ledger_tags")
        connection.execute("BEGIN IMMEDIATE")
        lent = book.using(connection)
        with pytest.raises(StorageError, match="triggers by names of the ledger: ledger_tags"):
            lent.start(JOBS, at=5, reason="moved here", actor="ines")
        connection.execute("DROP TABLE temp.ledger_tags")
        lent.start(JOBS, at=5, reason="moved here", actor="ines")
        connection.execute("COMMIT")
        assert book.get(JOBS).last_sequence == 5
        assert book.verify().ok


def test_a_ledger_in_memory_keeps_to_its_own_tables_as_well() -> None:
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
        ledger.testing.in_memory(connection) as book,
    ):
        book.advance(ORDERS, to=1)
        cover(connection)
        book.advance(ORDERS, to=2)
        connection.execute("DROP TABLE temp.ledger_cursors")
        connection.execute("DROP TABLE temp.ledger_events")
        assert book.get(ORDERS).last_sequence == 2
        connection.execute(REVERTS)
        with pytest.raises(StorageError, match=NAME):
            book.advance(ORDERS, to=3)
        assert book.get(ORDERS).last_sequence == 2


@asynchronous
async def test_temporary_tables_of_aiosqlite_are_passed_by_too(path: Path, book: Ledger) -> None:
    import aiosqlite

    import ledger.aio

    book.advance(ORDERS, to=1)
    async with ledger.aio.open(path) as own, aiosqlite.connect(path) as connection:
        for name in NAMES:
            await connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM main.{name}")
        await connection.commit()
        await connection.execute("BEGIN IMMEDIATE")
        await own.using(connection).advance(ORDERS, to=2)
        await connection.commit()
    assert book.get(ORDERS).last_sequence == 2
