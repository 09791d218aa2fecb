"""Where in its history a cursor came past a point: found by few looks, however long it is.

Many searches, of many cursors, take each look together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import attrs

from ledger import CursorKey, Ledger, Move

__all__ = ["Search", "look_up"]

HALVED_EVERY = 5
"""Where sequences grow unevenly, guesses by them may take long: so often a range is halved."""


@attrs.define(eq=False)
class Search:
    """For the first entry behind version `low` from which on `is_past` holds, up to `high`.

    It does not hold at `low`, holds at `high`, and once it holds behind `low` it always does. Where
    a sequence is `sought`, it holds from that one on, and guesses go by the sequences at both ends.
    """

    key: CursorKey
    low: int
    high: int
    is_past: Callable[[Move], bool]
    sought: int | None = None
    low_sequence: int = 0
    high_sequence: int = 0
    found: Move | None = None
    guesses: int = 0
    same_end: int = 0
    """How often in a row the lower end has come nearer, and the upper one if it is negative."""

    @property
    def is_open(self) -> bool:
        """Whether another look is needed."""
        return self.low < self.high

    def guess(self) -> int:
        """Return the version to look at: above `low`, and not above `high`."""
        self.guesses += 1
        versions = self.high - self.low
        if self.sought is None or self.guesses % HALVED_EVERY == 0:
            return self.low + (versions + 1) // 2
        below: float = self.sought - self.low_sequence
        beyond: float = max(self.high_sequence - self.sought, 0)
        # An end that stays where it is counts for less and less, so that it comes nearer as well:
        # the Illinois rule for finding roots.
        if self.same_end > 1:
            beyond /= 2.0 ** (self.same_end - 1)
        elif self.same_end < -1:
            below /= 2.0 ** (-self.same_end - 1)
        steps = ceil(below * versions / (below + beyond)) if below + beyond > 0 else 1
        return self.low + min(max(steps, 1), versions)

    def learn(self, version: int, move: Move | None) -> None:
        """Note what was found by a look at `version`."""
        if move is None or move.version <= self.low:
            self.low = version  # Nothing but errors in between.
        elif not self.is_past(move):
            self.low, self.low_sequence = version, move.sequence
            self.same_end = max(self.same_end, 0) + 1
        else:
            self.found, self.high = move, move.version - 1
            self.same_end = min(self.same_end, 0) - 1
            before = move.previous_sequence
            if before is None or (self.sought is not None and before < self.sought):
                self.high = self.low  # This very entry came past.
            else:
                self.high_sequence = before


def look_up(book: Ledger, searches: Sequence[Search]) -> None:
    """Run all of `searches` to their ends."""
    pending = [search for search in searches if search.is_open]
    while pending:
        places = [(search.key, search.guess()) for search in pending]
        for search, (_, version), move in zip(pending, places, book.moves(places), strict=True):
            search.learn(version, move)
        pending = [search for search in pending if search.is_open]
