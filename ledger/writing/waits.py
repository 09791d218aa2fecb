"""Which threads wait for which, among those that run callbacks: a circle would never end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Protocol

from ledger.errors import StorageError

__all__ = ["Answering", "answering", "in_callback", "refuse_circle", "waiting_for"]


class Answering(Protocol):
    """What a thread may wait for, and which threads that takes."""

    def busy_threads(self) -> set[int]:
        """Return the threads that must end what they do before another goes on."""


_answering: set[int] = set()
"""Each thread adds and removes itself, in one step."""

# A thread begins to wait under the lock, which is an RLock, because a signal handler may run in the
# thread that holds it. It alone changes what is noted of it.
_lock = threading.RLock()
_waiting: dict[int, Answering] = {}


@contextmanager
def answering() -> Iterator[None]:
    """Note that this thread gives answers, and so runs callbacks."""
    me = get_ident()
    fresh = False
    try:
        if me not in _answering:
            fresh = True
            _answering.add(me)
        yield
    finally:
        # Without the lock: a signal handler that raised there would leave the note for ever.
        if fresh:
            _answering.discard(me)


def in_callback() -> bool:
    """Return whether this thread is giving answers, so that what runs in it is a callback."""
    return get_ident() in _answering


@contextmanager
def waiting_for(other: Answering) -> Iterator[None]:
    """Note that this thread waits for `other`.

    Raises StorageError if `other` waits for this thread.
    """
    me = get_ident()
    refuse_circle(other)
    if me not in _answering:
        yield  # Nobody waits for this thread.
        return
    before = _waiting.get(me)
    try:
        with _lock:
            # Once more, because another may have begun to wait in between.
            refuse_circle(other)
            _waiting[me] = other
        yield
    finally:
        # Without the lock, as above.
        if before is None:
            _waiting.pop(me, None)
        else:
            _waiting[me] = before


def refuse_circle(other: Answering) -> None:
    """Refuse to wait for `other` if it waits for this thread, perhaps through others.

    Raises StorageError.
    """
    me = get_ident()
    with _lock:
        seen: list[Answering] = []
        ahead = [other]
        while ahead:
            next_one = ahead.pop()
            if next_one in seen:
                continue
            seen.append(next_one)
            threads = next_one.busy_threads()
            if me in threads:
                raise StorageError(
                    "This thread would wait for ever: it is in the middle of an append, or in a "
                    "callback, and what it would wait for comes after that. Let it return first; "
                    "add a callback to the future, or wait in another thread."
                )
            ahead += [its for thread in threads if (its := _waiting.get(thread)) is not None]


def _forget() -> None:
    # A thread that the child does not have may hold the lock.
    global _lock  # noqa: PLW0603 - it is of all threads
    _lock = threading.RLock()
    _answering.clear()
    _waiting.clear()


# None of the threads lives on in a child.
os.register_at_fork(after_in_child=_forget)
