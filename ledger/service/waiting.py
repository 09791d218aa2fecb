"""How a caller waits for what others append: methods of `Ledger`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.law.cursor import Cursor, CursorKey
from ledger.service.methods import method
from ledger.stores.deadline import Deadline
from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from ledger.service import Ledger
    from ledger.stores.paged import PagedStore
    from ledger.waking.waker import Waker

__all__ = [
    "LOOKED_S",
    "found",
    "settled_at",
    "stop_waiting",
    "told_of_entries",
    "wait",
    "wait_for_entries",
    "waker_of",
]

R = TypeVar("R")

LOOK_S = 0.25
"""How long a look may wait for a connection of the pool."""

LOOKED_S = 0.5
"""A caller that waits for longer is told what was there when it began, unless something delays the
waker.
"""


@method
def wait(
    self: Ledger, key: CursorKey, after_version: int, timeout: float | None = None
) -> Cursor | None:
    """Wait until the cursor of `key` has a version above `after_version`, and return it.

    Returns at once if it has; None after `timeout` seconds, or never without one. A version
    counts entries, so this wakes at any advance, reset or error, of whatever process; 0 waits
    for the first. It wakes at once where this process appends, else within some 30 ms; resets
    on PostgreSQL are told of at once. Of several entries in the meantime only the last state
    is seen: `history` has them all.

    One thread wakes all who wait for a ledger, so that many may.

    Raises InvalidCursorError, also inside a caller's transaction; StorageError if the ledger is
    closed meanwhile, or in a callback of `submit`, which what it waits for would wait for.

    >>> import ledger, threading
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     print(book.wait(key, after_version=cursor.version, timeout=0.01))
    ...     reset = threading.Timer(0.01, lambda: book.reset(key, to=41, reason="lost 42"))
    ...     reset.start()
    ...     book.wait(key, after_version=cursor.version).last_sequence
    None
    41
    """
    # Imported here and below, because most programs never wait.
    from ledger.waking import waiting

    waiter, until = waiting.for_version(key, after_version), waiting.until(timeout)
    waker = waker_of(self)
    cursor = found(self, key, waiting.left_s(until))
    if cursor is not None and waiter.is_due(cursor):
        return cursor
    news = waiting.in_thread(waker, waiter, until)
    return news if isinstance(news, Cursor) else None


@method
def wait_for_entries(self: Ledger, after: int, timeout: float | None = None) -> int | None:
    """Wait until the log is settled beyond position `after`; return how far it is.

    Returns None after `timeout` seconds, or never without one. Entries up to the position that
    is returned can be read, and nothing can be appended before them any more: see `horizon`.

    Raises what `wait` raises.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     book.wait_for_entries(after=0)
    1
    """
    from ledger.waking import waiting

    waiter, until = waiting.for_entries(after), waiting.until(timeout)
    waker = waker_of(self)
    while (settled := settled_at(self, waiting.left_s(until))) <= waiter.position:
        began = time.monotonic()
        if waiting.in_thread(waker, waiter, until) is None:
            return None
        time.sleep(waiting.rest_s(began, until))
    return settled


# --- for projections ---


def told_of_entries(
    book: Ledger, after: int, tell: Callable[[], object]
) -> AbstractContextManager[bool]:
    """Have `tell` called, in another thread, once an entry is appended beyond position `after`.

    The context is whether it will be: not inside a caller's transaction. It is called once, also
    when the ledger is closed; on PostgreSQL perhaps before the entry is settled: see `horizon`.

    Raises InvalidCursorError.
    """
    from ledger.waking import waiting
    from ledger.waking.telling import told

    return told(book._waker, waiting.for_entries(after), tell)


# --- for ledger.aio ---


def found(book: Ledger, key: CursorKey, left_s: float) -> Cursor | None:
    """Return the cursor of `key`, or None; also if all connections are in use.

    Raises StorageError.
    """
    return _looked(
        book, left_s, lambda store, deadline: store.cursor(key, deadline), lambda: book.find(key)
    )


def settled_at(book: Ledger, left_s: float) -> int:
    """Return how far the log is settled; -1 if all connections are in use.

    Raises StorageError.
    """
    horizon = _looked(book, left_s, lambda store, deadline: store.horizon(deadline), book.horizon)
    return -1 if horizon is None else horizon.position


def _looked(
    book: Ledger,
    left_s: float,
    look: Callable[[PagedStore, Deadline], R],
    plainly: Callable[[], R],
) -> R | None:
    """Return what is found by a look that takes no longer than a wait has left.

    The thread that wakes has a connection of its own, so none of a pool is waited for.
    """
    from ledger.stores.paged import PagedStore

    store = book._store
    if not isinstance(store, PagedStore):
        return plainly()
    try:
        return look(store, Deadline.after(min(left_s, LOOK_S)))
    except LedgerBusyError:
        return None
    except StorageError:
        # A server that is away may come back, within the busy time-out.
        return look(store, Deadline.after(left_s))


def waker_of(book: Ledger) -> Waker:
    """Return who wakes those who wait for `book`.

    Raises InvalidCursorError inside a caller's transaction, StorageError in a callback.
    """
    if (waker := book._waker) is None:
        raise InvalidCursorError(
            "a ledger inside your own transaction cannot wait, because it would not see what "
            "others append. Wait on the ledger itself."
        )
    if in_callback():
        raise StorageError(
            "a callback of `submit` cannot wait for a cursor to move: what it would wait for is "
            "appended after it. Wait in another thread."
        )
    return waker


def stop_waiting(book: Ledger) -> None:
    """Tell those who wait for `book` that it is closed."""
    if book._waking is not None:
        book._waking.close()
