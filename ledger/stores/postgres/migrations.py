"""The versions of the schema on PostgreSQL, and how a database gets to the newest."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from ledger import notices
from ledger.errors import SchemaVersionError, StorageError
from ledger.stores.postgres.reading import PostgresSession, plain_cursor
from ledger.stores.postgres.statements import catalog, literal, quoted, statements
from ledger.stores.postgres.steps import Ask, Steps, one

__all__ = [
    "SCHEMAS",
    "SESSIONS",
    "STARTS",
    "TREE",
    "add_tree",
    "allow_starts",
    "allowing_starts",
    "applied",
    "bring_up_to_date",
    "finding_pending",
    "pending",
    "replace_id",
]

SCHEMAS = ("0001_ledger", "0002_guards")
"""The migrations, in order. One that was released never changes."""

STARTS = "0003_starts"

SESSIONS = "0005_sessions"

LATER: tuple[str, ...] = (STARTS, SESSIONS)
"""Applied to a new ledger; to an older one with the first start, and when its owner opens it.

Older versions refuse a ledger that has them. Until then they can go on using theirs, and so can a
role that only appends.
"""

TREE = "0004_tree"
"""Applied with the first checkpoint that has rows to keep, in a new ledger as well as in an older.

Few ledgers ever need it, and older versions refuse one that has it.
"""

_APPLIED = """
CREATE TABLE {schema}.ledger_migrations (
    name       text        NOT NULL PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_HAS_ANY = b"""
SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname OPERATOR(pg_catalog.=) %s
    AND tablename OPERATOR(pg_catalog.=) 'ledger_migrations'
"""

# Others who may add the trigger would have it run with their own rights.
_OWNS = f"""
SELECT pg_catalog.pg_get_userbyid(relowner) {catalog("=")} current_user FROM pg_catalog.pg_class
WHERE oid {catalog("=")} pg_catalog.to_regclass({{events}})
"""
NOTE_MS_MAX = 1_000

# All ledgers of a database share this lock while they are made.
_LOCK = (
    "SELECT pg_catalog.pg_advisory_xact_lock("
    "pg_catalog.hashtext('cursor-ledger'), pg_catalog.hashtext('migrations'))"
)


def applied(connection: psycopg.Connection[Any], schema: str) -> set[str]:
    """Return the names of the migrations that were applied. Reads only."""
    return _over(connection, schema).take(finding_applied(schema))


def finding_applied(schema: str) -> Steps[set[str]]:
    """Return the names of the migrations that were applied. Reads only."""
    known = yield from one(_HAS_ANY, (schema,))
    if not known:
        return set()
    named = yield from one(f"SELECT name FROM {quoted(schema)}.ledger_migrations".encode(), None)
    return {row[0] for row in named}


def pending(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Return the migrations that are yet to be applied. Reads only.

    Raises SchemaVersionError if a newer version of this package has changed the tables.
    """
    return _over(connection, schema).take(finding_pending(schema))


def finding_pending(schema: str) -> Steps[list[str]]:
    """Return the migrations that are yet to be applied, as `pending` does."""
    return _pending((yield from finding_applied(schema)))


def _pending(names: set[str]) -> list[str]:
    if newer := sorted(names.difference(SCHEMAS, LATER, (TREE,))):
        raise SchemaVersionError(
            f"the ledger was written by a newer cursor-ledger (its schema has {', '.join(newer)}); "
            "upgrade this one: pip install --upgrade cursor-ledger. Nothing was changed."
        )
    return [name for name in SCHEMAS if name not in names]


def replace_id(connection: psycopg.Connection[Any], schema: str, given: str) -> None:
    """Have the ledger called `given` from now on, as one that was moved here; its owner may."""
    table = f"{quoted(schema)}.ledger_identity".replace("%", "%%")
    statement = f"UPDATE {table} SET id = %s::pg_catalog.uuid"
    plain_cursor(connection).execute(statement.encode(), (given,))


def bring_up_to_date(connection: psycopg.Connection[Any], schema: str, place: str) -> None:
    """Make the tables, or bring them up to date, in one transaction; else only look at them.

    Raises SchemaVersionError before anything is changed, StorageError.
    """
    [(encoding, standby)] = (
        plain_cursor(connection)
        .execute(
            "SELECT pg_catalog.current_setting('server_encoding'), pg_catalog.pg_is_in_recovery()"
        )
        .fetchall()
    )
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
    there = applied(connection, schema)
    names = _pending(there)
    if not names:
        if SESSIONS not in there and _owns(connection, schema):
            _note_sessions(connection, schema, place)
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
        rows = plain_cursor(connection)
        rows.execute(_LOCK)
        rows.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")
        names = pending(connection, schema)
        if not names:
            return
        if names[0] == SCHEMAS[0]:
            _make_place(connection, schema)
            names += LATER
        for name in names:
            _over(connection, schema).take(_making(schema, name))


def _owns(connection: psycopg.Connection[Any], schema: str) -> bool:
    events = literal(f"{quoted(schema)}.ledger_events")
    found = plain_cursor(connection).execute(_OWNS.replace("{events}", events).encode())
    return found.fetchall() == [(True,)]


def _note_sessions(connection: psycopg.Connection[Any], schema: str, place: str) -> None:
    """Have the database note who is logged in, in a ledger of an older version.

    It waits for those who have appended and not ended, and others who append wait behind it, so it
    does not wait long. If something is in its way, it is left for the next time that the owner
    opens the ledger, because nothing else depends on it.
    """
    try:
        with connection.transaction():
            rows = plain_cursor(connection)
            rows.execute(f"SET LOCAL lock_timeout = {NOTE_MS_MAX}".encode())
            rows.execute(_LOCK)
            if SESSIONS not in applied(connection, schema):
                _over(connection, schema).take(_making(schema, SESSIONS))
    except psycopg.Error as error:
        if connection.closed:
            raise
        notices.MIGRATION_PUT_OFF.report(place=place, migration=SESSIONS, cause=error)


def allow_starts(connection: psycopg.Connection[Any], schema: str) -> None:
    """Add the tag of starts, in the transaction that `connection` is in, if it is not there.

    Raises SchemaVersionError if this user may not.
    """
    _over(connection, schema).take(allowing_starts(schema))


def allowing_starts(schema: str) -> Steps[None]:
    """Add the tag of starts, as `allow_starts` does."""
    names = yield from finding_applied(schema)
    if STARTS in names:
        return
    try:
        # If another does so at the same time, this waits for its end; if it was added by then, a
        # unique key is violated, and the transaction begins anew.
        yield from _making(schema, STARTS)
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaVersionError(
            f"the ledger in the schema {schema} was made by an older cursor-ledger, whose table of "
            "tags has none for starts, and this user may not add it. Nothing was appended. Start "
            "one cursor as the owner of the tables; from then on, others can."
        ) from error


def add_tree(connection: psycopg.Connection[Any], schema: str) -> None:
    """Add the table of the tree, in the transaction that `connection` is in, if it is not there."""
    _over(connection, schema).take(_adding_tree(schema))


def _adding_tree(schema: str) -> Steps[None]:
    names = yield from finding_applied(schema)
    if TREE not in names:
        # Two who add it at once would be in each other's way.
        yield (Ask(_LOCK.encode(), None, is_read=False),)
        names = yield from finding_applied(schema)
    if TREE not in names:
        yield from _making(schema, TREE)


def _over(connection: psycopg.Connection[Any], schema: str) -> PostgresSession:
    return PostgresSession(connection, statements(schema), lent=True)


def _making(schema: str, name: str) -> Steps[None]:
    script = files(__package__).joinpath(f"schema/{name}.sql").read_text("utf-8")
    yield (Ask(_placed(script, schema), None, is_read=False, prepare=False),)
    # Not as a value, or a % in the name of the schema would be taken for the place of one.
    noted = f"INSERT INTO {quoted(schema)}.ledger_migrations (name) VALUES ({literal(name)})"
    yield (Ask(noted.encode(), None, is_read=False),)


def _make_place(connection: psycopg.Connection[Any], schema: str) -> None:
    rows = plain_cursor(connection)
    there = rows.execute(
        "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) %s", (schema,)
    ).fetchone()
    if not there:
        rows.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    # Not IF NOT EXISTS: one that somebody else has put there may have triggers, which would run
    # with our rights.
    rows.execute(_placed(_APPLIED, schema))


def _placed(script: str, schema: str) -> bytes:
    """Put the schema into a script."""
    values = {
        "{schema}": quoted(schema),
        "{name}": literal(schema),
        "{positions}": literal(f"{quoted(schema)}.ledger_positions"),
    }
    # In one go, because the name of a schema may have braces, too.
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], script).encode()
