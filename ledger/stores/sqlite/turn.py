"""One thread at a time uses a connection; what a signal handler raises cannot leave it locked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import TypeVar

from ledger.errors import LedgerBusyError, StorageError
from ledger.stores.deadline import Deadline

__all__ = ["Turn"]

R = TypeVar("R")
T = TypeVar("T")


class Turn:
    """The right to use the connection that writes.

    It is no queue: callers queue in `ledger.writing`. It is waited for by those who do not come
    from there: a fork, and everybody who reads what is in memory, which has one connection.

    See decision 0009 on why all of it is in `run`, and why this is an RLock: it knows its owner,
    and is taken and released by one instruction each, between which and the next ones no signal
    handler runs.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._lock = threading.RLock()
        self.owner: int | None = None

    def run(self, step: Callable[[T, Deadline], R], given: T, deadline: Deadline) -> R:
        """Run `step` with `given` when no other thread runs any.

        Raises StorageError in a thread that runs some already, LedgerBusyError at the deadline.
        """
        me = get_ident()
        if self.owner == me:
            raise self._within()
        lock = self._lock
        try:
            if not (lock.acquire(False) or lock.acquire(timeout=deadline.left_s)):
                raise self._busy()
            self.owner = me
            return step(given, deadline)
        finally:
            if self.owner == me:
                self.owner = None
            # Only the lock itself knows whether it was taken. Nothing is called before this.
            try:  # noqa: SIM105 - a context manager would be a call
                lock.release()
            except RuntimeError:
                pass

    def take(self, deadline: Deadline) -> None:
        """Take it until `give_back`, where `run` cannot be used.

        Raises StorageError in a thread that has it already, LedgerBusyError at the deadline.
        """
        me = get_ident()
        if self.owner == me:
            raise self._within()
        lock = self._lock
        try:
            if not lock.acquire(timeout=deadline.left_s):
                raise self._busy()
            self.owner = me
        except BaseException:
            if self.owner == me:
                self.owner = None
            try:  # noqa: SIM105 - as in `run`
                lock.release()
            except RuntimeError:
                pass
            raise

    @contextmanager
    def taken(self, deadline: Deadline) -> Iterator[None]:
        """Have it for a block. Raises what `take` raises."""
        self.take(deadline)
        try:
            yield
        finally:
            self.owner = None
            self._lock.release()

    def give_back(self) -> None:
        """Let others have it again."""
        self.owner = None
        self._lock.release()

    def _within(self) -> StorageError:
        return StorageError(
            "This thread is in the middle of a transaction of this ledger, and cannot begin "
            "another before its end: not in the ledger's clock, nor in a signal handler."
        )

    def _busy(self) -> LedgerBusyError:
        return LedgerBusyError(
            f"{self._place} has been written to by another thread for longer than the busy "
            "time-out. Nothing was appended; try again."
        )
