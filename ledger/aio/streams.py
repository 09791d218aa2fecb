"""What a coroutine reads a page at a time, while a thread goes on with it page by page."""

from __future__ import annotations

import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from ledger import service
from ledger.aio.futures import settled
from ledger.aio.readers import Readers
from ledger.consuming.callables import check_doing, refuse_undone
from ledger.errors import StorageError
from ledger.service import Ledger
from ledger.stores.stopping import Stop

__all__ = ["PAGE_ROWS", "PAGE_S", "PLAIN", "Stream", "run_in_thread"]

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R")

PLAIN = "Pass a plain function: it is called in a thread, with the ledger for threads."

PAGE_ROWS = 256
"""At most this many rows are read ahead."""

PAGE_S = 0.05
"""A page is handed over after so long, if there is anything in it."""


class Stream(AsyncIterator[T], Generic[T]):
    """What is read in a thread, a page at a time, as it is asked for.

    `AsyncLedger.history`, `entries`, `cursors` and `stream` return one; use it with `async for`.
    At most 256 rows are read ahead. Between two pages no thread is held, and no connection. Where
    the loop is left early, or its task cancelled, the thread stops at the next row, and what it
    iterated is closed: at once if the task is cancelled or `aclose` awaited, else when the stream
    is dropped.

    >>> import asyncio, ledger.aio
    >>> async def main() -> list[int]:
    ...     key = ledger.CursorKey("webhooks", "orders")
    ...     async with ledger.aio.open(":memory:") as book:
    ...         cursors = [await book.advance(key, to=to) for to in (41, 44)]
    ...         stream = book.history(key)
    ...         return [entry.event.sequence async for entry in stream]
    >>> asyncio.run(main())
    [41, 44]
    """

    def __init__(
        self, readers: Readers, ledger: Ledger, work: Callable[[Ledger], Iterable[T]]
    ) -> None:
        self._readers = readers
        self._ledger = ledger
        self._work = work
        self._pages: AsyncGenerator[T, None] | None = None

    def __aiter__(self) -> Stream[T]:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> T:
        """Return the next row."""
        if self._pages is None:
            self._pages = self._read()
        return await anext(self._pages)

    async def aclose(self) -> None:
        """Read no further, and close what was iterated."""
        if self._pages is None:
            self._pages = self._read()
        await self._pages.aclose()

    def through(self, view: Callable[[Iterator[T]], Iterable[U]]) -> Stream[U]:
        """Return the stream of what `view` makes of the rows, in the thread that reads them.

        The rows do not come here: `view` is called with a plain iterator of them.

        >>> import asyncio, ledger.aio
        >>> async def main() -> list[int]:
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:") as book:
        ...         cursor = await book.advance(key, to=41)
        ...         stream = book.history(key).through(lambda entries: map(str, entries))
        ...         return [len(text) > 0 async for text in stream]
        >>> asyncio.run(main())
        [True]
        """
        work = self._work
        return Stream(self._readers, self._ledger, lambda book: view(iter(work(book))))

    async def into(self, fold: Callable[[Iterator[T]], R]) -> R:
        """Return what `fold` makes of all rows, in the thread that reads them.

        >>> import asyncio, ledger.aio
        >>> async def main() -> int:
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:") as book:
        ...         cursors = [await book.advance(key, to=to) for to in (41, 44)]
        ...         return await book.history(key).into(lambda entries: sum(1 for _ in entries))
        >>> asyncio.run(main())
        2
        """
        work = self._work
        check_doing(fold, "fold", PLAIN, yields=True)
        return await run_in_thread(
            self._readers, self._ledger, lambda book: fold(iter(work(book))), "fold"
        )

    async def _read(self) -> AsyncGenerator[T, None]:
        stop = Stop()
        pages = _Pages(self._work, partial(service.stoppable, self._ledger, stop))
        try:
            while not pages.ended:
                page, failure = await settled(self._readers.start(pages.next), stop.set)
                for row in page:
                    yield row
                if failure is not None:
                    raise failure
        finally:
            if not pages.ended:
                stop.set()
                await self._closed(pages)

    async def _closed(self, pages: _Pages[T]) -> None:
        """Close what was iterated: in a thread, because it may do more than let go."""
        try:
            closing = self._readers.start(pages.close)
        except StorageError:
            pages.close()  # The ledger is closed, and reads no more.
            return
        await settled(closing)


class _Pages(Generic[T]):
    """The rows of one iteration, page by page, in one thread at a time."""

    def __init__(self, work: Callable[[Ledger], Iterable[T]], book: Callable[[], Ledger]) -> None:
        # In the thread, because a lazy ledger may be opened there.
        self._begin: Callable[[], Iterable[T]] = lambda: work(book())
        self._rows: Iterator[T] | None = None
        self.ended = False

    def next(self) -> tuple[list[T], Exception | None]:
        """Return the next rows, and what was raised in place of more."""
        page: list[T] = []
        until = time.monotonic() + PAGE_S
        try:
            if self._rows is None:
                self._rows = iter(self._begin())
            for row in self._rows:
                page.append(row)
                if len(page) == PAGE_ROWS or time.monotonic() > until:
                    return page, None
        except Exception as failure:  # noqa: BLE001 - raised where it would have been read
            self.ended = True
            return page, failure
        self.ended = True
        return page, None

    def close(self) -> None:
        """Close the iterator."""
        if isinstance(self._rows, Generator):
            with suppress(Exception):
                self._rows.close()
        self.ended = True


async def run_in_thread(
    readers: Readers, ledger: Ledger, work: Callable[[Ledger], R], name: str
) -> R:
    """Return what `work` makes of the ledger, in a thread; if this is cancelled, its reading ends.

    What it appends is waited for. A coroutine is refused under the `name` of what returned it.
    """
    stop = Stop()

    def done() -> R:
        answer = work(service.stoppable(ledger, stop))
        if isinstance(answer, Coroutine):
            refuse_undone(answer, name, PLAIN)
        return answer

    return await settled(readers.start(done), stop.set)
