"""The ledger inside the transaction of a connection that a coroutine lends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ledger.aio.delivering import delivering_as
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.refusals import CursorNotFoundError
from ledger.service import Ledger, appending, committer_of, reading
from ledger.writing.commit import Answer, Group, commit, keys_of

if TYPE_CHECKING:
    from ledger.stores.awaited import AwaitedStore
    from ledger.writing.committer import Committer

__all__ = ["AsyncLent"]

P = ParamSpec("P")
R = TypeVar("R")


class Awaiting:
    """Stands where a ledger has its Appender; its `append` is a coroutine."""

    def __init__(self, store: AwaitedStore, committer: Committer) -> None:
        self._store = store
        self._committer = committer

    async def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups` in the caller's transaction; if `conclude` raises, nothing of it."""
        ours = self._committer
        return await self._store.append(
            keys_of(groups),
            lambda transaction: conclude(
                commit(
                    transaction,
                    groups,
                    actor=ours.actor,
                    clock=ours.clock,
                    require_epoch=ours.require_epoch,
                )
            ),
        )


def _awaited(
    method: Callable[Concatenate[AsyncLent, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[AsyncLent, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def coroutine(self: AsyncLent, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # The method checks what it is given, which is part of what is awaited.
        return await method(self, *args, **kwargs)

    return coroutine


class AsyncLent:
    """The ledger inside a caller's transaction: see `AsyncLedger.using`, which returns one.

    What it appends is part of that transaction, and what it reads sees what that has done so far.
    Each method takes and raises what the method of `Ledger` of the same name does. If a call that
    appends is cancelled, all of it is part of the transaction, or nothing: roll that back, as after
    any exception.

    Use it from one task at a time, as the connection itself.

    >>> import asyncio, aiosqlite, ledger.aio, pathlib, tempfile
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> async def main(path: pathlib.Path) -> int:
    ...     async with ledger.aio.open(path) as book, aiosqlite.connect(path) as db:
    ...         made = await db.execute("CREATE TABLE sent (id TEXT)")
    ...         row = await db.execute("INSERT INTO sent VALUES ('msg-41')")
    ...         cursor = await book.using(db).advance(key, to=41)
    ...         await db.commit()
    ...         return (await book.get(key)).last_sequence
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(main(pathlib.Path(folder, "cursors.db")))
    41
    """

    def __init__(self, ledger: Ledger, store: AwaitedStore) -> None:
        self._ledger = ledger
        self._store = store
        self._appender = Awaiting(store, committer_of(ledger))

    @property
    def _actor(self) -> str:
        return self._ledger._actor

    find = _awaited(reading.find)
    moves = _awaited(reading.moves)
    horizon = _awaited(reading.horizon)
    cursors = reading.cursors
    history = reading.history
    entries = reading.entries
    start = _awaited(appending.start)
    advance = _awaited(appending.advance)
    reset = _awaited(appending.reset)
    record_error = _awaited(appending.record_error)
    append = _awaited(appending.append)
    append_each = _awaited(appending.append_each)

    delivering = delivering_as(Ledger.delivering)
    """Deliver in the body, and confirm it, as `Ledger.delivering` does, in the transaction.

    An error that it records goes when the transaction is rolled back.
    """

    async def get(self, key: CursorKey) -> Cursor:
        """Return the cursor of `key`, as `Ledger.get` does."""
        cursor = await self.find(key)
        if cursor is None:
            raise CursorNotFoundError(key)
        return cursor

    def now(self) -> datetime:
        """Return the ledger's own time, as `Ledger.now` does."""
        return self._ledger.now()
