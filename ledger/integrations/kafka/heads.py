"""How far the partitions go, recorded as heads of their streams, so that the ledger knows the lag.

The client is told with every fetch where a partition ends. That is the offset of the next record to
come, so it is the sequence of the last one that is there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from ledger.errors import InvalidCursorError, StorageError
from ledger.law import fields

if TYPE_CHECKING:
    from types import ModuleType

    from confluent_kafka import Consumer

    from ledger.service import Ledger

__all__ = ["EVERY_S", "Heads"]

EVERY_S = 10.0
EVERY_S_MAX = 86_400


class Heads:
    """Records where partitions end, at most every so many seconds; never if that is 0."""

    def __init__(self, book: Ledger, client: ModuleType, every_s: float) -> None:
        if type(every_s) not in (int, float) or not 0 <= every_s <= EVERY_S_MAX:
            raise InvalidCursorError(
                f"heads_every_s must be from 0 to {EVERY_S_MAX:,} seconds, not "
                f"{fields.shown(every_s)}; 0 means never."
            )
        self._book = book
        self._client = client
        self._every_s = every_s
        self._due_at = 0.0
        self._recorded: dict[tuple[str, int], int] = {}

    def record(self, consumer: Consumer, places: Iterable[tuple[str, int]]) -> None:
        """Record the ends of the partitions `places` that have moved, if it is time to.

        It is, for one that has no end yet.
        """
        if not self._every_s:
            return
        now = time.monotonic()
        is_due = now >= self._due_at
        for place in places:
            if (is_due or place not in self._recorded) and (end := self._end(consumer, place)) >= 0:
                self._record(place, end)
        if is_due:
            self._due_at = now + self._every_s

    def _record(self, place: tuple[str, int], end: int) -> None:
        if end <= self._recorded.setdefault(place, 0):
            return
        topic, number = place
        # No delivery depends on it, so a database that is away is asked next time.
        with suppress(StorageError):
            self._book.heads.record(topic, str(number), end)
            self._recorded[place] = end

    def _end(self, consumer: Consumer, place: tuple[str, int]) -> int:
        """Return the offset of the next record to come; below 0 if it is not known yet."""
        with suppress(self._client.KafkaException):
            partition = self._client.TopicPartition(*place)
            return consumer.get_watermark_offsets(partition, cached=True)[1]
        return -1
