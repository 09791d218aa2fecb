"""What a server knows of the tables of one schema, from which it plans its statements."""

from __future__ import annotations

from typing import Any

import psycopg

# Tests beside this one have tables of their own in the same database: what is forgotten or learned
# of those is no matter of this test, and two who update one catalogue row wait for each other.
_OWN = "relnamespace = current_schema()::regnamespace"


def learn_nothing_alone(owner: psycopg.Connection[Any]) -> None:
    """Let the server learn nothing of these tables by itself, at any moment."""
    for table in _tables(owner):
        owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())


def learn(owner: psycopg.Connection[Any]) -> None:
    """Let the server know these tables as they are now."""
    owner.execute(f"ANALYZE {', '.join(_tables(owner))}".encode())


def forget(owner: psycopg.Connection[Any]) -> None:
    """Let the server know no more of these tables than when they were made."""
    owner.execute(
        f"DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE {_OWN})"
    )
    owner.execute(f"UPDATE pg_class SET reltuples = -1 WHERE {_OWN}")


def _tables(owner: psycopg.Connection[Any]) -> list[str]:
    rows = owner.execute(
        f"SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND {_OWN} ORDER BY oid"
    )
    return [table for (table,) in rows]
