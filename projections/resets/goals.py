"""Where a reset goes: what a goal comes to for each cursor."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache

from ledger import (
    Cursor,
    CursorKey,
    CursorNotFoundError,
    CursorStarted,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    LedgerError,
)
from ledger.law import fields
from ledger.law.reserved import HEAD
from ledger.law.takeovers import is_takeover
from ledger.log.text import show_time
from projections.cursors import Moment, as_of, as_of_version
from projections.resets.epochs import resets_of
from projections.resets.groups import Group
from projections.resets.places import Goal, Place
from projections.resets.token_places import TokenPlaces

__all__ = [
    "ImpossiblePlanError",
    "NoPlaceThenError",
    "before_last_reset",
    "current",
    "goal",
    "start_of",
]


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


class NoPlaceThenError(ImpossiblePlanError):
    """At the moment that is meant, the cursor of `key` had no entry, or its stream no head."""

    key: CursorKey

    @classmethod
    def of(cls, key: CursorKey, said: str) -> NoPlaceThenError:
        """Return the error that says so of a cursor."""
        error = cls(said)
        error.key = key
        return error


def goal(
    book: Ledger,
    *,
    to: int | Mapping[CursorKey, int] | None,
    by: int | None,
    moment: Moment | None,
    stream_moment: Moment | None,
    like: CursorKey | None,
) -> Goal:
    """Return the function that says where a cursor is to go.

    Where tokens are numbered, it may raise InvalidCursorError, whatever is said of what is missing.
    """
    if [to, by, moment, stream_moment, like].count(None) != 4:
        raise InvalidCursorError(
            "say where to by exactly one of to, by, as_of, stream_as_of and like."
        )
    if by is not None:
        return _further(fields.sequence(by, "by", least=-fields.SEQUENCE_MAX))
    if moment is not None:
        return _as_it_stood(book, moment)
    if stream_moment is not None:
        return _where_its_stream_was(book, stream_moment)
    if isinstance(to, Mapping):
        return _each_to_its_own(to)
    if like is not None:
        return TokenPlaces(book).like(book.get(like))
    there = Place(fields.sequence(to, "to", least=0))
    return lambda _, __: there


def _further(step: int) -> Goal:
    def by_step(key: CursorKey, current: Cursor | None) -> Place:
        start = current.last_sequence if current else 0
        if not 0 <= start + step <= fields.SEQUENCE_MAX:
            raise ImpossiblePlanError(
                f"{key} is at {start}; by {step:+} it would be at {start + step}, which is "
                f"outside 0 to {fields.SEQUENCE_MAX}."
            )
        return Place(start + step)

    return by_step


def _as_it_stood(book: Ledger, moment: Moment) -> Goal:
    def as_it_stood(key: CursorKey, _: Cursor | None) -> Place | LedgerError:
        then = as_of(book, key, moment)
        if then is None:
            return NoPlaceThenError.of(
                key,
                f"{key} had no entry yet at {_shown(moment)}; choose a later moment."
                f"{_started(book, key)}",
            )
        return Place.of(then)

    return as_it_stood


def _where_its_stream_was(book: Ledger, moment: Moment) -> Goal:
    @cache
    def head_of(head: CursorKey) -> Cursor | None:
        return as_of(book, head, moment)

    tokens = TokenPlaces(book)

    def where_its_stream_was(key: CursorKey, _: Cursor | None) -> Place | LedgerError:
        tokens.refuse_head_of(key)
        head = head_of(CursorKey(HEAD, key.stream_name, key.subject_id))
        if head is None:
            return NoPlaceThenError.of(
                key,
                f"nobody had recorded by {_shown(moment)} how far the stream of {key} goes: "
                f"{HEAD} has no entry on it yet.",
            )
        return Place(head.last_sequence)

    return where_its_stream_was


def _each_to_its_own(targets: Mapping[CursorKey, int]) -> Goal:
    places = {
        CursorKey.check(key): Place(fields.sequence(sequence, f"to of {key}", least=0))
        for key, sequence in targets.items()
    }
    return lambda key, _: places[key]


def before_last_reset(
    book: Ledger, key: CursorKey, at: Cursor, group: Group | None = None
) -> tuple[Place, Entry] | ImpossiblePlanError:
    """Return where the cursor, now `at`, was before its last reset, and the entry of that.

    Or return why it cannot go back there: it was never reset, or has been back there since, or its
    last reset is not the one of `group`.
    """
    # A takeover moves nothing: what is undone is the reset before it.
    found = next((made for made in resets_of(book, at) if not is_takeover(made[0])), None)
    if found is None:
        return ImpossiblePlanError(f"{key} was never reset; there is nothing to undo.")
    entry, event = found
    if group is not None and entry.position != group.positions[key]:
        return ImpossiblePlanError(
            f"{key} was reset again at position {entry.position} by {entry.actor}, after the reset "
            f"at position {group.positions[key]}. Undo that one first."
        )
    there = event.previous_sequence
    if event.sequence < there <= at.last_sequence:
        return ImpossiblePlanError(
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


def start_of(book: Ledger, key: CursorKey) -> Entry | None:
    """Return the entry that started the cursor of `key`, or None if it began without one."""
    first = next(book.entries(EntryQuery(key=key, version_until=1)), None)
    return first if first and isinstance(first.event, CursorStarted) else None


def _started(book: Ledger, key: CursorKey) -> str:
    """Return a sentence that says where `key` was started, or nothing if it was not."""
    entry = start_of(book, key)
    if entry is None or not isinstance(event := entry.event, CursorStarted):
        return ""
    source = f" from {event.source}" if event.source else ""
    return (
        f" It was started at {event.sequence}{source}, at {show_time(entry.recorded_at)}; "
        "what lies before is before the ledger's time."
    )


def _shown(moment: Moment) -> str:
    return show_time(moment) if isinstance(moment, datetime) else f"position {moment}"
