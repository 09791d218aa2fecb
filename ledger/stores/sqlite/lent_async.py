"""A connection of aiosqlite that a coroutine lends: each call is one turn in that one's thread.

Nobody else's statement comes in between there. Statement by statement, those of another task could.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.stores import Appending
from ledger.stores.awaited import ended
from ledger.stores.lending import AsyncLender, Lender, Wanted
from ledger.stores.not_lent import closed
from ledger.stores.sqlite.errors import is_busy
from ledger.stores.sqlite.lent import Borrowed
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.watching import Watch

if TYPE_CHECKING:
    import aiosqlite

    from ledger.stores.horizon import Horizon

__all__ = ["AsyncBorrowed", "wanted"]

T = TypeVar("T")


class _Nobodys:
    """What no object is of."""


def wanted() -> Wanted:
    """Return what may be lent; nothing is of aiosqlite as long as nobody has imported it."""
    module = sys.modules.get("aiosqlite")
    return Wanted(
        _Nobodys if module is None else module.Connection,
        "aiosqlite.Connection",
        "sqlite+aiosqlite:///…",
        'Begin one: await connection.execute("BEGIN IMMEDIATE")',
        is_busy,
    )


class AsyncBorrowed:
    """A caller's connection: everything happens in the transaction that it is in."""

    identity = ""

    def __init__(self, lender: AsyncLender, path: str, watch: Watch) -> None:
        self._lender = lender
        self._path = path
        self._watch = watch
        # Each is used in the thread of its connection only.
        self._known: WeakKeyDictionary[aiosqlite.Connection, Borrowed] = WeakKeyDictionary()

    async def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        return await self._read(lambda session: session.cursor(key))

    async def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""
        return await self._read(lambda session: session.cursors(query, after, rows))

    async def until(self, query: EntryQuery) -> int:
        """Return the position of the last entry; 0 if there is none.

        Raises ArchivedError.
        """

        until, left_out = await self._read(lambda session: session.until(query))
        if left_out is not None:
            raise left_out
        return until

    async def entries(
        self, query: EntryQuery, after: Entry | None, until: int, rows: int
    ) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""
        return await self._read(lambda session: session.entries(query, after, until, rows))

    async def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        return await self._read(lambda session: session.moves(places))

    async def horizon(self) -> Horizon:
        """Return how far the log is settled: to its end."""
        return await self._read(lambda session: session.horizon())

    async def append(self, keys: Collection[CursorKey], work: Callable[[Appending], T]) -> T:  # noqa: ARG002 - a writer has the whole file to itself
        """Run `work` in the caller's transaction; if it raises, only that is undone."""
        return await self._in_its_thread(lambda borrowed: borrowed.write(work))

    async def _read(self, work: Callable[[SQLiteSession], T]) -> T:
        return await self._in_its_thread(lambda borrowed: borrowed.read(work))

    async def _in_its_thread(self, work: Callable[[Borrowed], T]) -> T:
        connection: aiosqlite.Connection = await self._lender.connection()  # type: ignore[assignment]
        future: Future[T] = Future()

        def turn() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(self._borrowed(connection)))
            except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
                future.set_exception(error)

        # There is no public way to run more than a statement in that thread.
        asked = asyncio.ensure_future(connection._execute(turn))  # type: ignore[no-untyped-call]
        try:
            await asyncio.shield(asked)
        except asyncio.CancelledError:
            # Withdrawn, if its turn has not come; else its end is waited for.
            future.cancel()
            await ended(asked)
            raise
        except ValueError as error:
            raise closed(self._path) from error
        return future.result()

    def _borrowed(self, connection: aiosqlite.Connection) -> Borrowed:
        borrowed = self._known.get(connection)
        if borrowed is None:
            try:
                raw: sqlite3.Connection = connection._conn
            except ValueError as error:
                raise closed(self._path) from error
            lent = Lender(lambda: raw, self._lender.begin)
            borrowed = self._known[connection] = Borrowed(lent, self._path, self._watch)
        return borrowed
