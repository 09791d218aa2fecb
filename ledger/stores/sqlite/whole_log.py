"""The whole log over one SQLite connection: for a check, or to make the stored cursors anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from ledger.errors import BrokenChainError
from ledger.evidence.findings import Fault
from ledger.evidence.source import EVERY, Ids, StoredHead
from ledger.log.columns import KEY, STATE, STORED_CURSOR
from ledger.log.rows import Row
from ledger.stores.sqlite import statements, structure
from ledger.stores.sqlite.errors import check_kept
from ledger.stores.sqlite.reading import SQLiteSession

__all__ = ["SQLiteLog", "whole_log"]

_ID = STORED_CURSOR.place("id")
_KEY, _STATE = STORED_CURSOR.places(KEY), STORED_CURSOR.places(STATE)


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

    def heads(self, ids: Ids = EVERY) -> Iterator[StoredHead]:
        """Return the stored cursors of `ids`, by id."""
        condition, values = _range("id", ids)
        for row in self._rows(statements.HEADS_BY_ID.format(range=condition), values):
            yield row[_ID], "/".join(str(part) for part in row[_KEY] if part), row[_STATE]

    def rows(self, ids: Ids = EVERY) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of `ids`, by id and version."""
        there = "index ledger_events_by_cursor" in structure.definitions(self._session.connection)
        index = "INDEXED BY ledger_events_by_cursor" if there else ""
        condition, values = _range("e.cursor_id", ids)
        statement = statements.ROWS_BY_CURSOR.format(index=index, range=condition)
        return self._rows(statement, values)

    def leaves(self) -> Iterator[tuple[int, bytes, object]]:
        """Return (position, digest, recorded_at) of every entry, by position."""
        with _damage():
            yield from self._session.rows().execute(statements.LEAVES)

    def settled(self) -> int:
        """Return the last position, because one writes after the other."""
        with _damage():
            return self._session.horizon().position

    def structure(self) -> Iterator[Fault]:
        """Return what is wrong with the tables, their indexes, triggers and definitions."""
        self._session.connection.text_factory = _lenient
        with _damage():
            yield from structure.check(self._session.connection)
        self._session.connection.text_factory = str

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
            self._session.connection.text_factory = _lenient
            yield from islice(self._session.rows().execute(statement, values), seen, None)


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _range(column: str, ids: Ids) -> tuple[str, list[int]]:
    """Return the condition that chooses `ids`, and its values."""
    bounds = [(f"{column} >= ?", ids.first), (f"{column} < ?", ids.end)]
    there = [(condition, value) for condition, value in bounds if value is not None]
    conditions = " AND ".join(condition for condition, _ in there)
    return (f"WHERE {conditions}" if there else ""), [value for _, value in there]


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
