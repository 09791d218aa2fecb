"""What happened: the events, and the entries of the log that carry them. None ever changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import get_args

import attrs

from ledger import fields
from ledger.cursor import CursorKey, Outcome
from ledger.errors import InvalidCursorError
from ledger.values import maker, once, sealed

__all__ = [
    "CursorAdvanced",
    "CursorReset",
    "Entry",
    "EntryQuery",
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


@sealed
@attrs.frozen(kw_only=True)
class EntryQuery:
    """Chooses entries; what is not given matches all.

    `key` names one cursor exactly; `consumer_id`, `stream_name` and `subject_id` any part of one.
    `kinds` are event types, such as `CursorReset`. The bounds of time, position and version are
    included; those of version need a `key`, for versions count the entries of one cursor.
    `covering` is a sequence: the entries that passed it, confirmed it, or rewound behind it.
    `limit` 0 or less means no limit.

    Raises InvalidCursorError.
    """

    key: CursorKey | None = None
    consumer_id: str = ""
    stream_name: str = ""
    subject_id: str = ""
    kinds: Iterable[type[Event]] = ()
    actor: str = ""
    recorded_from: datetime | None = None
    recorded_until: datetime | None = None
    position_from: int | None = None
    position_until: int | None = None
    version_from: int | None = None
    version_until: int | None = None
    covering: int | None = None
    newest_first: bool = False
    limit: int = 0

    __attrs_pre_init__ = once("key")

    def __attrs_post_init__(self) -> None:
        if self.key is not None:
            fields.set_field(self, "key", CursorKey.check(self.key))
        fields.set_field(self, "consumer_id", fields.text(self.consumer_id, "consumer_id"))
        fields.set_field(self, "stream_name", fields.text(self.stream_name, "stream_name"))
        fields.set_field(self, "subject_id", fields.text(self.subject_id, "subject_id"))
        fields.set_field(self, "kinds", _kinds(self.kinds))
        fields.set_field(self, "actor", fields.text(self.actor, "actor"))
        fields.set_field(self, "position_from", fields.counter(self.position_from, "position_from"))
        fields.set_field(
            self, "position_until", fields.counter(self.position_until, "position_until")
        )
        fields.set_field(self, "version_from", fields.counter(self.version_from, "version_from"))
        fields.set_field(self, "version_until", fields.counter(self.version_until, "version_until"))
        fields.set_field(self, "covering", fields.counter(self.covering, "covering"))
        fields.set_field(self, "newest_first", bool(self.newest_first))
        fields.set_field(self, "limit", fields.limit(self.limit))
        if self.key is None and (self.version_from, self.version_until) != (None, None):
            raise InvalidCursorError("bounds of version need a key: versions count one cursor's.")
        for name in ("recorded_from", "recorded_until"):
            if (value := getattr(self, name)) is not None:
                fields.set_field(self, name, fields.moment(value, name))


def _kinds(value: object) -> tuple[type[Event], ...]:
    kinds = (value,) if isinstance(value, type) else value
    if not isinstance(kinds, Iterable) or isinstance(kinds, str):
        raise InvalidCursorError(f"kinds must be event types, not {fields.kind(value)}.")
    chosen = tuple(kinds)
    for kind in chosen:
        if kind not in get_args(Event):
            known = ", ".join(event.__name__ for event in get_args(Event))
            raise InvalidCursorError(f"kinds must be among {known}, not {fields.shown(kind)}.")
    return chosen
