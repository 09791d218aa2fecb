"""The whole log over one SQLite connection: for a check, or to make the stored cursors anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING

from ledger.errors import BrokenChainError
from ledger.evidence.source import EVERY, Beginning, Ids, StoredHead
from ledger.law import paths
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.columns import ENTRY, KEY, STATE, STORED_CURSOR
from ledger.log.rows import Row
from ledger.stores.sqlite import migrations, statements, structure
from ledger.stores.sqlite.errors import check_kept
from ledger.stores.sqlite.plainly import lenient, text_as
from ledger.stores.sqlite.reading import SQLiteSession

if TYPE_CHECKING:
    from ledger.evidence.findings import Fault
    from ledger.evidence.merkle import TreeRow

__all__ = ["SQLiteLog", "whole_log"]

_ID = STORED_CURSOR.place("id")
_KEY, _STATE = STORED_CURSOR.places(KEY), STORED_CURSOR.places(STATE)
# Of a row that has the cursor id in front of it.
_VERSION = 1 + ENTRY.place("version")


@contextmanager
def whole_log(session: SQLiteSession) -> Iterator[SQLiteLog]:
    """Lend the whole log, also text that is no UTF-8, so that a check can say where it is."""
    try:
        yield SQLiteLog(session)
    finally:
        session.connection.text_factory = str


class SQLiteLog:
    """The whole log as of one moment; in a transaction that holds it still."""

    def __init__(self, session: SQLiteSession) -> None:
        self._session = session
        self._keeps: bool | None = None
        self._archived: int | None = None

    def heads(self, ids: Ids = EVERY) -> Iterator[StoredHead]:
        """Return the stored cursors of `ids`, by id."""
        return self._heads(*_range("id", ids))

    def rows(self, ids: Ids = EVERY) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of `ids`, by id and version."""
        there = structure.has_index(self._session.connection, "ledger_events_by_cursor")
        index = "INDEXED BY ledger_events_by_cursor" if there else ""
        condition, values = _range("e.cursor_id", ids)
        statement = statements.ROWS_BY_CURSOR.format(index=index, range=condition)
        return self._rows(statement, values)

    def leaves(self) -> Iterator[tuple[int, bytes, object]]:
        """Return (position, digest, recorded_at) of every entry, by position; archived ones too."""
        with _damage():
            if self.archived():
                yield from self._session.rows().execute(statements.ARCHIVED_LEAVES, (0, -1))
            yield from self._session.rows().execute(statements.LEAVES)

    def leaves_after(
        self, position: int, most: int | None = None
    ) -> Iterator[tuple[int, bytes, object]]:
        """Return (position, digest, recorded_at) of the entries behind `position`, in order."""
        with _damage():
            if self.archived():
                values = (position, -1 if most is None else most)
                for leaf in self._session.rows().execute(statements.ARCHIVED_LEAVES, values):
                    most = None if most is None else most - 1
                    yield leaf
            values = (position, -1 if most is None else most)
            yield from self._session.rows().execute(statements.LEAVES_AFTER, values)

    def beginnings(self, ids: Ids = EVERY) -> Iterator[Beginning]:
        """Return where the cursors of `ids` stood when entries of theirs were archived, by id."""
        if self.archived():
            condition, values = _range("a.cursor_id", ids)
            for row in self._rows(statements.BEGINNINGS.format(range=condition), values):
                cursor_id, position, leaf = row[:3]
                key, state = row[3 : 3 + len(KEY)], row[3 + len(KEY) :]
                yield Beginning(cursor_id, key, position, state, leaf)

    def archived(self) -> int:
        """Return how many entries were archived and removed."""
        if self._archived is None:
            there = migrations.ARCHIVED in migrations.applied(self._session.connection)
            counted = self._session.rows()
            # By no function, which a caller's connection may have another one of.
            statement = "SELECT 1 FROM main.ledger_archived"
            self._archived = sum(1 for _ in counted.execute(statement)) if there else 0
        return self._archived

    def tree_rows(self, level: int, first: int = 0, end: int | None = None) -> Iterator[TreeRow]:
        """Return the rows of a level by number, from `first` to before `end`; none if not kept."""
        from ledger.evidence.merkle import TreeRow

        with _damage():
            if self._keeps is None:
                self._keeps = migrations.TREE in migrations.applied(self._session.connection)
            if not self._keeps:
                return
            # All rows of a level, also such as have a number that is none.
            whole = not first and end is None
            last = SEQUENCE_MAX if end is None else end
            bounds = "" if whole else f"AND number >= {first:d} AND number < {last:d}"
            statement = statements.TREE_ROWS.format(range=bounds)
            yield from map(TreeRow._make, self._session.rows().execute(statement, (level,)))

    # --- a part of it ---

    def row_at(self, position: int) -> Row | None:
        """Return the entry at a position, and the digest of the one that it follows."""
        return next(self._rows(statements.ROW_AT, (position,)), None)

    def rows_between(self, after: int, until: int) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of a span, by id and version."""
        return self._rows(statements.ROWS_BETWEEN, (after, until))

    def rows_before(self, after: int, until: int) -> Iterator[Row]:
        """Return the entries outside of a span that those in it follow, and a digest with each."""
        return self._rows(statements.ROWS_BEFORE, (after, until, after, until))

    def rows_of_place(self, cursor_id: int, version: int) -> Iterator[Row]:
        """Return the last move before `version`, and the first advance behind that."""
        moved = 0
        for row in self._rows(statements.LAST_MOVE, (cursor_id, version)):
            moved = row[_VERSION]
            yield row
        yield from self._rows(statements.FIRST_ADVANCE, (cursor_id, moved, version))

    def heads_behind(self, after: int) -> Iterator[StoredHead]:
        """Return the stored cursors that have entries behind `after`, by id."""
        return self._heads(statements.BEHIND, (after,))

    def share(self, part: int, parts: int) -> Ids:
        """Return the ids of a part: from 1 on they are given one by one."""
        with _damage():
            found = self._session.rows().execute(statements.LAST_ID).fetchall()
        last = found[0][0] if found and type(found[0][0]) is int else 0
        each = max((1 << last.bit_length()) // parts, 1)
        # Whatever number somebody else has given, it is in one of them.
        first, end = part * each, (part + 1) * each
        return Ids(first if part else None, end if part < parts - 1 else None)

    def last_rows(self, ids: Ids) -> Iterator[Row]:
        """Return the last entry of each stored cursor of `ids`, by id, and a digest with each."""
        condition, values = _range("h.id", ids)
        return self._rows(statements.LAST_ROWS.format(range=condition), values)

    def definitions(self) -> Iterator[Fault]:
        """Return what is wrong with the definitions of the tables, and with the tags."""
        with text_as(self._session.connection, lenient), _damage():
            yield from structure.definition_faults(self._session.connection)

    # --- what is known of it ---

    def settled(self) -> int:
        """Return the last position, because one writes after the other."""
        with _damage():
            return self._session.horizon().position

    def structure(self) -> Iterator[Fault]:
        """Return what is wrong with the tables, their indexes, triggers and definitions."""
        with text_as(self._session.connection, lenient), _damage():
            yield from structure.check(self._session.connection)

    def cuts(self, parts: int) -> list[int]:
        """Return ids that divide the entries into about so many parts, in order."""
        found: set[Row] = set()
        # Where the file is damaged, fewer will do: who checks the log finds where.
        with suppress(BrokenChainError), _damage():
            last = self._session.horizon().position
            for nth in range(1, parts):
                place = (last * nth // parts,)
                found.update(self._session.rows().execute(statements.CURSOR_AT, place))
        return sorted(cursor_id for (cursor_id,) in found if type(cursor_id) is int)

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state` as the state of that cursor."""
        restored = self._session.execute(statements.UPDATE_HEAD, (*state, cursor_id))
        check_kept(restored.rowcount, 1, "ledger_cursors")

    def forget_tree(self) -> bool:
        """Remove all rows of the tree, and return whether this user may: who writes, may."""
        migrations.empty_tree(self._session.connection)
        return True

    def _heads(self, condition: str, values: Sequence[object]) -> Iterator[StoredHead]:
        for row in self._rows(statements.HEADS_BY_ID.format(range=condition), values):
            yield row[_ID], paths.joined(str(part) for part in row[_KEY] if part), row[_STATE]

    def _rows(self, statement: str, values: Sequence[object]) -> Iterator[Row]:
        """Return the rows of `statement`; text that is no UTF-8 has surrogates in it."""
        seen = 0
        with _damage():
            try:
                for row in self._session.rows().execute(statement, values):
                    seen += 1
                    yield row
            except sqlite3.OperationalError as error:
                # Raised by the driver itself, without a code of SQLite's.
                if "decode" not in str(error):
                    raise
            else:
                return
            # To read all text so takes half as long again, and it is hardly ever wanted.
            self._session.connection.text_factory = lenient
            yield from islice(self._session.rows().execute(statement, values), seen, None)


def _range(column: str, ids: Ids) -> tuple[str, list[int]]:
    """Return the condition that chooses `ids`, and its values."""
    bounds = [(f"{column} >= ?", ids.first), (f"{column} < ?", ids.end)]
    there = [(condition, value) for condition, value in bounds if value is not None]
    conditions = " AND ".join(condition for condition, _ in there)
    return (f"WHERE {conditions}" if there else ""), [value for _, value in there]


@contextmanager
def _damage() -> Iterator[None]:
    """Raise BrokenChainError for what SQLite says of a damaged file, or of a missing table."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        missing = code == sqlite3.SQLITE_ERROR and "no such" in str(error)
        if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) and not missing:
            raise
        raise BrokenChainError("the database", f"it cannot be read to its end: {error}") from None
