"""The SQL of the ledger on SQLite."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.log import columns
from ledger.stores.tables import ENTRY_NAMES

__all__ = [
    "CURSOR",
    "CURSORS",
    "CURSOR_AT",
    "ENTRIES",
    "HEAD",
    "HEADS_BY_ID",
    "INSERT_EVENT",
    "INSERT_HEAD",
    "INSERT_PLACED_EVENT",
    "LAST_POSITION",
    "LEAVES",
    "MOVED",
    "OF_KEY",
    "ROWS_BY_CURSOR",
    "UPDATE_HEAD",
]


def _plain(names: Iterable[str]) -> str:
    """Name columns so that a caller's connection returns them as they are.

    It chooses its converters by the declared type of a column, which an expression has not.
    """
    return ", ".join(f"+{name}" for name in names)


def _marks(names: tuple[str, ...]) -> str:
    return ", ".join("?" * len(names))


_KEY, _STATE, _EVENT = columns.KEY.names, columns.STATE.names, columns.EVENT.names
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

INSERT_EVENT = f"INSERT INTO ledger_events ({', '.join(_EVENT)}) VALUES ({_marks(_EVENT)})"

INSERT_PLACED_EVENT = f"""
INSERT INTO ledger_events (position, {", ".join(_EVENT)}) VALUES (?, {_marks(_EVENT)})
"""

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
