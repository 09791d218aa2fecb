"""Views, virtual tables and computed columns in a file of somebody else's are not read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger import FaultKind
from ledger.stores.sqlite import migrations, structure
from support.cursors import ORDERS

MANY_TIMES = ", ".join(f"sqlite_master {letter}" for letter in "abcdefghijklmnop")
ENDLESS = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"


@pytest.fixture
def theirs(path: Path) -> Iterator[sqlite3.Connection]:
    with ledger.open(path, actor="tester") as book:
        book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


@pytest.mark.parametrize("name", [*structure.TABLES, "_sqlite_migrations"])
def test_a_view_in_the_place_of_a_table_is_not_read(
    theirs: sqlite3.Connection, path: Path, name: str
) -> None:
    if name == "ledger_tree":
        migrations.add_tree(theirs)  # Only a checkpoint makes it.
    if name == "ledger_identity":
        migrations.add_identity(theirs)  # Only who asks for an id.
    if name.startswith("ledger_archived"):
        migrations.add_archived(theirs)  # Only prune makes it.
    columns = [row[1] for row in theirs.execute(f"PRAGMA table_info({name})")]
    theirs.execute("DROP VIEW ledger_log")
    theirs.execute(f"ALTER TABLE {name} RENAME TO kept")
    said = ", ".join(f"n AS {column}" for column in columns)
    theirs.execute(f"CREATE VIEW {name} AS SELECT {said} FROM ({ENDLESS})")
    with pytest.raises(ledger.StorageError, match=f"{name} is a view, not a table"):
        ledger.open(path)


def test_a_virtual_table_in_the_place_of_a_table_is_not_read(
    theirs: sqlite3.Connection, path: Path
) -> None:
    theirs.execute("DROP VIEW ledger_log")
    theirs.execute("ALTER TABLE ledger_tags RENAME TO kept")
    theirs.execute("CREATE VIRTUAL TABLE Ledger_Tags USING fts5 (id, tag)")
    with pytest.raises(ledger.StorageError, match="Ledger_Tags is a virtual table"):
        ledger.open(path)


def test_a_comment_does_not_hide_a_virtual_table(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("DROP VIEW ledger_log")
    theirs.execute("ALTER TABLE ledger_tags RENAME TO kept")
    theirs.execute("CREATE VIRTUAL TABLE ledger_tags USING fts5 (id, tag)")
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute(
        "UPDATE sqlite_master SET sql = 'CREATE/**/VIRTUAL' || substr(sql, 15)"
        " WHERE name = 'ledger_tags'"
    )
    with pytest.raises(ledger.StorageError, match="ledger_tags is a virtual table"):
        ledger.open(path)


def test_a_blob_does_not_hide_a_computed_column(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute(
        "UPDATE sqlite_master SET sql = CAST(replace(sql, 'last_delivered_at INTEGER',"
        " 'last_delivered_at INTEGER GENERATED ALWAYS' || char(10) || 'AS(1)VIRTUAL') AS BLOB)"
        " WHERE name = 'ledger_cursors'"
    )
    with pytest.raises(ledger.StorageError, match=r"ledger_cursors\.last_delivered_at is computed"):
        ledger.open(path)


def test_verify_computes_no_constraint_of_somebody_else_s(
    theirs: sqlite3.Connection, path: Path
) -> None:
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'version           INTEGER NOT NULL',"
        " 'version INTEGER NOT NULL CHECK (version < 0)') WHERE name = 'ledger_events'"
    )
    theirs.close()  # A connection that may only read would compute none in any case.
    with ledger.open(path) as book:
        [fault] = book.verify().faults
    # Computed, the constraint would have been found broken, and named as well.
    assert (fault.kind, fault.place) == (FaultKind.DEFINITION, "table ledger_events")


def test_a_definition_kept_as_a_blob_is_no_crash(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute("UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'ledger_cursors'")
    with ledger.open(path) as book:
        assert FaultKind.DEFINITION not in {fault.kind for fault in book.verify().faults}


def test_a_computed_column_is_not_read(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("ALTER TABLE ledger_cursors ADD COLUMN slow AS (hex(zeroblob(id * 400000000)))")
    with pytest.raises(ledger.StorageError, match=r"ledger_cursors\.slow is computed"):
        ledger.open(path)


def test_a_trigger_on_the_migrations_cannot_hold_up_the_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure, "TIME_MAX_S", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT,"
            " name TEXT, applied_at TEXT)"
        )
        raw.execute("CREATE TABLE sink (n)")
        raw.execute(
            "CREATE TRIGGER slow AFTER INSERT ON _sqlite_migrations BEGIN INSERT INTO sink"
            f" SELECT count(*) FROM (SELECT 1 FROM {MANY_TIMES});"
            " END"
        )
    with pytest.raises(ledger.StorageError, match="interrupted"):
        ledger.open(path)
