"""One call at a time over a connection that is lent, whichever ledgers it is lent to."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from ledger.errors import StorageError

__all__ = ["turn_of"]


@attrs.define(eq=False)
class _Turns:
    """The calls that use one object, which is known by its id only while there are some."""

    callers: set[object]
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    writes: bool = False


# Not weakly by the objects themselves, because a sqlite3.Connection has no weak references.
_TURNS: dict[int, _Turns] = {}
# An RLock, because a signal handler may run in the thread that holds it.
_GUARD = threading.RLock()


@contextmanager
def turn_of(lent: object, *, writes: bool = False) -> Iterator[None]:
    """Have `lent` to this thread alone; a call of another one waits until this one has ended.

    All savepoints of ours have one name, so to go back to one of another thread's calls would undo
    what that one is told is stored.

    Raises StorageError for a call that writes in the middle of another one, as of a signal handler.
    """
    known, caller = id(lent), object()
    # With this caller at once, or a signal handler could have the last call, and forget it.
    turns = _Turns({caller})
    try:
        with _GUARD:
            turns = _TURNS.setdefault(known, turns)
            turns.callers.add(caller)
        with turns.lock:
            if not writes:
                yield
                return
            if turns.writes:
                raise StorageError(
                    "the connection is in the middle of another call of the ledger in this "
                    "thread, which this one, perhaps of a signal handler, has interrupted. Append "
                    "when that call has returned."
                )
            turns.writes = True
            try:
                yield
            finally:
                turns.writes = False
    finally:
        with _GUARD:
            turns.callers.discard(caller)
            if not turns.callers and _TURNS.get(known) is turns:
                _TURNS.pop(known, None)


def _forget() -> None:
    """Begin anew in a child, because threads that it does not have may hold the locks."""
    global _GUARD  # noqa: PLW0603 - it is of all that is lent
    _GUARD = threading.RLock()
    _TURNS.clear()


os.register_at_fork(after_in_child=_forget)
