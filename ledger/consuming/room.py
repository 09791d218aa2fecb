"""Where threads wait until there is room for one more delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from ledger.consuming.deliveries import Deliveries

__all__ = ["WAIT_S", "Patience", "Room"]

WAIT_S = 1.0
"""A thread that waits for room looks for itself at this interval."""

ENTERED_WITHIN_S = 10.0
"""A thread that waits without end waits so long for others to enter what it has begun."""


class Patience:
    """How long a thread or task has waited for nothing but what it began and nobody has entered.

    It may have handed that on, to a pool that is busy. If it forgot to enter it, it would wait for
    ever.
    """

    def __init__(self, deliveries: Deliveries, waits: int) -> None:
        self._deliveries = deliveries
        self._waits = waits
        self._since: float | None = None

    def is_over(self, now: float) -> bool:
        """Return whether that was so each time it was asked for 10 seconds; it is `now`."""
        if not self._deliveries.only_unentered(self._waits):
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= ENTERED_WITHIN_S


class Room:
    """The room that the deliveries of a consumer leave, and the threads that wait for it."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        # The lock itself is taken, and not the condition over it: that is entered and left by
        # functions written in Python, and an interrupt in them would leave the lock taken.
        self._lock = deliveries.lock
        self._changed = threading.Condition(self._lock)

    def wait(self, sequence: int, until: float | None, flush: Callable[[], None]) -> None:
        """Wait until `sequence` may begin; `flush` appends what is confirmed, and makes room.

        `until` is by the monotonic clock, None for ever.

        Raises WindowFullError after that, or if only failed deliveries are in the way, or only what
        this thread began and nobody enters.
        """
        me = threading.get_ident()
        patience = Patience(self._deliveries, me)
        while True:
            # Another thread may be appending these, or an append failed and left them.
            if self._deliveries.has_ready:
                flush()
            with self._lock:
                if self._deliveries.may_begin(sequence):
                    return
                if self._deliveries.has_ready and not in_callback():
                    continue
                now = time.monotonic()
                left_s = WAIT_S if until is None else min(until - now, WAIT_S)
                late = patience.is_over(now) if until is None else left_s <= 0
                if late or not self._deliveries.waits_for_others(me):
                    raise self._deliveries.full()
                # Nobody tells when a delivery was begun and dropped, or not entered.
                self._changed.wait(left_s)

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._lock:
            self._changed.notify_all()
