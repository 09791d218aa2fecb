"""Targets for `ledger.open`: a file that is not there yet, or a schema of PostgreSQL.

A schema is emptied and used again, if the test that had it has left its definitions alone, because
making one takes longer than most tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import psycopg

import ledger
from support.servers import drop, fresh_schema, server, with_schema

__all__ = ["close_connections", "drop_targets", "new_target"]

Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def new_target(kind: str, path: Path, *, made: bool = True) -> Iterator[str]:
    """Yield what `ledger.open` takes, with no entries behind it.

    With `made=False` there is no ledger at all: it is for tests that make one.
    """
    if kind == "sqlite":
        yield str(path)
        return
    url = server(kind)
    if not made:
        schema = fresh_schema()
        yield with_schema(url, schema)
        drop(url, schema)
        return
    lent = _free[url].pop() if _free[url] else _Schema.make(url)
    yield with_schema(url, lent.name)
    if lent.empty(_connection(url)):
        _free[url].append(lent)
    else:
        drop(url, lent.name)


def drop_targets() -> None:
    """Drop the schemas that this process has kept, because their server may live on."""
    for url, schemas in _free.items():
        for schema in schemas:
            drop(url, schema.name)
    _free.clear()


def close_connections() -> None:
    """Close what this process has kept open, before the servers are gone."""
    for connection in _connections.values():
        connection.close()
    _connections.clear()


def _connection(url: str) -> Connection:
    """Return the connection that empties schemas: to open one takes as long as to empty one."""
    known = _connections.get(url)
    if known is not None:
        try:
            known.execute(b"SELECT 1")
        except psycopg.OperationalError:  # A test has ended all sessions of the server.
            known.close()
        else:
            return known
    _connections[url] = psycopg.connect(url, autocommit=True, application_name="empties")
    return _connections[url]


@attrs.frozen
class _Schema:
    name: str
    looks: object
    """What PostgreSQL keeps of it, all but the entries and the cursors, as it was when made."""

    @classmethod
    def make(cls, url: str) -> _Schema:
        name = fresh_schema()
        ledger.open(with_schema(url, name)).close()
        return cls(name, _looks(_connection(url), name))

    def empty(self, connection: Connection) -> bool:
        """Remove all entries and cursors; return whether it is again as it was when made."""
        if _looks(connection, self.name) != self.looks:
            return False
        try:
            # Several statements cannot be prepared.
            connection.execute(_EMPTIED.format(schema=self.name).encode(), prepare=False)
        except psycopg.errors.LockNotAvailable:
            return False
        return True


_free: dict[str, list[_Schema]] = defaultdict(list)
_connections: dict[str, Connection] = {}

_EMPTIED = """
SET LOCAL search_path = {schema};
SET LOCAL lock_timeout = '1s';
SET LOCAL session_replication_role = replica;
DELETE FROM ledger_events;
DELETE FROM ledger_cursors;
DELETE FROM ledger_sessions WHERE session_role IS NOT NULL;
UPDATE ledger_identity SET id = gen_random_uuid();
SELECT setval('ledger_positions', 1, false)
"""

# Every change of a row writes another xmin, those of the catalogs as well. What is granted, who
# owns what, and triggers that are switched off stand in these rows too.
_LOOKS = """
SELECT string_agg(row, '|' ORDER BY row COLLATE "C") FROM (
    SELECT 'schema ' || xmin FROM pg_namespace WHERE nspname = '{schema}'
    UNION ALL SELECT format('class %s %s', oid, xmin) FROM pg_class WHERE relnamespace = {id}
    UNION ALL SELECT format('function %s %s', oid, xmin) FROM pg_proc WHERE pronamespace = {id}
    UNION ALL SELECT format('type %s %s', oid, xmin) FROM pg_type WHERE typnamespace = {id}
    UNION ALL SELECT format('operator %s %s', oid, xmin) FROM pg_operator WHERE oprnamespace = {id}
    UNION ALL SELECT format('constraint %s %s', oid, xmin) FROM pg_constraint
        WHERE connamespace = {id}
    UNION ALL SELECT format('trigger %s %s', t.oid, t.xmin) FROM pg_trigger t
        JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = {id}
    UNION ALL SELECT format('rule %s %s', r.oid, r.xmin) FROM pg_rewrite r
        JOIN pg_class c ON c.oid = ev_class WHERE relnamespace = {id}
    UNION ALL SELECT format('policy %s %s', p.oid, p.xmin) FROM pg_policy p
        JOIN pg_class c ON c.oid = polrelid WHERE relnamespace = {id}
    UNION ALL SELECT format('index %s %s', i.indexrelid, i.xmin) FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid WHERE relnamespace = {id}
    UNION ALL SELECT format('column %s %s %s', attrelid, attnum, a.xmin) FROM pg_attribute a
        JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = {id}
    UNION ALL SELECT format('sequence %s %s', seqrelid, s.xmin) FROM pg_sequence s
        JOIN pg_class c ON c.oid = seqrelid WHERE relnamespace = {id}
    UNION ALL SELECT format('migration %s', xmin) FROM {schema}.ledger_migrations
    UNION ALL SELECT format('tag %s', xmin) FROM {schema}.ledger_tags
    UNION ALL SELECT format('sessions behind %s %s', position, xmin)
        FROM {schema}.ledger_sessions WHERE session_role IS NULL
    UNION ALL SELECT format('identities %s', count(*)) FROM {schema}.ledger_identity
) AS kept (row)
"""


def _looks(connection: Connection, schema: str) -> object:
    statement = _LOOKS.format(schema=schema, id=f"'{schema}'::regnamespace")
    try:
        return connection.execute(statement.encode()).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
