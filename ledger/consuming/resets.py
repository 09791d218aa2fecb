"""How an idle loop hears that its cursor was reset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ledger.errors import LedgerError, StorageError
from ledger.law.cursor import CursorKey
from ledger.waking.waiters import News, Waiter
from ledger.waking.waiting import for_reset
from ledger.waking.waker import Waker

__all__ = ["told_of_resets"]


@contextmanager
def told_of_resets(
    book: object, key: CursorKey, epoch: int, tell: Callable[[], object]
) -> Iterator[bool]:
    """Have `tell` called once the cursor of `key` is beyond `epoch`; yield whether it will be.

    It is called in another thread, and also when the ledger is closed. What is not a ledger, or is
    inside a caller's transaction, does not tell.
    """
    waker = getattr(book, "_waker", None)
    if not isinstance(waker, Waker):
        yield False
        return
    waiter = for_reset(key, epoch)
    try:
        yield _watches(waker, waiter, tell)
    finally:
        waker.waiters.remove(waiter)


def _watches(waker: Waker, waiter: Waiter, tell: Callable[[], object]) -> bool:
    def hear(news: News) -> None:
        # If it only failed to listen, the loop must not ask it again at once.
        if waker.is_closed or not isinstance(news, LedgerError):
            tell()

    try:
        waker.watch(waiter, hear)
    except StorageError:
        return False  # It is closed, as the next look says; or has no thread to spare.
    return True
