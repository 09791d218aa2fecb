"""One ledger a process: opened when it is first used, and anew after a fork."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from ledger.errors import LedgerError, StorageError
from ledger.service import Ledger
from ledger.writing.committer import Appender

if TYPE_CHECKING:
    from ledger.stores.lending import Lendable

__all__ = ["LazyLedger", "PerProcess"]


class PerProcess:
    """What `opened` returns, once in each process, and closed when the process exits.

    Where it is `shared`, each process that opens it has the same log.
    """

    def __init__(self, opened: Callable[[], Ledger], *, shared: bool) -> None:
        self._opened = opened
        self._shared = shared
        self._closed = False
        self._ledger: Ledger | None = None
        self._lost = False
        self._is_opening = False
        self._one_opens = threading.RLock()
        # What a parent had opened is kept in its child: if it were collected there, its connections
        # would be closed, which are those of the parent.
        self._inherited: list[Ledger] = []
        _all.add(self)

    @property
    def is_open(self) -> bool:
        """Whether this process has opened it."""
        return self._ledger is not None

    def get(self) -> Ledger:
        """Return the ledger of this process; the first call opens it.

        Raises what opening raises, and StorageError if this process has closed it, or to a signal
        handler that has interrupted the opening.
        """
        if (ledger := self._ledger) is not None:
            return ledger
        with self._one_opens:
            self.refuse_closed()
            if self._lost:
                raise StorageError(
                    "This ledger is in the memory of the process that this one was forked from. "
                    "Use a file or PostgreSQL, which processes share."
                )
            # The lock lets a signal handler in, which runs in its thread. A second ledger,
            # opened by the handler, would be forgotten, with all that it acknowledged.
            if self._is_opening:
                raise StorageError(
                    "This thread is in the middle of opening this ledger, which this call, "
                    "perhaps of a signal handler, has interrupted. Call when it is open."
                )
            try:
                self._is_opening = True
                if self._ledger is None:
                    self._ledger = self._opened()
            finally:
                self._is_opening = False
            return self._ledger

    def refuse_closed(self) -> None:
        """Refuse to go on if this process has closed it.

        Raises StorageError.
        """
        if self._closed:
            raise StorageError(
                "This ledger was closed in this process, which does not open it again. Make "
                "another one with ledger.lazy, or close it only when the process ends."
            )

    def close(self) -> None:
        """Close what this process has opened; it opens nothing more."""
        with self._one_opens:
            self._closed = True
            if self._ledger is not None:
                self._ledger.close()

    def forget(self) -> None:
        """Begin anew, in a child: no other thread of the parent lives on in it."""
        if self._ledger is not None:
            self._inherited.append(self._ledger)
            self._lost = not self._shared
        self._ledger = None
        self._closed = self._is_opening = False
        # Another thread of the parent may have held it.
        self._one_opens = threading.RLock()


_all: weakref.WeakSet[PerProcess] = weakref.WeakSet()


def _in_child() -> None:
    for each in list(_all):
        each.forget()


def _close_at_exit() -> None:
    for each in list(_all):
        # The process ends; what was answered is safe, and nobody is there to hear of the rest.
        with suppress(LedgerError):
            each.close()


os.register_at_fork(after_in_child=_in_child)
# The threads of the program have ended by then. A child of multiprocessing calls nothing then, and
# need not: the thread that commits ends before it, and what was accepted is committed.
atexit.register(_close_at_exit)


class Opening(Protocol):
    """What has a ledger for each process."""

    def get(self) -> Ledger:
        """Return the ledger of this process; the first call opens it."""

    def refuse_closed(self) -> None:
        """Refuse to go on if this process has closed it."""

    def close(self) -> None:
        """Close what this process has opened."""


class _Through:
    """The same, with the way it appends wrapped."""

    def __init__(self, process: Opening, wrap: Callable[[Appender], Appender]) -> None:
        self._process = process
        self._wrap = wrap
        self._made: tuple[Ledger, Ledger] | None = None
        self.refuse_closed = process.refuse_closed
        self.close = process.close

    def get(self) -> Ledger:
        ledger = self._process.get()
        if self._made is None or self._made[0] is not ledger:
            self._made = ledger, ledger.through(self._wrap)
        return self._made[1]


class LazyLedger(Ledger):
    """A Ledger whose parts are those of the ledger that this process has opened."""

    # The one place that inherits: what takes a Ledger asks for one, and everything that a Ledger
    # does is done by its methods, on parts that are looked up here.

    def __init__(self, process: Opening, again: Callable[[], Ledger]) -> None:
        self._process = process
        self._again = again

    def through(self, wrap: Callable[[Appender], Appender]) -> Ledger:
        """Return the same ledger, lazy as well, with the way it appends wrapped."""
        return LazyLedger(_Through(self._process, wrap), lambda: self._again().through(wrap))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Return what this object does not have by itself: a part of the ledger."""
            if name.startswith("__") or "_process" not in vars(self):
                raise AttributeError(name)
            return getattr(self._process.get(), name)

    def using(self, connection: Lendable) -> Ledger:
        """Return this ledger inside the transaction of a caller, as `Ledger.using` does."""
        # A ledger that is closed would lend, because that takes none of its connections.
        self._process.refuse_closed()
        return super().using(connection)

    def close(self) -> None:
        """Close what this process has opened; later calls are refused. Closing twice is fine."""
        self._process.close()

    def __reduce__(self) -> tuple[Callable[[], Ledger], tuple[()]]:
        """Be opened again, lazily, where it is unpickled."""
        return self._again, ()
