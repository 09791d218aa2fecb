"""One partition that is assigned to a member: its records, its cursor, and the loop in between.

Two threads meet here. The member's own thread polls Kafka, and puts what comes into the partition;
it alone touches the client. The partition's thread runs the loop of a `Consumer`, which takes from
the partition. Where the loop wants other records than those that come, after a reset above all, it
asks for a seek, and the member's thread does it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ledger.consuming.delivery import Delivery
from ledger.consuming.retrying import Retry
from ledger.errors import InvalidCursorError
from ledger.integrations.kafka.records import sequence_of
from ledger.law.cursor import CursorKey
from ledger.law.refusals import NonMonotonicCursorError

if TYPE_CHECKING:
    from confluent_kafka import Message

    from ledger.service import Ledger

__all__ = ["Partition"]

FETCH_MAX = 100
"""At most this many records are taken at a time."""

BUFFERED_MAX = 1_000
"""If this many records are waiting, the client is told to pause."""

WAIT_S = 0.05
"""How long the loop waits for a record before it looks whether the cursor was reset."""

POLL_S = 0.001
"""The loop need not wait by itself, because it waits for records."""


class Partition:
    """An assigned partition. `failure` is what ended its loop, if anything did."""

    def __init__(self, book: Ledger, key: CursorKey, *, in_flight: int) -> None:
        self._book = book
        self._consumer = book.consumer(key, in_flight=in_flight)
        self._stop = threading.Event()
        self._lock = threading.RLock()  # Taken by itself, as in consuming/room.py.
        self._changed = threading.Condition(self._lock)
        self._records: deque[Message] = deque()
        self._taken_up_to = self._consumer.position
        self._seek_to: int | None = None
        self._thread: threading.Thread | None = None
        self.paused = False
        """Whether the client was told to pause; of the member's thread alone."""
        self.failure: BaseException | None = None

    @property
    def begins_at(self) -> int:
        """The offset to begin at: that of the record after the cursor."""
        return self._taken_up_to

    # --- in the member's thread ---

    def start(
        self,
        deliver: Callable[[Message, Delivery], object],
        retry: Retry | None,
        delivery_id: Callable[[Message], str],
    ) -> None:
        """Begin to deliver, in a thread of its own."""

        def run() -> None:
            try:
                while not self._stop.is_set():
                    self._run(deliver, retry, delivery_id)
            except BaseException as error:  # noqa: BLE001 - the member raises it
                self.failure = error

        self._thread = threading.Thread(target=run, name=f"cursor-ledger {self._consumer.key}")
        self._thread.start()

    def put(self, records: list[Message]) -> None:
        """Add records that came. While a seek is wanted, they are of where it was before."""
        with self._lock:
            if self._seek_to is None:
                self._records.extend(records)
                self._changed.notify_all()

    def wanted(self) -> int | None:
        """Return the offset to seek to, or None if the records that come are those wanted."""
        with self._lock:
            return self._seek_to

    def sought(self, offset: int) -> None:
        """Note that what comes from now on begins at `offset`."""
        with self._lock:
            if self._seek_to == offset:
                self._seek_to = None

    def should_pause(self) -> bool:
        """Return whether so many records are waiting that no more should come."""
        waiting = len(self._records)
        return waiting > BUFFERED_MAX // 2 if self.paused else waiting >= BUFFERED_MAX

    def stop(self) -> None:
        """Begin nothing more; `join` waits for what is being delivered."""
        self._stop.set()
        with self._lock:
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until what was being delivered has ended, and is confirmed."""
        if self._thread is not None:
            self._thread.join()

    # --- in the thread of the loop ---

    def _run(
        self,
        deliver: Callable[[Message, Delivery], object],
        retry: Retry | None,
        delivery_id: Callable[[Message], str],
    ) -> None:
        try:
            self._consumer.run(
                self._fetch,
                deliver,
                retry=retry,
                stop=self._stop,
                poll_s=POLL_S,
                sequence=sequence_of,
                delivery_id=delivery_id,
            )
        except (NonMonotonicCursorError, InvalidCursorError):
            # A member that stalled may go on for a while beside the one that has its partition
            # now. Both deliver from a cursor on, in order, so whichever moved it lost nothing.
            if not self._was_overtaken():
                raise
            self._consumer.refresh()

    def _was_overtaken(self) -> bool:
        cursor = self._book.find(self._consumer.key)
        return cursor is not None and cursor.last_sequence > self._consumer.position

    def _fetch(self, position: int) -> list[Message]:
        """Return records after `position`, as soon as there are any; none after a while."""
        with self._lock:
            if position != self._taken_up_to:
                self._records.clear()
                self._taken_up_to = self._seek_to = position
            if not self._records and not self._stop.is_set():
                self._changed.wait(WAIT_S)
            records = [self._records.popleft() for _ in range(min(FETCH_MAX, len(self._records)))]
            if records:
                self._taken_up_to = sequence_of(records[-1])
            return records
