"""The future of a call: light as long as nobody waits for it, and never waited for in a circle."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar

from ledger.writing.waits import refuse_circle, waiting_for

if TYPE_CHECKING:
    from ledger.writing.waits import Answering

__all__ = ["Submitted", "bearable"]

# One lock for all futures, because a lock of its own is what makes a Future heavy. Nothing slow is
# done under it. It is an RLock, because a signal handler may run in the thread that holds it.
_lock = threading.RLock()

T = TypeVar("T")


def bearable(error: BaseException) -> BaseException:
    """Return `error`, or what a future can bear in its place.

    A StopIteration that leaves a coroutine would end whoever awaits it, so asyncio does not set it
    on a future, and nobody is answered. A RuntimeError stands for it, as in a coroutine
    (https://peps.python.org/pep-0479/). It also stands for the CancelledError of another future,
    because nobody has cancelled this one.
    """
    if not isinstance(error, StopIteration | CancelledError):
        return error
    name = type(error).__name__
    stands = RuntimeError(f"{name} was raised where a future is answered, which cannot bear it.")
    stands.__cause__ = error
    return stands


_PENDING, _RUNNING, _DONE = range(3)


class Submitted(Future[Any]):
    """A Future that refuses to be waited for by a thread that would have to answer it.

    A Future has a lock, a condition and two lists, which take longer to make than an entry takes to
    be stored. Most futures are asked for their result when they have one, and need none of that.
    This one keeps a step and a result. When somebody waits for it, cancels it or adds a callback,
    it is asked for an attribute that it does not have. It then makes a whole Future, brings it to
    the same step by its public methods, and takes over its attributes.
    """

    def __init__(self, writer: Answering) -> None:  # it becomes a Future later, or never
        self.writer = writer
        self._step: int | None = _PENDING
        """None as soon as it is a whole Future."""
        self._light: Any = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a Future has
        if name in _OWN:
            raise AttributeError(name)
        self._become_whole()
        return object.__getattribute__(self, name)

    def _become_whole(self) -> None:
        with _lock:
            whole: Future[Any] = Future()
            if self._step != _PENDING:
                whole.set_running_or_notify_cancel()
            if self._step == _DONE:
                whole.set_result(self._light)
            # In one step, because other threads use the attributes, once there are any, without
            # the lock.
            if self._step is not None:
                vars(self).update(vars(whole), _others=[], _step=None)

    # --- what is asked of it without becoming whole ---

    def set_running_or_notify_cancel(self) -> bool:
        """Begin with the call, unless it was cancelled; return whether it was not."""
        with _lock:
            if self._step == _PENDING:
                self._step = _RUNNING
                return True
            self._become_whole()
        return super().set_running_or_notify_cancel()

    def set_result(self, result: Any) -> None:  # noqa: ANN401 - of any call
        """Answer the call."""
        with _lock:
            if self._step in _UNANSWERED:
                self._light, self._step = result, _DONE
                return
            self._become_whole()
        super().set_result(result)

    def set_exception(self, exception: BaseException | None) -> None:
        """Set why the call failed."""
        super().set_exception(None if exception is None else bearable(exception))

    def done(self) -> bool:
        """Return whether the call is answered or cancelled."""
        return self._step == _DONE or super().done()

    def result(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - of any call
        """Return the answer, or raise why there is none.

        Raises StorageError in a thread that would have to give it.
        """
        if self._step == _DONE:
            return self._light
        return self._waited(super().result, timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return why the call failed, or None.

        Raises StorageError in a thread that would have to answer it.
        """
        if self._step == _DONE:
            return None
        return self._waited(super().exception, timeout)

    # --- circles ---

    def _waited(self, ask: Callable[[float | None], T], timeout: float | None) -> T:
        if timeout is not None or self.done():
            return ask(timeout)
        with waiting_for(self.writer):
            return ask(None)

    @property
    def _waiters(self) -> list[Any]:
        """Those who wait by `wait` and `as_completed`: they ask for this to be added to it."""
        if not self.done():
            refuse_circle(self.writer)
        return self._others

    @_waiters.setter
    def _waiters(self, waiters: list[Any]) -> None:
        self._others = waiters


def _renew_lock() -> None:
    """Take a new lock in a child, because a thread that it does not have may hold this one."""
    global _lock  # noqa: PLW0603 - it is of all futures
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)

_UNANSWERED = (_PENDING, _RUNNING)
_OWN = frozenset({"writer", "_step", "_light"})
