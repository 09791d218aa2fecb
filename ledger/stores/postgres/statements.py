"""The SQL of the ledger on PostgreSQL, for the tables of one schema."""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from ledger.evidence.source import Ids
from ledger.law.events import ErrorRecorded
from ledger.log import columns
from ledger.log.columns import Columns
from ledger.log.rows import TAGS
from ledger.stores.tables import ENTRY_NAMES, TAG_IDS

__all__ = ["RESETS", "Statements", "catalog", "literal", "quoted", "ranged", "statements"]


def catalog(operator: str) -> str:
    """Spell `operator` so that it is PostgreSQL's own.

    A plain one is looked for along the path of the session, where somebody else may have put
    another, which would run with our rights. That holds for functions, types and relations as well,
    and for what stands for an operator, which is not used: IN, BETWEEN, LIKE, USING, NULLIF, CASE x
    WHEN, IS DISTINCT FROM. `bigint`, `integer` and `boolean` are words of the language, not names.
    """
    return f"OPERATOR(pg_catalog.{operator})"


_EQ, _NE, _LE, _GT = catalog("="), catalog("<>"), catalog("<="), catalog(">")
_PLUS, _MINUS, _TIMES, _AND = catalog("+"), catalog("-"), catalog("*"), catalog("&")

RESETS = "cursor_ledger_resets"
"""The channel on which a reset is told of, with the schema of its ledger."""

_TYPES = {int: "bigint", str: "pg_catalog.text", bytes: "pg_catalog.bytea"}


def _typed(columns: Columns) -> list[tuple[str, str]]:
    """Return names with the types that PostgreSQL has for them."""
    return [
        (column.name, "smallint" if column.name == "tag_id" else _TYPES[column.type])
        for column in columns
    ]


_EVENT, _STATE, _STORED_CURSOR = map(_typed, (columns.EVENT, columns.STATE, columns.STORED_CURSOR))
_ID = _STORED_CURSOR[columns.STORED_CURSOR.place("id")]
_KNOWN = [typed for typed in _STORED_CURSOR if typed[0] in ("id", "version", "digest")]


@attrs.frozen(kw_only=True)
class Statements:
    """Every statement that is run on the tables of a ledger, but those that make them."""

    schema: str
    # As bytes: psycopg takes text only if it is written out where it is run.
    hold: bytes
    hold_one: bytes
    hold_free: bytes
    there: bytes
    move: bytes
    move_many: bytes
    insert_heads: bytes
    update_heads: bytes
    insert_events: bytes
    copy_events: bytes
    copy_placed_events: bytes
    place_next: bytes
    happened: bytes
    exclude_writers: bytes
    restore: bytes
    cursor: bytes
    cursors: str
    entries: str
    moves: bytes
    last_drawn: bytes
    appending: bytes
    last_of_cursor: bytes
    last_position: bytes
    heads_by_id: bytes
    rows_by_cursor: bytes
    leaves: bytes
    cuts: bytes
    moved: bytes
    last_position_drawn: bytes
    tell_of_reset: bytes
    listen: bytes


