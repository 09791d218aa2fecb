"""Group commit: callers share transactions, and with them the flush of the disk that each costs.

A caller who is alone commits by itself. Those who come while somebody commits are queued; then one
thread takes as many of them as there are, commits them together, and answers each.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from ledger.calls import Call, Slot
from ledger.commit import Answer, Group, commit
from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.forks import ForkGuard
from ledger.stores import Store

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["BATCH_SIZE_MAX", "QUEUE_LENGTH_MAX", "Appender", "Committer", "Writer"]

R = TypeVar("R")

BATCH_SIZE_MAX = 512
"""So many requests share a transaction at most; a call with more of them has one to itself."""

QUEUE_LENGTH_MAX = 2_048
"""So many calls are queued at most before one that is submitted has to wait for room."""

# Then the thread ends, until it is wanted again. It is no daemon, so that a program which ends
# without closing its ledger loses nothing, and it is what such a program may have to wait for.
IDLE_S = 0.2


class Appender(Protocol):
    """Commits calls.

    A call is groups of requests, appended in one transaction; `conclude` makes of the answers to
    them what the caller is told.
    """

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and give what `conclude` makes of the answers, once they are safe.

        Raises LedgerBusyError, StorageError, and what `conclude` raises; nothing was appended then.
        """

    def submit(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool = True
    ) -> Future[R]:
        """Give the future of what `append` would give, and do not wait for it.

        With `room`, wait while too many calls are queued; callers who have no other call there may
        do without, for their number is bound enough.

        Raises LedgerBusyError, StorageError.
        """

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered."""


@attrs.frozen
class Committer:
    """An Appender that commits each call by itself, in the thread that calls."""

    store: Store
    actor: str
    clock: Callable[[], datetime]

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and give what `conclude` makes of the answers."""
        return self.store.write(
            lambda transaction: conclude(
                commit(transaction, groups, actor=self.actor, clock=self.clock)
            )
        )

    def submit(self, *_: object, **__: object) -> Future[Any]:
        """Refuse: inside a caller's transaction there is no later."""
        raise InvalidCursorError(
            "a ledger inside your own transaction has no thread to submit to; use append."
        )

    def close(self) -> None:
        """Leave nothing behind, for nothing was accepted."""


@cache
def _future_type() -> type[Future[Any]]:
    # Imported here, for it takes 5 ms, and who waits for every answer never needs it.
    from concurrent.futures import Future

    return Future


class Writer:
    """An Appender that commits the calls of many threads together, in the order in which they come.

    What the law refuses in one call does not touch the others; a failure of the commit is told to
    every caller in it. A call that is accepted is always answered.
    """

    def __init__(
        self,
        committer: Committer,
        *,
        busy_timeout_s: float,
        batch_size_max: int = BATCH_SIZE_MAX,
        queue_length_max: int = QUEUE_LENGTH_MAX,
    ) -> None:
        self._committer = committer
        self._busy_timeout_s = busy_timeout_s
        self._batch_size_max = batch_size_max
        self._queue_length_max = queue_length_max
        self._guard = ForkGuard()
        # What follows is only touched under this lock, and nothing slow is done under it.
        self._lock = threading.Lock()
        self._wanted = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._queue: deque[Call[Any]] = deque()
        self._committing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        """Append `groups`, and give what `conclude` makes of the answers, once they are safe.

        Raises LedgerBusyError after the busy time-out in the queue.
        """
        self._guard.check()
        if self._thread is threading.current_thread():
            # In a callback of a future that was just answered: nobody else could commit it.
            return self._committer.append(groups, conclude)
        alone, slot = False, None
        try:
            with self._lock:
                self._refuse_closed()
                if self._committing or self._queue:
                    slot = Slot[R]()
                    self._enqueue(Call(groups, conclude, slot))
                else:
                    alone = self._committing = True
            return self._wait(slot) if slot else self._committer.append(groups, conclude)
        finally:
            if alone:
                with self._lock:
                    self._committing = False
                    if self._queue:
                        self._wanted.notify()

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
        future: Future[R] = _future_type()()
        with self._lock:
            if room and not self._has_room():
                self._wait_for_room()
            self._refuse_closed()
            self._enqueue(Call(groups, conclude, future))
        return future

    def close(self) -> None:
        """Accept no more, and wait until all that was accepted is answered."""
        if self._guard.forked():
            return
        with self._lock:
            self._closed = True
            thread = self._thread
            self._wanted.notify_all()
            self._room.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # --- the callers' side; under the lock ---

    def _enqueue(self, call: Call[Any]) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="cursor-ledger writer")
            try:
                thread.start()
            except RuntimeError as error:
                raise StorageError(f"No thread could be started to commit in: {error}.") from error
            self._thread = thread
        self._queue.append(call)
        if not self._committing:
            self._wanted.notify()

    def _wait_for_room(self) -> None:
        if self._thread is threading.current_thread():
            return  # In a callback: nobody else could make room.
        if not self._room.wait_for(self._has_room, self._busy_timeout_s):
            raise LedgerBusyError(
                f"{self._queue_length_max:,} calls are queued, and were not committed within the "
                "busy time-out. Nothing was appended; try again."
            )

    def _has_room(self) -> bool:
        return self._closed or len(self._queue) < self._queue_length_max

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError("This ledger is closed; open it again.")

    # --- and what they do without it ---

    def _wait(self, slot: Slot[R]) -> R:
        try:
            if not slot.answered(self._busy_timeout_s):
                if self._withdraw(slot):
                    raise LedgerBusyError(
                        "Other calls to this ledger were being committed, longer than the busy "
                        "time-out. Nothing was appended; try again."
                    )
                slot.answered()  # It is being committed, which ends one way or the other.
        except KeyboardInterrupt as interrupt:
            if not self._withdraw(slot):
                interrupt.add_note(
                    "cursor-ledger: the call that this interrupted may have been committed."
                )
            raise
        return slot.result()

    def _withdraw(self, slot: Slot[R]) -> bool:
        with self._lock:
            return slot.withdraw()

    # --- the thread's side ---

    def _serve(self) -> None:
        serving = False
        while True:
            with self._lock:
                if serving:
                    self._committing = False
                while not self._wanted.wait_for(self._may_go_on, IDLE_S) and self._queue:
                    pass  # Somebody who came alone is still committing.
                if not self._queue:
                    self._thread = None
                    return
                self._committing = serving = True
                batch = self._take_batch()
                self._room.notify_all()
            self._answer(batch)

    def _may_go_on(self) -> bool:
        return not self._committing if self._queue else self._closed

    def _take_batch(self) -> list[Call[Any]]:
        batch: list[Call[Any]] = []
        room = self._batch_size_max
        while self._queue:
            size = self._queue[0].size
            if batch and size > room:
                break
            call = self._queue.popleft()
            # From here on it cannot be cancelled.
            if call.promise.set_running_or_notify_cancel():
                batch.append(call)
                room -= size
        return batch

    def _answer(self, batch: Sequence[Call[Any]]) -> None:
        groups = [group for call in batch for group in call.groups]
        try:
            answers = self._committer.append(groups, list)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            for call in batch:
                call.promise.set_exception(_own(error))
            return
        start = 0
        for call in batch:
            end = start + len(call.groups)
            call.answer(answers[start:end])
            start = end


def _own(error: BaseException) -> BaseException:
    """Give each caller an error of its own: where it is raised, it is given a traceback."""
    own = copy.copy(error) if isinstance(error, StorageError) else error
    own.__cause__ = error.__cause__
    return own
