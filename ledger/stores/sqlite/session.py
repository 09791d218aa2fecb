"""All that the ledger asks of one SQLite connection, its own or a caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import attrs

from ledger import codec
from ledger.chain import STATE, Head
from ledger.codec import TAGS, Content, Row
from ledger.cursor import Cursor, CursorKey, CursorQuery
from ledger.events import CursorAdvanced, CursorReset, Entry, EntryQuery
from ledger.stores import Draft
from ledger.stores.sqlite.heads import Heads
from ledger.verification import StoredHead

__all__ = ["SQLiteSession"]

_STATE = ", ".join(STATE)
_CURSOR = ", ".join(STATE[:-2])
_ENTRY = """
    e.position, c.consumer_id, c.stream_name, c.subject_id, e.version, e.epoch, e.recorded_at,
    e.actor, e.metadata, t.tag, e.previous_sequence, e.sequence, e.delivery_id, e.delivered_at,
    e.outcome, e.reason, e.message, e.occurred_at, e.digest
"""

# As the schema has them in ledger_tags.
TAG_IDS = {"cursor.advanced.v1": 1, "cursor.reset.v1": 2, "cursor.error.v1": 3}

HEAD = f"""
SELECT id, {_STATE} FROM ledger_cursors
WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""

CURSOR = f"""
SELECT {_CURSOR} FROM ledger_cursors
WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""

INSERT_HEAD = f"""
INSERT INTO ledger_cursors (consumer_id, stream_name, subject_id, {_STATE})
VALUES (?, ?, ?, {", ".join("?" * len(STATE))})
"""

UPDATE_HEAD = f"UPDATE ledger_cursors SET {', '.join(f'{name} = ?' for name in STATE)} WHERE id = ?"

INSERT_EVENT = """
INSERT INTO ledger_events (
    cursor_id, version, epoch, recorded_at, actor, metadata, tag_id, previous_sequence, sequence,
    delivery_id, delivered_at, outcome, reason, message, occurred_at, digest
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

CURSORS = f"""
SELECT consumer_id, stream_name, subject_id, {_CURSOR} FROM ledger_cursors
WHERE (stream_name, subject_id, consumer_id) > (?, ?, ?) {{conditions}}
ORDER BY stream_name, subject_id, consumer_id LIMIT ?
"""

# CROSS JOIN keeps the order of the loops: entries outside, in the order in which they are wanted.
ENTRIES = f"""
SELECT {_ENTRY} FROM ledger_events AS e {{index}}
CROSS JOIN ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN ledger_tags AS t ON t.id = e.tag_id
WHERE {{conditions}}
ORDER BY {{order}} LIMIT ?
"""

LAST_POSITION = "SELECT max(position) FROM ledger_events"

HEADS_BY_ID = (
    f"SELECT id, consumer_id, stream_name, subject_id, {_STATE} FROM ledger_cursors ORDER BY id"
)

ROWS_BY_CURSOR = f"""
SELECT e.cursor_id, {_ENTRY} FROM ledger_events AS e INDEXED BY ledger_events_by_cursor
LEFT JOIN ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN ledger_tags AS t ON t.id = e.tag_id
ORDER BY e.cursor_id, e.version
"""

# A digest that was replaced by something else is covered as the bytes that it has.
DIGESTS = "SELECT position, CAST(digest AS BLOB) FROM ledger_events NOT INDEXED ORDER BY position"


class SQLiteSession:
    """One connection, and the statements of the ledger on it."""

    def __init__(self, connection: sqlite3.Connection, heads: Heads | None = None) -> None:
        self.connection = connection
        self._heads = heads
        # For all statements whose rows are fetched at once; to make one takes 0.5 µs.
        self._cursor = self._rows()
        self._changes = 0

    # --- a write transaction ---

    def begin(self) -> int:
        """Begin one; give a number that changes when another connection has written."""
        # Immediate: what is read in here must still hold when it is written upon.
        self._cursor.execute("BEGIN IMMEDIATE")
        return int(self.select("PRAGMA data_version")[0][0])

    def commit(self) -> int:
        """Commit it, and give the number of rows that it has changed."""
        self._cursor.execute("COMMIT")
        before, self._changes = self._changes, self.connection.total_changes
        return self._changes - before

    def head(self, key: CursorKey) -> Head | None:
        """Give where the chain of `key` ends; None if it has no entry."""
        if self._heads is not None and (head := self._heads.get(key)) is not None:
            return head
        place = (key.stream_name, key.subject_id, key.consumer_id)
        rows = self._cursor.execute(HEAD, place).fetchall()
        return Head.of(key, rows[0]) if rows else None

    def append(self, drafts: Sequence[Draft], heads: Collection[Head]) -> None:
        """Store entries, in order, and the heads that their cursors have after them."""
        execute = self._cursor.execute
        ids = {}
        for head in heads:
            if head.cursor_id is None:
                key = head.cursor.key
                place = (key.consumer_id, key.stream_name, key.subject_id)
                ids[key] = execute(INSERT_HEAD, (*place, *head.state)).lastrowid
                head = attrs.evolve(head, cursor_id=ids[key])  # noqa: PLW2901 - now it is stored
            else:
                execute(UPDATE_HEAD, (*head.state, head.cursor_id))
            if self._heads is not None:
                self._heads.store(head)
        if len(drafts) == 1:
            execute(INSERT_EVENT, _event(ids, *drafts[0]))
        else:
            self._cursor.executemany(
                INSERT_EVENT, [_event(ids, head, said) for head, said in drafts]
            )

    # --- reading, a page at a time ---

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Give the cursor of `key`; None if it has no entry."""
        place = (key.stream_name, key.subject_id, key.consumer_id)
        rows = self._cursor.execute(CURSOR, place).fetchall()
        return codec.cursor(key, rows[0]) if rows else None

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Give the cursors that come next after `after`, at most `rows`."""
        place = (after.stream_name, after.subject_id, after.consumer_id) if after else ("", "", "")
        parts = ("consumer_id", "stream_name", "subject_id")
        chosen = {part: getattr(query, part) for part in parts if getattr(query, part)}
        conditions = "".join(f" AND {part} = ?" for part in chosen)
        found = self.select(CURSORS.format(conditions=conditions), (*place, *chosen.values(), rows))
        return [codec.cursor(CursorKey(*row[:3]), row[3:]) for row in found]

    def last_position(self) -> int:
        """Give the position of the last entry; 0 if there is none."""
        return self.select(LAST_POSITION)[0][0] or 0

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Give the entries that come next after `after`, up to position `until`, at most `rows`."""
        conditions, values = _conditions(query)
        conditions.append("e.position <= ?")
        values.append(until)
        # One cursor's entries are found by version; those of many, and resets, by position.
        resets = query.kinds == (CursorReset,)
        by_version = query.key is not None and not resets
        order = "e.version" if by_version else "e.position"
        if after is not None:
            conditions.append(f"{order} {'<' if query.newest_first else '>'} ?")
            values.append(after.version if by_version else after.position)
        statement = ENTRIES.format(
            index="INDEXED BY ledger_events_resets" if resets else "",
            conditions=" AND ".join(conditions),
            order=order + (" DESC" if query.newest_first else ""),
        )
        return [codec.entry(row) for row in self.select(statement, (*values, rows))]

    # --- the whole log, for a check, or to make the stored cursors anew ---

    @contextmanager
    def suspicious(self) -> Iterator[None]:
        """Read text that is no UTF-8 as well, so that a check can say where it is."""
        self.connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            yield
        finally:
            self.connection.text_factory = str

    def heads(self) -> Iterator[StoredHead]:
        """Give every stored cursor, by id."""
        for row in self._rows().execute(HEADS_BY_ID):
            yield row[0], "/".join(str(part) for part in row[1:4] if part), row[4:]

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Give (cursor id, row) of every entry, by cursor id and then version."""
        for row in self._rows().execute(ROWS_BY_CURSOR):
            yield row[0], row[1:]

    def digests(self) -> Iterator[tuple[int, bytes]]:
        """Give (position, digest) of every entry, by position."""
        return self._rows().execute(DIGESTS)

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state` as the state of that cursor."""
        self._cursor.execute(UPDATE_HEAD, (*state, cursor_id))

    # --- statements ---

    def select(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Give all rows of a small result."""
        return self._cursor.execute(statement, values).fetchall()

    def _rows(self) -> sqlite3.Cursor:
        cursor = self.connection.cursor()
        # A caller's connection may make its rows into something else.
        cursor.row_factory = None
        return cursor


def _event(ids: Mapping[CursorKey, int | None], head: Head, content: Content) -> Row:
    cursor_id = head.cursor_id or ids[head.cursor.key]
    return (cursor_id, *content[3:8], TAG_IDS[content[8]], *content[9:], head.digest)


def _conditions(query: EntryQuery) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []

    def where(condition: str, *bound: object) -> None:
        conditions.append(condition)
        values.extend(bound)

    if query.key is not None:
        key = query.key
        where(
            "e.cursor_id = (SELECT id FROM ledger_cursors"
            " WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?)",
            *(key.stream_name, key.subject_id, key.consumer_id),
        )
    for column in ("c.consumer_id", "c.stream_name", "c.subject_id", "e.actor"):
        if value := getattr(query, column[2:]):
            where(f"{column} = ?", value)
    if ids := [str(TAG_IDS[TAGS[kind]]) for kind in query.kinds]:
        # Spelled out, not bound, or SQLite cannot know that the index of resets will do.
        where(f"e.tag_id IN ({', '.join(ids)})" if ids[1:] else f"e.tag_id = {ids[0]}")
    bounds = (
        ("e.recorded_at >= ?", query.recorded_from and codec.micros(query.recorded_from)),
        ("e.recorded_at <= ?", query.recorded_until and codec.micros(query.recorded_until)),
        ("e.position >= ?", query.position_from),
        ("e.position <= ?", query.position_until),
        ("e.version >= ?", query.version_from),
        ("e.version <= ?", query.version_until),
    )
    for condition, bound in bounds:
        if bound is not None:
            where(condition, bound)
    if query.covering is not None:
        where(
            "(min(e.previous_sequence, e.sequence) < ?"
            " AND ? <= max(e.previous_sequence, e.sequence)"
            f" OR e.tag_id = {TAG_IDS[TAGS[CursorAdvanced]]} AND e.sequence = ?)",
            *(query.covering,) * 3,
        )
    return conditions, values