@lru_cache(maxsize=64)
def statements(schema: str) -> Statements:
    """Return the statements for the tables in `schema`."""
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = quoted(schema).replace("%", "%%")
    positions = "'" + s.replace("'", "''") + ".ledger_positions'::pg_catalog.regclass"
    events = "'" + s.replace("'", "''") + ".ledger_events'::pg_catalog.regclass"
    state, event = columns.STATE.names, ", ".join(columns.EVENT.names)
    stored_cursor = ", ".join(columns.STORED_CURSOR.names)
    keyed_cursor = ", ".join(columns.KEYED_CURSOR.names)
    moves = ", ".join(f"{name} = %s" for name in state)
    moves_many = ", ".join(f"{name} = n.{name}" for name in state)
    row = ", ".join(ENTRY_NAMES)
    joined = f"""
        {s}.ledger_events AS e
        JOIN {s}.ledger_cursors AS c ON c.id {_EQ} e.cursor_id
        LEFT JOIN {s}.ledger_tags AS t ON t.id {_EQ} e.tag_id
    """
    key_length = f" {_PLUS} ".join(
        f"pg_catalog.octet_length({part})" for part in ("stream_name", "subject_id", "consumer_id")
    )

    def unnested(typed: list[tuple[str, str]], alias: str) -> str:
        arrays = ", ".join(f"pg_catalog.unnest(%s::{kind}[])" for _, kind in typed)
        names = ", ".join(name for name, _ in typed)
        return f"ROWS FROM ({arrays}) AS {alias} ({names})"

    def counted(table: str, wanted: str) -> str:
        """Return how many rows `stored` has; the whole statement fails if that are not as many."""
        return f"""
            SELECT CASE WHEN n {_EQ} wanted THEN n
                ELSE {s}.ledger_swallowed('{table}', n, wanted) END
            FROM (SELECT (SELECT pg_catalog.count(*) FROM stored) AS n, {wanted} AS wanted) AS c
        """

    return Statements(
        schema=schema,
        # In the order of their ids, so that two who want the same ones cannot block each other.
        hold=f"""
            SELECT {stored_cursor} FROM {s}.ledger_cursors
            WHERE id {_EQ} ANY(%s) ORDER BY id FOR UPDATE
        """.encode(),
        # Without an array and a sort, which for a single cursor take longer than to find it.
        hold_one=f"""
            SELECT {stored_cursor} FROM {s}.ledger_cursors WHERE id {_EQ} %s FOR UPDATE
        """.encode(),
        hold_free=f"""
            SELECT {stored_cursor} FROM {s}.ledger_cursors
            WHERE id {_EQ} ANY(%s) FOR UPDATE SKIP LOCKED
        """.encode(),
        there=f"SELECT id FROM {s}.ledger_cursors WHERE id {_EQ} ANY(%s)".encode(),
        # An advance in one round trip: only if the chain still ends where it did, the cursor is
        # moved, and the entry stored; both, or neither. It returns a row if it was done.
        move=f"""
            WITH moved AS (
                UPDATE {s}.ledger_cursors SET {moves}
                WHERE id {_EQ} %s AND version {_EQ} %s AND digest {_EQ} %s RETURNING 1
            ), stored AS (
                INSERT INTO {s}.ledger_events ({event})
                SELECT {", ".join(f"%s::{kind}" for _, kind in _EVENT)} FROM moved RETURNING 1
            )
            SELECT CASE WHEN s.n IS NULL THEN {s}.ledger_swallowed('ledger_events', 0, 1) END
            FROM moved LEFT JOIN stored AS s (n) ON true
        """.encode(),
        # The same for a few entries, which may be of several cursors: all of them, or none. It
        # waits for nobody.
        move_many=f"""
            WITH held AS MATERIALIZED (
                SELECT c.id FROM {s}.ledger_cursors AS c
                JOIN {unnested(_KNOWN, "k")} ON k.id {_EQ} c.id
                    AND k.version {_EQ} c.version AND k.digest {_EQ} c.digest
                FOR UPDATE OF c SKIP LOCKED
            ), whole AS (
                SELECT (SELECT pg_catalog.count(*) FROM held) {_EQ} %s AS is_whole
            ), moved AS (
                UPDATE {s}.ledger_cursors AS c
                SET {moves_many}
                FROM {unnested([_ID, *_STATE], "n")}
                WHERE c.id {_EQ} n.id AND (SELECT is_whole FROM whole)
                RETURNING 1
            ), stored AS (
                INSERT INTO {s}.ledger_events ({event})
                SELECT * FROM {unnested(_EVENT, "n")} WHERE (SELECT is_whole FROM whole)
                RETURNING 1
            )
            SELECT CASE
                WHEN moved {_NE} wanted_moved
                    THEN {s}.ledger_swallowed('ledger_cursors', moved, wanted_moved)
                WHEN stored {_NE} wanted_stored
                    THEN {s}.ledger_swallowed('ledger_events', stored, wanted_stored)
            END
            FROM (
                SELECT (SELECT pg_catalog.count(*) FROM moved) AS moved, %s::bigint AS wanted_moved,
                    (SELECT pg_catalog.count(*) FROM stored) AS stored, %s::bigint AS wanted_stored
            ) AS n
            WHERE (SELECT is_whole FROM whole)
        """.encode(),
        insert_heads=f"""
            WITH stored AS (
                INSERT INTO {s}.ledger_cursors ({stored_cursor})
                SELECT * FROM {unnested(_STORED_CURSOR, "n")} ORDER BY id RETURNING 1
            )
            {counted("ledger_cursors", "%s::bigint")}
        """.encode(),
        update_heads=f"""
            WITH stored AS (
                UPDATE {s}.ledger_cursors AS c
                SET {moves_many}
                FROM {unnested([_ID, *_STATE], "n")} WHERE c.id {_EQ} n.id
                RETURNING 1
            )
            {counted("ledger_cursors", "%s::bigint")}
        """.encode(),
        insert_events=f"""
            WITH stored AS (
                INSERT INTO {s}.ledger_events ({event})
                SELECT * FROM {unnested(_EVENT, "n")} RETURNING 1
            )
            {counted("ledger_events", "%s::bigint")}
        """.encode(),
        # COPY is run without any.
        copy_events=f"COPY {s}.ledger_events ({event}) FROM STDIN".replace("%%", "%").encode(),
        copy_placed_events=(
            f"COPY {s}.ledger_events (position, {event}) FROM STDIN".replace("%%", "%").encode()
        ),
        place_next=f"SELECT pg_catalog.setval({positions}, %s)".encode(),
        happened=f"""
            SELECT 1 FROM {s}.ledger_events
            WHERE cursor_id {_EQ} %s AND version {_EQ} %s AND digest {_EQ} %s
        """.encode(),
        exclude_writers=f"LOCK TABLE {s}.ledger_cursors IN EXCLUSIVE MODE".encode(),
        restore=f"UPDATE {s}.ledger_cursors SET {moves} WHERE id {_EQ} %s".encode(),
        cursor=f"""
            SELECT {keyed_cursor} FROM {s}.ledger_cursors
            WHERE id {_EQ} %s
        """.encode(),
        cursors="("
        + ") UNION ALL (".join(
            f"""
            SELECT {keyed_cursor} FROM {s}.ledger_cursors
            WHERE {key_length} {size} 2400
                AND <conditions>
            ORDER BY stream_name, subject_id, consumer_id LIMIT %s
            """
            for size in (_LE, _GT)
        )
        + ") ORDER BY stream_name, subject_id, consumer_id LIMIT %s",
        entries=f"""
            SELECT {row} FROM {joined} WHERE <conditions> ORDER BY <order> LIMIT %s
        """,
        # Each by the index of cursor and version, backwards, over the errors that are in between.
        moves=f"""
            SELECT p.nth, {", ".join(f"e.{name}" for name in columns.MOVE.names)}
            FROM ROWS FROM (
                pg_catalog.unnest(%s::bigint[]), pg_catalog.unnest(%s::bigint[])
            ) WITH ORDINALITY AS p (id, version, nth)
            CROSS JOIN LATERAL (
                SELECT * FROM {s}.ledger_events AS m
                WHERE m.cursor_id {_EQ} p.id AND m.version {_LE} p.version
                    AND m.tag_id {_NE} {TAG_IDS[TAGS[ErrorRecorded]]}
                ORDER BY m.version DESC LIMIT 1
            ) AS e
        """.encode(),
        # The last position first: a transaction that draws one after that held the gate before. It
        # is found among the locks, or has ended, so that its entries are visible to what is read
        # next. The entries of this very transaction are visible, too. Anybody may take such a
        # lock; it counts if its session may append, or is not known. What the session remembers
        # of others may be old.
        last_drawn=f"""
            SELECT (SELECT last_value {_MINUS} (NOT is_called)::integer FROM {s}.ledger_positions),
                pg_catalog.current_setting('transaction_isolation'),
                pg_catalog.pg_stat_clear_snapshot()
        """.encode(),
        appending=f"""
            SELECT l.objid::bigint, a.pid::bigint, a.application_name,
                (extract(epoch FROM a.xact_start) {_TIMES} 1000000)::bigint
            FROM pg_catalog.pg_locks AS l
            LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid {_EQ} l.pid
            WHERE l.locktype {_EQ} 'advisory' AND l.objsubid {_EQ} 2
                AND l.mode {_EQ} 'ShareLock' AND l.granted
                AND l.database {_EQ} (
                    SELECT oid FROM pg_catalog.pg_database
                    WHERE datname {_EQ} pg_catalog.current_database()
                )
                AND l.classid::bigint {_EQ} ({positions}::bigint {_AND} 2147483647)
                AND (l.pid IS NULL OR l.pid {_NE} pg_catalog.pg_backend_pid())
                AND coalesce(CASE
                    WHEN l.pid IS NOT NULL
                        THEN {s}.ledger_may_append(a.usesysid, {events}::pg_catalog.oid)
                    ELSE (
                        SELECT pg_catalog.bool_or(
                            {s}.ledger_may_append(o.oid, {events}::pg_catalog.oid)
                        )
                        FROM pg_catalog.pg_locks AS t
                        JOIN pg_catalog.pg_prepared_xacts AS p
                            ON p.transaction {_EQ} t.transactionid
                        JOIN pg_catalog.pg_roles AS o ON o.rolname {_EQ} p.owner
                        WHERE t.pid IS NULL
                            AND t.virtualtransaction {_EQ} l.virtualtransaction
                    )
                END, true)
        """.encode(),
        last_of_cursor=f"""
            SELECT pg_catalog.max(position) FROM {s}.ledger_events WHERE cursor_id {_EQ} %s
        """.encode(),
        last_position=f"SELECT pg_catalog.max(position) FROM {s}.ledger_events".encode(),
        heads_by_id=f"""
            SELECT {stored_cursor} FROM {s}.ledger_cursors
            WHERE <id of the range> ORDER BY id
        """.encode(),
        rows_by_cursor=f"""
            SELECT e.cursor_id, {row}
            FROM {s}.ledger_events AS e
            LEFT JOIN {s}.ledger_cursors AS c ON c.id {_EQ} e.cursor_id AND <c.id of the range>
            LEFT JOIN {s}.ledger_tags AS t ON t.id {_EQ} e.tag_id
            WHERE <e.cursor_id of the range>
            ORDER BY e.cursor_id, e.version
        """.encode(),
        leaves=f"""
            SELECT position, digest, recorded_at FROM {s}.ledger_events ORDER BY position
        """.encode(),
        cuts=f"""
            SELECT (
                SELECT e.cursor_id FROM {s}.ledger_events AS e
                WHERE e.position {catalog(">=")} p.position ORDER BY e.position LIMIT 1
            )
            FROM pg_catalog.unnest(%s::bigint[]) AS p (position)
        """.encode(),
        # Of the cursors that are waited for, those beyond the version that was seen.
        moved=f"""
            SELECT {keyed_cursor} FROM {unnested([("wanted", "bigint"), ("seen", "bigint")], "w")}
            JOIN {s}.ledger_cursors AS c ON c.id {_EQ} w.wanted
            WHERE c.version {_GT} w.seen
        """.encode(),
        last_position_drawn=f"""
            SELECT last_value {_MINUS} (NOT is_called)::integer FROM {s}.ledger_positions
        """.encode(),
        # Channels are those of a database, in which there may be several ledgers.
        tell_of_reset=(
            f"SELECT pg_catalog.pg_notify('{RESETS}', {literal(schema).replace('%', '%%')})"
        ).encode(),
        listen=f"LISTEN {RESETS}".encode(),
    )


def ranged(statement: bytes, ids: Ids) -> bytes:
    """Put `ids` into a statement that has the place of a range in it.

    They are written into it, because a cursor cannot be declared with values. Of both tables that
    are joined, or each range would read the whole of one.
    """

    def conditions(found: re.Match[bytes]) -> bytes:
        bounds = ((catalog(">="), ids.first), (catalog("<"), ids.end))
        column = found[1].decode()
        said = [f"{column} {sign} '{at:d}'::bigint" for sign, at in bounds if at is not None]
        return (" AND ".join(said) or "true").encode()

    return re.sub(rb"<(\S+) of the range>", conditions, statement)


def quoted(schema: str) -> str:
    """Return the name of a schema as SQL has it."""
    return '"' + schema.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return `text` as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"
