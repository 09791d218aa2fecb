"""The SQL of the ledger on PostgreSQL, for the tables of one schema."""

from __future__ import annotations

from functools import lru_cache

import attrs

from ledger.log.heads import STATE

__all__ = ["EVENT", "Statements", "catalog", "quoted", "statements"]


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

EVENT = (
    ("cursor_id", "bigint"),
    ("version", "bigint"),
    ("epoch", "bigint"),
    ("recorded_at", "bigint"),
    ("actor", "pg_catalog.text"),
    ("metadata", "pg_catalog.text"),
    ("tag_id", "smallint"),
    ("previous_sequence", "bigint"),
    ("sequence", "bigint"),
    ("delivery_id", "pg_catalog.text"),
    ("delivered_at", "bigint"),
    ("outcome", "pg_catalog.text"),
    ("reason", "pg_catalog.text"),
    ("message", "pg_catalog.text"),
    ("occurred_at", "bigint"),
    ("digest", "pg_catalog.bytea"),
)
"""The columns of an event that a writer gives, with their types."""

_KNOWN = [("id", "bigint"), ("version", "bigint"), ("digest", "pg_catalog.bytea")]

_STATE_TYPES = {
    "last_delivery_id": "pg_catalog.text",
    "last_error": "pg_catalog.text",
    "digest": "pg_catalog.bytea",
}


@attrs.frozen(kw_only=True)
class Statements:
    """Every statement that is run on the tables of a ledger, but those that make them."""

    schema: str
    # As bytes: psycopg takes text only if it is written out where it is run.
    hold: bytes
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
    last_drawn: bytes
    appending: bytes
    holders: bytes
    last_of_cursor: bytes
    last_position: bytes
    heads_by_id: bytes
    rows_by_cursor: bytes
    leaves: bytes


