"""Group commit: callers share transactions, and with them the flush of the disk that each costs.

A caller who is alone commits by itself. Those who come while somebody commits are queued; the
thread in serving.py takes as many of them as there are, commits them together, and answers each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar

from ledger.errors import LedgerBusyError, StorageError
from ledger.stores import Transaction
from ledger.stores.deadline import Deadline
from ledger.stores.forks import ForkGuard
from ledger.writing.calls import Call, Slot
from ledger.writing.committer import Committer, may_be_committed
from ledger.writing.floor import (
    ALONE,
    BEGIN_ALONE,
    BEGIN_BATCH,
    END_ALONE,
    END_COMMIT,
    FREE,
    TELLING,
)
from ledger.writing.serving import IDLE_S, Server
from ledger.writing.waits import waiting_for

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ledger.writing.commit import Answer, Group
    from ledger.writing.futures import Submitted

__all__ = ["BATCH_SIZE_MAX", "QUEUE_LENGTH_MAX", "Writer"]

R = TypeVar("R")

BATCH_SIZE_MAX = 512
"""At most this many requests share a transaction; a call with more has one to itself."""

QUEUE_LENGTH_MAX = 2_048
"""At most this many calls are queued; the next one that is submitted waits for room."""


@cache
def _submitted() -> type[Submitted]:
    # Imported here, because it takes 5 ms, and callers who wait for every answer never need it.
    from ledger.writing.futures import Submitted

    return Submitted


class Writer:
    """An Appender that commits the calls of many threads together, in the order in which they come.

    It is the one queue before a database. What the law refuses in one call does not touch the
    others; a failure of the commit is told to every caller in it. A call that is accepted is always
    answered.

    Where those who write at the same time do not keep each other waiting, as on a server, callers
    who wait commit `apart`, as many as there are; only what is submitted shares transactions.

    A signal handler may run between any two steps of the main thread, and may call in here, or
    raise: see decision 0009.
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
        self._queue_length_max = queue_length_max
        self._apart = apart
        self._guard = ForkGuard()
        self._server = Server(
            committer, busy_timeout_s=busy_timeout_s, apart=apart, batch_size_max=batch_size_max
        )

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and return what `conclude` makes of the answers, once they are safe.

        Raises LedgerBusyError after the busy time-out, in the queue or behind it.
        """
        return self._enter(
            lambda deadline: self._committer.append(groups, conclude, deadline), groups, conclude
        )

    def run(self, work: Callable[[Transaction], R]) -> R:
        """Run `work` in a transaction of its own, in the thread that calls, in its turn.

        Raises LedgerBusyError after the busy time-out, in the queue or behind it.
        """
        return self._enter(lambda deadline: self._committer.run(work, deadline))

    def submit(
        self,
        groups: Sequence[Group],
        conclude: Callable[[list[Answer]], R],
        *,
        room: bool = True,
    ) -> Future[R]:
        """Queue `groups`, and return the future of what `append` would return.

        Raises LedgerBusyError if there is no room within the busy time-out.
        """
        self._guard.check()
        server = self._server
        future: Future[R] = _submitted()(self)
        try:
            with server.lock:
                if room and len(server.queue.calls) >= self._queue_length_max:
                    self._wait_for_room()
                if server.closed:
                    self._refuse_closed()
                here = server.enqueue(Call(groups, conclude, future, time.monotonic()))
            if here:
                server.serve(stay=False)
        except BaseException as interrupt:
            # Nobody has the future, so nobody else could withdraw the call, or hear of its end.
            if not future.cancel():
                may_be_committed(interrupt)
            raise
        return future

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered.

        Raises StorageError in a callback that what is waited for waits for; it stays open then.
        """
        if self._guard.forked():
            return
        server, me = self._server, get_ident()
        if me in self.busy_threads():
            with server.lock:
                server.refuse_more()
            if server.floor.owner == me and server.floor.phase is TELLING:
                server.serve_within()
            return
        with waiting_for(self), server.lock:
            server.refuse_more()
            while not server.progress.wait_for(lambda: server.is_settled, IDLE_S):
                pass

    def busy_threads(self) -> set[int]:
        """Return the threads that commit or answer callers now; all other calls come after."""
        return {*self._server.beside, self._server.floor.owner or 0}

    # --- one way in ---

    def _enter(  # noqa: C901, PLR0912 - what no interrupt may leave half done is in one place
        self,
        work: Callable[[Deadline], R],
        groups: Sequence[Group] = (),
        conclude: Callable[[list[Answer]], R] | None = None,
    ) -> R:
        """Commit by `work` if nobody is before this thread; otherwise queue the call.

        In the queue, a call with groups is committed by the serving thread. One without groups is
        committed by `work`, in this thread, when its turn has come.
        """
        deadline = Deadline.after(self._busy_timeout_s)
        self._guard.check()
        server, me = self._server, get_ident()
        floor, beside, calls = server.floor, server.beside, server.queue.calls
        if floor.owner == me or me in beside:
            return self._work_within(work, deadline)
        here = told = False
        slot: Slot[Any] | None = None
        result: Any = None
        failure: BaseException | None = None
        try:
            try:
                with server.lock:
                    if server.closed:
                        self._refuse_closed()
                    if floor.phase is not FREE or calls:
                        slot = Slot()
                        here = server.enqueue(_call(groups, conclude, slot, deadline))
                    elif self._apart:
                        beside.add(me)
                    else:
                        floor.phase, floor.owner = BEGIN_ALONE.after, me
                if slot is not None:
                    self._wait(slot, deadline, here=here)
                if slot is None or conclude is None:
                    result = work(deadline)
                    told = True
                    server.busy_since = None
                else:
                    result, failure = slot.result, slot.error
                    told = True
            finally:
                # This comes before any call, because a call can be interrupted. If it is, those
                # who wait look for themselves.
                if floor.owner == me and floor.phase is ALONE:
                    floor.phase, floor.owner = END_ALONE.after, None
                beside.discard(me)
                if calls or server.closed:
                    self._let_go_on(here=here)
        except BaseException as interrupt:
            if slot is None and isinstance(interrupt, LedgerBusyError):
                self._note_busy(deadline)
            begun = slot is not None and not self._withdraw(slot)
            if told or (begun and conclude is not None):
                may_be_committed(interrupt)
            raise
        # Nothing is called from here on, so no interrupt can come that does not say it is too late.
        if failure is not None:
            raise failure
        return result  # type: ignore[no-any-return] # a call of cast could be interrupted

    def _let_go_on(self, *, here: bool) -> None:
        with self._server.lock:
            self._server.go_on()
        if here:
            self._server.serve(stay=False)

    def _work_within(self, work: Callable[[Deadline], R], deadline: Deadline) -> R:
        """Commit in a callback of a future that was just answered: nobody else could do it."""
        server, me = self._server, get_ident()
        if server.floor.owner != me or server.floor.phase is not TELLING:
            raise StorageError(
                "This thread is in the middle of a commit to this ledger, and cannot append before "
                "its end: do not append in the ledger's clock, nor in a signal handler."
            )
        server.serve_within()
        with server.lock:
            server.floor.make(BEGIN_BATCH, me)
        try:
            return work(deadline)
        finally:
            with server.lock:
                server.floor.make(END_COMMIT, me)

    def _wait(self, slot: Slot[Any], deadline: Deadline, *, here: bool) -> None:
        if here:
            self._server.serve(stay=False)
        if slot.answered(deadline.left_s):
            return
        if self._withdraw(slot):
            raise LedgerBusyError(
                "Other calls to this ledger were being committed for longer than the busy "
                "time-out. Nothing was appended; try again."
            )
        slot.answered()  # It is being committed, which ends one way or the other.

    def _withdraw(self, slot: Slot[Any]) -> bool:
        server = self._server
        with server.lock:
            withdrawn = slot.withdraw()
            # Its turn may have come just now, and this thread no longer waits for it.
            if not withdrawn:
                server.end_alone(get_ident())
        return withdrawn

    def _note_busy(self, deadline: Deadline) -> None:
        """Note that a caller that commits alone has spent its whole time waiting for others."""
        # On a server, others may have held only the cursors of this call.
        if not self._apart and self._server.busy_since is None:
            self._server.busy_since = deadline.began_at

    # --- under the lock ---

    def _wait_for_room(self) -> None:
        if get_ident() in self.busy_threads():
            return  # Nobody else could make room.
        if not self._server.progress.wait_for(self._has_room, self._busy_timeout_s):
            raise LedgerBusyError(
                f"{self._queue_length_max:,} calls are queued, and were not committed within the "
                "busy time-out. Nothing was appended; try again."
            )

    def _has_room(self) -> bool:
        return self._server.closed or len(self._server.queue.calls) < self._queue_length_max

    def _refuse_closed(self) -> None:
        if self._server.closed:
            raise StorageError("This ledger is closed; open it again.")


def _call(
    groups: Sequence[Group],
    conclude: Callable[[list[Answer]], R] | None,
    slot: Slot[Any],
    deadline: Deadline,
) -> Call[Any]:
    if conclude is None:
        return Call((), list, slot, deadline.began_at, deadline, thread=get_ident())
    return Call(groups, conclude, slot, deadline.began_at, deadline)
