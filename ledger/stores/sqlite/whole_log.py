"""The whole log over one SQLite connection: for a check, or to make the stored cursors anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import BrokenChainError
from ledger.evidence.findings import Fault
from ledger.evidence.following import StoredHead
from ledger.log.columns import KEY, STATE, STORED_CURSOR
from ledger.log.rows import Row
from ledger.stores.sqlite import statements, structure
from ledger.stores.sqlite.errors import check_kept
from ledger.stores.sqlite.reading import SQLiteSession

__all__ = ["SQLiteLog", "whole_log"]

_KEY, _STATE = STORED_CURSOR.places(KEY), STORED_CURSOR.places(STATE)


@contextmanager
def whole_log(session: SQLiteSession) -> Iterator[SQLiteLog]:
    """Lend the whole log, also text that is no UTF-8, so that a check can say where it is."""
    session.connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    try:
        yield SQLiteLog(session)
    finally:
        session.connection.text_factory = str


class SQLiteLog:
    """The whole log as of one moment; in a transaction that holds it still."""

    def __init__(self, session: SQLiteSession) -> None:
        self._session = session

    def heads(self) -> Iterator[StoredHead]:
        """Return every stored cursor, by id."""
        with _damage():
            for row in self._session.rows().execute(statements.HEADS_BY_ID):
                yield row[0], "/".join(str(part) for part in row[_KEY] if part), row[_STATE]

    def rows(self) -> Iterator[tuple[object, Row]]:
        """Return (cursor id, row) of every entry, by cursor id and then version."""
        there = "index ledger_events_by_cursor" in structure.definitions(self._session.connection)
        index = "INDEXED BY ledger_events_by_cursor" if there else ""
        statement = statements.ROWS_BY_CURSOR.format(index=index)
        with _damage():
            for row in self._session.rows().execute(statement):
                yield row[0], row[1:]

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
        with _damage():
            yield from structure.check(self._session.connection)

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state` as the state of that cursor."""
        restored = self._session.execute(statements.UPDATE_HEAD, (*state, cursor_id))
        check_kept(restored.rowcount, 1, "ledger_cursors")


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
