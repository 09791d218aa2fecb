"""What the owner of a PostgreSQL database can do to a ledger, each with the fault that names it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from ledger import FaultKind

Deed = Callable[[psycopg.Connection[object]], None]


def run(*statements: str) -> Deed:
    """Run SQL with all triggers out of the way, which leaves no trace."""

    def deed(connection: psycopg.Connection[object]) -> None:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())

    return deed


def define(*statements: str) -> Deed:
    def deed(connection: psycopg.Connection[object]) -> None:
        for statement in statements:
            connection.execute(statement.encode())

    return deed


def edited(change: str, position: int = 2) -> Deed:
    return run(f"UPDATE ledger_events SET {change} WHERE position = {position}")


def stored(change: str) -> Deed:
    return run(f"UPDATE ledger_cursors SET {change} WHERE consumer_id = 'webhooks'")


def rebuilt(index: str, definition: str, gap: str) -> Deed:
    """Build an index anew with a gap, and write in the catalog that it has none."""

    def deed(connection: psycopg.Connection[object]) -> None:
        for gone in (gap, ""):
            if gone:
                connection.execute(f"DROP INDEX {index}".encode())
            connection.execute(f"CREATE INDEX {index}{'' if gone else '_'} {definition} {gone}")
        # Each index and its parts take over what the catalog says of the whole ones. Without the
        # last column the server would not use them while older snapshots are held, by other tests.
        connection.execute(
            f"""
            WITH parts AS (
                SELECT i.indexrelid AS lame, w.indexrelid AS whole
                FROM pg_index i JOIN pg_index w ON w.indrelid = i.indrelid
                WHERE i.indexrelid IN (SELECT relid FROM pg_partition_tree('{index}'::regclass)
                        UNION SELECT '{index}'::regclass)
                    AND w.indexrelid IN (SELECT relid FROM pg_partition_tree('{index}_'::regclass)
                        UNION SELECT '{index}_'::regclass)
            )
            UPDATE pg_index AS i SET indpred = w.indpred, indcheckxmin = false FROM parts
            JOIN pg_index AS w ON w.indexrelid = parts.whole WHERE i.indexrelid = parts.lame
            """.encode()
        )
        connection.execute(f"DROP INDEX {index}_".encode())

    return deed


BEYOND = 253_402_300_800_000_000  # The first microsecond of the year 10000.

FALSIFICATIONS: dict[str, tuple[Deed, FaultKind, int | None]] = {
    # What an entry says.
    "another actor": (edited("actor = 'nobody'"), FaultKind.EDITED, 2),
    "another epoch": (edited("epoch = 1"), FaultKind.EDITED, 2),
    "another time of recording": (edited("recorded_at = recorded_at + 1"), FaultKind.EDITED, 2),
    "another metadata": (edited("""metadata = '{"n":"2"}'"""), FaultKind.EDITED, 2),
    "another start": (edited("previous_sequence = 0"), FaultKind.EDITED, 2),
    "another sequence": (edited("sequence = 3"), FaultKind.EDITED, 2),
    "another delivery": (edited("delivery_id = 'd-3'"), FaultKind.EDITED, 2),
    "another time of delivery": (edited("delivered_at = delivered_at + 1"), FaultKind.EDITED, 2),
    "another outcome": (edited("outcome = 'skipped'"), FaultKind.EDITED, 2),
    "another reason": (edited("reason = 'a better one'", 4), FaultKind.EDITED, 4),
    "another message": (edited("message = 'HTTP 200'", 6), FaultKind.EDITED, 6),
    "another time of the event": (edited("occurred_at = 0"), FaultKind.EDITED, 2),
    "another digest": (edited(r"digest = '\x00'"), FaultKind.EDITED, 2),
    "another kind": (edited("tag_id = 2"), FaultKind.EDITED, 2),
    # What a column can hold, and an entry cannot.
    "a version beyond all": (edited("version = 9223372036854775807"), FaultKind.MISSING, 2),
    "a time beyond the year 9999": (edited(f"recorded_at = {BEYOND}"), FaultKind.UNREADABLE, 2),
    "a time before the year 1": (
        edited("occurred_at = -9223372036854775808"),
        FaultKind.UNREADABLE,
        2,
    ),
    "metadata that are no JSON": (edited("metadata = '{'"), FaultKind.UNREADABLE, 2),
    "metadata without end": (edited("metadata = repeat('[', 50000)"), FaultKind.UNREADABLE, 2),
    "no sequence": (edited("sequence = NULL"), FaultKind.UNREADABLE, 2),
    "an outcome that there is not": (edited("outcome = 'lost'"), FaultKind.UNREADABLE, 2),
    "a negative position": (edited("position = -2"), FaultKind.POSITION, -2),
    # What is there, and where.
    "an entry removed": (run("DELETE FROM ledger_events WHERE position = 3"), FaultKind.MISSING, 4),
    "the last entry removed": (
        run("DELETE FROM ledger_events WHERE position = 7"),
        FaultKind.CURSOR,
        4,
    ),
    "all entries of a cursor removed": (
        run("DELETE FROM ledger_events WHERE position IN (5, 6)"),
        FaultKind.MISSING,
        None,
    ),
    "a position given twice": (edited("position = 1", 5), FaultKind.POSITION, 1),
    "a position given twice in one cursor": (edited("position = 2", 3), FaultKind.ORDER, 2),
    "a position beyond the last": (edited("position = 5000", 7), FaultKind.POSITION, 5_000),
    "positions to be given again": (
        define("SELECT setval('ledger_positions', 5)"),
        FaultKind.POSITION,
        7,
    ),
    "a cursor removed": (
        run("DELETE FROM ledger_cursors WHERE consumer_id = 'mailer'"),
        FaultKind.ORPHAN,
        5,
    ),
    "a cursor renamed": (stored("consumer_id = 'other'"), FaultKind.KEY, None),
    "a cursor under another id": (stored("id = 77"), FaultKind.KEY, None),
    "a cursor and its entries under another id": (
        run(
            "UPDATE ledger_events SET cursor_id = 77 WHERE cursor_id ="
            " (SELECT id FROM ledger_cursors WHERE consumer_id = 'webhooks')",
            "UPDATE ledger_cursors SET id = 77 WHERE consumer_id = 'webhooks'",
        ),
        FaultKind.KEY,
        None,
    ),
    "a key with a twin": (
        run(
            "INSERT INTO ledger_cursors SELECT 99, consumer_id, stream_name, subject_id, 0, '',"
            " NULL, '', updated_at, version, 0, recorded_at, digest FROM ledger_cursors"
            " WHERE consumer_id = 'webhooks'"
        ),
        FaultKind.KEY,
        None,
    ),
    # What is stored of a cursor.
    "a cursor moved": (stored("last_sequence = 99"), FaultKind.CURSOR, 7),
    "an epoch taken back": (stored("epoch = 0"), FaultKind.CURSOR, 7),
    "an error invented": (stored("last_error = 'boom'"), FaultKind.CURSOR, 7),
    "a head that is another": (stored(r"digest = '\x00'"), FaultKind.CURSOR, 7),
    # Resets hidden from who asks for them.
    "a second id for a tag": (
        run(
            "INSERT INTO ledger_tags VALUES (9, 'cursor.reset.v1')",
            "UPDATE ledger_events SET tag_id = 9 WHERE position = 4",
        ),
        FaultKind.TAG,
        4,
    ),
    "a tag renamed": (run("UPDATE ledger_tags SET tag = 'x' WHERE id = 1"), FaultKind.TAG, None),
    "a tag removed": (run("DELETE FROM ledger_tags WHERE id = 3"), FaultKind.TAG, None),
    "the index of resets with a gap": (
        rebuilt(
            "ledger_events_resets",
            "ON ledger_events (position) WHERE tag_id = 2",
            "AND position <> 4",
        ),
        FaultKind.INDEX,
        None,
    ),
    "the index by position with a gap": (
        rebuilt("ledger_events_by_position", "ON ledger_events (position)", "WHERE position <> 4"),
        FaultKind.INDEX,
        None,
    ),
    "a key missing from its index": (
        rebuilt(
            "ledger_cursors_by_key",
            "ON ledger_cursors (stream_name, subject_id, consumer_id)"
            " WHERE octet_length(stream_name) + octet_length(subject_id)"
            " + octet_length(consumer_id) <= 2400",
            "AND consumer_id <> 'webhooks'",
        ),
        FaultKind.INDEX,
        None,
    ),
    # What the tables are.
    "a trigger dropped": (
        define("DROP TRIGGER ledger_events_refuse_change ON ledger_events"),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger switched off": (
        define("ALTER TABLE ledger_events DISABLE TRIGGER ledger_events_refuse_change"),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger switched off in one part": (
        define("ALTER TABLE ledger_events_3 DISABLE TRIGGER ALL"),
        FaultKind.DEFINITION,
        None,
    ),
    "a function that refuses nothing": (
        define(
            "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN OLD; END $$"
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger of somebody else's": (
        define(
            "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NULL; END $$",
            "CREATE TRIGGER quiet BEFORE INSERT ON ledger_events_2 FOR EACH ROW"
            " EXECUTE FUNCTION quiet()",
        ),
        FaultKind.FOREIGN,
        None,
    ),
    "a rule": (
        define("CREATE RULE quiet AS ON INSERT TO ledger_cursors DO INSTEAD NOTHING"),
        FaultKind.FOREIGN,
        None,
    ),
    "a policy that hides rows": (
        define(
            "CREATE POLICY mine ON ledger_events USING (tag_id <> 2)",
            "ALTER TABLE ledger_events ENABLE ROW LEVEL SECURITY",
        ),
        FaultKind.FOREIGN,
        None,
    ),
    "row security switched on": (
        define("ALTER TABLE ledger_events FORCE ROW LEVEL SECURITY"),
        FaultKind.DEFINITION,
        None,
    ),
    "an index dropped": (define("DROP INDEX ledger_events_resets"), FaultKind.DEFINITION, None),
    "an index that is not valid": (
        define(
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'ledger_events_by_position'::regclass"
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "an index of somebody else's": (
        define("CREATE INDEX mine ON ledger_events (recorded_at)"),
        FaultKind.FOREIGN,
        None,
    ),
    "a column added": (
        define("ALTER TABLE ledger_events ADD COLUMN approved_by text"),
        FaultKind.DEFINITION,
        None,
    ),
    "a constraint added": (
        define("ALTER TABLE ledger_events ADD CONSTRAINT mine CHECK (sequence < 100000)"),
        FaultKind.FOREIGN,
        None,
    ),
    "a primary key dropped": (
        define("ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_pkey"),
        FaultKind.DEFINITION,
        None,
    ),
    "positions that go round": (
        define("ALTER SEQUENCE ledger_positions CYCLE"),
        FaultKind.DEFINITION,
        None,
    ),
    "positions that each session keeps some of": (
        define("ALTER SEQUENCE ledger_positions CACHE 100"),
        FaultKind.DEFINITION,
        None,
    ),
    "a function that knows of no stranger": (
        define("ALTER FUNCTION ledger_may_append CALLED ON NULL INPUT"),
        FaultKind.DEFINITION,
        None,
    ),
    "no id": (run("DELETE FROM ledger_identity"), FaultKind.DEFINITION, None),
    "a second id": (
        run("INSERT INTO ledger_identity VALUES (gen_random_uuid())"),
        FaultKind.DEFINITION,
        None,
    ),
    "a default that gives other positions": (
        define("ALTER TABLE ledger_events ALTER COLUMN position SET DEFAULT 1"),
        FaultKind.DEFINITION,
        None,
    ),
    "a view that shows something else": (
        define("DROP VIEW ledger_log", "CREATE VIEW ledger_log AS SELECT 1 AS position"),
        FaultKind.DEFINITION,
        None,
    ),
    "a part taken out": (
        define("ALTER TABLE ledger_events DETACH PARTITION ledger_events_5"),
        FaultKind.DEFINITION,
        None,
    ),
    "a note of a login removed": (
        run("DELETE FROM ledger_sessions WHERE position = 4"),
        FaultKind.SESSION,
        4,
    ),
    "a note of a login for an entry that needs none": (
        run("INSERT INTO ledger_sessions VALUES (2, 'ines')"),
        FaultKind.SESSION,
        2,
    ),
    "where notes of logins begin, removed": (
        run("DELETE FROM ledger_sessions WHERE session_role IS NULL"),
        FaultKind.SESSION,
        None,
    ),
    "where notes of logins begin, put behind all entries": (
        run(
            "DELETE FROM ledger_sessions WHERE session_role IS NOT NULL",
            "UPDATE ledger_sessions SET position = 1000000",
        ),
        FaultKind.SESSION,
        None,
    ),
    "logins not noted any more": (
        define("ALTER TABLE ledger_events DISABLE TRIGGER ledger_events_note_session"),
        FaultKind.DEFINITION,
        None,
    ),
    "logins noted by nobody": (
        define("DROP TRIGGER ledger_events_note_session ON ledger_events"),
        FaultKind.DEFINITION,
        None,
    ),
    "logins noted falsely": (
        define(
            "CREATE OR REPLACE FUNCTION ledger_note_session() RETURNS trigger LANGUAGE plpgsql"
            " SECURITY DEFINER AS $$ BEGIN INSERT INTO ledger_sessions VALUES (NEW.position, 'x');"
            " RETURN NULL; END $$"
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "a table that is not logged": (
        define("ALTER TABLE ledger_tags SET UNLOGGED"),
        FaultKind.DEFINITION,
        None,
    ),
}
