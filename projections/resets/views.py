"""The resets of the log: which actor reset which cursor, why, and with what result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, overload

import attrs

from ledger import (
    CursorKey,
    CursorNotFoundError,
    CursorReset,
    Entry,
    EntryQuery,
    Ledger,
)
from ledger.errors import invalid
from ledger.law import fields
from ledger.law.reserved import RULES
from ledger.law.takeovers import is_takeover
from projections.coroutines import yielding
from projections.ranges import Range
from projections.resets.epochs import resets_of
from projections.undoing import undone_by

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger, Stream

__all__ = ["Direction", "RecordedReset", "resets"]


class Direction(StrEnum):
    """Where a reset moves its cursor.

    >>> from projections import Direction
    >>> Direction.between(44, 41)
    <Direction.BACK: 'back'>
    """

    BACK = "back"
    """To a smaller sequence: what lies between is delivered again."""
    FORWARD = "forward"
    """To a larger sequence: what lies between is passed over."""
    NOWHERE = "nowhere"
    """To where the cursor stands: its delivery and its epoch change."""

    @classmethod
    def between(cls, start: int, end: int) -> Direction:
        """Return the direction from `start` to `end`."""
        return cls.BACK if end < start else cls.FORWARD if end > start else cls.NOWHERE


@attrs.frozen(kw_only=True)
class RecordedReset:
    """One reset of the log, and what came of it.

    `delivered_again` are the sequences that it asked to deliver again, `passed_over` those that it
    skipped. After a reset back, `back_at` is when the cursor was where it had been, or further, by
    the entry at `back_position`, of `back_by`; None if it has not been there since. `undone_at` is
    when the reset was undone, if it was, by the reset at `undone_position`, of `undone_by`: then
    nothing was delivered again beyond the place that the cursor had come to, or passed over.

    `authenticated` is the role of PostgreSQL that was logged in when it was stored, as the database
    noted it; empty where nothing is noted, as in a file (see `Ledger.session_users`).

    `position`, `key`, `version`, `epoch`, `recorded_at`, `actor`, `reason`, `metadata`,
    `previous_sequence` and `sequence` are those of the entry. `direction` says where it moved the
    cursor.

    >>> import ledger
    >>> from projections import resets
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     cursor = book.advance(key, to=44, actor="dispatcher@web-1")
    ...     [reset] = resets(book)
    >>> print(reset.delivered_again)
    3 sequences, 42 to 44
    >>> reset.direction.value, reset.back_by, reset.back_position
    ('back', 'dispatcher@web-1', 3)
    """

    position: int
    key: CursorKey
    version: int
    epoch: int
    recorded_at: datetime
    actor: str
    reason: str
    metadata: Mapping[str, str] = attrs.field(hash=False)
    direction: Direction
    previous_sequence: int
    sequence: int
    delivered_again: Range | None
    passed_over: Range | None
    back_at: datetime | None
    back_position: int | None
    back_by: str
    undone_at: datetime | None = None
    undone_position: int | None = None
    undone_by: str = ""
    authenticated: str = ""


@overload
def resets(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    reason: str = "",
    direction: Direction | None = None,
    authenticated: str = "",
    takeovers: bool = False,
) -> Iterator[RecordedReset]: ...


@overload
def resets(
    book: AsyncLedger,
    query: EntryQuery | None = None,
    *,
    reason: str = "",
    direction: Direction | None = None,
    authenticated: str = "",
    takeovers: bool = False,
) -> Stream[RecordedReset]: ...


@yielding
def resets(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    reason: str = "",
    direction: Direction | None = None,
    authenticated: str = "",
    takeovers: bool = False,
) -> Iterator[RecordedReset]:
    """Yield the resets that `query` chooses, by position, lazily; whatever `kinds` it has.

    `reason` is text that the reason must have in it, in capitals or not; `direction` is where the
    reset must lead, None for anywhere; `authenticated` is the role that must have been logged in to
    the database. Takeovers by consumers move no cursor and are left out; with
    `takeovers`, they are yielded, and nothing else. Resets have an index of their own, so the rest
    of the log is not read: only, to see what came of one, the entries of its cursor up to where it
    was back.

    `book` is the ledger.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import resets
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     [(reset.actor, reset.reason) for reset in resets(book)]
    [('ines', 'receiver lost 42 and 43')]
    """
    if query is not None and not isinstance(query, EntryQuery):
        raise invalid("query", f"must be an EntryQuery, not {fields.kind(query)}.")
    query = query or EntryQuery()
    wanted = fields.text(reason, "reason", length_max=fields.REASON_LENGTH_MAX).casefold()
    towards = None if direction is None else Direction(direction)
    role = fields.text(authenticated, "authenticated")
    return _chosen(book, query, wanted, towards, role=role, takeovers=takeovers)


def _chosen(
    book: Ledger,
    query: EntryQuery,
    wanted: str,
    towards: Direction | None,
    *,
    role: str,
    takeovers: bool,
) -> Iterator[RecordedReset]:
    given = 0
    entries = _wanted(book, query, wanted, towards, takeovers=takeovers)
    for entry, event, user in _with_users(book, entries):
        if role not in ("", user):
            continue
        yield _recorded(book, entry, event, user)
        given += 1
        if given == query.limit:
            return


def _wanted(
    book: Ledger, query: EntryQuery, wanted: str, towards: Direction | None, *, takeovers: bool
) -> Iterator[tuple[Entry, CursorReset]]:
    for entry in book.entries(attrs.evolve(query, kinds=(CursorReset,), limit=0)):
        event = entry.event
        if not isinstance(event, CursorReset) or wanted not in event.reason.casefold():
            continue
        if is_takeover(entry) is not takeovers:
            continue
        if towards in (None, Direction.between(event.previous_sequence, event.sequence)):
            yield entry, event


def _with_users(
    book: Ledger, entries: Iterator[tuple[Entry, CursorReset]]
) -> Iterator[tuple[Entry, CursorReset, str]]:
    """Yield entries with who was logged in, who is asked for some at a time."""
    if book.session_users(()) is None:
        yield from ((entry, event, "") for entry, event in entries)
        return
    size = _USERS_FIRST
    while page := list(islice(entries, size)):
        users = book.session_users([entry.position for entry, _ in page]) or {}
        yield from ((entry, event, users.get(entry.position, "")) for entry, event in page)
        size = min(size * 4, _USERS_MAX)


_USERS_FIRST, _USERS_MAX = 16, 1_024


def _recorded(book: Ledger, entry: Entry, event: CursorReset, user: str) -> RecordedReset:
    direction = Direction.between(event.previous_sequence, event.sequence)
    if entry.key.consumer_id in RULES:
        # It delivers nothing: to set a policy skips nothing, and to drop one repeats nothing.
        return _plain(entry, event, direction, user)
    crossed = Range.between(event.previous_sequence, event.sequence)
    back = _return(book, entry, event) if direction is Direction.BACK else None
    undo = _undo(book, entry, event, direction, back)
    return attrs.evolve(
        _plain(entry, event, direction, user),
        delivered_again=crossed if direction is Direction.BACK else None,
        passed_over=crossed if direction is Direction.FORWARD else None,
        back_at=back.recorded_at if back else None,
        back_position=back.position if back else None,
        back_by=back.actor if back else "",
        undone_at=undo.recorded_at if undo else None,
        undone_position=undo.position if undo else None,
        undone_by=undo.actor if undo else "",
    )


def _plain(entry: Entry, event: CursorReset, direction: Direction, user: str) -> RecordedReset:
    """Return what the entry itself says."""
    return RecordedReset(
        position=entry.position,
        key=entry.key,
        version=entry.version,
        epoch=entry.epoch,
        recorded_at=entry.recorded_at,
        actor=entry.actor,
        reason=event.reason,
        metadata=entry.metadata,
        direction=direction,
        previous_sequence=event.previous_sequence,
        sequence=event.sequence,
        delivered_again=None,
        passed_over=None,
        back_at=None,
        back_position=None,
        back_by="",
        authenticated=user,
    )


def _undo(
    book: Ledger, entry: Entry, event: CursorReset, direction: Direction, back: Entry | None
) -> Entry | None:
    """Return the entry that undid a reset, or None.

    It is the first that brought the cursor back to where it was, from either side.
    """
    if direction is Direction.FORWARD and _went_back(book, entry, event.previous_sequence):
        there = event.previous_sequence + 1
        query = EntryQuery(key=entry.key, version_from=entry.version + 1, covering=there, limit=1)
        back = next(book.entries(query), None)
    return back if back is not None and undone_by(back) == entry.position else None


def _went_back(book: Ledger, entry: Entry, there: int) -> bool:
    # Only resets are read: else all entries of a cursor that never went back would be searched.
    try:
        cursor = book.get(entry.key)
    except CursorNotFoundError:
        return False
    return any(reset.sequence <= there for _, reset in resets_of(book, cursor, after=entry.version))


def _return(book: Ledger, entry: Entry, event: CursorReset) -> Entry | None:
    """Return the first later entry that brought the cursor back to where it was, or beyond."""
    there = event.previous_sequence
    if not _was_there_again(book, entry, there):
        return None
    return next(
        book.entries(
            EntryQuery(key=entry.key, version_from=entry.version + 1, covering=there, limit=1)
        ),
        None,
    )


def _was_there_again(book: Ledger, entry: Entry, there: int) -> bool:
    # Between two resets a cursor never goes back, so it has been furthest where the next reset
    # found it, or where it stands now. Only these are read: else all entries of a cursor
    # that never came back would be searched.
    try:
        cursor = book.get(entry.key)
    except CursorNotFoundError:
        return False  # The stored cursor was removed behind the ledger's back.
    if cursor.last_sequence >= there:
        return True
    return any(
        max(reset.previous_sequence, reset.sequence) >= there
        for _, reset in resets_of(book, cursor, after=entry.version)
    )
