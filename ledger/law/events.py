"""The events, and the entries of the log that carry them. They never change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from ledger.law import fields
from ledger.law.cursor import CursorKey, Outcome
from ledger.law.making import maker, once, sealed

__all__ = [
    "CursorAdvanced",
    "CursorReset",
    "CursorStarted",
    "Entry",
    "ErrorRecorded",
    "Event",
    "Move",
    "make_advanced",
    "make_entry",
    "make_move",
]


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class CursorAdvanced:
    """The consumer confirmed everything after `previous_sequence`, up to `sequence`.

    `delivery_id` and `delivered_at` are those of the delivery, `outcome` is what became of it, and
    `occurred_at` is the caller's time.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41, delivery_id="msg-41")
    ...     event = next(book.history(key)).event
    >>> event.previous_sequence, event.sequence, event.delivery_id
    (0, 41, 'msg-41')
    """

    previous_sequence: int
    sequence: int
    delivery_id: str
    delivered_at: datetime
    outcome: Outcome
    occurred_at: datetime

    __attrs_pre_init__ = once("previous_sequence")


make_advanced = maker(CursorAdvanced)


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class CursorReset:
    """Somebody moved the cursor from `previous_sequence` to `sequence`, because of `reason`.

    `delivery_id` and `delivered_at` are those that the cursor has since; the time is None if none
    was given. `occurred_at` is the caller's time.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.reset(key, to=41, reason="start at order 42")
    ...     event = next(book.history(key)).event
    >>> event.previous_sequence, event.sequence, event.reason
    (0, 41, 'start at order 42')
    """

    previous_sequence: int
    sequence: int
    delivery_id: str
    delivered_at: datetime | None
    reason: str
    occurred_at: datetime

    __attrs_pre_init__ = once("previous_sequence")


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class ErrorRecorded:
    """A delivery failed; the cursor stayed where it was.

    `message` is masked, and at most 2,048 characters long. `occurred_at` is the caller's time.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.record_error(key, "HTTP 503")
    ...     next(book.history(key)).event.message
    'HTTP 503'
    """

    message: str
    occurred_at: datetime

    __attrs_pre_init__ = once("message")


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class CursorStarted:
    """The cursor began at `sequence`; what lies before it is before the ledger's time.

    It is always the first entry of its cursor. `source` names where the position was taken from,
    empty if nothing did, and `reason` says why. `delivery_id` and `delivered_at` are those of the
    last delivery before the ledger's time; empty and None if they are not known. `occurred_at` is
    the caller's time.

    >>> import ledger
    >>> key = ledger.CursorKey("mailer", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.start(key, at=41, source="kafka group mailer", reason="moved from Kafka")
    ...     event = next(book.history(key)).event
    >>> event.sequence, event.source, event.reason
    (41, 'kafka group mailer', 'moved from Kafka')
    """

    sequence: int
    source: str
    delivery_id: str
    delivered_at: datetime | None
    reason: str
    occurred_at: datetime

    __attrs_pre_init__ = once("sequence")


Event = CursorAdvanced | CursorReset | ErrorRecorded | CursorStarted
"""What an entry says has happened.

It is a `CursorAdvanced`, a `CursorReset`, an `ErrorRecorded` or a `CursorStarted`.

>>> import ledger
>>> key = ledger.CursorKey("webhooks", "orders")
>>> with ledger.open(":memory:") as book:
...     cursor = book.advance(key, to=41)
...     isinstance(next(book.history(key)).event, ledger.Event)
True
"""


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class Entry:
    """One entry of the log.

    `position` orders the whole ledger, `version` the entries of one cursor: 1, 2, 3…, without
    holes. `epoch` is the cursor's epoch after the event. `recorded_at` is the ledger's own time of
    the append, and never goes back within a cursor; the event's `occurred_at` is the caller's.
    `digest` is the SHA-256 that chains the entries of a cursor.

    `key` names the cursor, `actor` who acted, and `event` what happened. `metadata` is what the
    caller added, and cannot be changed.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="dispatcher@web-1") as book:
    ...     cursor = book.advance(key, to=41, metadata={"attempt": "2"})
    ...     for entry in book.history(key):
    ...         print(entry.position, entry.version, entry.actor, dict(entry.metadata))
    1 1 dispatcher@web-1 {'attempt': '2'}
    """

    position: int
    key: CursorKey
    version: int
    epoch: int
    recorded_at: datetime
    actor: str
    metadata: Mapping[str, str] = attrs.field(converter=fields.kept_metadata, hash=False)
    event: Event
    digest: bytes = attrs.field(repr=bytes.hex)

    __attrs_pre_init__ = once("position")


make_entry = maker(Entry, converted="metadata")


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class Move:
    """Where one entry put its cursor, and when.

    The entry is no error; it may confirm the place where the cursor was already. `version` is its
    number among those of the cursor, `epoch` the cursor's epoch after it, and `recorded_at` the
    ledger's own time of it. The cursor went from `previous_sequence`, None if it began there, to
    `sequence`. `position` is that of the entry in the log.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     [move] = book.moves([(key, 2)])
    >>> move.version, move.previous_sequence, move.sequence
    (2, 41, 44)
    """

    version: int
    epoch: int
    recorded_at: datetime
    previous_sequence: int | None
    sequence: int
    position: int

    __attrs_pre_init__ = once("version")


make_move = maker(Move)
