"""What an undo is: a reset that says which one it undoes, and takes back what that one did.

A view that tells what became of a sequence counts neither of the two: what stood before stands
again. Of each sequence, only the reset that touched it last can be undone.
"""

from __future__ import annotations

from ledger import CursorReset, Entry
from projections.crossings import How
from projections.ranges import RangeMap

__all__ = ["UNDOES", "Jumped", "undone_by"]

UNDOES = "undoes"
"""The position of the reset that is undone, in the metadata of the undo."""


def undone_by(entry: Entry) -> int | None:
    """Return the position of the reset that `entry` says it undoes; None if it does not say so."""
    said = entry.metadata.get(UNDOES, "")
    if not isinstance(entry.event, CursorReset) or len(said) > 19:
        return None
    # What users write there themselves need not be a position.
    return int(said) if said.isascii() and said.isdecimal() else None


class Jumped:
    """The sequences that advances jumped over, each with the position of the advance.

    Memory is 24 bytes for a range of them, and as much for what a reset touched.
    """

    def __init__(self) -> None:
        self.found = RangeMap()
        # Of what resets touched last: the position of the reset, and what was found before it.
        self._resets = RangeMap()
        self._before = RangeMap()
        self._was_reset = False

    def note(self, entry: Entry, first: int, last: int, how: How) -> None:
        """Note what `entry` did to these sequences."""
        match how:
            case How.JUMPED:
                self._advance(first, last, entry.position)
            case How.LANDED | How.CONFIRMED_AGAIN:
                self._advance(first, last, None)
            case How.SKIPPED_BY_RESET | How.REWOUND:
                self._reset(entry, first, last, how)
            case How.STARTED:
                pass

    def _advance(self, first: int, last: int, jump: int | None) -> None:
        self.found.put(first, last, jump)
        if self._was_reset:
            self._resets.put(first, last, None)
            self._before.put(first, last, None)

    def _reset(self, entry: Entry, first: int, last: int, how: How) -> None:
        before, undone = self.found.within(first, last), undone_by(entry)
        if how is How.SKIPPED_BY_RESET:
            # It has the reason of the reset, and is missing no more.
            self.found.put(first, last, None)
        for low, high, position in self._resets.within(first, last):
            if position == undone:
                self.found.put(low, high, None)
                for start, end, jump in self._before.within(low, high):
                    self.found.put(start, end, jump)
        self._before.put(first, last, None)
        for start, end, jump in before:
            self._before.put(start, end, jump)
        self._resets.put(first, last, entry.position)
        self._was_reset = True
