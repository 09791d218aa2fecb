"""A connection of psycopg that a coroutine lends: statements are awaited, in no thread of ours."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import attrs
import psycopg
from psycopg.rows import tuple_row

from ledger import notices
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.rows import Row
from ledger.stores import Appending
from ledger.stores.awaited import Cancelling, cancelled_once, ended
from ledger.stores.horizon import Horizon
from ledger.stores.lending import AsyncLender, Wanted
from ledger.stores.postgres import asking
from ledger.stores.postgres.errors import is_busy, is_late, swallowed, translated
from ledger.stores.postgres.fitness import (
    RELEASE,
    ROLLBACK,
    SAVEPOINT,
    TRIES_MAX,
    checking,
    refuse_autocommit,
    refuse_closed,
    refuse_unfit,
)
from ledger.stores.postgres.homes import Homes
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.reading import EARLY_END, settle_types
from ledger.stores.postgres.statements import Statements, statements
from ledger.stores.postgres.steps import Answers, Ask, Copy, Steps
from ledger.stores.postgres.storing import appending

__all__ = ["WANTED_ASYNC", "AsyncBorrowed", "Known"]

T = TypeVar("T")

Connection = psycopg.AsyncConnection[Any]

# A copy that is cancelled is over by then, unless it waits for others.
COPY_S = 0.5
CANCEL_S_MAX = 5.0

WANTED_ASYNC = Wanted(
    psycopg.AsyncConnection,
    "psycopg.AsyncConnection",
    "postgresql+psycopg://…",
    "Begin one: async with connection.transaction(): …",
    is_busy,
)


class Known(WeakSet[Connection]):
    """The connections that were found to be to this ledger."""


# Two tasks that append over one connection at the same time would both continue the same chain, and
# go back to each other's savepoints; also if each does so by a ledger of its own.
_TURNS: WeakKeyDictionary[Connection, asyncio.Lock] = WeakKeyDictionary()
_GUARD = threading.Lock()


def _turn_of(connection: Connection) -> asyncio.Lock:
    with _GUARD:  # Other threads have loops of their own.
        return _TURNS.setdefault(connection, asyncio.Lock())


class AsyncBorrowed:
    """A caller's connection: everything happens in the transaction that it is in."""

    def __init__(
        self,
        lender: AsyncLender,
        *,
        schema: str,
        place: str,
        homes: Homes,
        known: Known,
    ) -> None:
        self.identity = homes.own.ledger_id
        self._lender = lender
        self._sql = statements(schema)
        self._place = place
        self._homes = homes
        self._known = known
        # A session gives its connection back with each commit, and may get another one.
        self._last: _Session | None = None

    async def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        return await self._read(lambda sql, _: asking.cursor(sql, key))

    async def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""
        return await self._read(lambda sql, _: asking.cursors(sql, query, after, rows))

    async def until(self, query: EntryQuery) -> int:
        """Return the position up to which nothing can be missed any more."""
        return await self._read(
            lambda sql, in_transaction: asking.until(sql, query, in_transaction=in_transaction)
        )

    async def entries(
        self, query: EntryQuery, after: Entry | None, until: int, rows: int
    ) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""
        return await self._read(lambda sql, _: asking.entries(sql, query, after, until, rows))

    async def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        return await self._read(lambda sql, _: asking.moves(sql, places))

    async def horizon(self) -> Horizon:
        """Return how far the log is settled; what is read afterwards may go as far."""
        return await self._read(
            lambda sql, in_transaction: asking.horizon(sql, in_transaction=in_transaction)
        )

    async def append(self, keys: Collection[CursorKey], work: Callable[[Appending], T]) -> T:
        """Run `work` in the caller's transaction; if it raises, only that is undone."""
        cancelling = Cancelling()
        return await self._lent(
            lambda connection: self._append(connection, keys, work, cancelling), cancelling
        )

    async def _append(
        self,
        connection: Connection,
        keys: Collection[CursorKey],
        work: Callable[[Appending], T],
        cancelling: Cancelling,
    ) -> T:
        session = await self._session(connection)
        refuse_autocommit(connection, self._lender.begin)
        async with _turn_of(connection):
            tries = 0
            while True:
                tries += 1
                try:
                    steps = appending(self._sql, keys, work)
                    return await self._in_savepoint(session, steps, cancelling)
                except psycopg.Error as error:
                    # Another has made the same cursor just now: it is seen from here on.
                    if isinstance(error, psycopg.errors.UniqueViolation) and tries < TRIES_MAX:
                        notices.TRANSACTION_RETRIED.report(place=self._place, cause=error)
                        continue
                    held_by = ""
                    if is_late(error):
                        wanted = [cursor_id(key) for key in keys]
                        holders = asking.holders(self._sql, wanted)
                        with suppress(Exception):  # The call fails all the same.
                            held_by = await self._in_savepoint(session, holders, cancelling)
                    raise translated(error, self._place, held_by) from error

    async def _in_savepoint(self, session: _Session, steps: Steps[T], cancelling: Cancelling) -> T:
        try:
            # To their ends, like what undoes: who is cancelled within could not tell whether there
            # is a savepoint, and to go back to one that is not there fails the transaction.
            cancelling.put_off()
            await session.run(SAVEPOINT)
            cancelling.allow()
            result = await session.take(steps)
        except BaseException:
            await _to_its_end(_undo(session))
            raise
        cancelling.put_off()
        await session.run(RELEASE)
        cancelling.allow()
        return result

    async def _read(self, steps: Callable[[Statements, bool], Steps[T]]) -> T:
        return await self._lent(lambda connection: self._taken(connection, steps))

    async def _taken(
        self, connection: Connection, steps: Callable[[Statements, bool], Steps[T]]
    ) -> T:
        session = await self._session(connection)
        # Not in the middle of what another task appends, which may yet be undone.
        async with _turn_of(connection):
            try:
                in_transaction = bool(connection.info.transaction_status)
                return await session.take(steps(self._sql, in_transaction))
            except psycopg.Error as error:
                raise translated(error, self._place) from error

    async def _lent(
        self,
        work: Callable[[Connection], Coroutine[Any, Any, T]],
        cancelling: Cancelling | None = None,
    ) -> T:
        """Run `work` with the connection that is lent at this moment, if it is fit.

        Its owner is asked, and told, in the caller's task, because the session that a framework has
        may be that of the task.
        """
        connection: Connection = await self._lender.connection()  # type: ignore[assignment]
        refuse_unfit(connection)
        try:
            return await cancelled_once(work(connection), cancelling)
        finally:
            # Also if it was cancelled: that may have cost the connection, too.
            if connection.closed:
                await self._lender.lost(connection)

    async def _session(self, connection: Connection) -> _Session:
        """Return the session of `connection`, once it is known to be to this ledger."""
        last = self._last
        if last is not None and last.connection is connection:
            return last
        refuse_closed(connection, self._place)
        known = connection in self._known
        steps = checking(self._sql.schema, self._place, known=known)
        try:
            session = _Session(connection, _plain_cursor(connection))
            async with _turn_of(connection):
                found = await session.take(steps)
        except psycopg.Error as error:
            raise translated(error, self._place) from error
        await self._homes.refuse_other_awaited(found)
        # A transaction that this has begun stays open, as by any statement.
        self._known.add(connection)
        self._last = session
        return session


