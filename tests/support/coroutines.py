"""Tests in event loops of their own, and ledgers whose threads are all busy."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from ledger.aio import AsyncLedger


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own, in which nothing may block or be left behind."""

    async def watched(*args: Any, **kwargs: Any) -> None:
        complaints: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        await test(*args, **kwargs)
        # A future that is dropped with an exception that nobody asked for complains as it goes.
        gc.collect()
        assert complaints == []

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(watched(*args, **kwargs), debug=True)

    return run


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Refuse threads as the system does that has no more memory for them."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


@contextmanager
def reading_held_up(book: AsyncLedger) -> Iterator[Callable[[], Future[bool]]]:
    """Yield a function that keeps one more reading thread busy, until the end, or for 5 s."""
    over = threading.Event()
    try:
        yield lambda: book._readers.start(partial(over.wait, 5))
    finally:
        over.set()


async def read_on(history: AsyncIterator[object]) -> int:
    return len([entry async for entry in history])
