"""Group commit: callers share transactions, and with them the flush of the disk that each costs.

A caller who is alone commits by itself. Those who come while somebody commits are queued; then one
thread takes as many of them as there are, commits them together, and answers each.
"""

from __future__ import annotations

import copy
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from ledger.errors import LedgerBusyError, StorageError
from ledger.stores.forks import ForkGuard
from ledger.writing.calls import Call, Queue, Slot
from ledger.writing.commit import Answer, Group
from ledger.writing.committer import Committer, may_be_committed
from ledger.writing.waits import answering, refuse_circle, waiting_for

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["BATCH_SIZE_MAX", "QUEUE_LENGTH_MAX", "Writer"]

R = TypeVar("R")

BATCH_SIZE_MAX = 512
"""So many requests share a transaction at most; a call with more of them has one to itself."""

QUEUE_LENGTH_MAX = 2_048
"""So many calls are queued at most before one that is submitted has to wait for room."""

# Then the thread ends, until it is wanted again. It is no daemon, so that a program which ends
# without closing its ledger loses nothing, and it is what such a program may have to wait for.
IDLE_S = 0.2

# So often a call is tried again whose cursors were held by somebody else.
TRY_AGAIN_S = 0.02


@cache
def _future_type() -> Callable[[Writer], Future[Any]]:
    # Imported here, for it takes 5 ms, and who waits for every answer never needs it.
    from concurrent.futures import Future

    class Submitted(Future[Any]):
        """A future that a thread cannot wait for which would have to answer it."""

        def __init__(self, writer: Writer) -> None:
            super().__init__()
            self.writer = writer

        def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - of any call
            if timeout is not None or self.done():
                return super().result(timeout)
            with waiting_for(self.writer):
                return super().result()

        def exception(self, timeout: float | None = None) -> BaseException | None:
            if timeout is not None or self.done():
                return super().exception(timeout)
            with waiting_for(self.writer):
                return super().exception()

        @property
        def _waiters(self) -> list[Any]:
            """Those who wait by `wait` and `as_completed`: they ask for this to be added to it."""
            if not self.done():
                refuse_circle(self.writer)
            return self._others

        @_waiters.setter
        def _waiters(self, waiters: list[Any]) -> None:
            self._others = waiters

    return Submitted


