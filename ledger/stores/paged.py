"""A Store over the connections of one database: long readings are made page by page.

Between two pages no connection is held, and no transaction is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

import ledger
from ledger import stores
from ledger.stores.page_sizes import PAGE_PLACES, PAGE_ROWS_FIRST, page_sizes

if TYPE_CHECKING:
    from ledger.errors import ArchivedError
    from ledger.evidence.merkle import TreeRow
    from ledger.evidence.sharing import Companions, Opening
    from ledger.law.cursor import Cursor, CursorKey
    from ledger.law.events import Entry, Move
    from ledger.law.queries import CursorQuery, EntryQuery
    from ledger.stores import Listening, Snapshot, Transaction
    from ledger.stores.awaited import Awaited, AwaitedStore
    from ledger.stores.deadline import Deadline
    from ledger.stores.horizon import Horizon

__all__ = ["Connections", "PagedStore", "Session"]

T = TypeVar("T")

# Of so many cursors, the entries are read cursor by cursor and merged: if they are at most this
# share of what would be scanned otherwise. A row that a scan leaves out takes a sixteenth of the
# time of an entry that is returned.
MERGED_CURSORS_MAX = 256
MERGED_SHARE = 16
SCANNED_AT_LEAST = 1_000


class Looking(Protocol):
    """What is looked up over one connection by keys."""

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""

    def session_users(self, positions: Sequence[int]) -> dict[int, str] | None:
        """Return who was logged in when these entries were stored; None if that is not noted."""


class Paging(Protocol):
    """What is read over one connection, at most a page at a time."""

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""

    def horizon(self) -> Horizon:
        """Return how far the log is settled; what is read afterwards may go as far."""

    def until(self, query: EntryQuery) -> tuple[int, ArchivedError | None]:
        """Return the position up to which no entry that `query` chooses can be missed any more.

        And the error for those that are missing, because they are in an archive.
        """

    def narrowed(self, query: EntryQuery, until: int) -> tuple[int, int]:
        """Return between which positions the query's span of time lies, at most 0 and `until`."""

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""


class Session(Looking, Paging, Protocol):
    """What is read over one connection."""


