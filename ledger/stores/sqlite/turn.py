"""Whose turn it is to write, among the threads of a process."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from threading import get_ident

from ledger.errors import LedgerBusyError, StorageError

__all__ = ["Turn"]

LOOK_AGAIN_S = 0.2


class Turn:
    """A lock that an exception out of a handler of signals cannot leave with nobody.

    That may come between any two calls of the main thread; also between getting a lock and taking
    note of it. So whose turn it is is a mere value. Whoever takes it has entered a `finally` before
    in which, if he is the `owner` by then, he sets it to None, and only then calls `wake`.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = threading.RLock()
        self._free = threading.Condition(self._lock)
        self.owner: int | None = None
        # Until when each waits, and who he is.
        self._waiting: deque[tuple[float, int]] = deque()

    def refuse_within(self) -> None:
        """Refuse a thread that has it already.

        Raises StorageError.
        """
        if self.owner == get_ident():
            raise StorageError(
                "This thread is in the middle of a transaction of this ledger, and cannot begin "
                "another before its end: not in the ledger's clock, nor in a handler of signals."
            )

    def take(self, timeout_s: float, until: float | None = None) -> float | None:
        """Take it, once it is free and those who came before have had it.

        Return until when its owner may go on waiting for others; None if it has not waited yet.

        Raises LedgerBusyError after `timeout_s` seconds, or when it is `until`.
        """
        with self._lock:
            if self.owner is not None or self._waiting:
                if until is None:
                    until = time.monotonic() + timeout_s
                self._wait(until)
            self.owner = get_ident()
            return until

    def take_if_free(self) -> bool:
        """Take it if nobody has it; say whether it was taken."""
        with self._lock:
            if self.owner is None:
                self.owner = get_ident()
                return True
            return False

    def wake(self) -> None:
        """Let the next one have it."""
        # Who comes behind this look finds it free by himself.
        if self._waiting:
            with self._lock:
                self._free.notify_all()

    def _wait(self, until: float) -> None:
        mine = (until, get_ident())
        self._waiting.append(mine)
        try:
            while self.owner is not None or self._waiting[0] != mine:
                now = time.monotonic()
                if now >= until:
                    raise LedgerBusyError(
                        f"{self._place} is being written to by another thread, longer than the "
                        "busy time-out. Nothing was appended; try again."
                    )
                if now > self._waiting[0][0]:
                    self._waiting.popleft()  # It was interrupted, and will never come.
                # Now and then without being told to, for who should have told may have been, too.
                self._free.wait(min(until - now, LOOK_AGAIN_S))
        finally:
            # Another may have taken this for one that was interrupted.
            with suppress(ValueError):
                self._waiting.remove(mine)
