"""What somebody with a SQLite file can do to it, each with the fault that names it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ledger import FaultKind

Deed = Callable[[Path], None]


def run(*statements: str) -> Deed:
    """Run SQL with all triggers out of the way, and put them back, as somebody careful would."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            triggers = raw.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in triggers:
                raw.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                raw.execute(statement)
            for _, sql in triggers:
                raw.execute(sql)

    return deed


def define(*statements: str) -> Deed:
    """Run SQL with the triggers where they are."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            for statement in statements:
                raw.execute(statement)

    return deed


def edited(change: str, position: int = 2) -> Deed:
    return run(f"UPDATE ledger_events SET {change} WHERE position = {position}")


def stored(change: str) -> Deed:
    return run(f"UPDATE ledger_cursors SET {change} WHERE consumer_id = 'webhooks'")


def behind(index: str, *statements: str) -> Deed:
    """Run SQL while the schema does not know of an index, so that the index is not kept up."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            row = raw.execute("SELECT * FROM sqlite_master WHERE name = ?", (index,)).fetchone()
            raw.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
        run(*statements)(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            raw.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)

    return deed


def rebuilt(index: str, gap: str) -> Deed:
    """Build an index anew with a gap, and write its old definition over the new one."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            [sql] = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()
            raw.execute(f"DROP INDEX {index}")
            raw.execute(sql + (" AND " if "WHERE" in sql else " WHERE ") + gap)
            raw.execute("PRAGMA writable_schema = ON")
            raw.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, index))

    return deed


TWIN = (
    "INSERT INTO ledger_cursors SELECT 99, consumer_id, stream_name, subject_id, 0, '', NULL, '',"
    " updated_at, version, 0, recorded_at, digest FROM ledger_cursors"
    " WHERE consumer_id = 'webhooks'"
)
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
    "another digest": (edited("digest = zeroblob(32)"), FaultKind.EDITED, 2),
    "another kind": (edited("tag_id = 2"), FaultKind.EDITED, 2),
    # What a column cannot hold.
    "text as version": (edited("version = 'two'"), FaultKind.MISSING, 2),
    "a version beyond all": (edited("version = 9223372036854775807"), FaultKind.MISSING, 2),
    "a blob as version": (edited("version = x'02'"), FaultKind.UNREADABLE, 2),
    "a fraction as epoch": (edited("epoch = 0.5"), FaultKind.UNREADABLE, 2),
    "text as time": (edited("recorded_at = 'noon'"), FaultKind.UNREADABLE, 2),
    "a time beyond the year 9999": (edited(f"recorded_at = {BEYOND}"), FaultKind.UNREADABLE, 2),
    "a time before the year 1": (
        edited("occurred_at = -9223372036854775808"),
        FaultKind.UNREADABLE,
        2,
    ),
    "a blob as actor": (edited("actor = x'00ff'"), FaultKind.UNREADABLE, 2),
    "text that is no UTF-8": (edited("actor = CAST(x'ff' AS TEXT)"), FaultKind.UNREADABLE, 2),
    "metadata that are no JSON": (edited("metadata = '{'"), FaultKind.UNREADABLE, 2),
    "metadata that are a list": (edited("metadata = '[]'"), FaultKind.UNREADABLE, 2),
    "metadata without end": (
        edited("metadata = replace(hex(zeroblob(50000)), '00', '[')"),
        FaultKind.UNREADABLE,
        2,
    ),
    "text as digest": (edited("digest = 'text'"), FaultKind.EDITED, 2),
    "no delivery time": (edited("delivered_at = NULL"), FaultKind.UNREADABLE, 2),
    "an infinite sequence": (edited("sequence = 9e999"), FaultKind.UNREADABLE, 2),
    "an outcome that there is not": (edited("outcome = 'lost'"), FaultKind.UNREADABLE, 2),
    "text as cursor": (edited("cursor_id = 'one'", 7), FaultKind.ORPHAN, 7),
    "a blob as cursor": (edited("cursor_id = x'01'", 7), FaultKind.ORPHAN, 7),
    "a negative position": (edited("position = -2"), FaultKind.ORDER, -2),
    "a position behind which there is none": (
        edited("position = 9223372036854775807", 7),
        FaultKind.POSITION,
        9223372036854775807,
    ),
    # What is there, and where.
    "the first entry removed": (
        run("DELETE FROM ledger_events WHERE position = 1"),
        FaultKind.MISSING,
        2,
    ),
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
    "entries of a cursor exchanged": (
        run(
            "UPDATE ledger_events SET position = 100000 WHERE position = 2",
            "UPDATE ledger_events SET position = 2 WHERE position = 3",
            "UPDATE ledger_events SET position = 3 WHERE position = 100000",
        ),
        FaultKind.ORDER,
        2,
    ),
    "an entry given to another cursor": (edited("cursor_id = 2", 7), FaultKind.MISSING, 7),
    "a cursor removed": (
        run("DELETE FROM ledger_cursors WHERE consumer_id = 'mailer'"),
        FaultKind.ORPHAN,
        5,
    ),
    "a cursor renamed": (stored("consumer_id = 'other'"), FaultKind.EDITED, 1),
    "a cursor under another id": (stored("id = 77"), FaultKind.ORPHAN, 1),
    "a blob in a key": (stored("subject_id = x'00'"), FaultKind.UNREADABLE, 1),
    "an empty key": (stored("consumer_id = ''"), FaultKind.UNREADABLE, 1),
    # What is stored of a cursor.
    "a cursor moved": (stored("last_sequence = 99"), FaultKind.CURSOR, 7),
    "a cursor moved to text": (stored("last_sequence = 'far'"), FaultKind.CURSOR, 7),
    "an epoch taken back": (stored("epoch = 0"), FaultKind.CURSOR, 7),
    "a version taken back": (stored("version = 4"), FaultKind.CURSOR, 7),
    "an error invented": (stored("last_error = 'boom'"), FaultKind.CURSOR, 7),
    "a head that is another": (stored("digest = x'00'"), FaultKind.CURSOR, 7),
    # Resets hidden from who asks for them.
    "a second id for a tag": (
        run(
            "UPDATE ledger_tags SET tag = 'x' WHERE id = 2",
            "INSERT INTO ledger_tags VALUES (9, 'cursor.reset.v1')",
            "UPDATE ledger_events SET tag_id = 9 WHERE position = 4",
        ),
        FaultKind.TAG,
        4,
    ),
    "a tag renamed": (
        run("UPDATE ledger_tags SET tag = 'cursor.moved.v1' WHERE id = 1"),
        FaultKind.TAG,
        None,
    ),
    "a tag removed": (run("DELETE FROM ledger_tags WHERE id = 3"), FaultKind.TAG, None),
    "the tag of starts removed": (
        run("DELETE FROM ledger_tags WHERE id = 4"),
        FaultKind.TAG,
        None,
    ),
    "a tag too many": (run("INSERT INTO ledger_tags VALUES (5, 'x')"), FaultKind.TAG, None),
    "the index of resets with a gap": (
        rebuilt("ledger_events_resets", "position <> 4"),
        FaultKind.INDEX,
        None,
    ),
    "the index by cursor with a gap": (
        rebuilt("ledger_events_by_cursor", "position <> 4"),
        FaultKind.INDEX,
        None,
    ),
    "a key missing from its index": (
        rebuilt("ledger_cursors_by_key", "consumer_id <> 'webhooks'"),
        FaultKind.INDEX,
        None,
    ),
    "a key with a twin": (behind("ledger_cursors_by_key", TWIN), FaultKind.KEY, None),
    "a cursor in the table that is not the one in the index": (
        behind(
            "ledger_events_by_cursor", "UPDATE ledger_events SET cursor_id = 2 WHERE version = 5"
        ),
        FaultKind.INDEX,
        None,
    ),
    # What the tables are.
    "a trigger dropped": (
        define("DROP TRIGGER ledger_events_refuse_delete"),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger made to refuse nothing": (
        define(
            "DROP TRIGGER ledger_events_refuse_update",
            "CREATE TRIGGER ledger_events_refuse_update BEFORE UPDATE ON ledger_events"
            " BEGIN SELECT 1; END",
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger that swallows rows": (
        define(
            "CREATE TRIGGER quiet BEFORE INSERT ON ledger_events BEGIN SELECT RAISE(IGNORE); END"
        ),
        FaultKind.FOREIGN,
        None,
    ),
    "a trigger on the cursors": (
        define("CREATE TRIGGER t AFTER UPDATE ON ledger_cursors BEGIN SELECT 1; END"),
        FaultKind.FOREIGN,
        None,
    ),
    "an index dropped": (define("DROP INDEX ledger_events_by_cursor"), FaultKind.DEFINITION, None),
    "the index of resets dropped": (
        define("DROP INDEX ledger_events_resets"),
        FaultKind.DEFINITION,
        None,
    ),
    "an index of somebody else's": (
        define("CREATE UNIQUE INDEX mine ON ledger_events (recorded_at, position)"),
        FaultKind.FOREIGN,
        None,
    ),
    "a column added": (
        define("ALTER TABLE ledger_events ADD COLUMN approved_by TEXT"),
        FaultKind.DEFINITION,
        None,
    ),
    "a view that shows something else": (
        define("DROP VIEW ledger_log", "CREATE VIEW ledger_log AS SELECT 1 AS position"),
        FaultKind.DEFINITION,
        None,
    ),
    "a view that is gone": (define("DROP VIEW ledger_log"), FaultKind.DEFINITION, None),
    "a constraint written out of the schema": (
        define(
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = replace(sql, 'BLOB    NOT NULL', 'BLOB')"
            " WHERE name = 'ledger_events'",
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "the table of tags dropped": (
        define("PRAGMA foreign_keys = OFF", "DROP VIEW ledger_log", "DROP TABLE ledger_tags"),
        FaultKind.DEFINITION,
        None,
    ),
}