@attrs.frozen
class _Session:
    """A connection, and a cursor of ours on it, which takes 10 µs to make."""

    connection: Connection
    cursor: psycopg.AsyncCursor[Row]

    async def run(self, statement: bytes) -> None:
        """Run a statement that has neither values nor rows."""
        await self.cursor.execute(statement)

    async def take(self, steps: Steps[T]) -> T:
        """Take `steps`, one after the other, and return what they return."""
        return await _taken(self._ask, steps)

    async def _ask(self, step: Sequence[Ask] | Copy) -> Answers:
        if isinstance(step, Copy):
            return await self._copied(step)
        answers: Answers = []
        for ask in step:
            cursor = await self.cursor.execute(ask.statement, ask.values, prepare=ask.prepare)
            answers.append(await cursor.fetchall() if ask.is_read else [])
        return answers

    async def _copied(self, step: Copy) -> Answers:
        """Copy to the end: a driver that is cancelled in the middle can send nothing afterwards."""
        task = asyncio.ensure_future(self._copy(step))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=COPY_S)
            if not task.done():
                # It waits for a lock, such as that of CREATE INDEX. The server ends it.
                with suppress(psycopg.Error):
                    await self.connection.cancel_safe(timeout=CANCEL_S_MAX)
            with suppress(Exception):
                await ended(task)
            raise

    async def _copy(self, step: Copy) -> Answers:
        cursor = _plain_cursor(self.connection)
        try:
            async with cursor.copy(step.statement) as copy:
                for row in step.rows:
                    await copy.write_row(row)
        except ValueError as error:
            raise psycopg.OperationalError(EARLY_END) from error
        if cursor.rowcount != len(step.rows):
            raise swallowed("ledger_events", cursor.rowcount, len(step.rows))
        return []


async def _taken(ask: Callable[[Sequence[Ask] | Copy], Awaitable[Answers]], steps: Steps[T]) -> T:
    """Take `steps` by asking each with `ask`; what that raises is raised in them."""
    try:
        step = next(steps)
        while True:
            try:
                answers = await ask(step)
            except BaseException as error:  # noqa: BLE001 - they raise it again, or go on
                step = steps.throw(error)
            else:
                step = steps.send(answers)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    await ended(asyncio.ensure_future(work))


async def _undo(session: _Session) -> None:
    with suppress(psycopg.Error):
        await session.run(ROLLBACK)
        await session.run(RELEASE)


def _plain_cursor(connection: Connection) -> psycopg.AsyncCursor[Row]:
    """Return a cursor as psycopg makes them, whatever the connection makes of its own."""
    cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
    settle_types(cursor)
    return cursor


def _renew_lock() -> None:
    """Begin anew in a child, because a thread that it does not have may hold the lock."""
    global _GUARD  # noqa: PLW0603 - it is of all connections
    _GUARD = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
