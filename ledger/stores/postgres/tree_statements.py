"""The SQL of the tree that is kept beside the log: see schema/0004_tree.sql."""

from __future__ import annotations

from functools import lru_cache

import attrs

from ledger.stores.postgres.statements import catalog, literal, quoted

__all__ = ["TreeStatements", "tree_statements"]


@attrs.frozen(kw_only=True)
class TreeStatements:
    """Every statement that is run on the tree, and on leaves behind a position."""

    leaves_after: bytes
    readable: bytes
    writable: bytes
    rows: bytes
    """Of the level in the place of `<level>`, and of a range of numbers: see `ranged`."""
    insert: bytes
    empty: bytes
    """A script, without values."""


@lru_cache(maxsize=64)
def tree_statements(schema: str) -> TreeStatements:
    """Return the statements for the tables in `schema`."""
    plain = quoted(schema)
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = plain.replace("%", "%%")
    tree = "'" + s.replace("'", "''") + ".ledger_tree'"
    return TreeStatements(
        leaves_after=f"""
            SELECT position, digest, recorded_at FROM {s}.ledger_events
            WHERE position {catalog(">")} %s ORDER BY position LIMIT %s
        """.encode(),
        # Whether there is such a table, and this user may read it.
        readable=f"""
            SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class AS c
            WHERE c.oid {catalog("=")} pg_catalog.to_regclass({tree})
        """.encode(),
        # Whether this user may add rows, or make the table. To try it would put an error into the
        # server's log with each checkpoint.
        writable=f"""
            SELECT CASE WHEN t.oid IS NULL
                THEN pg_catalog.has_schema_privilege({literal(schema).replace("%", "%%")}, 'CREATE')
                ELSE pg_catalog.has_table_privilege(t.oid, 'INSERT') END
            FROM (SELECT pg_catalog.to_regclass({tree})::pg_catalog.oid AS oid) AS t
        """.encode(),
        rows=f"""
            SELECT level::bigint, number, position, root FROM {s}.ledger_tree
            WHERE level {catalog("=")} <level> AND <number of the range> ORDER BY number
        """.encode(),
        # Another process may have kept the same ones in the meantime.
        insert=f"""
            INSERT INTO {s}.ledger_tree (level, number, position, root)
            SELECT * FROM ROWS FROM (
                pg_catalog.unnest(%s::smallint[]), pg_catalog.unnest(%s::bigint[]),
                pg_catalog.unnest(%s::bigint[]), pg_catalog.unnest(%s::pg_catalog.bytea[])
            ) AS n (level, number, position, root) ON CONFLICT DO NOTHING
        """.encode(),
        # Its rows are never deleted otherwise. Only the owner may do so.
        empty=f"""
            ALTER TABLE {plain}.ledger_tree DISABLE TRIGGER ledger_tree_refuse_change;
            DELETE FROM {plain}.ledger_tree;
            ALTER TABLE {plain}.ledger_tree ENABLE TRIGGER ledger_tree_refuse_change
        """.encode(),
    )
