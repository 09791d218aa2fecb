"""Entries as rows of the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType
from typing import Any, TypeAlias, assert_never, get_args, get_type_hints

from ledger.errors import BrokenChainError, InvalidCursorError
from ledger.law import fields
from ledger.law.cursor import CursorKey, Outcome
from ledger.law.events import (
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    Event,
    Move,
    make_advanced,
    make_entry,
    make_move,
)
from ledger.law.fields import SEQUENCE_MAX
from ledger.law.pairs import EMPTY
from ledger.log import tags
from ledger.log.columns import ENTRY, MOVE, Column, Columns, Row
from ledger.log.text import dumps, instant, loads, micros

__all__ = [
    "COLUMNS_OF_TAG",
    "KEPT_AS",
    "TAGS",
    "Content",
    "Row",
    "content_of",
    "entry_from",
    "move_from",
]

TAGS: Mapping[type[Event], str] = {
    CursorAdvanced: tags.ADVANCED,
    CursorReset: tags.RESET,
    ErrorRecorded: tags.ERROR,
    CursorStarted: tags.STARTED,
}

KEPT_AS: Mapping[str, str] = {"source": "message"}
"""The columns of fields that have none of their own."""

Content: TypeAlias = tuple[Any, ...]
"""What an entry says: plain values in the order of `CONTENT`."""


def content_of(  # noqa: PLR0917 - in the order of the columns
    key: CursorKey,
    version: int,
    epoch: int,
    recorded_at: int,
    actor: str,
    metadata: Mapping[str, str],
    event: Event,
) -> Content:
    """Return what an entry says as plain values. All that is stored goes through here.

    What reading would refuse is refused: nothing that is appended may make the log unreadable, not
    even a request that was changed after it was made.

    Raises InvalidCursorError.
    """
    consumer_id, stream_name, subject_id = key.consumer_id, key.stream_name, key.subject_id
    occurred = event.occurred_at
    previous_sequence = sequence = delivery_id = delivered_at = outcome = reason = message = None
    match event:
        case CursorAdvanced():
            previous_sequence, sequence = event.previous_sequence, event.sequence
            delivery_id, outcome = event.delivery_id, event.outcome._value_  # `value` is a function
            delivered = event.delivered_at
            sound = (
                type(sequence) is int
                and 0 <= sequence <= SEQUENCE_MAX
                and type(delivery_id) is str
                and "\0" not in delivery_id
                and outcome in _OUTCOMES
                and (delivered is occurred or _is_moment(delivered))
            )
            occurred_at = micros(occurred)
            delivered_at = occurred_at if delivered is occurred else micros(delivered)
        case CursorReset():
            previous_sequence, sequence = event.previous_sequence, event.sequence
            delivery_id, reason = event.delivery_id, event.reason
            delivered_at = None if event.delivered_at is None else micros(event.delivered_at)
            sound = (
                type(sequence) is int
                and 0 <= sequence <= SEQUENCE_MAX
                and type(delivery_id) is type(reason) is str
                and "\0" not in delivery_id + reason
                and (event.delivered_at is None or _is_moment(event.delivered_at))
            )
            occurred_at = micros(occurred)
        case CursorStarted():
            # The source is kept where an error has its message: it is what others have said.
            sequence, delivery_id = event.sequence, event.delivery_id
            message, reason = event.source, event.reason
            delivered_at = None if event.delivered_at is None else micros(event.delivered_at)
            sound = (
                type(sequence) is int
                and 0 <= sequence <= SEQUENCE_MAX
                and type(delivery_id) is type(message) is type(reason) is str
                and "\0" not in delivery_id + message + reason
                and reason != ""
                and (event.delivered_at is None or _is_moment(event.delivered_at))
            )
            occurred_at = micros(occurred)
        case ErrorRecorded():
            message = event.message
            sound = type(message) is str and "\0" not in message
            occurred_at = micros(occurred)
        case _:
            assert_never(event)
    if not (
        sound
        and type(occurred) is datetime
        and occurred.tzinfo is UTC
        and type(consumer_id) is type(stream_name) is type(subject_id) is type(actor) is str
        and "\0" not in actor
        # The key of a cursor that exists was looked at when it was made.
        and (version > 1 or _names(consumer_id, stream_name, subject_id))
    ):
        raise InvalidCursorError(
            "the request was changed after it was made, to what no request can have. Nothing was "
            "appended; make another one."
        )
    return (  # in the order of `CONTENT`
        consumer_id,
        stream_name,
        subject_id,
        version,
        epoch,
        recorded_at,
        actor,
        None if metadata is EMPTY else _metadata(metadata),
        TAGS[type(event)],
        previous_sequence,
        sequence,
        delivery_id,
        delivered_at,
        outcome,
        reason,
        message,
        occurred_at,
    )


def _metadata(metadata: Mapping[str, str]) -> str | None:
    """Return metadata as it is stored: JSON with its names in order, or None if there is none."""
    return dumps(dict(sorted(fields.kept_metadata(metadata).items()))) if metadata else None


def _is_moment(value: datetime) -> bool:
    return type(value) is datetime and value.tzinfo is UTC


def _names(consumer_id: str, stream_name: str, subject_id: str) -> bool:
    """Return whether a key that is read would be these very texts."""
    key = _key(consumer_id, stream_name, subject_id)
    names = (key.consumer_id, key.stream_name, key.subject_id)
    return names == (consumer_id, stream_name, subject_id)


def entry_from(row: Row) -> Entry:
    """Return the entry that a row of the log holds, in the order of `ENTRY`.

    Raises BrokenChainError if it holds none: wrong types, an unknown tag, a time out of range.
    """
    fits = _FITS.get(row[_TAG])
    if fits is None or not fits(row):
        raise BrokenChainError(f"position {row[_POSITION]}", _misfit(row))
    (  # in the order of `ENTRY`
        position,
        consumer_id,
        stream_name,
        subject_id,
        version,
        epoch,
        recorded_at,
        actor,
        metadata,
        tag,
        previous_sequence,
        sequence,
        delivery_id,
        delivered_at,
        outcome,
        reason,
        message,
        occurred_at,
        digest,
    ) = row
    try:
        # Mostly it is one moment, that of the append; to make one takes 0.4 µs.
        recorded = instant(recorded_at)
        occurred = recorded if occurred_at == recorded_at else instant(occurred_at)
        event: Event
        if tag == TAGS[CursorAdvanced]:
            event = make_advanced(
                previous_sequence=previous_sequence,
                sequence=sequence,
                delivery_id=delivery_id,
                delivered_at=occurred if delivered_at == occurred_at else instant(delivered_at),
                outcome=_OUTCOMES[outcome],
                occurred_at=occurred,
            )
        elif tag == TAGS[CursorReset]:
            event = CursorReset(
                previous_sequence=previous_sequence,
                sequence=sequence,
                delivery_id=delivery_id,
                delivered_at=None if delivered_at is None else instant(delivered_at),
                reason=reason,
                occurred_at=occurred,
            )
        elif tag == TAGS[CursorStarted]:
            event = CursorStarted(
                sequence=sequence,
                source=message,
                delivery_id=delivery_id,
                delivered_at=None if delivered_at is None else instant(delivered_at),
                reason=reason,
                occurred_at=occurred,
            )
        else:
            event = ErrorRecorded(message=message, occurred_at=occurred)
        return make_entry(
            position=position,
            key=_key(consumer_id, stream_name, subject_id),
            version=version,
            epoch=epoch,
            recorded_at=recorded,
            actor=actor,
            metadata=fields.kept_metadata(loads(metadata)) if metadata else EMPTY,
            event=event,
            digest=digest,
        )
    except KeyError:
        raise BrokenChainError(
            f"position {position}", f"it cannot be read: {outcome!r:.80} is no outcome"
        ) from None
    except (ValueError, OverflowError) as error:
        raise BrokenChainError(f"position {position}", f"it cannot be read: {error}") from None


def move_from(key: CursorKey, row: Row) -> Move:
    """Return the move of `key` that a row holds, in the order of `MOVE`.

    Raises BrokenChainError if it holds none.
    """
    if not _fits_move(row):
        raise BrokenChainError(str(key), "an entry has columns of the wrong types")
    version, epoch, recorded_at, previous_sequence, sequence, position = row
    try:
        return make_move(
            version=version,
            epoch=epoch,
            recorded_at=instant(recorded_at),
            previous_sequence=previous_sequence,
            sequence=sequence,
            position=position,
        )
    except OverflowError as error:
        raise BrokenChainError(str(key), f"an entry has no time: {error}") from None


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

_POSITION, _TAG = ENTRY.place("position"), ENTRY.place("tag")


def _columns_of(kind: type[Event]) -> Columns:
    """Return the columns of an entry whose event is a `kind`: what others say is NULL in them."""
    own = _kept(kind)
    of_others = {name for other in TAGS for name in _kept(other)} - own.keys()

    def narrowed(column: Column) -> Column:
        if column.name in of_others:
            return Column(column.name, NoneType)
        if column.name in own:
            return Column(column.name, column.type, optional=NoneType in get_args(own[column.name]))
        return column

    return Columns(tuple(map(narrowed, ENTRY)))


def _kept(kind: type[Event]) -> dict[str, Any]:
    """Return the types of what a `kind` says, by the columns that it is kept in."""
    return {KEPT_AS.get(name, name): given for name, given in get_type_hints(kind).items()}


COLUMNS_OF_TAG = {tag: _columns_of(kind) for kind, tag in TAGS.items()}
"""For each tag, the columns of its entries; the type of those that are NULL is NoneType."""

_FITS = {tag: columns.fit() for tag, columns in COLUMNS_OF_TAG.items()}
_fits_move = MOVE.fit()


def _misfit(row: Row) -> str:
    if row[_TAG] not in _FITS:
        return (
            f"its tag is {row[_TAG]!r:.60}, which this version does not know; "
            "it was edited, or written by a newer version"
        )
    return f"its columns are not those of a {row[_TAG]}"


@lru_cache(maxsize=4_096)
def _key(consumer_id: str, stream_name: str, subject_id: str) -> CursorKey:
    return CursorKey.kept(consumer_id, stream_name, subject_id)
