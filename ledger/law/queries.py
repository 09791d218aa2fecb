"""What can be asked of the log: which cursors, which entries."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import get_args

import attrs

from ledger.errors import InvalidCursorError
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.law.events import Event
from ledger.law.making import once, sealed

__all__ = ["CursorQuery", "EntryQuery"]


@sealed
@attrs.frozen(kw_only=True)
class CursorQuery:
    """Chooses cursors: an empty part matches all; `limit` 0 or less means no limit.

    Raises InvalidCursorError.
    """

    consumer_id: str = ""
    stream_name: str = ""
    subject_id: str = ""
    limit: int = 0

    __attrs_pre_init__ = once("consumer_id")

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "consumer_id", fields.text(self.consumer_id, "consumer_id"))
        fields.set_field(self, "stream_name", fields.text(self.stream_name, "stream_name"))
        fields.set_field(self, "subject_id", fields.text(self.subject_id, "subject_id"))
        fields.set_field(self, "limit", fields.limit(self.limit))


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