@lru_cache(maxsize=64)
def statements(schema: str) -> Statements:
    """Give the statements for the tables in `schema`."""
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = quoted(schema).replace("%", "%%")
    positions = "'" + s.replace("'", "''") + ".ledger_positions'::pg_catalog.regclass"
    events = "'" + s.replace("'", "''") + ".ledger_events'::pg_catalog.regclass"
    cursors = "'" + s.replace("'", "''") + ".ledger_cursors'::pg_catalog.regclass"
    state = ", ".join(STATE)
    public = ", ".join(STATE[:-2])
    state_types = [(name, _STATE_TYPES.get(name, "bigint")) for name in STATE]
    event = ", ".join(name for name, _ in EVENT)
    moves = ", ".join(f"{name} = %s" for name in STATE)
    row = """
        e.position, c.consumer_id, c.stream_name, c.subject_id, e.version, e.epoch, e.recorded_at,
        e.actor, e.metadata, t.tag, e.previous_sequence, e.sequence, e.delivery_id, e.delivered_at,
        e.outcome, e.reason, e.message, e.occurred_at, e.digest
    """
    joined = f"""
        {s}.ledger_events AS e
        JOIN {s}.ledger_cursors AS c ON c.id {_EQ} e.cursor_id
        LEFT JOIN {s}.ledger_tags AS t ON t.id {_EQ} e.tag_id
    """
    key_length = f" {_PLUS} ".join(
        f"pg_catalog.octet_length({part})" for part in ("stream_name", "subject_id", "consumer_id")
    )

    def unnested(columns: list[tuple[str, str]], alias: str) -> str:
        arrays = ", ".join(f"pg_catalog.unnest(%s::{kind}[])" for _, kind in columns)
        names = ", ".join(name for name, _ in columns)
        return f"ROWS FROM ({arrays}) AS {alias} ({names})"

    def counted(table: str, wanted: str) -> str:
        """Give how many rows `stored` has; the whole statement fails if that are not as many."""
        return f"""
            SELECT CASE WHEN n {_EQ} wanted THEN n
                ELSE {s}.ledger_swallowed('{table}', n, wanted) END
            FROM (SELECT (SELECT pg_catalog.count(*) FROM stored) AS n, {wanted} AS wanted) AS c
        """

    return Statements(
        schema=schema,
        # In the order of their ids, so that two who want the same ones cannot block each other.
        hold=f"""
            SELECT id, consumer_id, stream_name, subject_id, {state} FROM {s}.ledger_cursors
            WHERE id {_EQ} ANY(%s) ORDER BY id FOR UPDATE
        """.encode(),
        hold_free=f"""
            SELECT id, consumer_id, stream_name, subject_id, {state} FROM {s}.ledger_cursors
            WHERE id {_EQ} ANY(%s) FOR UPDATE SKIP LOCKED
        """.encode(),
        there=f"SELECT id FROM {s}.ledger_cursors WHERE id {_EQ} ANY(%s)".encode(),
        # An advance in one round trip: only if the chain still ends where it did, the cursor is
        # moved, and the entry stored; both, or neither. It gives a row if it was done.
        move=f"""
            WITH moved AS (
                UPDATE {s}.ledger_cursors SET {moves}
                WHERE id {_EQ} %s AND version {_EQ} %s AND digest {_EQ} %s RETURNING 1
            ), stored AS (
                INSERT INTO {s}.ledger_events ({event})
                SELECT {", ".join(f"%s::{kind}" for _, kind in EVENT)} FROM moved RETURNING 1
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
                SET {", ".join(f"{name} = n.{name}" for name in STATE)}
                FROM {unnested([("id", "bigint"), *state_types], "n")}
                WHERE c.id {_EQ} n.id AND (SELECT is_whole FROM whole)
                RETURNING 1
            ), stored AS (
                INSERT INTO {s}.ledger_events ({event})
                SELECT * FROM {unnested(list(EVENT), "n")} WHERE (SELECT is_whole FROM whole)
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
                INSERT INTO {s}.ledger_cursors (id, consumer_id, stream_name, subject_id, {state})
                SELECT * FROM {
            unnested(
                [
                    ("id", "bigint"),
                    ("consumer_id", "pg_catalog.text"),
                    ("stream_name", "pg_catalog.text"),
                    ("subject_id", "pg_catalog.text"),
                    *state_types,
                ],
                "n",
            )
        } ORDER BY id RETURNING 1
            )
            {counted("ledger_cursors", "%s::bigint")}
        """.encode(),
        update_heads=f"""
            WITH stored AS (
                UPDATE {s}.ledger_cursors AS c
                SET {", ".join(f"{name} = n.{name}" for name in STATE)}
                FROM {unnested([("id", "bigint"), *state_types], "n")} WHERE c.id {_EQ} n.id
                RETURNING 1
            )
            {counted("ledger_cursors", "%s::bigint")}
        """.encode(),
        insert_events=f"""
            WITH stored AS (
                INSERT INTO {s}.ledger_events ({event})
                SELECT * FROM {unnested(list(EVENT), "n")} RETURNING 1
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
            SELECT consumer_id, stream_name, subject_id, {public} FROM {s}.ledger_cursors
            WHERE id {_EQ} %s
        """.encode(),
        cursors="("
        + ") UNION ALL (".join(
            f"""
            SELECT consumer_id, stream_name, subject_id, {public} FROM {s}.ledger_cursors
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
        # The last position first: whoever draws one after that held the gate before, and is found
        # among the locks, unless he has ended and can be seen by what is read behind this. So can
        # what this very transaction has appended. Anybody may take such a lock; it counts if its
        # session may append, or is not known. What the session remembers of others' may be old.
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
        # Whoever has the rows of these cursors, or the table of all, when a wait was given up. A
        # row names the transaction that changed or locked it last.
        holders=f"""
            SELECT a.pid::bigint, a.application_name,
                (extract(epoch FROM a.xact_start) {_TIMES} 1000000)::bigint
            FROM pg_catalog.pg_locks AS l
            LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid {_EQ} l.pid
            WHERE l.granted AND (l.pid IS NULL OR l.pid {_NE} pg_catalog.pg_backend_pid())
                AND (
                    l.relation {_EQ} {cursors}::pg_catalog.oid AND l.mode {_EQ} ANY (ARRAY[
                        'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock', 'AccessExclusiveLock'
                    ])
                    OR l.locktype {_EQ} 'transactionid' AND l.transactionid {_EQ} ANY (
                        SELECT c.xmax FROM {s}.ledger_cursors AS c WHERE c.id {_EQ} ANY(%s)
                    )
                )
        """.encode(),
        last_of_cursor=f"""
            SELECT pg_catalog.max(position) FROM {s}.ledger_events WHERE cursor_id {_EQ} %s
        """.encode(),
        last_position=f"SELECT pg_catalog.max(position) FROM {s}.ledger_events".encode(),
        heads_by_id=f"""
            SELECT id, consumer_id, stream_name, subject_id, {state} FROM {s}.ledger_cursors
            ORDER BY id
        """.encode(),
        rows_by_cursor=f"""
            SELECT e.cursor_id, {row}
            FROM {s}.ledger_events AS e
            LEFT JOIN {s}.ledger_cursors AS c ON c.id {_EQ} e.cursor_id
            LEFT JOIN {s}.ledger_tags AS t ON t.id {_EQ} e.tag_id
            ORDER BY e.cursor_id, e.version
        """.encode(),
        leaves=f"""
            SELECT position, digest, recorded_at FROM {s}.ledger_events ORDER BY position
        """.encode(),
    )


def quoted(schema: str) -> str:
    """Give the name of a schema as SQL has it."""
    return '"' + schema.replace('"', '""') + '"'
