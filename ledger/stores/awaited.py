"""A log inside the transaction of a caller's connection that is awaited: for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.stores import Appending
from ledger.stores.page_sizes import PAGE_PLACES, PAGE_ROWS_FIRST, page_sizes

if TYPE_CHECKING:
    from ledger.stores.horizon import Horizon

__all__ = ["Awaited", "AwaitedStore", "Cancelling", "cancelled_once", "ended"]

T = TypeVar("T")


class AwaitedPages(Protocol):
    """What is read over a connection that is awaited, at most a page at a time."""

    async def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""

    async def until(self, query: EntryQuery) -> int:
        """Return the position up to which no entry that `query` chooses can be missed any more."""

    async def entries(
        self, query: EntryQuery, after: Entry | None, until: int, rows: int
    ) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""


class Awaited(AwaitedPages, Protocol):
    """A caller's connection that is awaited, in whose transaction everything happens."""

    identity: str

    async def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""

    async def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""

    async def horizon(self) -> Horizon:
        """Return how far the log is settled."""

    async def append(self, keys: Collection[CursorKey], work: Callable[[Appending], T]) -> T:
        """Hold the cursors of `keys`, run `work`, and store what it appends; all of it, or nothing.

        Raises LedgerBusyError, StorageError, and what `work` raises; nothing has happened then.
        """


@attrs.frozen
class AwaitedStore:
    """What a store is to threads: long readings are made page by page."""

    connection: Awaited
    page_rows_max: int

    async def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        return await self.connection.cursor(key)

    async def cursors(self, query: CursorQuery) -> AsyncIterator[Cursor]:
        """Yield cursors by stream, subject and consumer, in code-point order."""
        last: Cursor | None = None
        for rows in page_sizes(query.limit, PAGE_ROWS_FIRST, self.page_rows_max):
            page = await self.connection.cursors(query, last.key if last else None, rows)
            for cursor in page:
                yield cursor
            if len(page) < rows:
                return
            last = page[-1]

    async def entries(self, query: EntryQuery) -> AsyncIterator[Entry]:
        """Yield entries by position, up to the last one that was settled when this began."""
        until = await self.connection.until(query)
        last: Entry | None = None
        for rows in page_sizes(query.limit, PAGE_ROWS_FIRST, self.page_rows_max):
            page = await self.connection.entries(query, last, until, rows)
            for entry in page:
                yield entry
            if len(page) < rows:
                return
            last = page[-1]

    async def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        found: list[Move | None] = []
        for start in range(0, len(places), PAGE_PLACES):
            found += await self.connection.moves(places[start : start + PAGE_PLACES])
        return found

    async def horizon(self) -> Horizon:
        """Return how far the log is settled."""
        return await self.connection.horizon()

    def identity(self) -> str:
        """Return what tells this ledger from all others; empty where it has no id."""
        return self.connection.identity

    async def append(self, keys: Collection[CursorKey], work: Callable[[Appending], T]) -> T:
        """Hold the cursors of `keys`, run `work`, and store what it appends; all or nothing."""
        return await self.connection.append(keys, work)


class Cancelling:
    """Puts off that the work of `cancelled_once` is cancelled, while that would come at a bad time.

    To run each such step in a task of its own takes a call over a connection a tenth more time.
    """

    def __init__(self) -> None:
        self._is_put_off = self._is_asked = False

    def put_off(self) -> None:
        """Go on, whatever happens."""
        self._is_put_off = True

    def allow(self) -> None:
        """Go on, unless this was cancelled meanwhile. Raises CancelledError."""
        self._is_put_off = False
        if self._is_asked:
            raise asyncio.CancelledError

    def cancel(self, task: asyncio.Future[Any]) -> None:
        """Cancel `task` now, or when it allows that."""
        self._is_asked = True
        if not self._is_put_off:
            task.cancel()


async def cancelled_once(work: Coroutine[Any, Any, T], cancelling: Cancelling | None = None) -> T:
    """Return what `work` returns; if this is cancelled, cancel it once, and wait for its end.

    A driver that is cancelled again while it cancels what it has sent closes the connection.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if cancelling is None:
            task.cancel()
        else:
            cancelling.cancel(task)
        await _end_of(task)
        raise


async def ended(task: asyncio.Future[T]) -> T:
    """Wait for the end of `task`, also if this is cancelled, however often; then raise that.

    Some frameworks cancel a task again and again until it has ended.
    """
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end_of(task)
        raise


async def _end_of(task: asyncio.Future[Any]) -> None:
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # Marks it as retrieved: nobody else will ask for it.
