"""What only one thread of a consumer does at a time, and what an interrupt leaves to the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import get_ident
from typing import TypeVar

__all__ = ["OneAtATime"]

R = TypeVar("R")


class OneAtATime:
    """Runs steps, of which only one may run at a time.

    See decision 0009 on why all of it is in `run`, and why this is an RLock: it knows its owner,
    and is taken and released by one instruction each.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner: int | None = None

    def run(self, step: Callable[[], R], missed: Callable[[], R], *, waits: bool) -> R:
        """Return what `step` returns, once no other thread runs one.

        Return what `missed` returns if this thread is in the middle of a step or, unless this
        `waits`, another thread is.
        """
        me = get_ident()
        if self._owner == me:
            return missed()
        lock = self._lock
        try:
            if not lock.acquire(waits):
                return missed()
            self._owner = me
            return step()
        finally:
            if self._owner == me:
                self._owner = None
            # Only the lock itself knows whether it was taken. Nothing is called before this.
            try:  # noqa: SIM105 - a context manager would be a call
                lock.release()
            except RuntimeError:
                pass
