"""The side of group commit that serves: one thread takes what is queued, commits it, and answers.

The callers' side is in group_commit.py. Both work under one lock.
"""

from __future__ import annotations

import copy
import sys
import threading
import time
from collections.abc import Sequence
from operator import attrgetter
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ledger import notices
from ledger.errors import LedgerBusyError, StorageError
from ledger.stores.deadline import Deadline
from ledger.writing.calls import Call, Queue
from ledger.writing.committer import Committer
from ledger.writing.floor import (
    BEGIN_ALONE,
    BEGIN_BATCH,
    END_ALONE,
    END_BATCH,
    END_COMMIT,
    Floor,
    Phase,
)
from ledger.writing.waits import answering

if TYPE_CHECKING:
    from ledger.writing.commit import Answer

__all__ = ["Server"]

# The thread exits when it is idle for so long; the next call starts a new one. It is no daemon, so
# that a program which ends without closing its ledger loses nothing, and this is what such a
# program may have to wait for.
IDLE_S = 0.2

# How often a call is retried whose cursors were held by somebody else.
TRY_AGAIN_S = 0.02


class Server:
    """The queue, and the thread that serves it while there is something in it.

    Where those who write at the same time do not keep each other waiting, as on a server, callers
    who wait commit `apart`: beside each other, and beside the thread.
    """

    def __init__(
        self, committer: Committer, *, busy_timeout_s: float, apart: bool, batch_size_max: int
    ) -> None:
        self._committer = committer
        self._busy_timeout_s = busy_timeout_s
        self._batch_size_max = batch_size_max
        self._apart = apart
        # What follows is only touched under this lock, and nothing slow is done under it. A signal
        # handler may find it taken by its own thread, and take it again.
        self.lock = threading.RLock()
        self._wanted = threading.Condition(self.lock)
        self.progress = threading.Condition(self.lock)
        self.queue = Queue()
        self.floor = Floor()
        # The callers who commit in their own threads, beside what is on the floor.
        self.beside: set[int] = set()
        self.closed = False
        self._thread: threading.Thread | None = None
        # Since when nothing could be committed, because others were in the way.
        self.busy_since: float | None = None

    # --- what the callers need; under the lock ---

    def enqueue(self, call: Call[Any]) -> bool:
        """Queue a call; return whether its caller has to serve, because no thread can be had."""
        here = self._thread is None and not self._started()
        self.queue.put(call)
        if self.floor.phase is Phase.FREE:
            self._wanted.notify()
        return here

    def begin_alone(self, thread: int) -> None:
        """Let a thread commit by itself; the floor is free."""
        if self._apart:
            self.beside.add(thread)
        else:
            self.floor.make(BEGIN_ALONE, thread)

    def end_alone(self, thread: int) -> None:
        """End what `begin_alone` began, if its thread has not."""
        self.beside.discard(thread)
        if self.floor.owner == thread and self.floor.phase is Phase.ALONE:
            self.floor.make(END_ALONE, None)
        self.go_on()

    def go_on(self) -> None:
        """Wake those who wait for the end of what a caller has committed alone."""
        if self.queue.calls:
            self._wanted.notify()
        elif self.closed:
            self.progress.notify_all()

    def refuse_more(self) -> None:
        """Accept no more calls."""
        self.closed = True
        self._wanted.notify_all()
        self.progress.notify_all()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is queued, and nobody commits."""
        return not self.queue.calls and self.floor.phase is Phase.FREE and not self.beside

    def _started(self) -> bool:
        # A thread that is started while the interpreter ends is not waited for.
        if not threading.main_thread().is_alive():
            return False
        self._thread = threading.Thread(target=self.serve, name="cursor-ledger writer")
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            return False
        except BaseException:
            # It may run all the same; it serves what it finds, or leaves it to another.
            self._thread = None
            raise
        return True

    # --- the thread ---

    def serve(self, *, stay: bool = True) -> None:
        """Serve what is queued, and what comes for a while after that if it is to `stay`."""
        me = threading.current_thread()
        with self.lock:
            if self._thread not in (None, me):
                return
            self._thread = me
        try:
            with answering():
                while batch := self._next_batch(stay=stay):
                    self._answer(batch)
        finally:
            with self.lock:
                self._end_batch()
                if self._thread is me:
                    self._thread = None

    def serve_within(self) -> None:
        """Serve what is queued, in a callback, in the middle of answering others."""
        while True:
            with self.lock:
                # A call that commits in its own thread cannot do so before this batch has ended.
                batch = self._take_batch(lend=False)
                if not batch:
                    return
                self.floor.make(BEGIN_BATCH, get_ident())
            self._answer(batch)

    def _next_batch(self, *, stay: bool) -> list[Call[Any]]:
        """Return the next batch; an empty one if no call came in time, or this is not to `stay`."""

        def may_go_on() -> bool:
            if self.queue.calls:
                return self.floor.phase is Phase.FREE
            return self.closed or not stay

        with self.lock:
            self._end_batch()
            while True:
                while not self._wanted.wait_for(may_go_on, IDLE_S) and self.queue.calls:
                    pass  # Somebody who came alone is still committing.
                if not self.queue.calls:
                    self._thread = None
                    return []
                batch = self._take_batch(lend=True)
                if not batch:
                    continue  # All were cancelled, or withdrawn.
                thread = batch[0].thread
                if thread is None:
                    self.floor.make(BEGIN_BATCH, get_ident())
                    return batch
                self.begin_alone(thread)
                batch[0].promise.set_result(None)
                if thread == get_ident():
                    return []

    def _end_batch(self) -> None:
        if self.floor.owner == get_ident() and self.floor.phase is not Phase.ALONE:
            self.floor.make(END_BATCH, None)
        if self.closed:
            self.progress.notify_all()

    def _take_batch(self, *, lend: bool) -> list[Call[Any]]:
        if self.queue.has_only_put_off:
            self._wanted.wait(TRY_AGAIN_S)
        batch = self.queue.take(self._batch_size_max, lend=lend)
        self.progress.notify_all()
        return batch

    def _answer(self, batch: Sequence[Call[Any]]) -> None:
        answers: Sequence[list[Answer] | BaseException | None]
        began = time.monotonic()
        fresh = Deadline.after(self._busy_timeout_s, began)
        deadlines = [call.deadline or self._settle_deadline(call, fresh) for call in batch]
        try:
            first = min(deadlines, key=_moment)
            answers = self._committer.append_free([call.groups for call in batch], first)
            self.busy_since = None
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            answers = [error] * len(batch)
            if isinstance(error, LedgerBusyError) and self.busy_since is None:
                self.busy_since = began
        told, again = [], []
        for call, deadline, its in zip(batch, deadlines, answers, strict=True):
            # Where others held a cursor of the call, nothing of it was appended.
            if (its is None or isinstance(its, LedgerBusyError)) and not deadline.is_over:
                again.append(call)
            else:
                told.append((call, its))
        with self.lock:
            # Before any caller is answered: it may ask for more, which has to come after these.
            self.queue.put_back(again)
            self.floor.make(END_COMMIT, get_ident())
        if again:
            notices.CALLS_PUT_OFF.report(calls=len(again))
        for call, its in told:
            try:
                if isinstance(its, list):
                    call.answer(its)
                else:
                    call.promise.set_exception(LedgerBusyError(_HELD) if its is None else _own(its))
            except BaseException:  # noqa: BLE001 - a callback of theirs; the others want answers
                _report()

    def _settle_deadline(self, call: Call[Any], fresh: Deadline) -> Deadline:
        """Return the deadline of a call that is tried for the first time, and set it.

        A submitted call may have stood behind many others. As long as those were committed, that
        time does not count, because nobody else was in the way.
        """
        if self.busy_since is not None:
            since = max(self.busy_since, call.asked_at)
            fresh = Deadline.after(self._busy_timeout_s, since)
        call.deadline = fresh
        return fresh


_moment = attrgetter("at")

_HELD = (
    "The cursor has been held by another transaction for longer than the busy time-out. Nothing "
    "was appended; try again."
)


def _own(error: BaseException) -> BaseException:
    """Return a copy of `error` for one caller, because raising an error changes its traceback."""
    if not isinstance(error, StorageError):
        return error
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - that of a store of somebody else may refuse to be copied
        return error
    own.__cause__ = error.__cause__
    if hasattr(error, "__notes__"):
        own.__notes__ = list(error.__notes__)
    return own


def _report() -> None:
    """Report what a callback raised as if it had ended the thread, and go on."""
    kind, error, traceback = sys.exc_info()
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((kind, error, traceback, thread)))
