"""The waker of a ledger: it is made when somebody first waits."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from ledger.stores.forks import ForkGuard

if TYPE_CHECKING:
    from ledger.stores import Reader
    from ledger.waking.waker import Waker

__all__ = ["Waking"]


class Waking:
    """The place of a waker. Most programs never wait, and need not import what that takes."""

    __slots__ = ("_guard", "_is_closed", "_lock", "_store", "waker")

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._guard = ForkGuard()
        self._lock = RLock()
        self._is_closed = False
        self.waker: Waker | None = None
        """None if nobody has waited yet."""

    def get(self) -> Waker:
        """Return the waker.

        Raises StorageError in a child, where a thread that it does not have may hold the lock.
        """
        self._guard.check()
        if self.waker is None:
            from ledger.waking.waker import Waker

            with self._lock:
                if self.waker is None:
                    self.waker = Waker(self._store, self._guard, is_closed=self._is_closed)
        return self.waker

    def close(self) -> None:
        """Tell all who wait that the ledger is closed."""
        self._is_closed = True
        if self.waker is not None:
            self.waker.close()
