"""What happened: the events, and the entries of the log that carry them. None ever changes."""

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
    "Entry",
    "ErrorRecorded",
    "Event",
    "make_advanced",
    "make_entry",
]


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class CursorAdvanced:
    """The consumer confirmed everything after `previous_sequence`, up to `sequence`."""

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
    """Somebody moved the cursor from `previous_sequence` to `sequence`, for `reason`."""

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
    """A delivery failed; the cursor stayed where it was."""

    message: str
    occurred_at: datetime

    __attrs_pre_init__ = once("message")


Event = CursorAdvanced | CursorReset | ErrorRecorded


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class Entry:
    """One line of the log.

    `position` orders the whole ledger, `version` the entries of one cursor: 1, 2, 3…, without
    holes. `epoch` is that of the cursor after the event. `recorded_at` is the ledger's own time of
    the append, and never goes back within a cursor; the event's `occurred_at` is the caller's.
    `digest` is the SHA-256 that chains the entries of a cursor.
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
