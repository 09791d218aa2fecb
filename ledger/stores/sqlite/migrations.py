"""The versions of the schema on SQLite, and how a database gets to the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from ledger.errors import SchemaVersionError, StorageError

__all__ = [
    "ARCHIVED",
    "IDENTITY",
    "LATER",
    "SCHEMAS",
    "STARTS",
    "TREE",
    "add_archived",
    "add_identity",
    "add_tree",
    "allow_starts",
    "applied",
    "empty_tree",
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

TREE = "0004_tree"
"""Applied with the first checkpoint that has rows to keep, in a new ledger as well as in an older.

Few ledgers ever need it, and older versions refuse one that has it.
"""

IDENTITY = "0005_identity"
"""Applied when a ledger is first asked for its id by whoever gives it one; as TREE otherwise."""

ARCHIVED = "0006_archived"
"""Applied when entries are pruned, which older versions would take for entries that never were."""

_SET = "cursor-ledger"

_TEMPORARY = "SELECT +name FROM sqlite_temp_master"
_OURS = ("ledger_", "_sqlite_migrations")


def applied(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the migrations that were applied. Reads only."""
    # By plain SQL: importing sqlite-utils takes longer than opening the ledger. On a cursor of its
    # own, because a caller's connection may have a row factory.
    rows = connection.cursor()
    rows.row_factory = None
    known = rows.execute(
        "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"
    ).fetchone()
    if not known:
        return set()
    # As an expression, which none of a caller's converters is for.
    named = rows.execute(
        "SELECT +name FROM main._sqlite_migrations WHERE migration_set = ?", (_SET,)
    )
    return {str(row[0]) for row in named.fetchall()}


def pending(connection: sqlite3.Connection) -> list[str]:
    """Return the migrations that are yet to be applied, in order. Reads only.

    Raises SchemaVersionError if a newer version of this package has changed the tables.
    """
    names = applied(connection)
    if newer := sorted(names.difference(SCHEMAS, LATER, (TREE, IDENTITY, ARCHIVED))):
        raise SchemaVersionError(
            f"the ledger was written by a newer cursor-ledger (its schema has {', '.join(newer)}); "
            "upgrade this one: pip install --upgrade cursor-ledger. Nothing was changed."
        )
    return [name for name in SCHEMAS if name not in names]


def holds_a_ledger(connection: sqlite3.Connection) -> bool:
    """Return whether the tables are there; later migrations may be pending. Reads only.

    Raises SchemaVersionError if a newer version of this package has changed them.
    """
    return SCHEMAS[0] not in pending(connection)


def make(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Make what the migrations `names` make, in an empty database; nothing is recorded."""
    for name in (*SCHEMAS, *LATER, TREE, IDENTITY, ARCHIVED):
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
    if STARTS not in applied(connection):
        _refuse_temporary(connection, "because the first start adds to the ledger's tables")
        _add(connection, STARTS)


def add_tree(connection: sqlite3.Connection) -> None:
    """Add the table of the tree, in the transaction that `connection` is in, if it is not there."""
    if TREE not in applied(connection):
        _add(connection, TREE)


def add_identity(connection: sqlite3.Connection) -> None:
    """Add the table of the id, in the transaction that `connection` is in, if it is not there."""
    if IDENTITY not in applied(connection):
        _refuse_temporary(connection, "because the ledger is given an id")
        _add(connection, IDENTITY)


def add_archived(connection: sqlite3.Connection) -> None:
    """Add the tables of what is archived, in the transaction that `connection` is in.

    They may be there: entries were removed before.
    """
    _refuse_temporary(connection, "because to prune adds to the ledger's tables")
    if ARCHIVED not in applied(connection):
        _add(connection, ARCHIVED)


def empty_tree(connection: sqlite3.Connection) -> None:
    """Make the table of the tree anew, in the transaction that `connection` is in."""
    _refuse_temporary(connection, "because the table of the tree is made anew")
    # Its rows are never deleted, but it may go as a whole: it is a cache.
    connection.execute("DROP TABLE IF EXISTS main.ledger_tree")
    for statement in _statements(_script(TREE)):
        connection.execute(statement)


def _refuse_temporary(connection: sqlite3.Connection, why: str) -> None:
    # A script names no database, and a temporary table or trigger comes first by its name.
    rows = connection.cursor()
    rows.row_factory = None
    named = [str(name) for (name,) in rows.execute(_TEMPORARY).fetchall()]
    if found := [name for name in named if name.lower().startswith(_OURS)]:
        raise StorageError(
            "the connection has temporary tables or triggers by names of the ledger: "
            f"{', '.join(found)}. Nothing was appended; drop them, {why}."
        )


def _add(connection: sqlite3.Connection, added: str) -> None:
    # By plain SQL: sqlite-utils refuses some connections that a caller may lend. Theirs may be to a
    # file that was not brought up to date by a write of ours.
    for name in (*pending(connection), added):
        for statement in _statements(_script(name)):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO main._sqlite_migrations (migration_set, name, applied_at)"
            " VALUES (?, ?, ?)",
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