class Writer:
    """An Appender that commits the calls of many threads together, in the order in which they come.

    What the law refuses in one call does not touch the others; a failure of the commit is told to
    every caller in it. A call that is accepted is always answered.

    Where those who write at the same time do not keep each other waiting, as on a server, callers
    who wait commit `apart`, as many as there are; only what is submitted shares transactions.

    A handler of signals may run between any two steps of the main thread, and may call in here, or
    raise. So the lock can be taken again by the thread that has it; and whoever takes something is
    already where it will be given back.
    """

    def __init__(
        self,
        committer: Committer,
        *,
        busy_timeout_s: float,
        apart: bool = False,
        batch_size_max: int = BATCH_SIZE_MAX,
        queue_length_max: int = QUEUE_LENGTH_MAX,
    ) -> None:
        self._committer = committer
        self._busy_timeout_s = busy_timeout_s
        self._batch_size_max = batch_size_max
        self._queue_length_max = queue_length_max
        self._apart = apart
        self._guard = ForkGuard()
        # What follows is only touched under this lock, and nothing slow is done under it.
        self._lock = threading.RLock()
        self._wanted = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._queue = Queue()
        self._closed = False
        # The thread that serves the queue, while it commits; and callers who commit alone.
        self._thread: threading.Thread | None = None
        self._committing: int | None = None
        self._alone: set[int] = set()
        # Since when nothing could be committed, because others were in the way.
        self._busy_since: float | None = None
        # Then the thread that serves has committed, and runs what its callers have left with it.
        self._telling = False

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and give what `conclude` makes of the answers, once they are safe.

        Raises LedgerBusyError after the busy time-out in the queue.
        """
        self._guard.check()
        me = get_ident()
        if self._committing == me or me in self._alone:
            return self._append_within(groups, conclude)
        alone = here = told = False
        until = 0.0
        slot: Slot[R] | None = None
        results: list[R] = []
        failure: BaseException | None = None
        try:
            try:
                with self._lock:
                    self._refuse_closed()
                    if self._is_free() and not self._queue:
                        alone = True
                        self._alone.add(me)
                    else:
                        slot = Slot()
                        asked_at = time.monotonic()
                        until = asked_at + self._busy_timeout_s
                        here = self._enqueue(Call(groups, conclude, slot, asked_at, until))
                if slot is None:
                    results.append(self._committer.append(groups, conclude))
                    self._busy_since = None
                else:
                    self._wait(slot, until, here=here)
                    results, failure = slot.results, slot.error
                told = True
            finally:
                if alone:
                    # Before anything that could be interrupted: whoever waits for it looks again.
                    self._alone.discard(me)
                    with self._lock:
                        self._go_on()
        except BaseException as interrupt:
            if slot is None and isinstance(interrupt, LedgerBusyError):
                self._note_busy()
            if told or (slot is not None and not self._withdraw(slot)):
                may_be_committed(interrupt)
            raise
        # No call from here on: nothing can interrupt that would not say that it came too late.
        if failure is not None:
            raise failure
        return results[0]

    def submit(
        self,
        groups: Sequence[Group],
        conclude: Callable[[list[Answer]], R],
        *,
        room: bool = True,
    ) -> Future[R]:
        """Queue `groups`, and give the future of what `append` would give.

        Raises LedgerBusyError if there is no room within the busy time-out.
        """
        self._guard.check()
        future: Future[R] = _future_type()(self)
        with self._lock:
            if room and not self._has_room():
                self._wait_for_room()
            self._refuse_closed()
            here = self._enqueue(Call(groups, conclude, future, time.monotonic()))
        if here:
            self._serve(stay=False)
        return future

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered.

        Raises StorageError in a callback that what is waited for waits for; it stays open then.
        """
        if self._guard.forked():
            return
        me = get_ident()
        if me in self.busy_threads():
            self._refuse_more()
            if self._committing == me and self._telling:
                self._serve_within()
            return
        with waiting_for(self), self._lock:
            self._refuse_more()
            while not self._progress.wait_for(self._settled, IDLE_S):
                pass

    def busy_threads(self) -> set[int]:
        """Return the threads that commit, or tell their callers: what else there is comes after."""
        return {*self._alone, self._committing or 0}

    # --- the callers' side; under the lock ---

    def _enqueue(self, call: Call[Any]) -> bool:
        """Queue a call; say whether its caller has to serve the queue, for no thread can be had."""
        here = self._thread is None and not self._started()
        self._queue.put(call)
        if self._is_free():
            self._wanted.notify()
        return here

    def _started(self) -> bool:
        # When the interpreter ends, a thread that is started yet is not waited for.
        if not threading.main_thread().is_alive():
            return False
        self._thread = threading.Thread(target=self._serve, name="cursor-ledger writer")
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            return False
        except BaseException:
            # It may run all the same; then it serves what it finds, or leaves it to another.
            self._thread = None
            raise
        return True

    def _wait_for_room(self) -> None:
        if get_ident() in (self._committing, *self._alone):
            return  # Nobody else could make room.
        if not self._progress.wait_for(self._has_room, self._busy_timeout_s):
            raise LedgerBusyError(
                f"{self._queue_length_max:,} calls are queued, and were not committed within the "
                "busy time-out. Nothing was appended; try again."
            )

    def _has_room(self) -> bool:
        return self._closed or len(self._queue) < self._queue_length_max

    def _settled(self) -> bool:
        return not self._queue and self._committing is None and not self._alone

    def _is_free(self) -> bool:
        """Say whether the next one may commit."""
        return self._committing is None and (self._apart or not self._alone)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError("This ledger is closed; open it again.")

    def _refuse_more(self) -> None:
        with self._lock:
            self._closed = True
            self._wanted.notify_all()
            self._progress.notify_all()

    def _go_on(self) -> None:
        """Let those go on who wait for the end of a commit."""
        if self._queue:
            self._wanted.notify()
        elif self._closed:
            self._progress.notify_all()

    # --- and what they do without it ---

    def _append_within(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append in a callback of a future that was just answered: nobody else could do it."""
        if not self._telling:
            raise StorageError(
                "This thread is in the middle of a commit to this ledger, and cannot append before "
                "its end: do not append in the ledger's clock, nor in a handler of signals."
            )
        until = time.monotonic() + self._busy_timeout_s
        self._serve_within()
        self._telling = False
        try:
            return self._committer.append(groups, conclude, until)
        finally:
            self._telling = True

    def _wait(self, slot: Slot[R], until: float, *, here: bool) -> None:
        if here:
            self._serve(stay=False)
        if slot.answered(max(until - time.monotonic(), 0)):
            return
        if self._withdraw(slot):
            raise LedgerBusyError(
                "Other calls to this ledger were being committed, longer than the busy time-out. "
                "Nothing was appended; try again."
            )
        slot.answered()  # It is being committed, which ends one way or the other.

    def _note_busy(self) -> None:
        """Note that one who committed alone has waited for others, all his time."""
        # On a server they may have been in the way of his cursors only.
        if not self._apart and self._busy_since is None:
            self._busy_since = time.monotonic() - self._busy_timeout_s

    def _withdraw(self, slot: Slot[R]) -> bool:
        with self._lock:
            return slot.withdraw()

    # --- the side of the thread that serves the queue ---

    def _serve(self, *, stay: bool = True) -> None:
        me = threading.current_thread()
        with self._lock:
            if self._thread not in (None, me):
                return
            self._thread = me
        try:
            with answering():
                while batch := self._next_batch(stay=stay):
                    self._answer(batch)
        finally:
            with self._lock:
                self._end_commit()
                if self._thread is me:
                    self._thread = None

    def _next_batch(self, *, stay: bool) -> list[Call[Any]]:
        """Give what comes next; nothing if nothing came for a while, or need not be waited for."""

        def may_go_on() -> bool:
            return self._is_free() if self._queue else self._closed or not stay

        with self._lock:
            self._end_commit()
            while True:
                while not self._wanted.wait_for(may_go_on, IDLE_S) and self._queue:
                    pass  # Somebody who came alone is still committing.
                if not self._queue:
                    self._thread = None
                    return []
                if batch := self._take_batch():
                    self._committing = get_ident()
                    return batch

    def _end_commit(self) -> None:
        if self._committing == get_ident():
            self._committing = None
            self._telling = False
        if self._closed:
            self._progress.notify_all()

    def _serve_within(self) -> None:
        """Serve what is queued, in a callback, in the middle of telling callers."""
        while True:
            with self._lock:
                batch = self._take_batch()
            if not batch:
                return
            self._answer(batch)

    def _take_batch(self) -> list[Call[Any]]:
        if self._queue.has_only_put_off:
            self._wanted.wait(TRY_AGAIN_S)
        batch = self._queue.take(self._batch_size_max)
        self._progress.notify_all()
        return batch

    def _answer(self, batch: Sequence[Call[Any]]) -> None:
        answers: Sequence[list[Answer] | BaseException | None]
        self._telling = False
        began = time.monotonic()
        until = min(self._settle_until(call, began) for call in batch)
        try:
            answers = self._committer.append_free([call.groups for call in batch], until)
            self._busy_since = None
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            answers = [error] * len(batch)
            if isinstance(error, LedgerBusyError) and self._busy_since is None:
                self._busy_since = began
        now = time.monotonic()
        told, again = [], []
        for call, its in zip(batch, answers, strict=True):
            # Where others were in the way, nothing of it has happened.
            if (its is None or isinstance(its, LedgerBusyError)) and now < (call.until or 0):
                again.append(call)
            else:
                told.append((call, its))
        if again:
            # Before anybody is told: he may ask for more, and that has to stand behind.
            with self._lock:
                self._queue.put_back(again)
        self._telling = True
        for call, its in told:
            try:
                if isinstance(its, list):
                    call.answer(its)
                else:
                    call.promise.set_exception(_own(its or LedgerBusyError(_HELD)))
            except BaseException:  # noqa: BLE001 - a callback of theirs; the others want answers
                _report()

    def _settle_until(self, call: Call[Any], now: float) -> float:
        """Say until when others are waited for, on behalf of a call that is about to be tried.

        What was submitted may have stood behind many: that is no waiting for others, as long as
        these were committed.
        """
        if call.until is None:
            since = now if self._busy_since is None else max(self._busy_since, call.asked_at)
            call.until = since + self._busy_timeout_s
        return call.until


_HELD = (
    "The cursor is held by another transaction, longer than the busy time-out. Nothing was "
    "appended; try again."
)


def _own(error: BaseException) -> BaseException:
    """Give each caller an error of its own: where it is raised, it is given a traceback."""
    if not isinstance(error, StorageError):
        return error
    own = copy.copy(error)
    own.__cause__ = error.__cause__
    if hasattr(error, "__notes__"):
        own.__notes__ = list(error.__notes__)
    return own


def _report() -> None:
    """Report what a callback has raised as what ends a thread is reported; but do not end."""
    kind, error, traceback = sys.exc_info()
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((kind, error, traceback, thread)))
