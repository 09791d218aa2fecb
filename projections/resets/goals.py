"""Where a reset goes: what a goal comes to for each cursor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs

from ledger import (
    Cursor,
    CursorKey,
    CursorNotFoundError,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    LedgerError,
)
from ledger.law import fields
from ledger.law.takeovers import is_takeover
from ledger.log.text import show_time
from projections.cursors import Moment, as_of, as_of_version

__all__ = ["ImpossiblePlanError", "Place", "before_last_reset", "current", "goal"]


class ImpossiblePlanError(LedgerError):
    """What the log says of a cursor leaves nowhere to reset it to.

    >>> import ledger
    >>> from projections import ImpossiblePlanError, ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     try:
    ...         ResetPlan.undo(book, [key])
    ...     except ImpossiblePlanError:
    ...         print("it was never reset")
    it was never reset
    """


@attrs.frozen
class Place:
    """Where a cursor is to stand, and under which delivery."""

    sequence: int
    delivery_id: str = ""
    delivered_at: datetime | None = None

    @classmethod
    def of(cls, cursor: Cursor) -> Place:
        """Return where `cursor` stands."""
        return cls(cursor.last_sequence, cursor.last_delivery_id, cursor.last_delivered_at)


def goal(
    book: Ledger,
    *,
    to: int | None,
    by: int | None,
    moment: Moment | None,
    like: CursorKey | None,
) -> Callable[[CursorKey, Cursor | None], Place]:
    """Return the function that says where a cursor is to go."""
    if [to, by, moment, like].count(None) != 3:
        raise InvalidCursorError("say where to by exactly one of to, by, as_of and like.")
    if by is not None:
        step = fields.sequence(by, "by", least=-fields.SEQUENCE_MAX)

        def by_step(key: CursorKey, current: Cursor | None) -> Place:
            start = current.last_sequence if current else 0
            if not 0 <= start + step <= fields.SEQUENCE_MAX:
                raise ImpossiblePlanError(
                    f"{key} is at {start}; by {step:+} it would be at {start + step}, which is "
                    f"outside 0 to {fields.SEQUENCE_MAX}."
                )
            return Place(start + step)

        return by_step
    if moment is not None:

        def as_it_stood(key: CursorKey, _: Cursor | None) -> Place:
            then = as_of(book, key, moment)
            if then is None:
                raise ImpossiblePlanError(
                    f"{key} had no entry yet at {_shown(moment)}; choose a later moment."
                    f"{_started(book, key)}"
                )
            return Place.of(then)

        return as_it_stood
    if like is not None:
        there = Place(book.get(like).last_sequence)
    else:
        there = Place(fields.sequence(to, "to", least=0))
    return lambda _, __: there


def before_last_reset(book: Ledger, key: CursorKey, at: Cursor) -> tuple[Place, Entry]:
    """Return where the cursor, now `at`, was before its last reset, and the entry of that.

    Raises ImpossiblePlanError if it was never reset, or has been back there since.
    """
    entry, event = _last_reset(book, key)
    there = event.previous_sequence
    if event.sequence < there <= at.last_sequence:
        raise ImpossiblePlanError(
            f"{key} was reset from {there} to {event.sequence} at position "
            f"{entry.position}, and has been back since: it is at {at.last_sequence}. "
            "There is nothing left to undo."
        )
    before = as_of_version(book, key, entry.version - 1)
    if before is None:
        return Place(there), entry
    return Place(there, before.last_delivery_id, before.last_delivered_at), entry


def current(book: Ledger, key: CursorKey) -> Cursor | None:
    """Return the cursor of `key`, or None if it has no entries."""
    try:
        return book.get(key)
    except CursorNotFoundError:
        return None


def _last_reset(book: Ledger, key: CursorKey) -> tuple[Entry, CursorReset]:
    query = EntryQuery(key=key, kinds=(CursorReset,), newest_first=True)
    for entry in book.entries(query):
        # A takeover moves nothing: what is undone is the reset before it.
        if isinstance(entry.event, CursorReset) and not is_takeover(entry):
            return entry, entry.event
    raise ImpossiblePlanError(f"{key} was never reset; there is nothing to undo.")


def _started(book: Ledger, key: CursorKey) -> str:
    """Return a sentence that says where `key` was started, or nothing if it was not."""
    for entry in book.entries(EntryQuery(key=key, version_until=1)):
        if isinstance(event := entry.event, CursorStarted):
            source = f" from {event.source}" if event.source else ""
            return (
                f" It was started at {event.sequence}{source}, at {show_time(entry.recorded_at)}; "
                "what lies before is before the ledger's time."
            )
    return ""


def _shown(moment: Moment) -> str:
    return show_time(moment) if isinstance(moment, datetime) else f"position {moment}"
