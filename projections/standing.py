"""Where cursors stand beside one another, and beside the head of their stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush
from itertools import count

import attrs

from ledger import CursorKey, Entry, ErrorRecorded

__all__ = ["Behind", "HeadBeside", "Standing"]


@attrs.define(eq=False)
class Standing:
    """Where a cursor stands, since when, and what happened while it stood there."""

    key: CursorKey
    sequence: int
    moved_at: datetime
    confirmed_at: datetime | None = None
    waiting_since: datetime | None = None
    """Since when others are beyond it."""
    behind_since: datetime | None = None
    """Since when the head is."""
    errors: int = 0
    last_error: str = ""


class Behind:
    """Standings that nobody has come past yet, the furthest back first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Standing]] = []
        self._order = count()

    def put(self, standing: Standing) -> None:
        """Add one."""
        heappush(self._heap, (standing.sequence, next(self._order), standing))

    def passed(self, sequence: int) -> Iterator[Standing]:
        """Take those that stand before `sequence`."""
        while self._heap and self._heap[0][0] < sequence:
            yield heappop(self._heap)[2]


class HeadBeside:
    """How far the stream itself goes, and since when it is beyond each cursor."""

    def __init__(self) -> None:
        self.sequence: int | None = None
        self.moved_at: datetime | None = None
        self._behind = Behind()
        self._standings: dict[str, Standing] = {}

    def stand(self, name: str, standing: Standing) -> None:
        """Note where a cursor stands."""
        self._standings[name] = standing
        if self.sequence is not None and standing.sequence < self.sequence:
            standing.behind_since = standing.moved_at
        else:
            self._behind.put(standing)

    def move(self, entry: Entry) -> None:
        """Note that the head moved, or was reset."""
        if isinstance(entry.event, ErrorRecorded):
            return
        before, self.sequence = self.sequence or 0, entry.event.sequence
        if self.sequence != before or self.moved_at is None:
            self.moved_at = entry.recorded_at
        for standing in self._behind.passed(self.sequence):
            standing.behind_since = entry.recorded_at
        if self.sequence < before:
            for standing in self._standings.values():
                if standing.behind_since is not None and standing.sequence >= self.sequence:
                    standing.behind_since = None  # What was behind it is no more.
                    self._behind.put(standing)
