"""The ledger as coroutines meet it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

# What is named as `ledger.positions` is imported when it is first used.
import ledger
from ledger.aio.appending import Submitting
from ledger.aio.delivering import delivering_as
from ledger.aio.futures import in_own_thread, settled
from ledger.aio.lent import AsyncLent
from ledger.aio.policies import AsyncPolicies
from ledger.aio.readers import Readers
from ledger.aio.streams import PLAIN, Stream, run_in_thread
from ledger.aio.waiting import news_of
from ledger.consuming.callables import check_doing
from ledger.consuming.coroutines import AsyncConsumer
from ledger.consuming.heads_coroutines import AsyncHeads
from ledger.errors import StorageError
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.requests import Request
from ledger.service import Ledger, appending, lent_async
from ledger.service.waiting import LOOKED_S, found, settled_at, stop_waiting, waker_of
from ledger.stores.forks import ForkGuard
from ledger.waking import waiting
from ledger.waking.waker import Waker
from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from concurrent.futures import Future

    import ledger.positions
    from ledger.stores.lending import AsyncLendable

__all__ = ["AsyncLedger", "close_at_once"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])


def _in_thread(
    method: Callable[Concatenate[Ledger, P], R],
) -> Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def coroutine(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._readers.run(method, self._ledger, *args, **kwargs)

    return coroutine


def _appending(
    method: Callable[Concatenate[AsyncLedger, P], Future[R]],
) -> Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def coroutine(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # The method checks what it is given, and returns what `Submitting` returns.
        return await settled(method(self, *args, **kwargs))

    return coroutine


def _iterating(
    method: Callable[Concatenate[Ledger, P], Iterator[R]],
) -> Callable[Concatenate[AsyncLedger, P], Stream[R]]:
    @wraps(method)
    def iterate(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> Stream[R]:
        # A wrong argument is refused here. Nothing is read before a row is asked for.
        method(self._ledger, *args, **kwargs)
        return self.stream(method, *args, **kwargs)

    return iterate


def _told_as(method: Callable[..., object]) -> Callable[[F], F]:
    def told(own: F) -> F:
        own.__doc__ = method.__doc__
        return own

    return told


class AsyncLedger:
    """A `Ledger` whose methods are coroutines; histories are asynchronous iterators.

    If a call that appends is cancelled, it is withdrawn if its transaction has not begun, or else
    waited for: once the await has ended, the outcome is settled, and `get` returns it. A call
    that was cancelled may therefore have been appended; one that raised anything else was not. Any
    other call that is cancelled is withdrawn, or ends by itself.

    Each method takes and raises what the method of `Ledger` of the same name does.

    >>> import asyncio, ledger.aio
    >>> async def main() -> list[int]:
    ...     key = ledger.CursorKey("webhooks", "orders")
    ...     async with ledger.aio.open(":memory:") as book:
    ...         async with book.delivering(key, to=41) as before:
    ...             assert before is None
    ...         await book.advance(key, to=44)
    ...         return [entry.event.sequence async for entry in book.history(key)]
    >>> asyncio.run(main())
    [41, 44]
    """

    def __init__(self, ledger: Ledger) -> None:
        self._guard = ForkGuard()
        self._closed = False
        self._ledger = ledger
        self._readers = Readers(self._check)
        self._appender = Submitting(ledger, self._check)

    @property
    def immutable(self) -> bool:
        """Whether this user may only read the file, and it was opened as one that stays as it is.

        SQLite then takes no locks, and writes nothing beside the file either. If somebody else
        writes to it all the same, a later call raises StorageError.
        """
        return self._ledger.immutable

    @property
    def _actor(self) -> str:
        return self._ledger._actor

    @property
    def _waker(self) -> Waker | None:
        return self._ledger._waker

    # --- reading ---

    get = _in_thread(Ledger.get)
    find = _in_thread(Ledger.find)
    cursors = _iterating(Ledger.cursors)
    history = _iterating(Ledger.history)
    entries = _iterating(Ledger.entries)
    moves = _in_thread(Ledger.moves)
    session_users = _in_thread(Ledger.session_users)
    now = _in_thread(Ledger.now)
    horizon = _in_thread(Ledger.horizon)
    identity = _in_thread(Ledger.identity)
    identify = _in_thread(Ledger.identify)

    @property
    def positions(self) -> ledger.positions.AsyncPositions:
        """The mapping of each stream between its positions and sequences, kept in this ledger."""
        return ledger.positions.AsyncPositions(self)

    @property
    def heads(self) -> AsyncHeads:
        """The heads of the streams: the highest sequence that exists on each, for `lag`."""
        return AsyncHeads(self)

    @property
    def policies(self) -> AsyncPolicies:
        """What each reset must carry: the policies that are kept in this ledger."""
        return AsyncPolicies(self)

    def stream(
        self,
        work: Callable[Concatenate[Ledger, P], Iterable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[R]:
        """Return, as a stream, what `work` yields when it is called with the ledger for threads.

        It runs in a thread, a page at a time, as rows are asked for; so does any function of
        `projections`.

        >>> import asyncio, ledger.aio, projections
        >>> async def main() -> list[str]:
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:", actor="ines") as book:
        ...         cursor = await book.reset(key, to=3, reason="the mails bounced")
        ...         return [reset.actor async for reset in book.stream(projections.resets)]
        >>> asyncio.run(main())
        ['ines']
        """
        check_doing(work, "work", PLAIN, yields=True)
        return Stream(self._readers, self._ledger, lambda book: work(book, *args, **kwargs))

    async def run(
        self, work: Callable[Concatenate[Ledger, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Return what `work` returns when it is called, in a thread, with the ledger for threads.

        If this is cancelled, `work` stops when it reads the next row; what it appends is waited
        for. It must not keep the ledger, nor close it.

        Raises InvalidCursorError if `work` is a coroutine function, or returns a coroutine.

        >>> import asyncio, ledger.aio
        >>> from projections import ResetPlan
        >>> async def main() -> list[int]:
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:") as book:
        ...         cursor = await book.advance(key, to=44)
        ...         plan = await book.run(ResetPlan.make, [key], to=41, reason="42 was lost")
        ...         return [each.last_sequence for each in await book.run(plan.apply, actor="ines")]
        >>> asyncio.run(main())
        [41]
        """
        check_doing(work, "work", PLAIN, yields=True)
        return await run_in_thread(
            self._readers, self._ledger, lambda book: work(book, *args, **kwargs), "work"
        )

    # --- writing ---

    start = _appending(appending.start)
    advance = _appending(appending.advance)
    reset = _appending(appending.reset)
    record_error = _appending(appending.record_error)
    append = _appending(appending.append)
    append_each = _appending(appending.append_each)

    async def submit(self, request: Request) -> Cursor:
        """Append `request`, and return the cursor."""
        [cursor] = await self.append((request,))
        return cursor

    def consumer(
        self, key: CursorKey, *, in_flight: int = 1, take_over: str | None = None
    ) -> AsyncConsumer:
        """Return a consumer of `key`: it delivers what comes after the cursor, and confirms it.

        `in_flight` is how many deliveries may be unconfirmed at once, from 1 to 10,000. With
        `take_over`, it takes the cursor over when it is entered, and says why: see
        `Ledger.consumer`.

        Raises InvalidCursorError.
        """
        return AsyncConsumer(self, key, in_flight=in_flight, take_over=take_over)

    delivering = delivering_as(Ledger.delivering)

    def using(self, connection: AsyncLendable) -> AsyncLent:
        """Return this ledger inside the transaction of the caller's `connection` to its database.

        What is appended through it is part of the caller's transaction: the caller commits it or
        rolls it back with the rest. `connection` is a SQLAlchemy `AsyncSession` or
        `AsyncConnection`, or a connection of the driver: a `psycopg.AsyncConnection`, whose
        statements are awaited, in no thread; or one of aiosqlite, in whose thread each call is one
        turn. It is looked at by the first call that is awaited. If no transaction is open, one is
        begun as the driver does it; a connection in autocommit mode is refused.

        Raises InvalidCursorError, StorageError; the same by what is awaited.

        >>> import asyncio, ledger.aio, pathlib, tempfile
        >>> from sqlalchemy import text
        >>> from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> async def main(path: pathlib.Path) -> int:
        ...     engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        ...     async with ledger.aio.open(path) as book, AsyncSession(engine) as session:
        ...         made = await session.execute(text("CREATE TABLE sent (id TEXT)"))
        ...         row = await session.execute(text("INSERT INTO sent VALUES ('msg-41')"))
        ...         cursor = await book.using(session).advance(key, to=41)
        ...         await session.commit()
        ...     await engine.dispose()
        ...     return cursor.last_sequence
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(pathlib.Path(folder, "cursors.db")))
        41
        """
        self._check()
        return AsyncLent(self._ledger, lent_async(self._ledger, connection))

    # --- waiting ---

    @_told_as(Ledger.wait)
    async def wait(  # noqa: D102 - told as that of Ledger; so is the one below
        self, key: CursorKey, after_version: int, timeout: float | None = None
    ) -> Cursor | None:
        self._check()
        waiter, until = waiting.for_version(key, after_version), waiting.until(timeout)
        news = await news_of(waker_of(self._ledger), waiter, until)
        if news is None and timeout is not None and timeout < LOOKED_S:
            # The thread that wakes may not have looked yet.
            cursor = await self._readers.run(found, self._ledger, key, 0.0)
            news = cursor if cursor is not None and waiter.is_due(cursor) else None
        return news if isinstance(news, Cursor) else None

    @_told_as(Ledger.wait_for_entries)
    async def wait_for_entries(  # noqa: D102
        self, after: int, timeout: float | None = None
    ) -> int | None:
        self._check()
        waiter, until = waiting.for_entries(after), waiting.until(timeout)
        waker = waker_of(self._ledger)
        while (
            settled := await self._readers.run(settled_at, self._ledger, waiting.left_s(until))
        ) <= waiter.position:
            began = time.monotonic()
            if await news_of(waker, waiter, until) is None:
                return None
            await asyncio.sleep(waiting.rest_s(began, until))
        return settled

    # --- proof ---

    verify = _in_thread(Ledger.verify)
    checkpoint = _in_thread(Ledger.checkpoint)
    sign = _in_thread(Ledger.sign)
    prove = _in_thread(Ledger.prove)
    prove_growth = _in_thread(Ledger.prove_growth)
    evidence = _iterating(Ledger.evidence)
    archive = _in_thread(Ledger.archive)
    tiles = _iterating(Ledger.tiles)
    rebuild = _in_thread(Ledger.rebuild)
    copy_to = _in_thread(Ledger.copy_to)

    # --- life ---

    async def close(self) -> None:
        """Close the ledger, once all that was asked for is answered. Closing twice is fine.

        If this is cancelled, the ledger is closed all the same, by itself; to wait for that, close
        it again.
        """
        if self._guard.forked():
            return  # A child has not inherited the threads.
        if self._readers.has_this_thread():
            raise StorageError(
                "This thread reads from the ledger that it would close, and would wait for itself. "
                "Close it where it was opened."
            )
        self._closed = True
        if in_callback():
            # The event loop runs in a thread that gives answers: there, closing serves the queue.
            self._finish()
            return
        await asyncio.shield(asyncio.wrap_future(in_own_thread(self._finish)))

    async def __aenter__(self) -> Self:
        """Return the ledger itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        await self.close()

    def _check(self) -> None:
        self._guard.check()
        if self._closed:
            raise StorageError("This ledger is closed; open it again.")

    def _finish(self) -> None:
        # Those who wait would not end by themselves. What is read needs the ledger to be open.
        stop_waiting(self._ledger)
        self._readers.close()
        self._ledger.close()


# --- for ledger.testing ---


def close_at_once(book: AsyncLedger) -> None:
    """Close `book` as its `close` does, in this thread, where no event loop runs."""
    book._closed = True
    book._finish()
