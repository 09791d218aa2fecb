"""The ledger in a SQLite file, in memory, or inside a caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from ledger.cursor import Cursor, CursorKey, CursorQuery
from ledger.events import Entry, EntryQuery
from ledger.repair import Repairable
from ledger.stores import Transaction
from ledger.stores.sqlite.connections import Connections
from ledger.stores.sqlite.pool import Pool
from ledger.stores.sqlite.session import SQLiteSession
from ledger.verification import Log

__all__ = ["SQLiteStore"]

T = TypeVar("T")

# So many rows are held at a time; the first page is short, for callers that want just a few.
PAGE_ROWS_FIRST = 64
PAGE_ROWS_MAX = 1_024


class SQLiteStore:
    """A Store on SQLite."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @classmethod
    def open(
        cls, path: str, *, durability: str = "full", busy_timeout_s: float = 10.0
    ) -> SQLiteStore:
        """Open the file at `path`, or make it; `":memory:"` for one that lives as long as this.

        Raises StorageError, SchemaVersionError, LedgerBusyError.
        """
        return cls(Pool(path, durability=durability, busy_timeout_s=busy_timeout_s))

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        return self._connections.write(work)

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Give the cursor of `key`; None if it has no entry."""
        return self._connections.read(lambda session: session.cursor(key))

    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        """Give cursors by stream, subject and consumer, in code-point order."""
        last: Cursor | None = None
        for rows in _page_sizes(query.limit):
            page = self._connections.read(
                partial(
                    SQLiteSession.cursors, query=query, after=last.key if last else None, rows=rows
                )
            )
            yield from page
            if len(page) < rows:
                return
            last = page[-1]

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        """Give entries by position, up to the last one that there was when this began."""
        until = self._connections.read(SQLiteSession.last_position)
        last: Entry | None = None
        for rows in _page_sizes(query.limit):
            page = self._connections.read(
                partial(SQLiteSession.entries, query=query, after=last, until=until, rows=rows)
            )
            yield from page
            if len(page) < rows:
                return
            last = page[-1]

    @contextmanager
    def snapshot(self) -> Iterator[Log]:
        """Hold the log still for a check."""
        with self._connections.hold() as session, session.suspicious():
            yield session

    def repair(self, work: Callable[[Repairable], T]) -> T:
        """Run `work`, which writes stored cursors anew, in one transaction."""

        def suspiciously(session: SQLiteSession) -> T:
            with session.suspicious():
                return work(session)

        return self._connections.write(suspiciously)

    def using(self, connection: object) -> SQLiteStore:
        """Give the same log inside the transaction of a caller's `sqlite3` connection."""
        return SQLiteStore(self._connections.borrow(connection))

    def close(self) -> None:
        """Close the connections; later calls are refused."""
        self._connections.close()


def _page_sizes(limit: int) -> Iterator[int]:
    """Give the sizes of pages to ask for, `limit` rows in all; without end if `limit` is 0."""
    asked, rows = 0, PAGE_ROWS_FIRST
    while not limit or asked < limit:
        yield min(rows, limit - asked) if limit else rows
        asked, rows = asked + rows, min(rows * 4, PAGE_ROWS_MAX)
