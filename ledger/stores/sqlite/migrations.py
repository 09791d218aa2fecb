"""The versions of the schema on SQLite, and how a database gets to the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from ledger.errors import SchemaVersionError

__all__ = [
    "LATER",
    "SCHEMAS",
    "STARTS",
    "allow_starts",
    "applied",
    "holds_a_ledger",
    "make",
    "migrate",
    "pending",
]

SCHEMAS = ("0001_ledger", "0002_cursors_stay")
"""The migrations, in order. One that was released never changes."""

STARTS = "0003_starts"

LATER: tuple[str, ...] = (STARTS,)
"""Applied to a new ledger, and to an older one with the first entry that needs it.

Older versions refuse a ledger that has it; until then they can go on using theirs.
"""

_SET = "cursor-ledger"


def applied(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the migrations that were applied. Reads only."""
    # By plain SQL: importing sqlite-utils takes longer than opening the ledger. On a cursor of its
    # own, because a caller's connection may have a row factory.
    rows = connection.cursor()
    rows.row_factory = None
    known = rows.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"
    ).fetchone()
    if not known:
        return set()
    # As an expression, which none of a caller's converters is for.
    named = rows.execute("SELECT +name FROM _sqlite_migrations WHERE migration_set = ?", (_SET,))
    return {str(row[0]) for row in named.fetchall()}


def pending(connection: sqlite3.Connection) -> list[str]:
    """Return the migrations that are yet to be applied, in order. Reads only.

    Raises SchemaVersionError if a newer version of this package has changed the tables.
    """
    names = applied(connection)
    if newer := sorted(names.difference(SCHEMAS, LATER)):
        raise SchemaVersionError(
            f"the ledger was written by a newer cursor-ledger (its schema has {', '.join(newer)}); "
            "upgrade this one: pip install --upgrade cursor-ledger. Nothing was changed."
        )
    return [name for name in SCHEMAS if name not in names]


def holds_a_ledger(connection: sqlite3.Connection) -> bool:
    """Say whether the tables are there; later migrations may be pending. Reads only.

    Raises SchemaVersionError if a newer version of this package has changed them.
    """
    return SCHEMAS[0] not in pending(connection)


def make(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Make what the migrations `names` make, in an empty database; nothing is recorded."""
    for name in (*SCHEMAS, *LATER):
        if name in names:
            for statement in _statements(_script(name)):
                connection.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring them up to date, in one transaction."""
    from sqlite_utils import Database, Migrations

    migrations = Migrations(_SET)
    later = () if holds_a_ledger(connection) else LATER
    for name in (*SCHEMAS, *later):

        def apply(database: Database, script: str = _script(name)) -> None:
            for statement in _statements(script):
                database.conn.execute(statement)

        migrations(name=name)(apply)
    # Immediate, so that of several processes one makes the tables and the others find them made;
    # sqlite-utils nests its own transactions in it.
    connection.execute("BEGIN IMMEDIATE")
    try:
        if pending(connection):
            # Plugins of other packages have no business on this connection.
            migrations.apply(Database(connection, execute_plugins=False))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def allow_starts(connection: sqlite3.Connection) -> None:
    """Add the tag of starts, in the transaction that `connection` is in, if it is not there."""
    if STARTS in applied(connection):
        return
    # By plain SQL: sqlite-utils refuses some connections that a caller may lend. Theirs may be to a
    # file that was not brought up to date by a write of ours.
    for name in (*pending(connection), STARTS):
        for statement in _statements(_script(name)):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
            (_SET, name, str(datetime.now(UTC))),
        )


def _script(name: str) -> str:
    # Imported here: it takes 7 ms, and only a new ledger needs it.
    from importlib.resources import files

    return files(__package__).joinpath(f"schema/{name}.sql").read_text("utf-8")


def _statements(script: str) -> Iterator[str]:
    # sqlite3's executescript would commit the transaction first.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
