"""What is read over one SQLite connection, the ledger's own or a caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

# What reads entries, `log.rows` and `stores.queries`, is imported when it is first used.
from ledger import log, stores
from ledger.errors import BrokenChainError
from ledger.law.cursor import Cursor, CursorKey
from ledger.log.columns import CURSOR, KEY, KEYED_CURSOR, Row
from ledger.log.cursors import cursor_from
from ledger.stores.sqlite import migrations, statements

if TYPE_CHECKING:
    from ledger.errors import ArchivedError
    from ledger.law.events import Entry, Move
    from ledger.law.queries import CursorQuery, EntryQuery
    from ledger.stores.horizon import Horizon
    from ledger.stores.sqlite.archived import Archived

__all__ = ["SQLiteSession"]

_KEY, _CURSOR = KEYED_CURSOR.places(KEY), KEYED_CURSOR.places(CURSOR)


class SQLiteSession:
    """One connection, and what the ledger reads over it."""

    def __init__(self, connection: sqlite3.Connection, *, reads_only: bool = False) -> None:
        self.connection = connection
        self.reads_only = reads_only
        self.closed = False
        # For all statements whose rows are fetched at once; to make one takes 0.5 µs.
        self._cursor = self.rows()
        self._archived: Archived | None = None
        # To prune puts another file in the place of this one, so it is looked at once.
        self._knows_archived = False

    def close(self) -> None:
        """Close the connection."""
        try:
            self.connection.close()
        finally:
            self.closed = True  # Only now, because a fork waits until nothing is being closed.

    def rows(self) -> sqlite3.Cursor:
        """Return a cursor for statements of ours, whatever a caller's connection makes of rows."""
        cursor = self.connection.cursor()
        cursor.row_factory = None
        return cursor

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a statement; its rows are in the cursor that is returned, until the next one."""
        return self._cursor.execute(statement, values)

    # --- a page at a time ---

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        rows = self.rows_of(key, statements.CURSOR)
        return cursor_from(key, rows[0]) if rows else None

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""
        chosen = stores.queries.chosen_cursors(query, after)
        statement = statements.CURSORS.format(conditions=chosen.conditions)
        found = self.execute(statement, (*chosen.values, rows))
        return [cursor_from(CursorKey.kept(*row[_KEY]), row[_CURSOR]) for row in found.fetchall()]

    def horizon(self) -> Horizon:
        """Return how far the log is settled: to its end, because one writes after the other."""
        rows = self.execute(statements.LAST_POSITION).fetchall()
        last = rows[0][0] if rows else 0
        return stores.horizon.Horizon(position=last, last=last)

    def until(self, query: EntryQuery) -> tuple[int, ArchivedError | None]:
        """Return the position of the last entry, 0 if there is none.

        And the error for entries that `query` may choose, and that are in an archive.
        """
        archived = self.archived()
        left_out = None if archived is None else archived.refusal(self._ask, query)
        return self.horizon().position, left_out

    def archived(self) -> Archived | None:
        """Return what is known of entries that were archived and removed."""
        if not self._knows_archived:
            if self.execute(statements.HAS_ARCHIVED).fetchall():
                # Imported here, because few ledgers have archived entries.
                from ledger.stores.sqlite import archived

                self._archived = archived.found(self._ask)
            self._knows_archived = True
        return self._archived

    def _ask(self, statement: str, values: Sequence[object]) -> list[Row]:
        return self.execute(statement, values).fetchall()

    def narrowed(self, query: EntryQuery, until: int) -> tuple[int, int]:
        """Return between which positions the query's span of time lies, at most 0 and `until`."""
        # Imported here, because few ask for a span of time.
        from ledger.stores.sqlite.moments import narrowed

        return narrowed(lambda sql, values: self.execute(sql, values).fetchall(), query, until)

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""
        chosen = stores.queries.chosen_entries(query, after, until, of_key=_of_key)
        statement = statements.ENTRIES.format(
            index=_index(query),
            conditions=chosen.conditions,
            order=chosen.order,
        )
        found = self.execute(statement, (*chosen.values, rows)).fetchall()
        return list(map(log.rows.entry_from, found))

    def session_users(self, positions: Sequence[int]) -> None:
        """Return None: nobody logs in to a file."""

    def identity(self) -> str:
        """Return the id of the ledger; empty as long as nobody has given it one."""
        if migrations.IDENTITY not in migrations.applied(self.connection):
            return ""
        row = self.execute(statements.IDENTITY).fetchone()
        return str(row[0]) if row else ""

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        keys: dict[CursorKey, int] = {}
        wanted, last, number = [], None, 0
        for nth, (key, version) in enumerate(places):
            if key is not last:  # Many places of one cursor follow each other.
                last, number = key, keys.setdefault(key, len(keys))
            wanted.append((number, version, nth))
        asked = [(number, *_place(key)) for key, number in keys.items()]
        ids: dict[int, int] = dict(self._each(statements.ids_of, asked))
        # In the order of the index, in which they are found sooner.
        rows = sorted(
            (ids[number], version, nth) for number, version, nth in wanted if number in ids
        )
        found: list[Move | None] = [None] * len(places)
        move_from = log.rows.move_from
        for row in self._each(statements.moves, rows):
            found[row[0]] = move_from(places[row[0]][0], row[1:])
        if None in found and (archived := self.archived()) is not None:
            for nth, (key, version) in enumerate(places):
                if found[nth] is None and (moved := archived.moved(self._ask, key, version)):
                    found[nth] = move_from(key, moved)
        return found

    def _each(
        self, statement: Callable[[int], str], rows: Sequence[tuple[object, ...]]
    ) -> Iterator[Row]:
        """Yield what a statement returns for `rows`, of which one has not too many."""
        for start in range(0, len(rows), statements.PLACES_MAX):
            page = rows[start : start + statements.PLACES_MAX]
            yield from self.execute(statement(len(page)), list(chain(*page))).fetchall()

    def rows_of(self, key: CursorKey, statement: str) -> list[Row]:
        """Return the rows of a statement that asks for the stored cursor of `key`.

        Raises BrokenChainError if it has text that is no UTF-8.
        """
        try:
            return self._cursor.execute(statement, _place(key)).fetchall()
        except sqlite3.OperationalError as error:
            # Raised by the driver itself, without a code of SQLite's.
            if "decode" not in str(error):
                raise
            raise BrokenChainError(
                str(key), "its stored cursor has text that is no UTF-8"
            ) from None


def _index(query: EntryQuery) -> str:
    """Return which index is to be used, where SQLite might choose a worse one."""
    if query.positions:
        return "NOT INDEXED"  # By position, because the table itself is in this order.
    return "INDEXED BY ledger_events_resets" if stores.queries.only_resets(query) else ""


def _of_key(key: CursorKey) -> tuple[str, Sequence[object]]:
    return statements.OF_KEY, _place(key)


def _place(key: CursorKey) -> tuple[str, str, str]:
    return key.stream_name, key.subject_id, key.consumer_id
