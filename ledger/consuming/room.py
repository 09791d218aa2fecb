"""Where threads wait until there is room for one more delivery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from ledger.consuming.deliveries import Deliveries

__all__ = ["WAIT_S", "Room"]

WAIT_S = 1.0
"""A thread that waits for room looks for itself at this interval."""


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

        Raises WindowFullError after that, or if only failed deliveries are in the way.
        """
        while True:
            # Another thread may be appending these, or an append failed and left them.
            if self._deliveries.has_ready:
                flush()
            with self._lock:
                if self._deliveries.may_begin(sequence):
                    return
                if self._deliveries.has_ready and not in_callback():
                    continue
                left_s = None if until is None else until - time.monotonic()
                late = left_s is not None and left_s <= 0
                if late or not self._deliveries.waits_for_others(threading.get_ident()):
                    raise self._deliveries.full()
                # Nobody tells when a delivery was begun and dropped.
                self._changed.wait(WAIT_S if left_s is None else min(left_s, WAIT_S))

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._lock:
            self._changed.notify_all()