class Holding(Protocol):
    """Lends the whole log, to this process and to others."""

    def hold(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:
        """Lend the whole log as of one moment, and let `companions` begin to read then."""

    def opening(self) -> Opening | None:
        """Return how another process opens the log; None where it cannot."""

    def identify(self, given: str) -> str:
        """Return the id of the ledger; one that has none gets `given`, or a new one."""

    @property
    def identity(self) -> str:
        """What tells this ledger from all others; empty where it has no id."""


class Lending(Protocol):
    """Works on a caller's connection, inside the transaction that it is in."""

    def borrow(self, connection: object) -> Connections:
        """Lend the caller's own connection instead."""

    def borrow_async(self, connection: object) -> Awaited:
        """Lend the caller's own connection, which is awaited."""


class Connections(Holding, Lending, Protocol):
    """Lends sessions, and runs transactions; on connections of its own, or on a caller's."""

    def read(self, work: Callable[[Session], T], deadline: Deadline | None = None) -> T:
        """Run `work`, which only reads; where it has to wait for its turn, until `deadline`."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction; if it raises, nothing has happened."""

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep rows of the tree, or none inside a caller's transaction."""

    def listen(self) -> Listening:
        """Return what hears that cursors move."""

    def close(self) -> None:
        """Lend no more."""


@attrs.define
class PagedStore:
    """A Store, whatever the database."""

    connections: Connections
    page_rows_max: int
    """At most this many rows are held at a time."""
    immutable: bool = False
    """Whether a file was opened as one that nobody writes to."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        return self.connections.write(work, deadline)

    def cursor(self, key: CursorKey, deadline: Deadline | None = None) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        return self.connections.read(lambda session: session.cursor(key), deadline)

    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        """Return cursors by stream, subject and consumer, in code-point order."""
        last: Cursor | None = None
        for rows in page_sizes(query.limit, PAGE_ROWS_FIRST, self.page_rows_max):
            after = last.key if last else None
            page = self.connections.read(partial(_cursors, query, after, rows))
            yield from page
            if len(page) < rows:
                return
            last = page[-1]

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        """Return entries by position, up to the last one that was settled when this began."""
        until, left_out = self.connections.read(partial(_until, query))
        if left_out is not None:
            # The newest ones are there, and often they are all that is asked for.
            if query.newest_first:
                yield from self._entries(
                    query, until, PAGE_ROWS_FIRST, self.page_rows_max, left_out
                )
                return
            raise left_out
        if _bounds_time(query):
            first, until = self.connections.read(partial(_narrowed, query, until))
            query = attrs.evolve(query, position_from=max(query.position_from or 0, first))
        keys = self._few_keys(query, until)
        if keys is None:
            yield from self._entries(query, until, PAGE_ROWS_FIRST, self.page_rows_max)
            return
        # Imported here, because most questions are about one cursor, or about all.
        from heapq import merge

        # Together, they hold no more rows than one scan does.
        share = max(len(keys), 1)
        first, most = max(PAGE_ROWS_FIRST // share, 4), max(self.page_rows_max // share, 4)
        each = [self._entries(_of_one(query, key), until, first, most) for key in keys]
        merged = merge(*each, key=attrgetter("position"), reverse=query.newest_first)
        yield from islice(merged, query.limit or None)

    def _few_keys(self, query: EntryQuery, until: int) -> list[CursorKey] | None:
        """Return the cursors whose entries are found sooner one by one; None to scan the log."""
        if (
            query.key is not None
            or query.positions
            or stores.queries.only_resets(query)
            or not _names_a_part(query)
        ):
            return None
        last = until if query.position_until is None else min(until, query.position_until)
        scanned = last - max((query.position_from or 0) - 1, 0)
        if scanned < SCANNED_AT_LEAST:
            return None
        chosen = ledger.CursorQuery(
            consumer_id=query.consumer_id,
            stream_name=query.stream_name,
            subject_id=query.subject_id,
            reserved=True,
        )
        rows = MERGED_CURSORS_MAX + 1
        cursors = self.connections.read(partial(_cursors, chosen, None, rows))
        entries = sum(cursor.version for cursor in cursors)
        if len(cursors) == rows or entries * MERGED_SHARE > scanned:
            return None
        return [cursor.key for cursor in cursors]

    def _entries(
        self,
        query: EntryQuery,
        until: int,
        rows_first: int,
        rows_max: int,
        left_out: ArchivedError | None = None,
    ) -> Iterator[Entry]:
        last: Entry | None = None
        for rows in page_sizes(query.limit, rows_first, rows_max):
            page = self.connections.read(partial(_entries, query, last, until, rows))
            yield from page
            if len(page) < rows:
                if left_out is not None:
                    raise left_out
                return
            last = page[-1]

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        found: list[Move | None] = []
        for start in range(0, len(places), PAGE_PLACES):
            page = places[start : start + PAGE_PLACES]
            found += self.connections.read(partial(_moves, page))
        return found

    def session_users(self, positions: Sequence[int]) -> dict[int, str] | None:
        """Return who was logged in when these entries were stored; None if that is not noted."""
        found: dict[int, str] = {}
        # With no positions it is asked all the same, whether anything is noted.
        for start in range(0, max(len(positions), 1), PAGE_PLACES):
            page = positions[start : start + PAGE_PLACES]
            users = self.connections.read(partial(_session_users, page))
            if users is None:
                return None
            found |= users
        return found

    def horizon(self, deadline: Deadline | None = None) -> Horizon:
        """Return how far the log is settled."""
        return self.connections.read(lambda session: session.horizon(), deadline)

    def identity(self) -> str:
        """Return what tells this ledger from all others; empty where it has no id."""
        return self.connections.identity

    def identify(self, given: str = "") -> str:
        """Return the id of the ledger; one that has none gets `given`, or a new one."""
        return self.connections.identify(given)

    def snapshot(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:
        """Hold the log still for a check, for `companions` as well."""
        return self.connections.hold(companions)

    def opening(self) -> Opening | None:
        """Return how another process opens the log; None where it cannot."""
        return self.connections.opening()

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep those of `rows` that are not kept yet, safe from a power loss; all, or none."""
        self.connections.keep_tree(rows)

    def listen(self) -> Listening:
        """Return what hears that cursors move."""
        return self.connections.listen()

    def using(self, connection: object) -> PagedStore:
        """Return the same log inside the transaction of a caller's connection."""
        # Not by attrs.evolve, which takes three times as long: each transaction of a program may
        # do it.
        return PagedStore(
            self.connections.borrow(connection), self.page_rows_max, immutable=self.immutable
        )

    def using_async(self, connection: object) -> AwaitedStore:
        """Return the same log inside the transaction of a caller's connection that is awaited."""
        # Imported here, because it imports asyncio.
        from ledger.stores.awaited import AwaitedStore

        return AwaitedStore(self.connections.borrow_async(connection), self.page_rows_max)

    def close(self) -> None:
        """Close the connections; later calls are refused."""
        self.connections.close()


def _bounds_time(query: EntryQuery) -> bool:
    """Return whether `query` chooses entries by their time, and a scan would find them."""
    if query.recorded_from is None and query.recorded_until is None:
        return False
    return query.key is None and not query.positions and not stores.queries.only_resets(query)


def _names_a_part(query: EntryQuery) -> bool:
    return bool(query.consumer_id or query.stream_name or query.subject_id)


def _of_one(query: EntryQuery, key: CursorKey) -> EntryQuery:
    """Return what `query` chooses of the cursor of `key`, which is one of those that it chooses."""
    return attrs.evolve(query, key=key, consumer_id="", stream_name="", subject_id="")


def _until(query: EntryQuery, session: Paging) -> tuple[int, ArchivedError | None]:
    return session.until(query)


def _narrowed(query: EntryQuery, until: int, session: Paging) -> tuple[int, int]:
    return session.narrowed(query, until)


def _cursors(
    query: CursorQuery, after: CursorKey | None, rows: int, session: Paging
) -> list[Cursor]:
    return session.cursors(query, after, rows)


def _entries(
    query: EntryQuery, after: Entry | None, until: int, rows: int, session: Paging
) -> list[Entry]:
    return session.entries(query, after, until, rows)


def _session_users(positions: Sequence[int], session: Looking) -> dict[int, str] | None:
    return session.session_users(positions)


def _moves(places: Sequence[tuple[CursorKey, int]], session: Looking) -> list[Move | None]:
    return session.moves(places)
