"""The SQL of the ledger on SQLite.

Every table is one of `main`: temporary tables of a connection come before those, by the same names.
No statement uses a function, because a caller's connection may have another one by its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ledger.law.reserved import POLICY_STREAMS
from ledger.log import columns, tags
from ledger.stores.tables import ENTRY_NAMES, TAG_IDS

__all__ = [
    "ARCHIVED_LEAVES",
    "BEGINNINGS",
    "BEHIND",
    "CURSOR",
    "CURSORS",
    "CURSOR_AT",
    "ENTRIES",
    "FIRST_ADVANCE",
    "HAS_ARCHIVED",
    "HEAD",
    "HEADS_BY_ID",
    "INSERT_HEAD",
    "INSERT_TREE_ROW",
    "LAST_ID",
    "LAST_MOVE",
    "LAST_POSITION",
    "LAST_ROWS",
    "LAST_VERSIONS",
    "LEAVES",
    "LEAVES_AFTER",
    "MOVED",
    "OF_KEY",
    "PLACES_MAX",
    "POLICIES",
    "ROWS_BEFORE",
    "ROWS_BETWEEN",
    "ROWS_BY_CURSOR",
    "ROW_AT",
    "TREE_ROWS",
    "UPDATE_HEAD",
    "ids_of",
    "insert_event",
    "moves",
    "recorded",
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

HEAD = f"SELECT {_plain(columns.HEAD.names)} FROM main.ledger_cursors WHERE {_BY_KEY}"

CURSOR = f"SELECT {_plain(columns.CURSOR.names)} FROM main.ledger_cursors WHERE {_BY_KEY}"

# An id that entries name is not given again, even if its cursor was lost.
NEXT_ID = """
SELECT CASE
    WHEN stored IS NULL AND named IS NULL THEN 1
    WHEN named IS NULL OR stored > named THEN stored + 1
    ELSE named + 1
