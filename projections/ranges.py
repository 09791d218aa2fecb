"""Ranges of sequences: apart from one another, in order, each with a number to it."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import attrs

__all__ = ["Range", "RangeMap", "span"]


@attrs.frozen
class Range:
    """Sequences from `first` to `last`, both included.

    >>> from projections import Range
    >>> print(Range(42, 44))
    3 sequences, 42 to 44
    >>> len(Range(42, 44))
    3
    """

    first: int
    last: int

    @classmethod
    def between(cls, start: int, end: int) -> Range | None:
        """Return the sequences that a cursor passes from `start` to `end`, or back, or None."""
        return None if start == end else cls(min(start, end) + 1, max(start, end))

    def __len__(self) -> int:
        """Return how many they are."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        count = f"{len(self):,} sequence{'s' if self.first < self.last else ''}"
        return f"{count}, {span(self.first, self.last)}"


def span(first: int, last: int) -> str:
    """Return the words for the sequences from `first` to `last`."""
    return f"{first}" if first == last else f"{first} to {last}"


class RangeMap:
    """Ranges of sequences that do not overlap, each with a 64-bit number.

    Neighbours with the same number are one. A range takes 24 bytes.
    """

    def __init__(self) -> None:
        self._firsts = array("q")
        self._lasts = array("q")
        self._values = array("q")

    def put(self, first: int, last: int, value: int | None) -> None:
        """Set `value` for `first` to `last`, in place of what was known; None forgets that."""
        # One sequence further on either side, to join with a neighbour.
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, min(last, _MAX - 1) + 1)
        if low == high and value is None:
            return
        pieces: list[tuple[int, int, int]] = []
        known = self._slice(low, high)
        for piece in (
            *((f, min(e, first - 1), v) for f, e, v in known if f < first),
            *(() if value is None else ((first, last, value),)),
            *((max(f, last + 1), e, v) for f, e, v in known if e > last),
        ):
            if pieces and pieces[-1][2] == piece[2] and pieces[-1][1] + 1 == piece[0]:
                pieces[-1] = (pieces[-1][0], piece[1], piece[2])
            else:
                pieces.append(piece)
        for column, part in zip((self._firsts, self._lasts, self._values), range(3), strict=True):
            column[low:high] = array("q", [piece[part] for piece in pieces])

    def within(self, first: int, last: int) -> list[tuple[int, int, int]]:
        """Return (first, last, value) of what is known from `first` to `last`, cut to that."""
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        return [(max(f, first), min(e, last), v) for f, e, v in self._slice(low, high)]

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first, last, value) of all that is known, in order."""
        return zip(self._firsts, self._lasts, self._values, strict=True)

    def _slice(self, low: int, high: int) -> list[tuple[int, int, int]]:
        return [(self._firsts[n], self._lasts[n], self._values[n]) for n in range(low, high)]


_MAX = 2**63 - 1
