"""The tables themselves, checked as part of the evidence: what the catalogs say, and the indexes.

It runs on connections of the ledger's own, where the path is that of pg_catalog alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from ledger.evidence.findings import Fault, FaultKind
from ledger.law import paths
from ledger.log.rows import Row
from ledger.stores.postgres import migrations, session_faults
from ledger.stores.postgres.reading import plain_cursor
from ledger.stores.postgres.session_statements import session_statements
from ledger.stores.postgres.statements import literal
from ledger.stores.postgres.tree_statements import tree_statements
from ledger.stores.structure import (
    differences,
    misplaced_tags,
    tag_ids,
    wrong_ids,
    wrong_tags,
)

__all__ = ["check", "definition_faults", "definitions", "made"]

Select: TypeAlias = Callable[[str], list[Row]]

# Tables, views and sequences of the ledger, and whatever was made a part of one of its tables.
_OURS = """
    ours AS (
        SELECT c.oid, c.relname FROM pg_class AS c
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
            AND c.relname = ANY (%(names)s::text[])
        UNION SELECT c.oid, c.relname FROM pg_class AS c
        JOIN pg_inherits AS i ON i.inhrelid = c.oid JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE c.relkind IN ('r', 'p', 'f') AND p.relname = ANY (%(names)s::text[])
            AND p.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
    )
"""

_DEFINITIONS = f"""
WITH {_OURS}
SELECT 'relation ' || o.relname, concat_ws(' ',
    c.relkind, c.relpersistence, 'rls', c.relrowsecurity, c.relforcerowsecurity,
    pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
    (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, l.collname,
        nullif(a.attidentity, ''), nullif(a.attgenerated, ''), pg_get_expr(d.adbin, d.adrelid)),
        ', ' ORDER BY a.attnum)
     FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid
        AND d.adnum = a.attnum LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT concat_ws(' ', q.seqtypid::regtype, q.seqincrement, q.seqmin, q.seqmax, q.seqcycle,
        'cache', q.seqcache)
     FROM pg_sequence AS q WHERE q.seqrelid = c.oid),
    CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END)
FROM ours AS o JOIN pg_class AS c ON c.oid = o.oid
UNION ALL SELECT 'index ' || c.relname, concat_ws(' ',
    pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid, i.indisready, i.indislive)
FROM ours AS o JOIN pg_index AS i ON i.indrelid = o.oid JOIN pg_class AS c ON c.oid = i.indexrelid
UNION ALL SELECT concat('constraint ', o.relname, ' ', k.conname), concat_ws(' ',
    pg_get_constraintdef(k.oid), 'valid', k.convalidated)
FROM ours AS o JOIN pg_constraint AS k ON k.conrelid = o.oid WHERE k.contype NOT IN ('n', 't')
UNION ALL SELECT concat('trigger ', o.relname, ' ', t.tgname), concat_ws(' ',
    pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
FROM ours AS o JOIN pg_trigger AS t ON t.tgrelid = o.oid WHERE NOT t.tgisinternal
UNION ALL SELECT concat('rule ', o.relname, ' ', r.rulename), concat_ws(' ',
    pg_get_ruledef(r.oid), r.ev_enabled)
FROM ours AS o JOIN pg_rewrite AS r ON r.ev_class = o.oid WHERE r.rulename <> '_RETURN'
UNION ALL SELECT concat('policy ', o.relname, ' ', p.polname), concat_ws(' ',
    p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid))
FROM ours AS o JOIN pg_policy AS p ON p.polrelid = o.oid
UNION ALL SELECT
    concat('function ', p.proname, '(', pg_get_function_identity_arguments(p.oid), ')'),
    concat_ws(' ', p.prorettype::regtype, l.lanname, p.provolatile, p.prosecdef,
    p.proisstrict,
    -- Kept as it was shown to who made the function.
    replace(array_to_string(p.proconfig, ','), '"pg_catalog", "pg_temp"', 'pg_catalog, pg_temp'),
    p.prosrc)
FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.oid IN (SELECT t.tgfoid FROM pg_trigger AS t JOIN ours AS o ON o.oid = t.tgrelid
    WHERE NOT t.tgisinternal)
    OR p.proname = ANY (%(functions)s::text[])
        AND p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s)
UNION ALL SELECT 'temporary ' || c.relname, 'it stands in front of the ledger''s own'
FROM pg_class AS c
WHERE c.relnamespace = pg_my_temp_schema() AND c.relname = ANY (%(names)s::text[])
"""

# The server writes the constants and the names in a definition as the session shows such values,
# which depends on where a server stands and on what its owner prefers.
_SHOWN = b"""
SELECT set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO, MDY', true),
    set_config('intervalstyle', 'postgres', true), set_config('quote_all_identifiers', 'off', true)
