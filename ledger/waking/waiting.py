"""How a call waits: what for, until when, and in its own thread."""

from __future__ import annotations

import time
from math import inf

from ledger.errors import invalid
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey
from ledger.waking.waiters import Waiter
from ledger.waking.waker import Waker

__all__ = ["for_entries", "for_reset", "for_version", "in_thread", "left_s", "rest_s", "until"]

AGAIN_S = 0.025
"""How often the log is looked at while it has more entries, but they are not settled."""


def for_version(key: CursorKey, after_version: object) -> Waiter:
    """Return one who waits for the cursor of `key` to be beyond `after_version`.

    Raises InvalidCursorError.
    """
    version = fields.sequence(after_version, "after_version", least=0)
    return Waiter(key=CursorKey.check(key), version=version)


def for_reset(key: CursorKey, epoch: int) -> Waiter:
    """Return one who waits for the cursor of `key` to be reset, beyond `epoch`."""
    return Waiter(key=key, epoch=epoch)


def for_entries(after: object) -> Waiter:
    """Return one who waits for an entry beyond position `after`.

    Raises InvalidCursorError.
    """
    return Waiter(position=fields.sequence(after, "after", least=0))


def until(timeout: object) -> float:
    """Return the moment, of the monotonic clock, that is `timeout` seconds from now.

    Raises InvalidCursorError.
    """
    if timeout is None:
        return inf
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        said = f"{timeout!r:.80}"
        raise invalid("timeout", f"must be None or seconds from 0, not {said}.", value=said)
    try:
        return time.monotonic() + timeout
    except OverflowError:
        return inf


def left_s(moment: float) -> float:
    """Return how many seconds are left until `moment`; 0 if none are."""
    return max(moment - time.monotonic(), 0.0)


def rest_s(began: float, moment: float) -> float:
    """Return for how many seconds to leave the log alone, if it was looked at when this `began`."""
    return min(max(began + AGAIN_S - time.monotonic(), 0.0), left_s(moment))


def in_thread(waker: Waker, waiter: Waiter, moment: float) -> Cursor | int | None:
    """Wait in this thread, and return what comes of it; None after `moment`.

    Raises StorageError if the ledger is closed, or cannot be read any more.
    """
    return waker.wait(waiter, None if moment == inf else left_s(moment))
