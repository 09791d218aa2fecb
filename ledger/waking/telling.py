"""How a loop that has other things to do hears what it waits for: it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from ledger.errors import LedgerError, StorageError
from ledger.law.cursor import CursorKey
from ledger.waking.waiters import News, Waiter
from ledger.waking.waiting import for_reset
from ledger.waking.waker import Waker

__all__ = ["told", "told_of_reset"]


def told_of_reset(
    book: object, key: CursorKey, epoch: int, tell: Callable[[], object]
) -> AbstractContextManager[bool]:
    """Have `tell` called once the cursor of `key` is reset beyond `epoch`; see `told`."""
    # What a program has around its ledger has no waker, and does not tell.
    return told(getattr(book, "_waker", None), for_reset(key, epoch), tell)


@contextmanager
def told(waker: object, waiter: Waiter, tell: Callable[[], object]) -> Iterator[bool]:
    """Have `tell` called once `waiter` has what it waits for; yield whether it will be.

    It is called in another thread, and also when the ledger is closed. What is no Waker, such as
    the None of a ledger inside a caller's transaction, does not tell.
    """
    if not isinstance(waker, Waker):
        yield False
        return
    try:
        yield _watches(waker, waiter, tell)
    finally:
        waiter.has_left = True
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
