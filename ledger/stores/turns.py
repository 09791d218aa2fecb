"""One call at a time over a connection that is lent, whichever ledgers it is lent to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from ledger.errors import StorageError

__all__ = ["turn_of"]


@attrs.define
class _Turns:
    """The calls that use one object, which is known by its id only while there are some."""

    lock: threading.RLock = attrs.field(factory=threading.RLock)
    callers: int = 0
    writes: bool = False


# Not weakly by the objects themselves, because a sqlite3.Connection has no weak references.
_TURNS: dict[int, _Turns] = {}
_GUARD = threading.Lock()


@contextmanager
def turn_of(lent: object, *, writes: bool = False) -> Iterator[None]:
    """Have `lent` to this thread alone; a call of another one waits until this one has ended.

    All savepoints of ours have one name, so to go back to one of another thread's calls would undo
    what that one is told is stored.

    Raises StorageError for a call that writes in the middle of another one, as of a signal handler.
    """
    with _GUARD:
        turns = _TURNS.setdefault(id(lent), _Turns())
        turns.callers += 1
    try:
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
            turns.callers -= 1
            if not turns.callers:
                del _TURNS[id(lent)]
