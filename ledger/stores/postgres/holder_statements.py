"""The SQL that asks who is in the way, when a call has given up waiting for a lock."""

from __future__ import annotations

from functools import lru_cache

import attrs

from ledger.stores.postgres.statements import catalog, quoted

__all__ = ["HURRY", "PATIENCE", "HolderStatements", "holder_statements"]

# To ask is no reason to wait: the call has waited for all of its time.
HURRY = b"""
    SELECT pg_catalog.current_setting('lock_timeout'),
        pg_catalog.set_config('lock_timeout', '10', true)
"""
# As it was before.
PATIENCE = b"SELECT pg_catalog.set_config('lock_timeout', %s, true)"

_EQ, _NE, _TIMES = catalog("="), catalog("<>"), catalog("*")
_EXCLUSIVE = "ARRAY['ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock', 'AccessExclusiveLock']"
_HOLDERS = f"""
    SELECT a.pid::bigint, a.application_name,
        (extract(epoch FROM a.xact_start) {_TIMES} 1000000)::bigint
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid {_EQ} l.pid
    WHERE l.granted AND (l.pid IS NULL OR l.pid {_NE} pg_catalog.pg_backend_pid())
"""


@attrs.frozen(kw_only=True)
class HolderStatements:
    """Every statement that looks for whoever holds a lock."""

    of_tables: bytes
    of_rows: bytes
    tables_held: bytes


@lru_cache(maxsize=64)
def holder_statements(schema: str) -> HolderStatements:
    """Return the statements for the tables in `schema`."""
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = quoted(schema).replace("%", "%%")
    cursors, events = (
        "'" + s.replace("'", "''") + f".{table}'::pg_catalog.regclass::pg_catalog.oid"
        for table in ("ledger_cursors", "ledger_events")
    )
    return HolderStatements(
        # The sessions that keep others off a table. To ask needs no table of the ledger.
        of_tables=f"""
            {_HOLDERS} AND l.relation {_EQ} ANY (ARRAY[{cursors}, {events}])
                AND l.mode {_EQ} ANY ({_EXCLUSIVE})
        """.encode(),
        # Those that hold the rows of these cursors. A row names the transaction that changed or
        # locked it last.
        of_rows=f"""
            {_HOLDERS} AND l.locktype {_EQ} 'transactionid' AND l.transactionid {_EQ} ANY (
                SELECT c.xmax FROM {s}.ledger_cursors AS c WHERE c.id {_EQ} ANY(%s)
            )
        """.encode(),
        # The sessions of users, prepared transactions among them, that keep others off a table of
        # the ledger, or are the next to get a row of a cursor. Autovacuum has no user.
        tables_held=f"""
            SELECT 1
            FROM pg_catalog.pg_locks AS l
            JOIN pg_catalog.pg_class AS c ON c.oid {_EQ} l.relation
            LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid {_EQ} l.pid
            WHERE l.granted AND (l.pid IS NULL OR l.pid {_NE} pg_catalog.pg_backend_pid())
                AND (a.pid IS NULL OR a.usesysid IS NOT NULL)
                AND c.relnamespace {_EQ} (
                    SELECT o.relnamespace FROM pg_catalog.pg_class AS o WHERE o.oid {_EQ} {cursors}
                )
                AND (l.locktype {_EQ} 'tuple' OR l.mode {_EQ} ANY ({_EXCLUSIVE}))
        """.encode(),
    )