END
FROM (
    SELECT
        (SELECT id FROM main.ledger_cursors ORDER BY id DESC LIMIT 1) AS stored,
        (SELECT cursor_id FROM main.ledger_events ORDER BY cursor_id DESC LIMIT 1) AS named
)
"""

INSERT_HEAD = f"""
INSERT INTO main.ledger_cursors (id, {", ".join(_KEY + _STATE)})
VALUES (({NEXT_ID}), {_marks(_KEY + _STATE)})
"""

UPDATE_HEAD = (
    f"UPDATE main.ledger_cursors SET {', '.join(f'{name} = ?' for name in _STATE)} WHERE id = ?"
)


def insert_event(names: tuple[str, ...], tag_id: int, *, placed: bool = False) -> str:
    """Return what inserts an event that has the columns `names`: its cursor, these, its digest.

    With `placed`, its position comes first.
    """
    given = (*(("position",) if placed else ()), "cursor_id", *names, "digest")
    columns_given = ", ".join(("tag_id", *given))
    return f"INSERT INTO main.ledger_events ({columns_given}) VALUES ({tag_id}, {_marks(given)})"


CURSORS = f"""
SELECT {_plain(columns.KEYED_CURSOR.names)} FROM main.ledger_cursors
WHERE {{conditions}}
ORDER BY stream_name, subject_id, consumer_id LIMIT ?
"""

# CROSS JOIN keeps the order of the loops: entries outside, in the order in which they are wanted.
ENTRIES = f"""
SELECT {_plain(ENTRY_NAMES)} FROM main.ledger_events AS e {{index}}
CROSS JOIN main.ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN main.ledger_tags AS t ON t.id = e.tag_id
WHERE {{conditions}}
ORDER BY {{order}} LIMIT ?
"""

OF_KEY = f"e.cursor_id = (SELECT id FROM main.ledger_cursors WHERE {_BY_KEY})"

# The cursors that a part of the log is about.
MOVED = f"""
SELECT {_plain(columns.KEYED_CURSOR.names)} FROM main.ledger_cursors
WHERE id IN (SELECT cursor_id FROM main.ledger_events WHERE position > ? AND position <= ?)
"""

# The last reset of each cursor of a consumer on some streams; anything else on them is passed over.
POLICIES = f"""
SELECT {_plain(ENTRY_NAMES)} FROM main.ledger_cursors AS c
CROSS JOIN main.ledger_events AS e ON e.position = (
    SELECT m.position FROM main.ledger_events AS m INDEXED BY ledger_events_by_cursor
    WHERE m.cursor_id = c.id AND m.tag_id = {TAG_IDS[tags.RESET]} ORDER BY m.version DESC LIMIT 1
)
LEFT JOIN main.ledger_tags AS t ON t.id = e.tag_id
WHERE c.stream_name IN ({_marks(POLICY_STREAMS)}) AND c.consumer_id = ?
"""

PLACES_MAX = 200
"""How many places are asked for in one statement; old versions of SQLite allow 999 values."""


@lru_cache(maxsize=8)
def ids_of(keys: int) -> str:
    """Return the statement for the ids of so many cursors, each with the number of its key."""
    return f"""
        WITH k (nth, stream_name, subject_id, consumer_id) AS (VALUES {_rows(4, keys)})
        SELECT +k.nth, +c.id FROM k CROSS JOIN main.ledger_cursors AS c
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
        FROM p CROSS JOIN main.ledger_events AS e ON e.position = (
            SELECT m.position FROM main.ledger_events AS m INDEXED BY ledger_events_by_cursor
            WHERE m.cursor_id = p.id AND m.version <= p.version
                AND m.tag_id <> {TAG_IDS[tags.ERROR]}
            ORDER BY m.version DESC LIMIT 1
        )
    """


# Of the entries themselves, because what is stored beside them may have been falsified.
LAST_VERSIONS = """
SELECT +id, (
    SELECT +version FROM main.ledger_events INDEXED BY ledger_events_by_cursor
    WHERE cursor_id = c.id ORDER BY version DESC LIMIT 1
)
FROM main.ledger_cursors AS c WHERE {conditions} ORDER BY id LIMIT ?
"""


@lru_cache(maxsize=8)
def recorded(places: int) -> str:
    """Return the statement for so many entries, by cursor and version, with the number of each."""
    return f"""
        WITH p (id, version, nth) AS (VALUES {_rows(3, places)})
        SELECT +p.nth, +e.version, +e.position, +e.recorded_at
        FROM p CROSS JOIN main.ledger_events AS e INDEXED BY ledger_events_by_cursor
        ON e.cursor_id = p.id AND e.version = p.version
    """


def _rows(values: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * values)})"] * rows)


LAST_POSITION = "SELECT +position FROM main.ledger_events ORDER BY position DESC LIMIT 1"

HEADS_BY_ID = f"""
SELECT {_plain(columns.STORED_CURSOR.names)} FROM main.ledger_cursors {{range}} ORDER BY id
"""

ROWS_BY_CURSOR = f"""
SELECT {_plain(("e.cursor_id", *ENTRY_NAMES))} FROM main.ledger_events AS e {{index}}
LEFT JOIN main.ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN main.ledger_tags AS t ON t.id = e.tag_id
{{range}}
ORDER BY e.cursor_id, e.version
"""

# The entries between two positions, by the table itself, which is in the order of its positions.
ROWS_BETWEEN = f"""
SELECT {_plain(("e.cursor_id", *ENTRY_NAMES))} FROM main.ledger_events AS e NOT INDEXED
LEFT JOIN main.ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN main.ledger_tags AS t ON t.id = e.tag_id
WHERE e.position > ? AND e.position <= ?
ORDER BY e.cursor_id, e.version
"""

_FOLLOWING = f"""
SELECT {_plain(("e.cursor_id", *ENTRY_NAMES, "d.digest"))} FROM {{entries}}
LEFT JOIN main.ledger_events AS d INDEXED BY ledger_events_by_cursor
    ON d.cursor_id = e.cursor_id AND d.version = e.version - 1
