"""A Store over the connections of one database: long readings are made page by page.

Between two pages no connection is held, and no transaction is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, TypeVar

import attrs

from ledger.evidence.sharing import Companions, Opening
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.stores import Horizon, Listening, Snapshot, Transaction
from ledger.stores.deadline import Deadline

__all__ = ["Connections", "PagedStore", "Session"]

T = TypeVar("T")

# The first page is short, for callers that want just a few.
PAGE_ROWS_FIRST = 64
# A move is small, and its cursor is looked up once a page.
PAGE_PLACES = 4_096


class Looking(Protocol):
    """What is looked up over one connection by keys."""

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""


class Session(Looking, Protocol):
    """What is read over one connection, at most a page at a time."""

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""

    def horizon(self) -> Horizon:
        """Return how far the log is settled; what is read afterwards may go as far."""

    def until(self, query: EntryQuery) -> int:
        """Return the position up to which no entry that `query` chooses can be missed any more."""

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""


class Holding(Protocol):
    """Lends the whole log, to this process and to others."""

    def hold(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:
        """Lend the whole log as of one moment, and let `companions` begin to read then."""

    def opening(self) -> Opening | None:
        """Return how another process opens the log; None where it cannot."""

    @property
    def identity(self) -> str:
        """What tells this ledger from all others; empty where it has no id."""


class Connections(Holding, Protocol):
    """Lends sessions, and runs transactions; on connections of its own, or on a caller's."""

    def read(self, work: Callable[[Session], T]) -> T:
        """Run `work`, which only reads."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction; if it raises, nothing has happened."""

    def listen(self) -> Listening:
        """Return what hears that cursors move."""

    def borrow(self, connection: object) -> Connections:
        """Lend the caller's own connection instead."""

    def close(self) -> None:
        """Lend no more."""


@attrs.define
class PagedStore:
    """A Store, whatever the database."""

    connections: Connections
    page_rows_max: int
    """So many rows are held at a time."""
    immutable: bool = False
    """Whether a file was opened as one that nobody writes to."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        return self.connections.write(work, deadline)

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        return self.connections.read(lambda session: session.cursor(key))

    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        """Return cursors by stream, subject and consumer, in code-point order."""
        last: Cursor | None = None
        for rows in self._page_sizes(query.limit):
            after = last.key if last else None
            page = self.connections.read(partial(_cursors, query, after, rows))
            yield from page
            if len(page) < rows:
                return
            last = page[-1]

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        """Return entries by position, up to the last one that was settled when this began."""
        until = self.connections.read(lambda session: session.until(query))
        last: Entry | None = None
        for rows in self._page_sizes(query.limit):
            page = self.connections.read(partial(_entries, query, last, until, rows))
            yield from page
            if len(page) < rows:
                return
            last = page[-1]

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        found: list[Move | None] = []
        for start in range(0, len(places), PAGE_PLACES):
            page = places[start : start + PAGE_PLACES]
            found += self.connections.read(partial(_moves, page))
        return found

    def horizon(self) -> Horizon:
        """Return how far the log is settled."""
        return self.connections.read(lambda session: session.horizon())

    def identity(self) -> str:
        """Return what tells this ledger from all others; empty where it has no id."""
        return self.connections.identity

    def snapshot(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:
        """Hold the log still for a check, for `companions` as well."""
        return self.connections.hold(companions)

    def opening(self) -> Opening | None:
        """Return how another process opens the log; None where it cannot."""
        return self.connections.opening()

    def listen(self) -> Listening:
        """Return what hears that cursors move."""
        return self.connections.listen()

    def using(self, connection: object) -> PagedStore:
        """Return the same log inside the transaction of a caller's connection."""
        return attrs.evolve(self, connections=self.connections.borrow(connection))

    def close(self) -> None:
        """Close the connections; later calls are refused."""
        self.connections.close()

    def _page_sizes(self, limit: int) -> Iterator[int]:
        """Return the sizes of pages to ask for, `limit` rows in all; without end if it is 0."""
        asked, rows = 0, PAGE_ROWS_FIRST
        while not limit or asked < limit:
            yield min(rows, limit - asked) if limit else rows
            asked, rows = asked + rows, min(rows * 4, self.page_rows_max)


def _cursors(
    query: CursorQuery, after: CursorKey | None, rows: int, session: Session
) -> list[Cursor]:
    return session.cursors(query, after, rows)


def _entries(
    query: EntryQuery, after: Entry | None, until: int, rows: int, session: Session
) -> list[Entry]:
    return session.entries(query, after, until, rows)


def _moves(places: Sequence[tuple[CursorKey, int]], session: Session) -> list[Move | None]:
    return session.moves(places)
