"""All that the ledger asks of one SQLite connection, its own or a caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat

import attrs

from ledger.errors import BrokenChainError, StorageError
from ledger.evidence.findings import Fault
from ledger.evidence.following import StoredHead
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset, Entry
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.heads import STATE, Head
from ledger.log.rows import Content, Row, cursor_from, entry_from
from ledger.stores import Draft, Horizon
from ledger.stores.queries import TAG_IDS, conditions
from ledger.stores.sqlite import structure
from ledger.stores.sqlite.heads import Heads

__all__ = ["SQLiteSession"]


def _plain(columns: Iterable[str]) -> str:
    """Name columns so that a caller's connection gives them as they are.

    What its converters are for, it tells by the declared type, which an expression has none of.
    """
    return ", ".join(f"+{name}" for name in columns)


_KEY = ("consumer_id", "stream_name", "subject_id")
_ENTRY = (
    "e.position", "c.consumer_id", "c.stream_name", "c.subject_id", "e.version", "e.epoch",
    "e.recorded_at", "e.actor", "e.metadata", "t.tag", "e.previous_sequence", "e.sequence",
    "e.delivery_id", "e.delivered_at", "e.outcome", "e.reason", "e.message", "e.occurred_at",
    "e.digest",
)  # fmt: skip

HEAD = f"""
SELECT {_plain(("id", *STATE))} FROM ledger_cursors
WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""