LEFT JOIN main.ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN main.ledger_tags AS t ON t.id = e.tag_id
"""
"""Entries `e`, each with the digest of the one that it follows."""

ROWS_BEFORE = f"""
{
    _FOLLOWING.format(
        entries="main.ledger_events AS n NOT INDEXED CROSS JOIN main.ledger_events AS e"
        " INDEXED BY ledger_events_by_cursor"
        " ON e.cursor_id = n.cursor_id AND e.version = n.version - 1"
    )
}
WHERE n.position > ? AND n.position <= ? AND (e.position <= ? OR e.position > ?)
ORDER BY e.cursor_id, e.version
"""

_OF_CURSOR = _FOLLOWING.format(entries="main.ledger_events AS e INDEXED BY ledger_events_by_cursor")

# Errors never move a cursor, and an advance to where it is does not either.
LAST_MOVE = f"""
{_OF_CURSOR} WHERE e.cursor_id = ? AND e.version < ? AND e.tag_id <> {TAG_IDS[tags.ERROR]}
    AND (e.tag_id <> {TAG_IDS[tags.ADVANCED]} OR e.sequence <> e.previous_sequence)
ORDER BY e.version DESC LIMIT 1
"""

FIRST_ADVANCE = f"""
{_OF_CURSOR} WHERE e.cursor_id = ? AND e.version > ? AND e.version < ?
    AND e.tag_id = {TAG_IDS[tags.ADVANCED]}
ORDER BY e.version LIMIT 1
"""

ROW_AT = f"""
{_FOLLOWING.format(entries="main.ledger_events AS e NOT INDEXED")} WHERE e.position = ?
"""

LAST_ROWS = f"""
{
    _FOLLOWING.format(
        entries="main.ledger_cursors AS h CROSS JOIN main.ledger_events AS e ON e.position = ("
        "SELECT m.position FROM main.ledger_events AS m INDEXED BY ledger_events_by_cursor"
        " WHERE m.cursor_id = h.id ORDER BY m.version DESC LIMIT 1)"
    )
}
{{range}}
ORDER BY h.id
"""

BEHIND = "WHERE id IN (SELECT cursor_id FROM main.ledger_events NOT INDEXED WHERE position > ?)"

LAST_ID = "SELECT +id FROM main.ledger_cursors ORDER BY id DESC LIMIT 1"

CURSOR_AT = (
    "SELECT +cursor_id FROM main.ledger_events WHERE position >= ? ORDER BY position LIMIT 1"
)

# A digest that was replaced by something else is covered as the bytes that it has.
LEAVES = """
SELECT CAST(position AS INTEGER), CASE WHEN digest IS NULL THEN x'' ELSE CAST(digest AS BLOB) END,
    CAST(recorded_at AS INTEGER)
FROM main.ledger_events NOT INDEXED ORDER BY position
"""

# By the table itself, which is in the order of its positions.
LEAVES_AFTER = """
SELECT CAST(position AS INTEGER), CASE WHEN digest IS NULL THEN x'' ELSE CAST(digest AS BLOB) END,
    CAST(recorded_at AS INTEGER)
FROM main.ledger_events NOT INDEXED WHERE position > ? ORDER BY position LIMIT ?
"""

HAS_ARCHIVED = """
SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'ledger_archived'
"""

ARCHIVED_LEAVES = """
SELECT +position, +digest, +recorded_at FROM main.ledger_archived
WHERE position > ? ORDER BY position LIMIT ?
"""

BEGINNINGS = f"""
SELECT +a.cursor_id, +a.position, +l.digest, {_plain(f"c.{name}" for name in _KEY)},
    {_plain(f"a.{name}" for name in _STATE)}
FROM main.ledger_archived_cursors AS a
LEFT JOIN main.ledger_cursors AS c ON c.id = a.cursor_id
LEFT JOIN main.ledger_archived AS l ON l.position = a.position
{{range}} ORDER BY a.cursor_id
"""

TREE_ROWS = """
SELECT +level, +number, +position, +root FROM main.ledger_tree
WHERE level = ? {range} ORDER BY number
"""

IDENTITY = "SELECT +id FROM main.ledger_identity"

INSERT_IDENTITY = "INSERT INTO main.ledger_identity (id) VALUES (?)"

# Another process may have kept the same ones in the meantime.
INSERT_TREE_ROW = """
INSERT INTO main.ledger_tree (level, number, position, root)
SELECT level, number, position, root
FROM (SELECT ? AS level, ? AS number, ? AS position, ? AS root) AS new
WHERE NOT EXISTS (
    SELECT 1 FROM main.ledger_tree AS kept
    WHERE kept.level = new.level AND kept.number = new.number
)
"""
