"""The law: which requests a cursor allows, and what an event changes. Pure; the only copy.

An append calls `decide`, then `evolve`; a replay calls the same `evolve`, so a log that breaks the
law is found when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

import attrs

from ledger.errors import BrokenChainError
from ledger.law.cursor import Cursor, CursorKey, make_cursor
from ledger.law.events import (
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    Event,
    make_advanced,
)
from ledger.law.fields import SEQUENCE_MAX
from ledger.law.refusals import (
    ActorRequiredError,
    CursorExistsError,
    EpochRequiredError,
    NonMonotonicCursorError,
    StaleEpochError,
    StaleTokenError,
    VersionConflictError,
)
from ledger.law.requests import (
    AdvanceCursor,
    RecordError,
    Request,
    ResetCursor,
    ResetReasonRequiredError,
    StartCursor,
)
from ledger.law.tokens import ConfirmToken

__all__ = [
    "adopt",
    "check_epoch",
    "decide",
    "evolve",
    "fold",
    "objection",
    "ordinal",
    "replay",
]


def decide(
    cursor: Cursor | None,
    request: Request,
    *,
    actor: str,
    now: datetime,
    require_epoch: bool = False,
) -> Event:
    """Return the event that `request` becomes, or refuse it.

    `cursor` is None if the key has none yet; `actor` and `now` are used where the request names
    none. With `require_epoch`, an advance needs one.

    Raises VersionConflictError, EpochRequiredError, StaleEpochError, NonMonotonicCursorError,
    StaleTokenError, ActorRequiredError, ResetReasonRequiredError, CursorExistsError.
    """
    if isinstance(request, StartCursor):
        return _start(cursor, request, actor=actor, now=now)
    version = cursor.version if cursor else 0
    if request.expected_version is not None and request.expected_version != version:
        raise VersionConflictError(cursor, request)
    sequence = cursor.last_sequence if cursor else 0
    occurred_at = request.now or now
    match request:
        case AdvanceCursor():
            if require_epoch and request.epoch is None:
                raise EpochRequiredError(cursor, request)
            check_epoch(cursor, request)
            if cursor and _moves_back(cursor, request.last_sequence, request.delivery_id):
                raise NonMonotonicCursorError(cursor, request)
            return make_advanced(
                previous_sequence=sequence,
                sequence=request.last_sequence,
                delivery_id=request.delivery_id,
                delivered_at=request.last_delivered_at or occurred_at,
                outcome=request.outcome,
                occurred_at=occurred_at,
            )
        case ConfirmToken():
            return _numbered(cursor, request, occurred_at, require_epoch=require_epoch)
        case ResetCursor():
            return _reset(sequence, request, actor=actor, occurred_at=occurred_at)
        case RecordError():
            check_epoch(cursor, request)
            return ErrorRecorded(message=request.last_error, occurred_at=occurred_at)
        case _:
            assert_never(request)


def evolve(cursor: Cursor | None, key: CursorKey, event: Event) -> Cursor:
    """Return the cursor of `key` after `event`, which `decide` returned or `objection` passed."""
    version = cursor.version + 1 if cursor else 1
    epoch = cursor.epoch if cursor else 0
    match event:
        case CursorAdvanced():
            delivered_at = event.delivered_at
            if cursor and event.sequence == cursor.last_sequence:
                # A repeated confirmation keeps the delivery time of the first one.
                delivered_at = cursor.last_delivered_at or delivered_at
            return make_cursor(
                key=key,
                last_sequence=event.sequence,
                last_delivery_id=event.delivery_id,
                last_delivered_at=delivered_at,
                last_error="",
                updated_at=event.occurred_at,
                version=version,
                epoch=epoch,
            )
        case CursorReset():
            return make_cursor(
                key=key,
                last_sequence=event.sequence,
                last_delivery_id=event.delivery_id,
                last_delivered_at=event.delivered_at,
                last_error="",
                updated_at=event.occurred_at,
                version=version,
                epoch=epoch + 1,
            )
        case CursorStarted():
            return make_cursor(
                key=key,
                last_sequence=event.sequence,
                last_delivery_id=event.delivery_id,
                last_delivered_at=event.delivered_at,
                last_error="",
                updated_at=event.occurred_at,
                version=version,
                epoch=epoch,
            )
        case ErrorRecorded():
            return make_cursor(
                key=key,
                last_sequence=cursor.last_sequence if cursor else 0,
                last_delivery_id=cursor.last_delivery_id if cursor else "",
                last_delivered_at=cursor.last_delivered_at if cursor else None,
                last_error=event.message,
                updated_at=event.occurred_at,
                version=version,
                epoch=epoch,
            )
        case _:
            assert_never(event)


def objection(cursor: Cursor | None, entry: Entry) -> str:
    """Return why the law forbids `entry` to follow `cursor`, or "" if it allows it."""
    event = entry.event
    epoch = (cursor.epoch if cursor else 0) + isinstance(event, CursorReset)
    if entry.epoch != epoch:
        return f"its epoch is {entry.epoch}, but the resets make it {epoch}"
    if isinstance(event, ErrorRecorded):
        return ""
    if isinstance(event, CursorStarted):
        return _objection_to_start(cursor, event, entry.actor)
    sequence = cursor.last_sequence if cursor else 0
    if event.previous_sequence != sequence:
        return f"it starts from {event.previous_sequence}, but the cursor was at {sequence}"
    if isinstance(event, CursorReset):
        return "" if event.reason and entry.actor else "it is a reset without a reason or an actor"
    return (
        f"it moves the cursor back without a reset, from {sequence} to {event.sequence}"
        if cursor and _moves_back(cursor, event.sequence, event.delivery_id)
        else ""
    )


def replay(cursor: Cursor | None, entry: Entry) -> Cursor:
    """Return the cursor after `entry`, an entry of the log.

    Raises BrokenChainError if it does not follow from `cursor`.
    """
    fault = objection(cursor, entry)
    version = cursor.version + 1 if cursor else 1
    if entry.version != version:
        fault = f"its version is {entry.version}, but {version} comes next"
    if fault:
        raise BrokenChainError(f"position {entry.position}, {entry.key}", fault)
    return evolve(cursor, entry.key, entry.event)


def fold(entries: Iterable[Entry], cursor: Cursor | None = None) -> Cursor | None:
    """Return the cursor after `entries` of one key, in order, starting from `cursor`.

    Raises BrokenChainError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     ledger.fold(book.history(key)) == cursor
    True
    """
    for entry in entries:
        if cursor is not None and entry.key != cursor.key:
            raise BrokenChainError(
                f"position {entry.position}, {entry.key}", f"it is no entry of {cursor.key}"
            )
        cursor = replay(cursor, entry)
    return cursor


def adopt(cursor: Cursor | None, entry: Entry) -> Cursor:
    """Return the cursor after `entry` as the entry itself says, lawful or not.

    A check continues from it after a fault, and reports the next fault rather than echoes of this
    one.
    """
    after = evolve(cursor, entry.key, entry.event)
    if (after.version, after.epoch) == (entry.version, entry.epoch):
        return after
    return attrs.evolve(after, version=entry.version, epoch=entry.epoch)


def ordinal(cursor: Cursor | None, request: ConfirmToken) -> int:
    """Return the sequence of a token: the next one, or the cursor's if it is confirmed again.

    Raises StaleTokenError if the cursor's last token is neither this one nor the one before it.
    """
    sequence, token = (cursor.last_sequence, cursor.last_delivery_id) if cursor else (0, "")
    # At 0 a reset has named the token that comes before all; nothing was confirmed there.
    if sequence and token == request.delivery_id:
        return sequence
    if token != request.after or sequence == SEQUENCE_MAX:
        raise StaleTokenError(cursor, request)
    return sequence + 1


def check_epoch(cursor: Cursor | None, request: AdvanceCursor | ConfirmToken | RecordError) -> None:
    """Refuse a request that was made before a reset.

    Raises StaleEpochError.
    """
    if request.epoch is not None and request.epoch != (cursor.epoch if cursor else 0):
        raise StaleEpochError(cursor, request)


def _numbered(
    cursor: Cursor | None, request: ConfirmToken, occurred_at: datetime, *, require_epoch: bool
) -> CursorAdvanced:
    if require_epoch and request.epoch is None:
        raise EpochRequiredError(cursor, request)
    check_epoch(cursor, request)
    return make_advanced(
        previous_sequence=cursor.last_sequence if cursor else 0,
        sequence=ordinal(cursor, request),
        delivery_id=request.delivery_id,
        delivered_at=request.last_delivered_at or occurred_at,
        outcome=request.outcome,
        occurred_at=occurred_at,
    )


def _reset(
    sequence: int, request: ResetCursor, *, actor: str, occurred_at: datetime
) -> CursorReset:
    if not request.reason:
        raise ResetReasonRequiredError(request.key)
    if not (request.actor or actor):
        raise ActorRequiredError(request)
    return CursorReset(
        previous_sequence=sequence,
        sequence=request.last_sequence,
        delivery_id=request.last_delivery_id,
        delivered_at=request.last_delivered_at,
        reason=request.reason,
        occurred_at=occurred_at,
    )


def _start(
    cursor: Cursor | None, request: StartCursor, *, actor: str, now: datetime
) -> CursorStarted:
    if cursor:
        raise CursorExistsError(cursor, request)
    if not (request.actor or actor):
        raise ActorRequiredError(request)
    return CursorStarted(
        sequence=request.last_sequence,
        source=request.source,
        delivery_id=request.last_delivery_id,
        delivered_at=request.last_delivered_at,
        reason=request.reason,
        occurred_at=request.now or now,
    )


def _objection_to_start(cursor: Cursor | None, event: CursorStarted, actor: str) -> str:
    if cursor:
        return f"it starts the cursor, which is at version {cursor.version} already"
    return "" if event.reason and actor else "it is a start without a reason or an actor"


def _moves_back(cursor: Cursor, sequence: int, delivery_id: str) -> bool:
    if sequence == cursor.last_sequence:
        return delivery_id != cursor.last_delivery_id
    return sequence < cursor.last_sequence
