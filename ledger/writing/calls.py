"""A call to the writer, and where its answer goes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

from ledger.stores.deadline import Deadline

if TYPE_CHECKING:
    from ledger.writing.commit import Answer, Group

__all__ = ["Call", "Promise", "Queue", "Slot"]

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)


class Promise(Protocol[R_contra]):
    """Where an answer goes: a `concurrent.futures.Future`, or a slot, which has its names."""

    def set_running_or_notify_cancel(self) -> bool:
        """Begin with the call, and return True; return False if it was cancelled."""

    def set_result(self, result: R_contra) -> None:
        """Answer it."""

    def set_exception(self, exception: BaseException) -> None:
        """Set why it failed."""


class Slot(Generic[R]):
    """Where the answer to one waiting thread goes.

    A Future could do it, but costs a fifth of the throughput of 64 threads: it has a condition and
    two locks. Here one lock is enough, which is held until there is an answer.
    """

    def __init__(self) -> None:
        self._unanswered = threading.Lock()
        self._unanswered.acquire()
        self._withdrawn = self._running = False
        self.result: R | None = None
        self.error: BaseException | None = None

    def set_running_or_notify_cancel(self) -> bool:
        """Begin with the call, and return True; return False if it was withdrawn."""
        self._running = not self._withdrawn
        return self._running

    def withdraw(self) -> bool:
        """Withdraw the call, unless it has begun. Both happen under the lock of the writer."""
        self._withdrawn = not self._running
        return self._withdrawn

    def set_result(self, result: R) -> None:
        """Answer the thread that waits."""
        self.result = result
        self._unanswered.release()

    def set_exception(self, exception: BaseException) -> None:
        """Set why it failed."""
        self.error = exception
        self._unanswered.release()

    def answered(self, timeout_s: float = -1) -> bool:
        """Wait for the answer; return whether it came. One thread calls this, and only once."""
        return self._unanswered.acquire(timeout=timeout_s)


@attrs.define(eq=False)
class Call(Generic[R]):
    """Groups that are to be appended in one transaction, and what is made of their answers."""

    groups: Sequence[Group]
    conclude: Callable[[list[Answer]], R]
    promise: Promise[R]
    asked_at: float
    """When it was asked for, by the monotonic clock."""
    deadline: Deadline | None = None
    """How long others are waited for; None as long as that is not known."""
    begun: bool = False
    """Whether it was tried before, and put off."""
    thread: int | None = None
    """The thread that commits by itself once this comes first; the call has no groups then."""

    @property
    def size(self) -> int:
        """How many requests it has."""
        groups = self.groups
        return len(groups[0]) if len(groups) == 1 else sum(map(len, groups))

    def begin(self) -> bool:
        """Begin with it, and return True; return False if it was cancelled or answered before."""
        if self.begun:
            return True
        try:
            self.begun = self.promise.set_running_or_notify_cancel()
        except RuntimeError:
            return False
        return self.begun

    def answer(self, answers: list[Answer]) -> None:
        """Tell the caller what `conclude` makes of the answers to its groups."""
        try:
            result = self.conclude(answers)
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            self.promise.set_exception(error)
        else:
            self.promise.set_result(result)


class Queue:
    """Calls in the order in which they came; in front, those that were put off."""

    def __init__(self) -> None:
        self.calls: deque[Call[Any]] = deque()

    def put(self, call: Call[Any]) -> None:
        """Queue a call, behind all others."""
        self.calls.append(call)

    def put_back(self, calls: Sequence[Call[Any]]) -> None:
        """Queue calls again, in front of all others."""
        self.calls.extendleft(reversed(calls))

    @property
    def has_only_put_off(self) -> bool:
        """Whether there are calls, and all of them were tried before."""
        return bool(self.calls) and self.calls[-1].begun

    def take(self, size_max: int, *, lend: bool) -> list[Call[Any]]:
        """Take calls that have at most `size_max` requests in all, or one call that has more.

        The calls begin. One that its own thread commits is taken alone; without `lend`, it stays
        in the queue.
        """
        calls, room = self.calls, size_max
        taken: list[Call[Any]] = []
        passed: list[Call[Any]] = []
        while calls:
            call = calls.popleft()
            if call.thread is not None and not lend:
                passed.append(call)
                continue
            # A call that was put off does not count, so it takes no room from the others.
            size = 0 if call.begun else call.size
            if taken and (size > room or call.thread is not None):
                calls.appendleft(call)
                break
            # From here on it cannot be cancelled.
            if call.begin():
                taken.append(call)
                room -= size
                if call.thread is not None:
                    break
        self.put_back(passed)
        return taken
