"""What a cursor is: whose it is, where it stands, and what becomes of what it passes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import attrs

from ledger.errors import InvalidCursorError
from ledger.law import fields
from ledger.law.making import maker, once, sealed

__all__ = ["Cursor", "CursorKey", "Outcome", "make_cursor"]


@sealed
@attrs.frozen(order=True, cache_hash=True)
class CursorKey:
    """Names one cursor: what `consumer_id` has confirmed of `stream_name`, or of one subject in it.

    Surrounding white space is trimmed. Consumer and stream are required; an empty `subject_id`
    means the whole stream. At most 512 characters each, without NUL and lone surrogates, and with
    at least one that can be seen.

    Raises InvalidCursorError.
    """

    consumer_id: str
    stream_name: str
    subject_id: str = ""

    __attrs_pre_init__ = once("consumer_id")

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "consumer_id", _name(self.consumer_id, "consumer_id"))
        fields.set_field(self, "stream_name", _name(self.stream_name, "stream_name"))
        subject = fields.text(self.subject_id, "subject_id", seen=True)
        fields.set_field(self, "subject_id", subject)

    @classmethod
    def kept(cls, consumer_id: str, stream_name: str, subject_id: str) -> CursorKey:
        """Give the key of a cursor that is in the log; it may be one that nobody can see.

        Earlier versions took such keys, and what they wrote stays readable.

        Raises InvalidCursorError.
        """
        try:
            return cls(consumer_id, stream_name, subject_id)
        except InvalidCursorError:
            key = cls("-", "-")
            fields.set_field(key, "consumer_id", fields.required(consumer_id, "consumer_id"))
            fields.set_field(key, "stream_name", fields.required(stream_name, "stream_name"))
            fields.set_field(key, "subject_id", fields.text(subject_id, "subject_id"))
            return key

    @classmethod
    def check(cls, key: object) -> CursorKey:
        """Give `key` if it is one.

        Raises InvalidCursorError.
        """
        if type(key) is cls:
            return key
        if not isinstance(key, cls):
            raise InvalidCursorError(
                f'key must be a CursorKey, not {fields.kind(key)}: CursorKey("webhooks", "orders").'
            )
        # What a subclass adds, or says otherwise, is left behind.
        return cls.kept(key.consumer_id, key.stream_name, key.subject_id)

    def __str__(self) -> str:
        parts = (self.consumer_id, self.stream_name, self.subject_id)
        return "/".join(part for part in parts if part)


def _name(value: object, name: str) -> str:
    return fields.required(value, name, seen=True)


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class Cursor:
    """Where one consumer stands: the fold of its entries.

    `last_sequence` is the last position that it confirmed, 0 if none. `last_delivered_at` is None
    until something was delivered; `last_error` is empty unless the last thing that happened was an
    error. `updated_at` is the caller's time of the last entry. `version` counts the entries of this
    cursor, and `epoch` the resets among them.
    """

    key: CursorKey
    last_sequence: int
    last_delivery_id: str
    last_delivered_at: datetime | None
    last_error: str
    updated_at: datetime
    version: int
    epoch: int

    __attrs_pre_init__ = once("key")


make_cursor = maker(Cursor)


class Outcome(StrEnum):
    """What became of that which an advance passes. All three are progress; only one is delivery."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    SUPPRESSED = "suppressed"

    @classmethod
    def of(cls, value: object) -> Outcome:
        """Give the outcome of that name, or refuse it.

        Raises InvalidCursorError.
        """
        if type(value) is cls:
            return value
        try:
            return cls(fields.exact(value, "outcome"))
        except ValueError:
            raise InvalidCursorError(
                f"outcome must be one of {', '.join(cls)}, not {fields.shown(value)}."
            ) from None
