"""The few entries of cursors that can make a gap or a repeat, in place of all of them.

What a view says of a history is written once, in the view. What is here leaves entries out, and
only those without which the view says the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from ledger import Cursor, CursorKey, CursorReset, EntryQuery, Ledger
from ledger.law.events import CursorStarted
from projections.passing import Search, look_up
from projections.ranges import Range

__all__ = ["Backs", "backs_of", "touching"]

BACKS_MAX = 16
"""Of a cursor that was reset back more often than this, the whole history is read."""


@attrs.frozen
class Back:
    """A reset back: its version, where it led to, and where the cursor had been."""

    version: int
    to: int
    start: int


class Backs:
    """The resets back of cursors.

    From the second cursor on that was reset, they are all known, from one look at the resets of the
    log: 24 bytes for each.
    """

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self._asked = 0
        self._counts: dict[CursorKey, int] = {}
        self._known: dict[CursorKey, array[int]] = {}

    def of(self, cursor: Cursor) -> list[Back]:
        """Return the resets back of `cursor`, in order, up to its version."""
        if not cursor.epoch:
            return []
        self._asked += 1
        if self._asked == 2:
            self._learn()
        if self._counts.get(cursor.key, 0) < cursor.epoch:
            # Not asked for yet, or not settled: it is in the cursor, but not in the log as a whole.
            return backs_of(self._book, cursor)
        numbers = self._known.get(cursor.key, array("q"))
        backs = (Back(*numbers[nth : nth + 3]) for nth in range(0, len(numbers), 3))
        return [back for back in backs if back.version <= cursor.version]

    def _learn(self) -> None:
        for entry in self._book.entries(EntryQuery(kinds=[CursorReset])):
            event = entry.event
            if isinstance(event, CursorReset):
                self._counts[entry.key] = self._counts.get(entry.key, 0) + 1
                if event.sequence < event.previous_sequence:
                    numbers = self._known.setdefault(entry.key, array("q"))
                    numbers.extend((entry.version, event.sequence, event.previous_sequence))


def backs_of(book: Ledger, cursor: Cursor) -> list[Back]:
    """Return the resets back of one cursor: a reset is where its epoch begins."""
    if cursor.epoch > BACKS_MAX:
        # Starts as well, so that they are looked for among the entries of this cursor, and not
        # among the resets of all.
        kinds = (CursorReset, CursorStarted)
        query = EntryQuery(key=cursor.key, kinds=kinds, version_until=cursor.version)
        found = [(entry.version, entry.event) for entry in book.entries(query)]
        return [
            Back(version, event.sequence, event.previous_sequence)
            for version, event in found
            if isinstance(event, CursorReset) and event.sequence < event.previous_sequence
        ]
    searches = [_beginning(cursor, epoch) for epoch in range(1, cursor.epoch + 1)]
    look_up(book, searches)
    resets = [search.found for search in searches if search.found is not None]
    return [
        Back(reset.version, reset.sequence, reset.previous_sequence)
        for reset in resets
        if reset.previous_sequence is not None and reset.sequence < reset.previous_sequence
    ]


def _beginning(cursor: Cursor, epoch: int) -> Search:
    return Search(cursor.key, 0, cursor.version, lambda move: move.epoch >= epoch)


def touching(
    book: Ledger,
    backs: Mapping[CursorKey, tuple[Cursor, Sequence[Back]]],
    wanted: Range | None = None,
) -> dict[CursorKey, list[Range]]:
    """Return the versions of each cursor at which it touched what a reset went back to or behind.

    Or, where it is given, what is `wanted`. They may be a few more than that. Between two resets
    back, sequences only grow, so where the cursor came to such a range, and past it, is found by
    few looks; all cursors take them together.
    """
    found: dict[CursorKey, list[Range]] = {}
    sought: list[tuple[CursorKey, Search | int, Search | int]] = []
    searches: list[Search] = []
    for key, (cursor, resets) in backs.items():
        if len(resets) > BACKS_MAX:
            found[key] = [Range(1, cursor.version)]
            continue
        for stretch in _stretches(cursor, resets):
            for part in [wanted] if wanted else _rewound(resets):
                if part.first > stretch.end or part.last < stretch.start:
                    continue
                low: Search | int = stretch.search(part.first)
                high: Search | int = (
                    stretch.search(part.last + 1) if part.last < stretch.end else stretch.last
                )
                sought.append((key, low, high))
                searches += [each for each in (low, high) if isinstance(each, Search)]
    look_up(book, searches)
    for key, low, high in sought:
        found.setdefault(key, []).append(Range(_version(low), _version(high)))
    return {
        key: _joined((each.first, each.last) for each in ranges) for key, ranges in found.items()
    }


@attrs.frozen(kw_only=True)
class _Stretch:
    """The versions of a cursor between two resets back, and between which sequences they lie."""

    key: CursorKey
    before: int
    """The version of the reset at which it begins, or 0."""
    last: int
    start: int
    end: int

    def search(self, sequence: int) -> Search:
        """Return the search for the first entry at `sequence` or beyond it, up to the end."""
        return Search(
            self.key,
            max(self.before - 1, 0),
            self.last,
            lambda move: move.version >= self.before and move.sequence >= sequence,
            sought=sequence,
            low_sequence=self.start,
            high_sequence=self.end,
        )


def _stretches(cursor: Cursor, resets: Sequence[Back]) -> Iterator[_Stretch]:
    before, start = 0, 0
    for back in resets:
        yield _Stretch(
            key=cursor.key, before=before, last=back.version - 1, start=start, end=back.start
        )
        before, start = back.version, back.to
    yield _Stretch(
        key=cursor.key,
        before=before,
        last=cursor.version,
        start=start,
        end=cursor.last_sequence,
    )


def _version(found: Search | int) -> int:
    if isinstance(found, int):
        return found
    # The law says that it came there; if the log breaks it, its end is a place as good as any.
    return found.found.version if found.found is not None else found.high


def _rewound(resets: Iterable[Back]) -> list[Range]:
    # Where a reset led to is in it, because it may be confirmed there.
    return _joined((back.to, back.start) for back in resets)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[Range]:
    """Return ranges in order; those that overlap or meet are one."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1].last + 1:
            found[-1] = Range(found[-1].first, max(last, found[-1].last))
        else:
            found.append(Range(first, last))
    return found
