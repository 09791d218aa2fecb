"""The resets of one cursor, newest first, found by their epochs.

The index of resets is in the order of positions: to ask it for those of one cursor reads the resets
of all. A group of thousands of cursors would read all of them thousands of times. Epochs only grow
from version to version, so the reset that began an epoch is found by halving: in 20 steps each way
among a million entries, and in a few if it was made lately.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger import Cursor, CursorKey, CursorReset, Entry, EntryQuery, Ledger

__all__ = ["resets_of"]


def resets_of(
    book: Ledger, cursor: Cursor, *, after: int = 0
) -> Iterator[tuple[Entry, CursorReset]]:
    """Yield the resets of `cursor` whose versions are above `after`, newest first, lazily.

    Where the epochs of a damaged log do not fit, all of its resets are searched.
    """
    version, epoch = cursor.version, cursor.epoch
    while epoch > 0 and version > after:
        entry = _began(book, cursor.key, epoch, version)
        if entry is None or not isinstance(event := entry.event, CursorReset):
            yield from _searched(book, cursor.key, after, version)
            return
        if entry.version > after:
            yield entry, event
        version, epoch = entry.version - 1, epoch - 1


def _began(book: Ledger, key: CursorKey, epoch: int, version: int) -> Entry | None:
    """Return the first entry with `epoch`, which the one at `version` has.

    None if the epochs do not fit.
    """
    entry = _at(book, key, version)
    if entry is None or entry.epoch != epoch:
        return None
    # The one at `first` has it; the one at `before` has an earlier one.
    first, before, step = version, 0, 1
    while first - before > 1:
        # Backwards in growing steps, because resets that are asked for are new; then in halves.
        middle = (first + before) // 2 if before else max(first - step, 1)
        there = _at(book, key, middle)
        if there is None:
            return None
        if there.epoch >= epoch:
            first, entry = middle, there
        else:
            before = middle
        step *= 2
    return entry if entry.epoch == epoch else None


def _at(book: Ledger, key: CursorKey, version: int) -> Entry | None:
    query = EntryQuery(key=key, version_from=version, version_until=version)
    return next(book.entries(query), None)


def _searched(
    book: Ledger, key: CursorKey, after: int, version: int
) -> Iterator[tuple[Entry, CursorReset]]:
    query = EntryQuery(
        key=key,
        version_from=after + 1,
        version_until=version,
        kinds=(CursorReset,),
        newest_first=True,
    )
    for entry in book.entries(query):
        if isinstance(entry.event, CursorReset):
            yield entry, entry.event
