"""Which entry passed each sequence of a cursor last: its delivery, and who confirmed it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, overload

import attrs

from ledger import CursorKey, Entry, EntryQuery, Ledger
from ledger.errors import invalid
from ledger.law import fields
from projections.coroutines import yielding
from projections.crossings import How, crossings
from projections.narrowing import backs_of, touching
from projections.ranges import Range, RangeMap, span

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = ["Blame", "blame"]

PAGE = 256
"""The number of ranges whose entries are read together."""


@attrs.frozen(kw_only=True)
class Blame:
    """Sequences from `first` to `last`, and what passed them last.

    `entry` is the advance, reset or start that did, and `how` what it did to them; both are None if
    the cursor has never passed them. `passes` counts all entries that passed them or confirmed
    them, this one included. `pending` says that the cursor stands before them, so that they are
    still to come, or to come again.

    `key` is that of the cursor.

    >>> import ledger
    >>> from projections import blame
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="dispatcher@web-1") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     [one] = blame(book, key, 44)
    >>> one.first, one.how.value, one.entry.actor, one.passes, one.pending
    (44, 'landed', 'dispatcher@web-1', 1, False)
    """

    key: CursorKey
    first: int
    last: int
    how: How | None
    entry: Entry | None
    passes: int
    pending: bool

    def __str__(self) -> str:
        what = f"{self.key}: {span(self.first, self.last)}"
        if self.entry is None or self.how is None:
            return f"{what} never passed"
        by = f" by {self.entry.actor}" if self.entry.actor else ""
        return f"{what} {self.how.value} at position {self.entry.position}{by}"


@overload
def blame(
    book: Ledger, key: CursorKey, first: int = 1, last: int | None = None
) -> Iterator[Blame]: ...


@overload
def blame(
    book: AsyncLedger, key: CursorKey, first: int = 1, last: int | None = None
) -> Stream[Blame]: ...


@yielding
def blame(book: Ledger, key: CursorKey, first: int = 1, last: int | None = None) -> Iterator[Blame]:
    """Yield what passed the sequences from `first` to `last` last, in order, in ranges.

    Without `last`, up to where the cursor stands, or to the furthest that it ever was. Only entries
    that touched one of these sequences are read. Neighbours that one entry passed in one way, as
    often, are one range. Memory is 48 bytes a range.

    `book` is the ledger, and `key` names the cursor.

    Raises InvalidCursorError, CursorNotFoundError.

    >>> import ledger
    >>> from projections import blame
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=to) for to in (1, 4, 5)]
    ...     cursor = book.reset(key, to=3, reason="receiver lost 4")
    ...     for each in blame(book, key, 2, 9):
    ...         print(each)
    webhooks/orders: 2 to 3 jumped at position 2 by ines
    webhooks/orders: 4 landed at position 2 by ines
    webhooks/orders: 5 landed at position 3 by ines
    webhooks/orders: 6 to 9 never passed
    """
    first = fields.sequence(first, "first", least=1)
    if last is not None:
        last = fields.sequence(last, "last", least=1)
        if last < first:
            raise invalid("last", f"must be from {first}, the first of the range, not {last}.")
    return _blamed_in(book, CursorKey.check(key), first, last)


def _blamed_in(book: Ledger, key: CursorKey, first: int, last: int | None) -> Iterator[Blame]:
    cursor = book.get(key)
    wanted = Range(first, fields.SEQUENCE_MAX if last is None else last)
    passed = _Passed(first, last)
    windows = touching(book, {key: (cursor, backs_of(book, cursor))}, wanted)
    for window in windows.get(key, ()):
        query = EntryQuery(
            key=key,
            covering=wanted.first,
            covering_until=wanted.last,
            version_from=window.first,
            version_until=window.last,
        )
        for entry in book.entries(query):
            passed.note(entry)
    ranges = passed.ranges(at := cursor.last_sequence)
    while page := list(islice(ranges, PAGE)):
        positions = sorted({value // 2 for _, _, value, _ in page if value is not None})
        query = EntryQuery(key=key, positions=positions)
        entries: dict[int, Entry] = {}
        if positions:  # A query without any would choose all there are.
            entries = {each.position: each for each in book.entries(query)}
        for low, high, value, passes in page:
            passer = None if value is None else entries[value // 2]
            yield Blame(
                key=key,
                first=low,
                last=high,
                how=None if passer is None else _how(passer, low),
                entry=passer,
                passes=passes,
                pending=low > at,
            )


class _Passed:
    """What passed each sequence last, and how often it was passed."""

    def __init__(self, first: int, last: int | None) -> None:
        self._first = first
        self._last = last
        self._beyond = first - 1
        self._values = RangeMap()
        self._counts = RangeMap()

    def note(self, entry: Entry) -> None:
        """Note what `entry` passed; a reset back passes nothing."""
        for first, last, how in crossings(entry.event):
            low = max(first, self._first)
            high = last if self._last is None else min(last, self._last)
            if low > high or how is How.REWOUND:
                continue
            self._beyond = max(self._beyond, high)
            # An advance does two things: what it jumped over is told apart from where it landed.
            self._values.put(low, high, 2 * entry.position + (how is How.JUMPED))
            before = self._counts.within(low, high)
            self._counts.put(low, high, 1)
            for known, end, count in before:
                self._counts.put(known, end, count + 1)

    def ranges(self, at: int) -> Iterator[_Part]:
        """Yield the parts of the range in order; none lies on both sides of `at`."""
        for part in self._parts():
            low, high, value, passes = part
            if low <= at < high:
                yield low, at, value, passes
                yield at + 1, high, value, passes
            else:
                yield part

    def _parts(self) -> Iterator[_Part]:
        place = self._first
        for first, last, value in self._values:
            if place < first:
                yield place, first - 1, None, 0
            for low, high, count in self._counts.within(first, last):
                yield low, high, value, count
            place = last + 1
        end = self._beyond if self._last is None else self._last
        if place <= end:
            yield place, end, None, 0


_Part: TypeAlias = tuple[int, int, int | None, int]
"""The first and the last of some sequences, what passed them last, and how often they were."""


def _how(entry: Entry, sequence: int) -> How:
    return next(how for low, high, how in crossings(entry.event) if low <= sequence <= high)
