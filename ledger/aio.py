"""The ledger for asyncio: `ledger.aio.open` gives an `AsyncLedger`.

A skin over the same engine. What is written joins the transactions of all other callers; what is
read is read in threads. Nothing in here belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from contextvars import Context, copy_context
from functools import partial, wraps
from itertools import islice
from threading import Thread, get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, cast

import attrs

from ledger import opening
from ledger.consuming.coroutines import AsyncConsumer
from ledger.consuming.failures import note_unrecorded
from ledger.errors import StorageError
from ledger.service import Ledger
from ledger.stores.forks import ForkGuard
from ledger.writing.group_commit import Writer
from ledger.writing.waits import in_callback, refuse_circle

if TYPE_CHECKING:
    from ledger.law.cursor import Cursor, CursorKey
    from ledger.law.requests import Request
    from ledger.writing.commit import Answer, Group
    from ledger.writing.committer import Appender

__all__ = ["AsyncLedger", "open"]

P = ParamSpec("P")
R = TypeVar("R")

THREADS_MAX = 32
PAGE_ROWS = 256


# --- how a method of Ledger becomes one of AsyncLedger ---


def _appending(
    method: Callable[Concatenate[Ledger, P], R],
) -> Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def coroutine(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self._check()
        # Through this appender a method gives the future of what it says it gives.
        return await _settled(cast("Future[R]", method(self._submitting, *args, **kwargs)))

    return coroutine


def _in_thread(
    method: Callable[Concatenate[Ledger, P], R],
) -> Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def coroutine(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._run(method, self._ledger, *args, **kwargs)

    return coroutine


def _iterating(
    method: Callable[Concatenate[Ledger, P], Iterator[R]],
) -> Callable[Concatenate[AsyncLedger, P], AsyncIterator[R]]:
    @wraps(method)
    def iterate(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return self._pages(method(self._ledger, *args, **kwargs))

    return iterate


def _delivering(
    method: Callable[Concatenate[Ledger, P], AbstractContextManager[R]],
) -> Callable[Concatenate[AsyncLedger, P], AbstractAsyncContextManager[R]]:
    @wraps(method)
    @asynccontextmanager
    async def deliver(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        asked: list[Future[Any]] = []
        book = self._ledger.through(partial(_Submitting, heard=asked.append))
        manager = method(book, *args, **kwargs)
        cursor = await self._run(manager.__enter__)

        async def leave(error: Exception | None) -> None:
            self._check()
            # This only asks, so it need not queue for a thread behind those who read at length.
            if error is None:
                manager.__exit__(None, None, None)
            else:
                manager.__exit__(type(error), error, error.__traceback__)
            for future in asked:
                await _settled(future)

        try:
            yield cursor
        except Exception as error:
            try:
                await leave(error)
            except Exception as unrecorded:  # noqa: BLE001 - what the body has raised comes out
                if unrecorded is not error:
                    note_unrecorded(error, unrecorded)
            raise
        await leave(None)

    return deliver


@attrs.frozen
class _Submitting:
    """An Appender that gives the future of the answer in the place of the answer."""

    appender: Appender
    heard: Callable[[Future[Any]], object] = lambda _: None
    """Hears of each future, for callers who do not get the answer."""

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        future = self.submit(groups, conclude, room=False)
        self.heard(future)
        return cast("R", future)

    def submit(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool = True
    ) -> Future[R]:
        return self.appender.submit(groups, conclude, room=room)

    def close(self) -> None:
        self.appender.close()


async def _settled(future: Future[R]) -> R:
    """Give the answer; if this is cancelled too late to withdraw the call, wait for its end."""
    if isinstance(writer := getattr(future, "writer", None), Writer) and not future.done():
        refuse_circle(writer)
    answer = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        if not future.cancel():
            # However often this is cancelled: some frameworks do so until the task has ended.
            while not answer.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([answer])
            if not answer.cancelled():
                answer.exception()  # Nobody else will ask for it.
        raise


def _answer(future: Future[R], work: Callable[[], R]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            future.set_exception(error)


def _in_own_thread(work: Callable[[], R]) -> Future[R]:
    future: Future[R] = Future()
    try:
        Thread(target=_answer, args=(future, work), name="cursor-ledger asyncio").start()
    except RuntimeError as error:
        raise _no_thread(error) from error
    return future


def _close_unwanted(opening: Future[Ledger]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _page(rows: Iterator[R]) -> tuple[list[R], Exception | None]:
    """Give what comes next, and what was raised in the place of more."""
    page: list[R] = []
    try:
        page.extend(islice(rows, PAGE_ROWS))
    except Exception as failure:  # noqa: BLE001 - raised where it would have been read
        return page, failure
    return page, None


def _no_thread(error: RuntimeError) -> StorageError:
    return StorageError(f"No thread could be started: {error}. Nothing was done; try again.")


# --- the ledger ---


class AsyncLedger:
    """A `Ledger` whose methods are coroutines; histories are asynchronous iterators.

    If a call that appends is cancelled, it is withdrawn if its transaction has not begun, or else
    waited for: once the await has ended, the outcome is settled, and `get` tells it. A call that
    was cancelled may so have been appended; one that raised anything else was not. Any other call
    that is cancelled is withdrawn, or comes to its end by itself.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._guard = ForkGuard()
        self._closed = False
        self._ledger = ledger
        # The threads that read just now.
        self._reading: set[int] = set()
        self._submitting = ledger.through(_Submitting)
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="cursor-ledger reader")

    @property
    def immutable(self) -> bool:
        """Whether this user may only read the file, and it was opened as one that stays as it is.

        SQLite then takes no locks, and writes nothing beside the file either. If somebody else
        writes to it all the same, a later call raises StorageError.
        """
        return self._ledger.immutable

    advance = _appending(Ledger.advance)
    reset = _appending(Ledger.reset)
    record_error = _appending(Ledger.record_error)
    append = _appending(Ledger.append)
    append_each = _appending(Ledger.append_each)
    delivering = _delivering(Ledger.delivering)

    async def submit(self, request: Request) -> Cursor:
        """Append `request`, and give the cursor."""
        [cursor] = await self.append((request,))
        return cursor

    def consumer(self, key: CursorKey, *, in_flight: int = 1) -> AsyncConsumer:
        """Return a consumer of `key`; it reads the cursor when it is entered.

        `in_flight` is how many deliveries may be unconfirmed at once, from 1 to 10,000.

        Raises InvalidCursorError.
        """
        return AsyncConsumer(self, key, in_flight=in_flight)

    get = _in_thread(Ledger.get)
    find = _in_thread(Ledger.find)
    cursors = _iterating(Ledger.cursors)
    history = _iterating(Ledger.history)
    entries = _iterating(Ledger.entries)
    horizon = _in_thread(Ledger.horizon)
    identity = _in_thread(Ledger.identity)
    verify = _in_thread(Ledger.verify)
    checkpoint = _in_thread(Ledger.checkpoint)
    rebuild = _in_thread(Ledger.rebuild)
    copy_to = _in_thread(Ledger.copy_to)

    async def close(self) -> None:
        """Close the ledger, once all that was asked for is answered. Closing twice is fine.

        If this is cancelled, the ledger is closed all the same, by itself; to wait for that, close
        it again.
        """
        if self._guard.forked():
            return  # A child has not inherited the threads.
        if get_ident() in self._reading:
            raise StorageError(
                "This thread reads from the ledger that it would close, and would wait for itself. "
                "Close it where it was opened."
            )
        self._closed = True
        if in_callback():
            # Of a loop in a thread that gives answers; whoever closes there is served by itself.
            self._finish()
            return
        await asyncio.shield(asyncio.wrap_future(_in_own_thread(self._finish)))

    async def __aenter__(self) -> Self:
        """Give the ledger itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        await self.close()

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.wrap_future(self._start(work, *args, **kwargs))

    def _start(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self._check()
        future: Future[R] = Future()
        run = partial(self._read, copy_context(), partial(work, *args, **kwargs))
        try:
            self._threads.submit(_answer, future, run)
        except RuntimeError as error:
            # It may be queued all the same, and one of the threads that there are begin with it.
            if future.cancel():
                self._check()  # Another thread may have closed this in between.
                raise _no_thread(error) from error
        return future

    def _read(self, context: Context, work: Callable[[], R]) -> R:
        me = get_ident()
        self._reading.add(me)
        try:
            return context.run(work)
        finally:
            self._reading.discard(me)

    def _check(self) -> None:
        self._guard.check()
        if self._closed:
            raise StorageError("This ledger is closed; open it again.")

    def _finish(self) -> None:
        # What is read needs the ledger to be open.
        self._threads.shutdown()
        self._ledger.close()

    async def _pages(self, rows: Iterator[R]) -> AsyncIterator[R]:
        more = True
        while more:
            page, failure = await self._run(_page, rows)
            for row in page:
                yield row
            if failure is not None:
                raise failure
            more = len(page) == PAGE_ROWS


class _Opening:
    """Opens when it is awaited, or entered."""

    def __init__(self, opened: Callable[[], Ledger]) -> None:
        self._opened = opened
        self._ledger: AsyncLedger | None = None

    async def _open(self) -> AsyncLedger:
        opening = _in_own_thread(self._opened)
        try:
            self._ledger = AsyncLedger(await asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        return self._ledger

    def __await__(self) -> Generator[Any, None, AsyncLedger]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncLedger:
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        if self._ledger is not None:
            await self._ledger.close()


def _opening(opened: Callable[P, Ledger]) -> Callable[P, _Opening]:
    @wraps(opened)
    def opening(*args: P.args, **kwargs: P.kwargs) -> _Opening:
        return _Opening(partial(opened, *args, **kwargs))

    return opening


open = _opening(opening.open)  # noqa: A001 - ledger.aio.open(…) is how it reads
"""Open a ledger, as `ledger.open` does: `async with ledger.aio.open(…) as book`, or await it."""
