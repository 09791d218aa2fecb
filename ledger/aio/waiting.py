"""How a coroutine waits for a cursor to move: without a thread of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf

from ledger.law.cursor import Cursor
from ledger.waking.waiters import News, Waiter
from ledger.waking.waiting import left_s
from ledger.waking.waker import Waker, good

__all__ = ["news_of"]


async def news_of(waker: Waker, waiter: Waiter, moment: float) -> Cursor | int | None:
    """Return what `waiter` is told; None after `moment`.

    Raises StorageError if the ledger is closed, or cannot be read any more.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Future[News] = loop.create_future()

    def answer(news: News) -> None:
        if not told.done():
            told.set_result(news)

    def tell(news: News) -> None:
        # The loop may be closed by now, and nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(answer, news)

    try:
        waker.watch(waiter, tell)
        async with asyncio.timeout(None if moment == inf else left_s(moment)):
            return good(await told)
    except TimeoutError:
        return None
    finally:
        waiter.has_left = True
        waker.waiters.remove(waiter)
