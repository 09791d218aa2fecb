"""A ledger for asyncio that each process opens for itself, when it first uses it."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from ledger import opening
from ledger.aio.ledger import AsyncLedger
from ledger.aio.lent import AsyncLent
from ledger.aio.streams import Stream
from ledger.law.cursor import Cursor, CursorKey
from ledger.opening import BUSY_TIMEOUT_S, LazyTarget, utc_now
from ledger.service import Ledger
from ledger.stores import Durability

if TYPE_CHECKING:
    from ledger.stores.lending import AsyncLendable

__all__ = ["lazy"]

P = ParamSpec("P")
R = TypeVar("R")


def lazy(
    target: LazyTarget,
    *,
    actor: str = "",
    clock: Callable[[], datetime] = utc_now,
    durability: Durability = "full",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    require_epoch: bool = False,
) -> AsyncLedger:
    """Return a ledger for asyncio that each process opens for itself, when it first uses it.

    It is opened in a thread, so that the event loop goes on. `target`, `actor`, `clock`,
    `durability`, `busy_timeout_s` and `require_epoch` are those of `ledger.lazy`, and so is what
    it raises.

    >>> import asyncio, ledger.aio
    >>> book = ledger.aio.lazy(":memory:", actor="dispatcher@web-1")
    >>> async def main() -> int:
    ...     async with book:
    ...         return (await book.advance(ledger.CursorKey("webhooks", "orders"), to=41)).version
    >>> asyncio.run(main())
    1
    """
    return _LazyAsyncLedger(
        opening.lazy(
            target,
            actor=actor,
            clock=clock,
            durability=durability,
            busy_timeout_s=busy_timeout_s,
            require_epoch=require_epoch,
        )
    )


def _unread(
    method: Callable[Concatenate[Ledger, P], Iterator[R]],
) -> Callable[Concatenate[AsyncLedger, P], Stream[R]]:
    """Return `method` as a stream, which opens the ledger in the thread that reads it."""

    def stream(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> Stream[R]:
        return self.stream(method, *args, **kwargs)

    return stream


def _opened(
    method: Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[_LazyAsyncLedger, P], Coroutine[Any, Any, R]]:
    """Return `method`, with the ledger opened before, because it works on the event loop."""

    async def coroutine(self: _LazyAsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        await self._open()
        return await method(self, *args, **kwargs)

    return coroutine


class _LazyAsyncLedger(AsyncLedger):
    """An AsyncLedger that is made anew in a child: its threads are those of one process."""

    cursors = _unread(Ledger.cursors)
    history = _unread(Ledger.history)
    entries = _unread(Ledger.entries)

    start = _opened(AsyncLedger.start)
    advance = _opened(AsyncLedger.advance)
    reset = _opened(AsyncLedger.reset)
    record_error = _opened(AsyncLedger.record_error)
    append = _opened(AsyncLedger.append)
    append_each = _opened(AsyncLedger.append_each)
    wait = _opened(AsyncLedger.wait)
    wait_for_entries = _opened(AsyncLedger.wait_for_entries)

    def __init__(self, book: Ledger) -> None:
        super().__init__(book)
        self._opened = False
        _all.add(self)

    def __reduce__(self) -> tuple[Callable[[Ledger], AsyncLedger], tuple[Ledger]]:
        return _LazyAsyncLedger, (self._ledger,)

    def using(self, connection: AsyncLendable) -> AsyncLent:
        """Return this ledger inside the transaction of the caller's `connection` to its database.

        It is as `AsyncLedger.using` returns it. If the ledger is not open yet, the first call opens
        it, and refuses a `connection` that cannot be lent.

        Raises InvalidCursorError, StorageError.
        """
        lent = _LazyLent(self, connection)
        self._check()
        if self._opened:
            lent.lend()
        return lent

    @asynccontextmanager
    async def delivering(
        self,
        key: CursorKey,
        **named: Any,  # noqa: ANN401 - as it is where they are checked
    ) -> AsyncIterator[Cursor | None]:
        await self._open()
        async with super().delivering(key, **named) as cursor:
            yield cursor

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def _open(self) -> None:
        self._check()
        if not self._opened:
            # Whatever is asked of it opens it.
            await self._readers.run(lambda book: book.immutable, self._ledger)
            self._opened = True

    def begin_anew(self) -> None:
        """Leave the threads to the parent, in a child."""
        AsyncLedger.__init__(self, self._ledger)
        self._opened = False


def _lent_first(
    method: Callable[Concatenate[AsyncLent, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[_LazyLent, P], Coroutine[Any, Any, R]]:
    async def coroutine(self: _LazyLent, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await method(await self.opened(), *args, **kwargs)

    return coroutine


def _lent_before_rows(
    method: Callable[Concatenate[AsyncLent, P], AsyncIterator[R]],
) -> Callable[Concatenate[_LazyLent, P], AsyncIterator[R]]:
    async def iterate(self: _LazyLent, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        async for each in method(await self.opened(), *args, **kwargs):
            yield each

    return iterate


class _LazyLent(AsyncLent):
    """An AsyncLent of a ledger that may not be open yet: each call opens it first, if need be.

    It is opened in a thread, but by `now` where that is called, because it is no coroutine.
    """

    find = _lent_first(AsyncLent.find)
    moves = _lent_first(AsyncLent.moves)
    horizon = _lent_first(AsyncLent.horizon)
    cursors = _lent_before_rows(AsyncLent.cursors)
    history = _lent_before_rows(AsyncLent.history)
    entries = _lent_before_rows(AsyncLent.entries)
    start = _lent_first(AsyncLent.start)
    advance = _lent_first(AsyncLent.advance)
    reset = _lent_first(AsyncLent.reset)
    record_error = _lent_first(AsyncLent.record_error)
    append = _lent_first(AsyncLent.append)
    append_each = _lent_first(AsyncLent.append_each)

    def __init__(self, book: _LazyAsyncLedger, connection: AsyncLendable) -> None:
        self._ledger = book._ledger
        self._book = book
        self._connection = connection
        self._lent: AsyncLent | None = None

    @asynccontextmanager
    async def delivering(
        self,
        key: CursorKey,
        **named: Any,  # noqa: ANN401 - as it is where they are checked
    ) -> AsyncIterator[Cursor | None]:
        lent = await self.opened()
        async with lent.delivering(key, **named) as cursor:
            yield cursor

    async def opened(self) -> AsyncLent:
        """Return what is lent, once the ledger is open."""
        await self._book._open()
        return self.lend()

    def lend(self) -> AsyncLent:
        """Return what is lent by the ledger, which is open.

        Raises InvalidCursorError, StorageError.
        """
        if self._lent is None:
            self._lent = AsyncLedger.using(self._book, self._connection)
        return self._lent


_all: weakref.WeakSet[_LazyAsyncLedger] = weakref.WeakSet()


def _in_child() -> None:
    for each in list(_all):
        each.begin_anew()


os.register_at_fork(after_in_child=_in_child)
