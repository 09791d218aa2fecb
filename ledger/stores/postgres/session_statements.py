"""The SQL of who was logged in when an entry was appended: see schema/0005_sessions.sql."""

from __future__ import annotations

from functools import lru_cache

import attrs

from ledger.stores.postgres.statements import catalog, quoted

__all__ = ["SessionStatements", "session_statements"]


@attrs.frozen(kw_only=True)
class SessionStatements:
    """Every statement that is run on the table of sessions, but those that make it."""

    readable: bytes
    users: bytes


@lru_cache(maxsize=64)
def session_statements(schema: str) -> SessionStatements:
    """Return the statements for the table in `schema`."""
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = quoted(schema).replace("%", "%%")
    sessions = "'" + s.replace("'", "''") + ".ledger_sessions'"
    return SessionStatements(
        # Whether there is such a table, and this user may read it.
        readable=f"""
            SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class AS c
            WHERE c.oid {catalog("=")} pg_catalog.to_regclass({sessions})
        """.encode(),
        users=f"""
            SELECT s.position, s.session_role FROM pg_catalog.unnest(%s::bigint[]) AS p (position)
            JOIN {s}.ledger_sessions AS s ON s.position {catalog("=")} p.position
            WHERE s.session_role IS NOT NULL
        """.encode(),
    )
