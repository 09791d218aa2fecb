"""The thread that wakes all who wait for one ledger."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ledger.errors import LedgerBusyError, LedgerError, StorageError
from ledger.law import fields
from ledger.stores.bell import Bell
from ledger.waking.polling import listening_to
from ledger.waking.waiters import News, Waiter, Waiters

if TYPE_CHECKING:
    from ledger.law.cursor import Cursor, CursorKey
    from ledger.stores import Listening, Reader
    from ledger.stores.forks import ForkGuard

__all__ = ["Waker", "good"]

IDLE_S = 1.0
"""After this time without waiters, the thread exits, and its connection is closed."""

APART_S = 0.001
"""Two looks are at least this far apart, however often the thread is told."""

REST_MAX_S = 0.25
"""A look that took long is followed by a rest four times as long, up to this."""

CLOSE_S = 1.0
"""How long `close` waits for the thread, which may be connecting to a server."""


class Waker:
    """Wakes who waits for cursors of one ledger. Safe to use from many threads.

    Its thread starts when somebody waits. It is a daemon, because a program may end while a thread
    of its own still waits.
    """

    def __init__(self, store: Reader, guard: ForkGuard, *, is_closed: bool = False) -> None:
        self._store = store
        self._guard = guard
        self.is_closed = is_closed
        self.thread: threading.Thread | None = None
        """None unless somebody waits, or did so a moment ago."""
        self._listening: Listening | None = None
        # Looked at by themselves: a waiter is new, or a call of this process has appended.
        self._fresh: deque[CursorKey] = deque()
        self.waiters = Waiters()

    def tell(self, keys: Iterable[CursorKey]) -> None:
        """Take note that entries of `keys` were committed by this process."""
        wanted = self.waiters.wanted(keys)
        self._fresh.extend(wanted)
        if wanted or self.waiters.for_the_log:
            self._ring()

    def wait(self, waiter: Waiter, timeout: float | None) -> Cursor | int | None:
        """Wait in this thread; return the news, or None after `timeout` seconds.

        Raises StorageError if the ledger is closed, or cannot be read any more.
        """
        bell = Bell()
        told: list[News] = []

        def tell(news: News) -> None:
            told.append(news)
            bell.ring()

        try:
            self.watch(waiter, tell)
            bell.wait(timeout)
        finally:
            waiter.has_left = True
            self.waiters.remove(waiter)
        return good(told[0]) if told else None

    def watch(self, waiter: Waiter, tell: Callable[[News], None]) -> None:
        """Have `tell` called once, in the waker's thread, unless `waiters.remove` comes first.

        Raises StorageError if the ledger is closed, or no thread can be started.
        """
        self._guard.check()
        waiter.tell = tell
        with self.waiters.lock:
            if self.is_closed:
                raise StorageError("This ledger is closed; open it again.")
            self.waiters.add(waiter)
            if waiter.key is not None:
                self._fresh.append(waiter.key)
            try:
                self._start()
            except BaseException:
                self.waiters.remove(waiter)
                raise
        self._ring()

    def close(self) -> None:
        """Tell all who wait that the ledger is closed, and end the thread."""
        if self._guard.forked():
            return
        with self.waiters.lock:
            self.is_closed = True
            thread = self.thread
        self.waiters.fail(
            StorageError("The ledger was closed while this waited for a cursor to move.")
        )
        self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_S)

    # --- the thread ---

    def _start(self) -> None:
        if self.thread is not None:
            return
        listening = self._listening = listening_to(self._store)
        thread = threading.Thread(
            target=self._serve, args=(listening,), name="cursor-ledger waker", daemon=True
        )
        self.thread = thread
        try:
            thread.start()
        except BaseException as error:
            self.thread = None
            listening.close()
            if isinstance(error, RuntimeError):
                raise StorageError(
                    f"No thread could be started to wait in: {error}. Try again."
                ) from error
            raise

    def _ring(self) -> None:
        if (listening := self._listening) is not None:
            listening.interrupt()

    def _serve(self, listening: Listening) -> None:
        idle_since: float | None = None
        try:
            while True:
                began = time.monotonic()
                self.waiters.remove_left()
                if self.waiters:
                    idle_since = None
                    self._look(listening)
                elif idle_since is None:
                    idle_since = began
                if self._ends(idle_since, began):
                    return
                took = time.monotonic() - began
                if took < APART_S:
                    time.sleep(APART_S - took)
                listening.pause(self._pause_s(listening, took))
        finally:
            with self.waiters.lock:
                if self.thread is threading.current_thread():
                    self.thread = None
            listening.close()

    def _ends(self, idle_since: float | None, now: float) -> bool:
        with self.waiters.lock:
            idle = idle_since is not None and now - idle_since >= IDLE_S and not self.waiters
            if self.is_closed or idle:
                # In one step with the look for waiters: the next one starts another thread.
                self.thread = None
                return True
        return False

    def _pause_s(self, listening: Listening, took: float) -> float:
        if not self.waiters:
            return IDLE_S
        lazily = self.waiters.only_for_resets
        rest_s = listening.resets_s if lazily else listening.entries_s
        return max(rest_s, min(4 * took, REST_MAX_S))

    def _look(self, listening: Listening) -> None:
        fresh: set[CursorKey] = set()
        while self._fresh:
            fresh.add(self._fresh.popleft())
        try:
            for cursor in listening.moved(self.waiters.seen(), fresh):
                self.waiters.moved(cursor)
            if self.waiters.for_the_log:
                self.waiters.appended(listening.last())
        except LedgerBusyError as error:
            self._fresh.extend(fresh)
            # Only a failure needs it.
            from ledger import notices

            notices.LOOK_PUT_OFF.report(cause=error)
        except LedgerError as error:
            self.waiters.fail(error)
        except BaseException as error:
            self.waiters.fail(StorageError(f"Waiting has failed: {fields.shown(error)}."))
            raise


def good(news: News) -> Cursor | int:
    """Return the news if they are good, and raise them if they are not."""
    if isinstance(news, LedgerError):
        # An error of its own for each waiter: where it is raised, it is given a traceback.
        try:
            own = copy.copy(news)
        except Exception:  # noqa: BLE001 - that of a store of somebody else may refuse to be copied
            own = news
        raise own from news
    return news
