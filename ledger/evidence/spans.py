"""A span of the log checked alone: its entries, and the few before it that they follow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter

from ledger.errors import BrokenChainError
from ledger.evidence.chains import PROGRESS_ENTRIES, CursorCheck
from ledger.evidence.digests import GENESIS, digest_of
from ledger.evidence.source import Ids, Partible, Spanning, StoredHead
from ledger.law import rules
from ledger.law.cursor import Cursor
from ledger.law.events import CursorAdvanced, Entry, ErrorRecorded
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.columns import CONTENT, ENTRY, Row
from ledger.log.rows import entry_from

__all__ = ["begun", "check_heads", "check_span"]


def check_span(
    log: Spanning,
    after: int,
    until: int = SEQUENCE_MAX,
    *,
    confirm: Callable[[int], None] = lambda _: None,
    progress: Callable[[int], None] | None = None,
) -> tuple[int, int]:
    """Check the entries behind the position `after`, up to `until`, each chain from where it was.

    Return how many entries and cursors these are. `confirm` is told the position of each entry
    that was read to know where a chain was. If the span goes to the end, the stored cursors are
    compared as well.

    Raises BrokenChainError for whatever is wrong, without looking for more.
    """
    entries = cursors = 0
    before = log.rows_before(after, until)
    followed = next(before, None)
    heads = log.heads_behind(after) if until == SEQUENCE_MAX else None
    for cursor_id, rows in groupby(log.rows_between(after, until), key=itemgetter(0)):
        check = CursorCheck(place=f"the cursor with the id {cursor_id!r:.40}")
        if followed is not None and followed[0] == cursor_id:
            check = begun(log, followed, confirm)
            followed = next(before, None)
        for row in rows:
            for fault in check.follow(row[1:]):
                raise BrokenChainError(fault.place, fault.detail)
            entries += 1
            if progress is not None and entries % PROGRESS_ENTRIES == 0:
                progress(entries)
        cursors += 1
        if heads is not None:
            _compare(check, cursor_id, next(heads, None))
    return entries, cursors


def check_heads(log: Partible, ids: Ids) -> int:
    """Compare the stored cursors of `ids` with what their last entries say; return how many.

    Raises BrokenChainError for whatever is wrong, without looking for more.
    """
    cursors = 0
    heads = log.heads(ids)
    for row in log.last_rows(ids):
        _compare(begun(log, row), row[0], next(heads, None))
        cursors += 1
    for _, place, _ in heads:
        raise BrokenChainError(place, "a cursor is stored, but no entry of it is in the log")
    return cursors


def begun(log: Spanning, row: Row, confirm: Callable[[int], None] = lambda _: None) -> CursorCheck:
    """Return the check of a cursor behind one of its entries, as if all up to that were followed.

    `row` is as `rows_before` has it. What the entry does not say itself is read of those that do.

    Raises BrokenChainError if one of them does not say what its digest covers.
    """
    entry = _sound(row)
    cursor: Cursor | None = None
    if not _says_it_all(entry):
        for earlier in log.rows_of_place(row[0], entry.version):
            confirm(earlier[_POSITION])
            cursor = rules.adopt(cursor, _sound(earlier))
    confirm(entry.position)
    return CursorCheck(
        place=str(entry.key),
        cursor=rules.adopt(cursor, entry),
        version=entry.version,
        position=entry.position,
        recorded_at=row[_RECORDED_AT],
        digest=entry.digest,
    )


def _says_it_all(entry: Entry) -> bool:
    """Return whether a cursor is known by this entry alone."""
    match entry.event:
        case ErrorRecorded():
            return entry.version == 1
        case CursorAdvanced() as event:
            # One that confirms again keeps the time of the first delivery.
            return event.sequence != event.previous_sequence
        case _:
            return True


def _sound(row: Row) -> Entry:
    own, before = row[1:-1], row[-1]
    entry = entry_from(own)
    previous = before if entry.version > 1 else GENESIS
    try:
        if digest_of(previous, own[_CONTENT]) == entry.digest:
            return entry
    except (TypeError, ValueError):
        pass
    raise BrokenChainError(f"position {entry.position}", "its digest does not fit what it says")


def _compare(check: CursorCheck, cursor_id: object, head: StoredHead | None) -> None:
    match head:
        case (stored_id, _, stored) if stored_id == cursor_id:
            if (fault := check.compare(stored)) is not None:
                raise BrokenChainError(fault.place, fault.detail)
        case _:
            raise BrokenChainError(check.place, "its entries have no stored cursor")


# In a row that has the cursor id in front of it.
_POSITION = 1 + ENTRY.place("position")
_RECORDED_AT = 1 + ENTRY.place("recorded_at")
_CONTENT = ENTRY.places(CONTENT)
