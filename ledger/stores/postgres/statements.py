"""The SQL of the ledger on PostgreSQL, for the tables of one schema."""

from __future__ import annotations

from functools import lru_cache

import attrs

from ledger.chain import STATE

__all__ = ["EVENT", "Statements", "statements"]

EVENT = (
    ("cursor_id", "bigint"),
    ("version", "bigint"),
    ("epoch", "bigint"),
    ("recorded_at", "bigint"),
    ("actor", "text"),
    ("metadata", "text"),
    ("tag_id", "smallint"),
    ("previous_sequence", "bigint"),
    ("sequence", "bigint"),
    ("delivery_id", "text"),
    ("delivered_at", "bigint"),
    ("outcome", "text"),
    ("reason", "text"),
    ("message", "text"),
    ("occurred_at", "bigint"),
    ("digest", "bytea"),
)
"""The columns of an event that a writer gives, with their types."""

_KNOWN = [("id", "bigint"), ("version", "bigint"), ("digest", "bytea")]

_STATE_TYPES = {
    "last_delivery_id": "text",
    "last_error": "text",
    "digest": "bytea",
}


@attrs.frozen(kw_only=True)
class Statements:
    """Every statement that is run on the tables of a ledger, but those that make them."""

    schema: str
    # As bytes: psycopg takes text only if it is written out where it is run.
    hold: bytes
    hold_free: bytes
    there: bytes
    gate: bytes
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
    horizon: bytes
    last_of_cursor: bytes
    last_position: bytes
    heads_by_id: bytes
    rows_by_cursor: bytes
    leaves: bytes