"""

_NAMES = [
    "ledger_cursors",
    "ledger_events",
    *(f"ledger_events_{part}" for part in range(8)),
    "ledger_identity",
    "ledger_log",
    "ledger_migrations",
    "ledger_positions",
    "ledger_sessions",
    "ledger_tags",
    "ledger_tree",
]

_FUNCTIONS = [
    *("ledger_gate", "ledger_may_append", "ledger_note_session", "ledger_refuse"),
    *("ledger_refuse_session", "ledger_swallowed"),
]

# Each index is asked for as many rows as the table has. Which of them the server reads is settled
# by what it is kept from reading, and by a condition and an order that only this index is for.
_BY_TABLE = ["enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"]
_BY_INDEX = ["enable_seqscan", "enable_bitmapscan", "enable_sort"]
_LONG = "octet_length(stream_name) + octet_length(subject_id) + octet_length(consumer_id)"
_INDEXES = (
    (
        "ledger_events_pkey",
        "ledger_events",
        "cursor_id >= -9223372036854775808",
        "cursor_id, version",
    ),
    ("ledger_events_by_position", "ledger_events", "position >= -9223372036854775808", "position"),
    ("ledger_events_resets", "ledger_events", "tag_id = 2", "position"),
    ("ledger_cursors_pkey", "ledger_cursors", "id >= -9223372036854775808", "id"),
    (
        "ledger_cursors_by_key",
        "ledger_cursors",
        f"{_LONG} <= 2400 AND stream_name >= ''",
        "stream_name, subject_id, consumer_id",
    ),
    ("ledger_cursors_long_keys", "ledger_cursors", f"{_LONG} > 2400", "id"),
)
# Only where the table is there, and this user may read it.
_INDEXES_OF_SESSIONS = (("ledger_sessions_pkey", "ledger_sessions", "position >= 0", "position"),)
_INDEXES_OF_TREE = (("ledger_tree_pkey", "ledger_tree", "level >= 0", "level, number"),)

_AMCHECK = b"""
SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'bt_index_check' AND p.pronargs = 2
WHERE e.extname = 'amcheck' AND has_function_privilege(p.oid, 'EXECUTE')
    AND has_schema_privilege(n.oid, 'USAGE')
