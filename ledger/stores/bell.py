"""What one thread waits for and any other can ring, also a signal handler."""

from __future__ import annotations

from contextlib import suppress
from threading import TIMEOUT_MAX, Lock

__all__ = ["Bell"]


class Bell:
    """Ends one wait, however often it was rung. If it was rung before the wait, that ends at once.

    It is a bare lock, because an interrupt can leave an `Event` half taken, and no lock.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """End the wait, or the next one."""
        with suppress(RuntimeError):  # It has been rung already.
            self._lock.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait for it, without end if `seconds` is None; return whether it was rung."""
        if seconds is None:
            return self._lock.acquire()
        return self._lock.acquire(timeout=min(max(seconds, 0), TIMEOUT_MAX))
