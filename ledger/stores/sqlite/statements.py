"""The SQL of the ledger on SQLite."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ledger.law.events import ErrorRecorded
from ledger.log import columns
from ledger.log.rows import TAGS
from ledger.stores.tables import ENTRY_NAMES, TAG_IDS

__all__ = [
    "CURSOR",
    "CURSORS",
    "CURSOR_AT",
    "ENTRIES",
    "HEAD",
    "HEADS_BY_ID",
    "INSERT_HEAD",
    "LAST_POSITION",
    "LEAVES",
    "MOVED",
    "OF_KEY",
    "PLACES_MAX",
    "ROWS_BY_CURSOR",
    "UPDATE_HEAD",
    "ids_of",
    "insert_event",
    "moves",
]


def _plain(names: Iterable[str]) -> str:
    """Name columns so that a caller's connection returns them as they are.

    It chooses its converters by the declared type of a column, which an expression has not.
    """
    return ", ".join(f"+{name}" for name in names)


def _marks(names: tuple[str, ...]) -> str:
    return ", ".join("?" * len(names))


_KEY, _STATE = columns.KEY.names, columns.STATE.names
_BY_KEY = "stream_name = ? AND subject_id = ? AND consumer_id = ?"

HEAD = f"SELECT {_plain(columns.HEAD.names)} FROM ledger_cursors WHERE {_BY_KEY}"

CURSOR = f"SELECT {_plain(columns.CURSOR.names)} FROM ledger_cursors WHERE {_BY_KEY}"

# An id that entries name is not given again, even if its cursor was lost.
NEXT_ID = """
SELECT 1 + max(
    coalesce((SELECT max(id) FROM ledger_cursors), 0),
    coalesce((SELECT max(cursor_id) FROM ledger_events), 0)
)
"""

INSERT_HEAD = f"""
INSERT INTO ledger_cursors (id, {", ".join(_KEY + _STATE)})
VALUES (({NEXT_ID}), {_marks(_KEY + _STATE)})
"""

UPDATE_HEAD = (
    f"UPDATE ledger_cursors SET {', '.join(f'{name} = ?' for name in _STATE)} WHERE id = ?"
)


def insert_event(names: tuple[str, ...], tag_id: int, *, placed: bool = False) -> str:
    """Return what inserts an event that has the columns `names`: its cursor, these, its digest.

    With `placed`, its position comes first.
    """
    given = (*(("position",) if placed else ()), "cursor_id", *names, "digest")
    return (
        f"INSERT INTO ledger_events (tag_id, {', '.join(given)}) VALUES ({tag_id}, {_marks(given)})"
    )


CURSORS = f"""
SELECT {_plain(columns.KEYED_CURSOR.names)} FROM ledger_cursors
WHERE {{conditions}}
ORDER BY stream_name, subject_id, consumer_id LIMIT ?
"""

# CROSS JOIN keeps the order of the loops: entries outside, in the order in which they are wanted.
ENTRIES = f"""
SELECT {_plain(ENTRY_NAMES)} FROM ledger_events AS e {{index}}
CROSS JOIN ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN ledger_tags AS t ON t.id = e.tag_id
WHERE {{conditions}}
ORDER BY {{order}} LIMIT ?
"""

OF_KEY = f"e.cursor_id = (SELECT id FROM ledger_cursors WHERE {_BY_KEY})"

# The cursors that a part of the log is about.
MOVED = f"""
SELECT {_plain(columns.KEYED_CURSOR.names)} FROM ledger_cursors
WHERE id IN (SELECT cursor_id FROM ledger_events WHERE position > ? AND position <= ?)
"""

PLACES_MAX = 200
"""How many places are asked for in one statement; old versions of SQLite allow 999 values."""


@lru_cache(maxsize=8)
def ids_of(keys: int) -> str:
    """Return the statement for the ids of so many cursors, each with the number of its key."""
    return f"""
        WITH k (nth, stream_name, subject_id, consumer_id) AS (VALUES {_rows(4, keys)})
        SELECT +k.nth, +c.id FROM k CROSS JOIN ledger_cursors AS c
        ON c.stream_name = k.stream_name AND c.subject_id = k.subject_id
            AND c.consumer_id = k.consumer_id
    """


@lru_cache(maxsize=8)
def moves(places: int) -> str:
    """Return the statement for the moves at so many places, each with the number of its place.

    Each is found by the index of cursor and version, backwards, over the errors in between.
    """
    return f"""
        WITH p (id, version, nth) AS (VALUES {_rows(3, places)})
        SELECT +p.nth, {_plain(f"e.{name}" for name in columns.MOVE.names)}
        FROM p CROSS JOIN ledger_events AS e ON e.position = (
            SELECT m.position FROM ledger_events AS m INDEXED BY ledger_events_by_cursor
            WHERE m.cursor_id = p.id AND m.version <= p.version
                AND m.tag_id <> {TAG_IDS[TAGS[ErrorRecorded]]}
            ORDER BY m.version DESC LIMIT 1
        )
    """


def _rows(values: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * values)})"] * rows)


LAST_POSITION = "SELECT max(position) FROM ledger_events"

HEADS_BY_ID = f"""
SELECT {_plain(columns.STORED_CURSOR.names)} FROM ledger_cursors {{range}} ORDER BY id
"""

ROWS_BY_CURSOR = f"""
SELECT {_plain(("e.cursor_id", *ENTRY_NAMES))} FROM ledger_events AS e {{index}}
LEFT JOIN ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN ledger_tags AS t ON t.id = e.tag_id
{{range}}
ORDER BY e.cursor_id, e.version
"""

CURSOR_AT = "SELECT +cursor_id FROM ledger_events WHERE position >= ? ORDER BY position LIMIT 1"

# A digest that was replaced by something else is covered as the bytes that it has.
LEAVES = """
SELECT CAST(position AS INTEGER), coalesce(CAST(digest AS BLOB), x''), +recorded_at
FROM ledger_events NOT INDEXED ORDER BY position
"""
