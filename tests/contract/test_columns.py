"""The tables of every database have the columns that the code knows, of these types, in order."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from ledger.log import columns
from ledger.log.columns import Column, Columns
from ledger.stores.tables import TAG_IDS
from support.servers import connect

TYPES = {
    "INTEGER": int, "TEXT": str, "BLOB": bytes,
    "bigint": int, "smallint": int, "text": str, "bytea": bytes,
}  # fmt: skip

OF_POSTGRES = """
SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position
"""


def found(kind: str, target: str, table: str) -> list[tuple[str, str, bool]]:
    """Return the name and type of each column of `table`, and whether it may be NULL."""
    if kind == "sqlite":
        with closing(sqlite3.connect(target)) as raw:
            rows = raw.execute("SELECT * FROM pragma_table_info(?)", (table,)).fetchall()
        return [(name, type_, not (filled or key)) for _, name, type_, filled, _, key in rows]
    with connect(target) as raw:
        return raw.execute(OF_POSTGRES, (table,)).fetchall()


@pytest.mark.usefixtures("book")
def test_the_tables_have_these_columns(kind: str, target: str) -> None:
    events = Columns((Column("position", int), *columns.EVENT))
    for table, listed in (("ledger_events", events), ("ledger_cursors", columns.STORED_CURSOR)):
        there = [(name, TYPES[type_], null) for name, type_, null in found(kind, target, table)]
        assert there == [(column.name, column.type, column.optional) for column in listed], table


@pytest.mark.usefixtures("book")
def test_the_view_shows_each_column_of_an_entry(kind: str, target: str) -> None:
    names = tuple(name for name, *_ in found(kind, target, "ledger_log"))
    assert names == columns.ENTRY.names


@pytest.mark.usefixtures("book")
def test_the_tags_have_these_ids(kind: str, target: str) -> None:
    with closing(sqlite3.connect(target)) if kind == "sqlite" else connect(target) as raw:
        assert dict(raw.execute("SELECT tag, id FROM ledger_tags").fetchall()) == dict(TAG_IDS)