"""

_BTREES = f"""
WITH {_OURS}
SELECT c.oid::bigint, c.relname FROM ours AS o JOIN pg_index AS i ON i.indrelid = o.oid
JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam
WHERE c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid ORDER BY c.relname
"""


def definitions(connection: psycopg.Connection[Any], schema: str) -> dict[str, str]:
    """Return the definitions of all that is ours, and of all that stands on our tables."""
    values = {"schema": schema, "names": _NAMES, "functions": _FUNCTIONS}
    # What is set in a transaction that is rolled back was never set.
    with connection.transaction(force_rollback=True):
        plain_cursor(connection).execute(_SHOWN, prepare=False)
        found = plain_cursor(connection).execute(_DEFINITIONS.encode(), values).fetchall()
        name = plain_cursor(connection).execute(b"SELECT quote_ident(%s)", (schema,)).fetchall()
    [(quoted,)] = name
    # Inside the text of a default a quote in the name is doubled; our functions always quote it.
    always = '"' + schema.replace('"', '""') + '"'
    in_text = [name.replace("'", "''") for name in (quoted, always)]
    # Only before what is ours: a schema may be called as a table is called within a statement.
    prefixes = [f"{name}.ledger_" for name in (*in_text, quoted, always)]
    # The gate knows the schema that it was made in.
    known = "TG_TABLE_SCHEMA OPERATOR(pg_catalog.=) "

    def plain(definition: str) -> str:
        definition = definition.replace(known + literal(schema), known + "{name}")
        for prefix in prefixes:
            definition = definition.replace(prefix, "ledger_")
        # Versions of the server lay out white space differently.
        return " ".join(definition.split())

    return {name: plain(definition) for name, definition in found}


@cache
def made() -> Mapping[str, str]:
    """Return the definitions that the migrations make; a test compares them with what they do."""
    kept: dict[str, str] = json.loads(
        files(__package__).joinpath("schema/definitions.json").read_text("utf-8")
    )
    return kept


def check(connection: psycopg.Connection[Any], schema: str) -> Iterator[Fault]:
    """Return what is wrong with the tables, their indexes, triggers, functions and ids.

    The connection is in a transaction, whose settings are put back.
    """
    names = migrations.applied(connection, schema)
    yield from definition_faults(connection, schema)
    s = '"' + schema.replace('"', '""') + '"'

    def select(statement: str) -> list[Row]:
        # All that begins like this in the statements below are our tables. Not prepared, or the
        # plan would be that of other settings.
        named = statement.replace("ledger_", f"{s}.ledger_").encode()
        return plain_cursor(connection).execute(named, prepare=False).fetchall()

    def may_read(readable: bytes) -> bool:
        return plain_cursor(connection).execute(readable, ()).fetchall() == [(True,)]

    tags = tag_ids(starts=migrations.STARTS in names)
    noted = migrations.SESSIONS in names and may_read(session_statements(schema).readable)
    yield from _misplaced(select, tags, noted=noted)
    yield from _positions_beyond(select)
    yield from _twins(select)
    kept = may_read(tree_statements(schema).readable)
    indexes = (
        *_INDEXES,
        *(_INDEXES_OF_TREE if kept else ()),
        *(_INDEXES_OF_SESSIONS if noted else ()),
    )
    yield from _gaps_in_indexes(connection, select, indexes)
    yield from _by_amcheck(connection, schema)


def _misplaced(select: Select, tags: Mapping[str, int], *, noted: bool) -> Iterator[Fault]:
    """Name entries with a tag that is none, and those of which it is not noted who stored them."""
    ids = ", ".join(map(str, tags.values()))
    if not noted:
        yield from misplaced_tags(
            select(f"SELECT position, tag_id FROM ledger_events WHERE tag_id NOT IN ({ids})")
        )
        return
    since, fault = session_faults.since(select)
    if fault:
        yield fault
    for position, tag in select(session_faults.entries_to_judge(ids, since)):
        if tag in tags.values():
            yield session_faults.without_note(position)
        else:
            yield from misplaced_tags([(position, tag)])
    yield from session_faults.unfounded(select)


def definition_faults(connection: psycopg.Connection[Any], schema: str) -> Iterator[Fault]:
    """Return what is wrong with definitions and tags: of `check`, what reads no entry."""
    names = migrations.applied(connection, schema)
    known = {
        name: definition
        for name, definition in made().items()
        if ("ledger_tree" not in name or migrations.TREE in names)
        and ("_session" not in name or migrations.SESSIONS in names)
    }
    yield from differences(known, definitions(connection, schema))
    # Not prepared, or the plan would be that of other settings.
    tags = sql.SQL("SELECT id, tag FROM {}").format(sql.Identifier(schema, "ledger_tags"))
    found = plain_cursor(connection).execute(tags, prepare=False).fetchall()
    yield from wrong_tags(found, tag_ids(starts=migrations.STARTS in names))
    ids = sql.SQL("SELECT 1 FROM {} LIMIT 2").format(sql.Identifier(schema, "ledger_identity"))
    yield from wrong_ids(len(plain_cursor(connection).execute(ids, prepare=False).fetchall()))
    yield from session_faults.owners(connection, schema)


def _positions_beyond(select: Select) -> Iterator[Fault]:
    [(last,)] = select("SELECT last_value - (NOT is_called)::int FROM ledger_positions")
    for (position,) in select(
        f"SELECT position FROM ledger_events WHERE position > {last} OR position < 1"
    ):
        detail = f"the sequence of positions has only come to {last}"
        yield Fault(kind=FaultKind.POSITION, place="the log", position=position, detail=detail)


def _twins(select: Select) -> Iterator[Fault]:
    for *key, ids in select(
        "SELECT consumer_id, stream_name, subject_id, string_agg(id::text, ', ')"
        " FROM ledger_cursors GROUP BY 1, 2, 3 HAVING count(*) > 1"
    ):
        detail = f"it has more than one stored cursor, with the ids {ids}"
        place = paths.joined(key)
        yield Fault(kind=FaultKind.KEY, place=place, detail=detail)


def _gaps_in_indexes(
    connection: psycopg.Connection[Any], select: Select, indexes: Sequence[tuple[str, ...]]
) -> Iterator[Fault]:
    """Compare the rows that each index leads to with those that the table has."""

    def count(off: list[str], table: str, condition: str, order: str = "") -> int:
        for name in {*_BY_TABLE, *_BY_INDEX}:
            value = "off" if name in off else "on"
            plain_cursor(connection).execute(b"SELECT set_config(%s, %s, true)", (name, value))
        # In the order of the index, so that no other index of the table serves as well.
        rows = f"SELECT 1 FROM {table} WHERE {condition}{order and f' ORDER BY {order}'} OFFSET 0"
        [(number,)] = select(f"SELECT count(*) FROM ({rows}) AS found")
        return int(number)

    # What is set in a transaction that is rolled back was never set.
    with connection.transaction(force_rollback=True):
        for index, table, condition, order in indexes:
            there = count(_BY_TABLE, table, condition)
            led_to = count(_BY_INDEX, table, condition, order)
            if there != led_to:
                detail = f"it leads to {led_to:,} rows, but {table} has {there:,}"
                yield Fault(kind=FaultKind.INDEX, place=f"index {index}", detail=detail)


def _by_amcheck(connection: psycopg.Connection[Any], schema: str) -> Iterator[Fault]:
    """Compare each index with its table row by row, where the extension amcheck may be used.

    https://www.postgresql.org/docs/current/amcheck.html
    """
    found = plain_cursor(connection).execute(_AMCHECK).fetchall()
    if not found:
        return
    names = {"schema": schema, "names": _NAMES}
    for number, index in plain_cursor(connection).execute(_BTREES.encode(), names).fetchall():
        try:
            with connection.transaction():
                check = sql.SQL("SELECT {}(%s::oid, true)").format(
                    sql.Identifier(found[0][0], "bt_index_check")
                )
                plain_cursor(connection).execute(check, (number,), prepare=False)
        except (psycopg.errors.InternalError, psycopg.errors.OperationalError) as error:
            detail = f"amcheck: {error.diag.message_primary}"
            yield Fault(kind=FaultKind.INDEX, place=f"index {index}", detail=detail)
