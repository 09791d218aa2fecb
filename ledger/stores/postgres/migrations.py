"""The versions of the schema on PostgreSQL, and how a database gets to the newest."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from ledger.errors import SchemaVersionError, StorageError
from ledger.stores.postgres.reading import plain_cursor
from ledger.stores.postgres.statements import literal, quoted

__all__ = [
    "SCHEMAS",
    "STARTS",
    "allow_starts",
    "applied",
    "bring_up_to_date",
    "ledger_id",
    "pending",
]

SCHEMAS = ("0001_ledger", "0002_guards")
"""The migrations, in order. One that was released never changes."""

STARTS = "0003_starts"

LATER: tuple[str, ...] = (STARTS,)
"""Applied to a new ledger, and to an older one with the first entry that needs it.

Older versions refuse a ledger that has it; until then they can go on using theirs.
"""

_APPLIED = """
CREATE TABLE {schema}.ledger_migrations (
    name       text        NOT NULL PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

# All ledgers of a database share this lock while they are made.
_LOCK = (
    "SELECT pg_catalog.pg_advisory_xact_lock("
    "pg_catalog.hashtext('cursor-ledger'), pg_catalog.hashtext('migrations'))"
)


def applied(connection: psycopg.Connection[Any], schema: str) -> set[str]:
    """Return the names of the migrations that were applied. Reads only."""
    rows = plain_cursor(connection)
    known = rows.execute(
        "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname OPERATOR(pg_catalog.=) %s"
        " AND tablename OPERATOR(pg_catalog.=) 'ledger_migrations'",
        (schema,),
    ).fetchone()
    if not known:
        return set()
    table = sql.Identifier(schema, "ledger_migrations")
    named = rows.execute(sql.SQL("SELECT name FROM {}").format(table))
    return {row[0] for row in named.fetchall()}


def pending(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Return the migrations that are yet to be applied. Reads only.

    Raises SchemaVersionError if a newer version of this package has changed the tables.
    """
    names = applied(connection, schema)
    if newer := sorted(names.difference(SCHEMAS, LATER)):
        raise SchemaVersionError(
            f"the ledger was written by a newer cursor-ledger (its schema has {', '.join(newer)}); "
            "upgrade this one: pip install --upgrade cursor-ledger. Nothing was changed."
        )
    return [name for name in SCHEMAS if name not in names]


def ledger_id(connection: psycopg.Connection[Any], schema: str) -> str:
    """Return what tells this ledger from all others."""
    table = sql.Identifier(schema, "ledger_identity")
    rows = plain_cursor(connection)
    rows.execute(sql.SQL("SELECT id::pg_catalog.text FROM {}").format(table))
    return str(rows.fetchall()[0][0])


def bring_up_to_date(connection: psycopg.Connection[Any], schema: str, place: str) -> None:
    """Make the tables, or bring them up to date, in one transaction; else only look at them.

    Raises SchemaVersionError before anything is changed, StorageError.
    """
    [(encoding, standby)] = connection.execute(
        "SELECT pg_catalog.current_setting('server_encoding'), pg_catalog.pg_is_in_recovery()"
    ).fetchall()
    if encoding != "UTF8":
        raise StorageError(
            f"{place} keeps its text in {encoding}, which cannot hold every key; make a database "
            "with ENCODING 'UTF8'."
        )
    if standby:
        raise StorageError(
            f"{place} is a standby. It cannot be written to, nor be asked who is still writing, so "
            "that a reader could miss an entry. Name the primary, or all hosts and "
            "target_session_attrs=read-write."
        )
    names = pending(connection, schema)
    if not names:
        return
    try:
        _apply(connection, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        if names[0] == SCHEMAS[0]:
            raise
        raise SchemaVersionError(
            f"{place} was made by an older cursor-ledger ({', '.join(names)} is yet to be "
            "applied), and this user may not change its tables. Open it once as their owner."
        ) from error


def _apply(connection: psycopg.Connection[Any], schema: str) -> None:
    with connection.transaction():
        # Of several processes one makes the tables, and the others find them made.
        connection.execute(_LOCK)
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")
        names = pending(connection, schema)
        if not names:
            return
        if names[0] == SCHEMAS[0]:
            _make_place(connection, schema)
            names += LATER
        for name in names:
            _make(connection, schema, name)


def allow_starts(connection: psycopg.Connection[Any], schema: str) -> None:
    """Add the tag of starts, in the transaction that `connection` is in, if it is not there.

    Raises SchemaVersionError if this user may not.
    """
    if STARTS in applied(connection, schema):
        return
    try:
        # If another does so at the same time, this waits for its end; if it was added by then, a
        # unique key is violated, and the transaction begins anew.
        _make(connection, schema, STARTS)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaVersionError(
            f"the ledger in the schema {schema} was made by an older cursor-ledger, whose table of "
            "tags has none for starts, and this user may not add it. Nothing was appended. Start "
            "one cursor as the owner of the tables; from then on, others can."
        ) from error


def _make(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    rows = plain_cursor(connection)
    script = files(__package__).joinpath(f"schema/{name}.sql").read_text("utf-8")
    rows.execute(_placed(script, schema), prepare=False)
    table = sql.Identifier(schema, "ledger_migrations")
    # Not as a value, or a % in the name of the schema would be taken for the place of one.
    rows.execute(sql.SQL("INSERT INTO {} (name) VALUES ({})").format(table, sql.Literal(name)))


def _make_place(connection: psycopg.Connection[Any], schema: str) -> None:
    there = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) %s", (schema,)
    ).fetchone()
    if not there:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    # Not IF NOT EXISTS: one that somebody else has put there may have triggers, which would run
    # with our rights.
    connection.execute(_placed(_APPLIED, schema))


def _placed(script: str, schema: str) -> bytes:
    """Put the schema into a script."""
    values = {
        "{schema}": quoted(schema),
        "{name}": literal(schema),
        "{positions}": literal(f"{quoted(schema)}.ledger_positions"),
    }
    # In one go, because the name of a schema may have braces, too.
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], script).encode()
