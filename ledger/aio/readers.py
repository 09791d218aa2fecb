"""The threads that read for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from threading import get_ident
from typing import ParamSpec, TypeVar

from ledger.aio.futures import answer, no_thread

__all__ = ["THREADS_MAX", "Readers"]

P = ParamSpec("P")
R = TypeVar("R")

THREADS_MAX = 32


class Readers:
    """At most `THREADS_MAX` threads; `check` raises if the ledger that they read is closed."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        # The threads that are reading at this moment.
        self._reading: set[int] = set()
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="cursor-ledger reader")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `work` returns in one of the threads, in a copy of this context."""
        return await asyncio.wrap_future(self.start(partial(work, *args, **kwargs)))

    def start(self, work: Callable[[], R]) -> Future[R]:
        """Return the future of what `work` returns in one of the threads."""
        self._check()
        future: Future[R] = Future()
        try:
            self._threads.submit(answer, future, partial(self._read, copy_context(), work))
        except RuntimeError as error:
            # The pool may have queued it before it failed, and a thread of it may have begun.
            if future.cancel():
                self._check()  # Another thread may have closed the ledger in between.
                raise no_thread(error) from error
        return future

    def has_this_thread(self) -> bool:
        """Return whether this thread is one of them, and reading."""
        return get_ident() in self._reading

    def close(self) -> None:
        """Wait until all that was asked for has been read."""
        self._threads.shutdown()

    def _read(self, context: Context, work: Callable[[], R]) -> R:
        me = get_ident()
        self._reading.add(me)
        try:
            return context.run(work)
        finally:
            self._reading.discard(me)
