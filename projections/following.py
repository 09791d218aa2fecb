"""Entries as they are appended."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING

import attrs

from ledger import Entry, EntryQuery, Ledger
from ledger.errors import invalid
from ledger.law import fields
from ledger.service.waiting import told_of_entries
from projections.coroutines import awaiting, blocking
from projections.cursors import last_position

if TYPE_CHECKING:
    import asyncio

    from ledger.aio import AsyncLedger

__all__ = ["POLL_S", "afollow", "follow", "pause_between_polls", "rests"]

POLL_S = 0.25

STOP_S = 0.05
"""The seconds after which one that waits for entries looks whether it was stopped."""

APART_S = 0.025
"""The least number of seconds between two looks at the log."""


def follow(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    after: int = 0,
    poll_s: float = POLL_S,
    stop: threading.Event | None = None,
) -> Iterator[Entry]:
    """Yield the entries that `query` chooses after position `after`, then each as it is appended.

    Ends once `stop` is set, else never. It is woken when an entry is appended, and looks at the log
    every `poll_s` seconds besides, from 0.001 to 3,600. Order and limit of `query` do not count.

    `book` is the ledger.

    Raises InvalidCursorError.

    >>> import threading
    >>> import ledger
    >>> from projections import follow
    >>> stop = threading.Event()
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     for entry in follow(book, stop=stop):
    ...         print(entry.position, entry.event.sequence)
    ...         stop.set()
    1 41
    """
    blocking(book, "async for entry in afollow(book)")
    position = fields.sequence(after, "after", least=0)
    pause = pause_between_polls(poll_s)
    over = stop or threading.Event()
    chosen = query or EntryQuery()
    while True:
        until = last_position(book)
        if until > position:
            yield from book.entries(_part(chosen, position, until))
            position = until
        if rests(book, position, pause, over):
            return


async def afollow(
    book: AsyncLedger,
    query: EntryQuery | None = None,
    *,
    after: int = 0,
    poll_s: float = POLL_S,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[Entry, None]:
    """Yield the entries that `query` chooses after position `after`, then each as it is appended.

    What `follow` does, for asyncio: `stop` is an `asyncio.Event`. No thread is held while there is
    nothing new. Cancel its task, or close it, at any time.

    `book` is the ledger. It looks at the log every `poll_s` seconds, from 0.001 to 3,600, besides.

    Raises InvalidCursorError.

    >>> import asyncio, ledger.aio
    >>> from projections import afollow
    >>> async def main() -> None:
    ...     stop = asyncio.Event()
    ...     async with ledger.aio.open(":memory:") as book:
    ...         cursor = await book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...         async for entry in afollow(book, stop=stop):
    ...             print(entry.position, entry.event.sequence)
    ...             stop.set()
    >>> asyncio.run(main())
    1 41
    """
    awaiting(book, "follow(book)")
    # Imported here, because follow does without it, and it takes 20 ms.
    import asyncio
    from contextlib import aclosing

    position = fields.sequence(after, "after", least=0)
    pause = pause_between_polls(poll_s)
    over = stop or asyncio.Event()
    chosen = query or EntryQuery()
    until = (await book.horizon()).position
    while True:
        if until > position:
            async with aclosing(book.entries(_part(chosen, position, until))) as entries:
                async for entry in entries:
                    yield entry
            position = until
        if over.is_set():
            return
        tasks = [
            asyncio.ensure_future(book.wait_for_entries(position, pause)),
            asyncio.ensure_future(over.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            until = (tasks[0].result() if tasks[0].done() else None) or position
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _part(chosen: EntryQuery, after: int, until: int) -> EntryQuery:
    """Return the query for what is chosen after `after`, up to `until`."""
    return attrs.evolve(
        chosen,
        newest_first=False,
        limit=0,
        position_from=max(after + 1, chosen.position_from or 0),
        position_until=min(until, chosen.position_until or until),
    )


def rests(book: Ledger, position: int, pause_s: float, stop: threading.Event) -> bool:
    """Wait for an entry beyond `position`, `pause_s` at most; return whether `stop` is set.

    An entry that is not settled yet ends the wait as well, so it takes no less than 25 ms.
    """
    began = time.monotonic()
    news = threading.Event()
    with told_of_entries(book, position, news.set) as tells:
        while tells and not news.is_set() and not stop.is_set():
            left_s = began + pause_s - time.monotonic()
            if left_s <= 0:
                break
            news.wait(min(left_s, STOP_S))
    rest_s = min(pause_s, APART_S) if tells else pause_s
    return stop.wait(max(0.0, began + rest_s - time.monotonic()))


def pause_between_polls(poll_s: object) -> float:
    """Return `poll_s` if it is from 0.001 to 3,600 seconds. Raises InvalidCursorError."""
    if (
        not isinstance(poll_s, int | float)
        or isinstance(poll_s, bool)
        or not 0.001 <= poll_s <= 3_600
    ):
        raise invalid("poll_s", f"must be from 0.001 to 3600 seconds, not {poll_s!r:.80}.")
    return float(poll_s)