@lru_cache(maxsize=64)
def statements(schema: str) -> Statements:
    """Give the statements for the tables in `schema`."""
    # Every statement is run with values, if only none, so that a % has to be doubled.
    s = '"' + schema.replace('"', '""').replace("%", "%%") + '"'
    positions = "'" + s.replace("'", "''") + ".ledger_positions'"
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
        JOIN {s}.ledger_cursors AS c ON c.id = e.cursor_id
        LEFT JOIN {s}.ledger_tags AS t ON t.id = e.tag_id
    """
    last = f"(SELECT last_value - (NOT is_called)::int FROM {s}.ledger_positions)"
    # Whoever is going to draw positions holds this lock until the end of his transaction. It is
    # shared, so nobody ever waits for it; its name says which ledger, and which position was the
    # last before. See `horizon`.
    gate_class = f"({positions}::regclass::oid::bigint & 2147483647)::int"
    gate = f"pg_advisory_xact_lock_shared({gate_class}, ({last} & 2147483647)::int)"
    # Once in a transaction, or one that appends thousands of times would fill the lock table of
    # the server. What says so is undone by the same ROLLBACK TO that releases the lock.
    gated = f"'cursor_ledger.gate_' || {positions}::regclass::oid"

    def unnested(columns: list[tuple[str, str]], alias: str) -> str:
        arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
        names = ", ".join(name for name, _ in columns)
        return f"unnest({arrays}) AS {alias} ({names})"

    return Statements(
        schema=schema,
        # In the order of their ids, so that two who want the same ones cannot block each other.
        hold=f"""
            SELECT id, consumer_id, stream_name, subject_id, {state} FROM {s}.ledger_cursors
            WHERE id = ANY(%s) ORDER BY id FOR UPDATE
        """.encode(),
        hold_free=f"""
            SELECT id, consumer_id, stream_name, subject_id, {state} FROM {s}.ledger_cursors
            WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED
        """.encode(),
        there=f"SELECT id FROM {s}.ledger_cursors WHERE id = ANY(%s)".encode(),
        gate=f"""
            SELECT set_config({gated}, 'held' || {gate}::text, true)
            WHERE coalesce(current_setting({gated}, true), '') = ''
        """.encode(),
        # An advance in one round trip: only if the chain still ends where it did, the cursor is
        # moved, the gate held, and then the position drawn.
        move=f"""
            WITH moved AS (
                UPDATE {s}.ledger_cursors SET {moves}
                WHERE id = %s AND version = %s AND digest = %s RETURNING {gate}
            )
            INSERT INTO {s}.ledger_events ({event})
            SELECT {", ".join(f"%s::{kind}" for _, kind in EVENT)} FROM moved
        """.encode(),
        # The same for a few entries, which may be of several cursors: all of them, or none. It
        # waits for nobody.
        move_many=f"""
            WITH held AS MATERIALIZED (
                SELECT c.id FROM {s}.ledger_cursors AS c
                JOIN {unnested(_KNOWN, "k")} USING (id, version, digest)
                FOR UPDATE OF c SKIP LOCKED
            ), moved AS (
                UPDATE {s}.ledger_cursors AS c
                SET {", ".join(f"{name} = n.{name}" for name in STATE)}
                FROM {unnested([("id", "bigint"), *state_types], "n")}
                WHERE c.id = n.id AND (SELECT count(*) FROM held) = %s RETURNING {gate}
            )
            INSERT INTO {s}.ledger_events ({event})
            SELECT * FROM {unnested(list(EVENT), "n")} WHERE (SELECT count(*) FROM moved) = %s
        """.encode(),
        insert_heads=f"""
            INSERT INTO {s}.ledger_cursors (id, consumer_id, stream_name, subject_id, {state})
            SELECT * FROM {
            unnested(
                [
                    ("id", "bigint"),
                    ("consumer_id", "text"),
                    ("stream_name", "text"),
                    ("subject_id", "text"),
                    *state_types,
                ],
                "n",
            )
        } ORDER BY id
        """.encode(),
        update_heads=f"""
            UPDATE {s}.ledger_cursors AS c
            SET {", ".join(f"{name} = n.{name}" for name in STATE)}
            FROM {unnested([("id", "bigint"), *state_types], "n")} WHERE c.id = n.id
        """.encode(),
        insert_events=f"""
            INSERT INTO {s}.ledger_events ({event}) SELECT * FROM {unnested(list(EVENT), "n")}
        """.encode(),
        # COPY is run without any.
        copy_events=f"COPY {s}.ledger_events ({event}) FROM STDIN".replace("%%", "%").encode(),
        copy_placed_events=(
            f"COPY {s}.ledger_events (position, {event}) FROM STDIN".replace("%%", "%").encode()
        ),
        place_next=f"SELECT setval({positions}, %s)".encode(),
        happened=f"""
            SELECT 1 FROM {s}.ledger_events WHERE cursor_id = %s AND version = %s AND digest = %s
        """.encode(),
        exclude_writers=f"LOCK TABLE {s}.ledger_cursors IN EXCLUSIVE MODE".encode(),
        restore=f"UPDATE {s}.ledger_cursors SET {moves} WHERE id = %s".encode(),
        cursor=f"""
            SELECT consumer_id, stream_name, subject_id, {public} FROM {s}.ledger_cursors
            WHERE id = %s
        """.encode(),
        cursors="("
        + ") UNION ALL (".join(
            f"""
            SELECT consumer_id, stream_name, subject_id, {public} FROM {s}.ledger_cursors
            WHERE octet_length(stream_name) + octet_length(subject_id) + octet_length(consumer_id)
                {size} 2400 AND (stream_name, subject_id, consumer_id) > (%s, %s, %s) <conditions>
            ORDER BY stream_name, subject_id, consumer_id LIMIT %s
            """
            for size in ("<=", ">")
        )
        + ") ORDER BY stream_name, subject_id, consumer_id LIMIT %s",
        entries=f"""
            SELECT {row} FROM {joined} WHERE <conditions> ORDER BY <order> LIMIT %s
        """,
        # The last position first: who draws one after that held the gate before, and is found
        # among the locks, unless he has ended and can be seen by what is read behind this. So can
        # what this very transaction has appended.
        horizon=f"""
            SELECT {last}, current_setting('transaction_isolation');
            SELECT l.objid::bigint, a.pid::bigint, a.application_name,
                (extract(epoch FROM a.xact_start) * 1000000)::bigint
            FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
            WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.mode = 'ShareLock' AND l.granted
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND l.classid::bigint = {gate_class} AND l.pid IS DISTINCT FROM pg_backend_pid()
        """.encode(),
        last_of_cursor=f"""
            SELECT max(position) FROM {s}.ledger_events WHERE cursor_id = %s
        """.encode(),
        last_position=f"SELECT max(position) FROM {s}.ledger_events".encode(),
        heads_by_id=f"""
            SELECT id, consumer_id, stream_name, subject_id, {state} FROM {s}.ledger_cursors
            ORDER BY id
        """.encode(),
        rows_by_cursor=f"""
            SELECT e.cursor_id, {row}
            FROM {s}.ledger_events AS e
            LEFT JOIN {s}.ledger_cursors AS c ON c.id = e.cursor_id
            LEFT JOIN {s}.ledger_tags AS t ON t.id = e.tag_id
            ORDER BY e.cursor_id, e.version
        """.encode(),
        leaves=f"""
            SELECT position, digest, recorded_at FROM {s}.ledger_events ORDER BY position
        """.encode(),
    )