CURSOR = f"""
SELECT {_plain(STATE[:-2])} FROM ledger_cursors
WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""

# An id that entries name is not given again, even if its cursor was lost.
NEXT_ID = """
SELECT 1 + max(
    coalesce((SELECT max(id) FROM ledger_cursors), 0),
    coalesce((SELECT max(cursor_id) FROM ledger_events), 0)
)
"""

INSERT_HEAD = f"""
INSERT INTO ledger_cursors (id, {", ".join((*_KEY, *STATE))})
VALUES (({NEXT_ID}), ?, ?, ?, {", ".join("?" * len(STATE))})
"""

UPDATE_HEAD = f"UPDATE ledger_cursors SET {', '.join(f'{name} = ?' for name in STATE)} WHERE id = ?"

INSERT_EVENT = """
INSERT INTO ledger_events (
    position, cursor_id, version, epoch, recorded_at, actor, metadata, tag_id, previous_sequence,
    sequence, delivery_id, delivered_at, outcome, reason, message, occurred_at, digest
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

CURSORS = f"""
SELECT {_plain((*_KEY, *STATE[:-2]))} FROM ledger_cursors
WHERE (stream_name, subject_id, consumer_id) > (?, ?, ?) {{conditions}}
ORDER BY stream_name, subject_id, consumer_id LIMIT ?
"""

# CROSS JOIN keeps the order of the loops: entries outside, in the order in which they are wanted.
ENTRIES = f"""
SELECT {_plain(_ENTRY)} FROM ledger_events AS e {{index}}
CROSS JOIN ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN ledger_tags AS t ON t.id = e.tag_id
WHERE {{conditions}}
ORDER BY {{order}} LIMIT ?
"""

OF_KEY = (
    "e.cursor_id = (SELECT id FROM ledger_cursors"
    " WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?)"
)

LAST_POSITION = "SELECT max(position) FROM ledger_events"

HEADS_BY_ID = f"SELECT {_plain(('id', *_KEY, *STATE))} FROM ledger_cursors ORDER BY id"

ROWS_BY_CURSOR = f"""
SELECT {_plain(("e.cursor_id", *_ENTRY))} FROM ledger_events AS e {{index}}
LEFT JOIN ledger_cursors AS c ON c.id = e.cursor_id
LEFT JOIN ledger_tags AS t ON t.id = e.tag_id
ORDER BY e.cursor_id, e.version
"""

# A digest that was replaced by something else is covered as the bytes that it has.
LEAVES = """
SELECT CAST(position AS INTEGER), coalesce(CAST(digest AS BLOB), x''), +recorded_at
FROM ledger_events NOT INDEXED ORDER BY position
"""


class SQLiteSession:
    """One connection, and the statements of the ledger on it."""

    def __init__(self, connection: sqlite3.Connection, *, reads_only: bool = False) -> None:
        self.connection = connection
        self.reads_only = reads_only
        self.closed = False
        self._heads: Heads | None = None
        # For all statements whose rows are fetched at once; to make one takes 0.5 µs.
        self._cursor = self._rows()
        self._changes = 0

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        self.connection.close()

    def remember(self, heads: Heads) -> None:
        """Read no head that is in `heads`, and keep there those that are stored."""
        self._heads = heads

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

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """Do nothing: whoever writes has the whole file to itself."""

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:  # noqa: ARG002
        """Give none: nobody else holds one."""
        return ()

    def confirm(self) -> None:
        """Do nothing: heads are read, or known to be unchanged, within the transaction."""

    def head(self, key: CursorKey) -> Head | None:
        """Give where the chain of `key` ends; None if it has no entry."""
        if self._heads is not None and (head := self._heads.get(key)) is not None:
            return head
        place = (key.stream_name, key.subject_id, key.consumer_id)
        rows = self._row_of(key, HEAD, place)
        return Head.of(key, rows[0]) if rows else None

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,
    ) -> None:
        """Store entries, in order, and the heads that their cursors have after them.

        Raises StorageError if the database does not keep each of them.
        """
        cursor = self._cursor
        execute = cursor.execute
        ids = {}
        for head in heads:
            if head.cursor_id is None:
                key = head.cursor.key
                place = (key.consumer_id, key.stream_name, key.subject_id)
                ids[key] = execute(INSERT_HEAD, (*place, *head.state)).lastrowid
                _check_kept(cursor.rowcount, 1, "ledger_cursors")
                head = attrs.evolve(head, cursor_id=ids[key])  # noqa: PLW2901 - now it is stored
            else:
                execute(UPDATE_HEAD, (*head.state, head.cursor_id))
                _check_kept(cursor.rowcount, 1, "ledger_cursors")
            if self._heads is not None:
                self._heads.store(head)
        if positions is None and len(drafts) == 1:
            execute(INSERT_EVENT, _event(None, ids, *drafts[0]))
        else:
            places = repeat(None) if positions is None else positions
            cursor.executemany(
                INSERT_EVENT,
                [_event(place, ids, *draft) for place, draft in zip(places, drafts, strict=False)],
            )
        _check_kept(cursor.rowcount, len(drafts), "ledger_events")

    # --- reading, a page at a time ---

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Give the cursor of `key`; None if it has no entry."""
        place = (key.stream_name, key.subject_id, key.consumer_id)
        rows = self._row_of(key, CURSOR, place)
        return cursor_from(key, rows[0]) if rows else None

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Give the cursors that come next after `after`, at most `rows`."""
        place = (after.stream_name, after.subject_id, after.consumer_id) if after else ("", "", "")
        chosen = {part: getattr(query, part) for part in _KEY if getattr(query, part)}
        conditions = "".join(f" AND {part} = ?" for part in chosen)
        found = self.select(CURSORS.format(conditions=conditions), (*place, *chosen.values(), rows))
        return [cursor_from(CursorKey.kept(*row[:3]), row[3:]) for row in found]

    def horizon(self) -> Horizon:
        """Give how far the log is settled: to its end, for one writes after the other."""
        last = self.select(LAST_POSITION)[0][0] or 0
        return Horizon(position=last, last=last)

    def until(self, query: EntryQuery) -> int:  # noqa: ARG002 - of the protocol
        """Give the position of the last entry; 0 if there is none."""
        return self.horizon().position

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Give the entries that come next after `after`, up to position `until`, at most `rows`."""
        asked, values = conditions(query)
        if query.key is not None:
            key = query.key
            asked.append(OF_KEY)
            values += (key.stream_name, key.subject_id, key.consumer_id)
        asked.append("e.position <= ?")
        values.append(until)
        # One cursor's entries are found by version; those of many, and resets, by position.
        resets = query.kinds == (CursorReset,)
        by_version = query.key is not None and not resets
        order = "e.version" if by_version else "e.position"
        if after is not None:
            asked.append(f"{order} {'<' if query.newest_first else '>'} ?")
            values.append(after.version if by_version else after.position)
        statement = ENTRIES.format(
            index="INDEXED BY ledger_events_resets" if resets else "",
            conditions=" AND ".join(asked),
            order=order + (" DESC" if query.newest_first else ""),
        )
        return [entry_from(row) for row in self.select(statement, (*values, rows))]

    # --- the whole log, for a check, or to make the stored cursors anew ---

    @contextmanager
    def everything(self) -> Iterator[SQLiteSession]:
        """Read text that is no UTF-8 as well, so that a check can say where it is."""
        self.connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            yield self
        finally:
            self.connection.text_factory = str

    def heads(self) -> Iterator[StoredHead]:
        """Return every stored cursor, by id."""
        with _damage():
            for row in self._rows().execute(HEADS_BY_ID):
                yield row[0], "/".join(str(part) for part in row[1:4] if part), row[4:]

    def rows(self) -> Iterator[tuple[object, Row]]:
        """Return (cursor id, row) of every entry, by cursor id and then version."""
        there = "index ledger_events_by_cursor" in structure.definitions(self.connection)
        index = "INDEXED BY ledger_events_by_cursor" if there else ""
        with _damage():
            for row in self._rows().execute(ROWS_BY_CURSOR.format(index=index)):
                yield row[0], row[1:]

    def leaves(self) -> Iterator[tuple[int, bytes, object]]:
        """Return (position, digest, recorded_at) of every entry, by position."""
        with _damage():
            yield from self._rows().execute(LEAVES)

    def settled(self) -> int:
        """Return the last position: one writes after the other."""
        with _damage():
            return self.horizon().position

    def structure(self) -> Iterator[Fault]:
        """Return what is wrong with the tables, their indexes, triggers and definitions."""
        with _damage():
            yield from structure.check(self.connection)

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state` as the state of that cursor."""
        self._cursor.execute(UPDATE_HEAD, (*state, cursor_id))
        _check_kept(self._cursor.rowcount, 1, "ledger_cursors")

    # --- statements ---

    def select(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Give all rows of a small result."""
        return self._cursor.execute(statement, values).fetchall()

    def _row_of(self, key: CursorKey, statement: str, place: tuple[str, ...]) -> list[Row]:
        try:
            return self._cursor.execute(statement, place).fetchall()
        except sqlite3.OperationalError as error:
            # Raised by the driver itself, without a code of SQLite's.
            if "decode" not in str(error):
                raise
            raise BrokenChainError(
                str(key), "its stored cursor has text that is no UTF-8"
            ) from None

    def _rows(self) -> sqlite3.Cursor:
        cursor = self.connection.cursor()
        # A caller's connection may make its rows into something else.
        cursor.row_factory = None
        return cursor


def _check_kept(kept: int, given: int, table: str) -> None:
    if kept != given:
        # RAISE(IGNORE) makes a row disappear without an error.
        raise StorageError(
            f"{table} kept {kept} of {given} rows that were to be stored: a trigger that is not "
            "the ledger's swallowed the rest, or somebody deleted a cursor. Nothing was appended. "
            "See the triggers: SELECT name, sql FROM sqlite_master WHERE type = 'trigger'."
        )


@contextmanager
def _damage() -> Iterator[None]:
    """Say as BrokenChainError what SQLite says of a damaged file, or of a table that is gone."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        missing = code == sqlite3.SQLITE_ERROR and "no such" in str(error)
        if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) and not missing:
            raise
        raise BrokenChainError("the database", f"it cannot be read to its end: {error}") from None


def _event(
    position: int | None, ids: Mapping[CursorKey, int | None], head: Head, content: Content
) -> Row:
    cursor_id = head.cursor_id or ids[head.cursor.key]
    return (position, cursor_id, *content[3:8], TAG_IDS[content[8]], *content[9:], head.digest)
