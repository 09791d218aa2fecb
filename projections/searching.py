"""Gaps and repeats of many cursors: each is found by the entries that can make one.

A cursor is read up to the version at which it was listed, so that an entry that is appended
meanwhile is left out of everything.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter

import attrs

from ledger import (
    Cursor,
    CursorAdvanced,
    CursorKey,
    CursorReset,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
)
from ledger.law.events import CursorStarted
from ledger.law.takeovers import is_takeover
from projections.gaps import Gap, gaps
from projections.narrowing import Backs, touching
from projections.passing import Search, look_up
from projections.ranges import Range
from projections.repeats import Repeat, repeats

__all__ = ["BATCH", "Wanted", "gaps_of", "repeats_of"]

BATCH = 256
"""The number of cursors that are looked up together."""
PAGE = 256
"""The number of entries that are read together by their positions."""


@attrs.frozen(kw_only=True)
class Wanted:
    """Which of the gaps or repeats are wanted, and who is told how far the search has got.

    A gap was made between `since` and `until`, a repeat was delivered again at some time between
    them; both times are the ledger's, and included. It is of `least` sequences or more. `read` is
    called with how many entries lie behind.
    """

    since: datetime | None = None
    until: datetime | None = None
    least: int = 1
    read: Callable[[int], object] = int

    def is_wanted(self, first: int, last: int, began: datetime, ended: datetime) -> bool:
        """Return whether what happened to these sequences, between two times, is wanted."""
        return (
            last - first + 1 >= self.least
            and (self.since is None or ended >= self.since)
            and (self.until is None or began <= self.until)
        )


def gaps_of(
    book: Ledger,
    cursors: Iterable[Cursor],
    wanted: Wanted,
    queries: Iterable[EntryQuery] = (EntryQuery(),),
    *,
    dense: bool = False,
) -> Iterator[tuple[Gap, Entry]]:
    """Yield the gaps of each of `cursors`, with the advance that jumped; what `gaps` finds.

    `queries` choose the entries of all of them. An advance that jumps is needed, and no gap is made
    before it, so those since then are enough. What fills a gap touches it again; since sequences
    only grow between resets back, one of these went back to it or behind it. What comes before the
    first of these entries only says whether a gap is initial, which an advance from 0 can make.

    Memory grows by 8 bytes with each jump, and by 24 with each gap of one cursor.
    """
    settled = book.horizon()
    jumps = _jumps(book, queries, wanted.since, settled.position)
    if settled.position < settled.last:
        cursors = _with_unsettled(book, cursors, wanted.since, settled.position, jumps)
    for batch in _batches(book, cursors, wanted, lambda cursor: cursor.key in jumps):
        for cursor, since_version, windows in batch:
            jumped = _at(book, cursor, jumps.pop(cursor.key))
            needed = _needed(book, cursor, since_version, [jumped], windows)
            found = gaps(_begun(book, needed), dense=dense)
            while page := list(islice(found, PAGE)):
                places = sorted({gap.position for gap in page})
                entries = {each.position: each for each in _at(book, cursor, places)}
                for gap in page:
                    at = entries[gap.position].recorded_at
                    if wanted.is_wanted(gap.first, gap.last, at, at):
                        yield gap, entries[gap.position]


def repeats_of(book: Ledger, cursors: Iterable[Cursor], wanted: Wanted) -> Iterator[Repeat]:
    """Yield the repeats of each of `cursors`; what `repeats` finds.

    A repeat is of what a reset went back behind, and how often that was delivered, and heard of, is
    told by the entries that touch it.
    """
    for batch in _batches(book, cursors, wanted, lambda cursor: cursor.epoch > 0):
        for cursor, since_version, windows in batch:
            # A repeat is of an advance within a window; it has ended before the first of `since`.
            if not windows or windows[-1].last < since_version:
                continue
            for found in repeats(_needed(book, cursor, 1, [], windows)):
                if wanted.is_wanted(found.first, found.last, found.first_at, found.last_at):
                    yield found


def _jumps(
    book: Ledger, queries: Iterable[EntryQuery], since: datetime | None, until: int
) -> dict[CursorKey, array[int]]:
    """Return the positions at which cursors jumped, up to the position `until`."""
    found: dict[CursorKey, array[int]] = {}
    for query in queries:
        jumping = attrs.evolve(query, jumping=True, recorded_from=since, position_until=until)
        for entry in book.entries(jumping):
            found.setdefault(entry.key, array("q")).append(entry.position)
    return found


def _with_unsettled(
    book: Ledger,
    cursors: Iterable[Cursor],
    since: datetime | None,
    settled: int,
    jumps: dict[CursorKey, array[int]],
) -> Iterator[Cursor]:
    """Yield `cursors`, and add to `jumps` where they jumped after the position `settled`.

    Readers of the whole log wait for what is not settled; what one cursor has is all there.
    """
    rest = iter(cursors)
    while batch := list(islice(rest, BATCH)):
        last = book.moves((cursor.key, cursor.version) for cursor in batch)
        for cursor, move in zip(batch, last, strict=True):
            if move is not None and move.position > settled:
                query = EntryQuery(
                    key=cursor.key, jumping=True, position_from=settled + 1, recorded_from=since
                )
                for entry in book.entries(query):
                    jumps.setdefault(cursor.key, array("q")).append(entry.position)
        yield from batch


def _batches(
    book: Ledger,
    cursors: Iterable[Cursor],
    wanted: Wanted,
    is_needed: Callable[[Cursor], bool],
) -> Iterator[Iterator[tuple[Cursor, int, Sequence[Range]]]]:
    """Yield those of `cursors` that are needed: from which version on, and which versions.

    These are the versions at which they touched what a reset went back to.
    """
    cursors, behind, backs = iter(cursors), 0, Backs(book)

    def each(
        batch: list[Cursor],
        versions: Mapping[CursorKey, int],
        windows: Mapping[CursorKey, Sequence[Range]],
    ) -> Iterator[tuple[Cursor, int, Sequence[Range]]]:
        nonlocal behind
        for cursor in batch:
            wanted.read(behind)
            if cursor.key in versions:
                yield cursor, versions[cursor.key], windows.get(cursor.key, ())
            behind += cursor.version

    while batch := list(islice(cursors, BATCH)):
        needed = list(filter(is_needed, batch))
        versions = _since(book, needed, wanted.since)
        resets = {
            cursor.key: (cursor, found)
            for cursor in needed
            if cursor.key in versions and (found := backs.of(cursor))
        }
        yield each(batch, versions, touching(book, resets))


def _since(book: Ledger, batch: list[Cursor], since: datetime | None) -> dict[CursorKey, int]:
    """Return from which version on each cursor is read; `recorded_at` never goes back within it."""
    if since is None:
        return {cursor.key: 1 for cursor in batch}
    last = book.moves((cursor.key, cursor.version) for cursor in batch)
    searches = [
        Search(cursor.key, 0, cursor.version, lambda move: move.recorded_at >= since)
        for cursor, move in zip(batch, last, strict=True)
        if move is not None and move.recorded_at >= since
    ]
    look_up(book, searches)
    return {search.key: search.found.version for search in searches if search.found is not None}


def _needed(
    book: Ledger,
    cursor: Cursor,
    since_version: int,
    more: Iterable[Iterator[Entry]],
    windows: Iterable[Range],
) -> Iterator[Entry]:
    """Yield the entries at these versions, and `more`, each once and in order."""
    read = (
        book.entries(
            EntryQuery(
                key=cursor.key,
                version_from=max(window.first, since_version),
                version_until=window.last,
            )
        )
        for window in windows
        if window.last >= since_version
    )
    together = merge(_one_after_another(read), *more, key=attrgetter("version"))
    for version, same in groupby(together, attrgetter("version")):
        if version <= cursor.version:
            yield next(same)


def _one_after_another(parts: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    for part in parts:
        yield from part


def _at(book: Ledger, cursor: Cursor, positions: Iterable[int]) -> Iterator[Entry]:
    """Yield the entries of `cursor` at `positions`, which are in order."""
    rest = iter(positions)
    while page := list(islice(rest, PAGE)):
        yield from book.entries(EntryQuery(key=cursor.key, positions=page))


def _begun(book: Ledger, needed: Iterator[Entry]) -> Iterator[Entry]:
    """Yield `needed`, and before it what says whether its first advance began the cursor.

    The errors and takeovers in front of that are left out: they touch nothing and begin nothing, so
    they hide neither what came before them nor what comes behind them.
    """
    first = next(filter(_begins, needed), None)
    if first is None:
        return
    event = first.event
    if isinstance(event, CursorAdvanced) and event.previous_sequence == 0 and first.version > 1:
        kinds = (CursorAdvanced, CursorReset, CursorStarted)
        before = EntryQuery(key=first.key, kinds=kinds, version_until=first.version - 1)
        yield from islice(filter(_begins, book.entries(before)), 1)
    yield first
    yield from needed


def _begins(entry: Entry) -> bool:
    return not (isinstance(entry.event, ErrorRecorded) or is_takeover(entry))
