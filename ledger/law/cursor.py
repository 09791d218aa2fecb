"""What a cursor is: its key, its state, and the outcomes of an advance."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields, paths
from ledger.law.making import maker, once, sealed

__all__ = ["Cursor", "CursorKey", "Outcome", "make_cursor"]


def _consumer_id(value: str) -> str:
    return fields.required(value, "consumer_id", seen=True)


def _stream_name(value: str) -> str:
    return fields.required(value, "stream_name", seen=True)


def _subject_id(value: str) -> str:
    return fields.text(value, "subject_id", seen=True)


@sealed
@attrs.frozen(order=True, cache_hash=True)
class CursorKey:
    """Names one cursor: what `consumer_id` has confirmed of `stream_name`, or of one subject in it.

    Surrounding white space is trimmed. Consumer and stream are required; an empty `subject_id`
    means the whole stream. Each has at most 512 characters, no NUL and no lone surrogate, and at
    least one visible character.

    Raises InvalidCursorError.

    >>> import ledger
    >>> print(ledger.CursorKey(" webhooks ", "orders"))
    webhooks/orders
    >>> ledger.CursorKey("webhooks", "orders", "customer-7").subject_id
    'customer-7'
    """

    consumer_id: str = attrs.field(converter=_consumer_id)
    stream_name: str = attrs.field(converter=_stream_name)
    subject_id: str = attrs.field(default="", converter=_subject_id)

    __attrs_pre_init__ = once("consumer_id")

    @classmethod
    def kept(cls, consumer_id: str, stream_name: str, subject_id: str) -> CursorKey:
        """Return the key of a cursor that is in the log; it may have no visible character.

        Earlier versions accepted such keys, and what they wrote stays readable.

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
    def parse(cls, word: str) -> CursorKey:
        """Return the key whose `str` is `word`: consumer/stream, or consumer/stream/subject.

        A slash in a name is written `%2F`, and a `%` before `2F` or `25` is written `%25`.

        Raises InvalidCursorError.

        >>> import ledger
        >>> ledger.CursorKey.parse("webhooks/orders%2Feu").stream_name
        'orders/eu'
        """
        names = paths.split(fields.exact(word, "cursor"))
        if not 2 <= len(names) <= 3 or not all(map(str.strip, names)):
            said = f"{word!r:.80}"
            raise invalid(
                "cursor",
                f"must be CONSUMER/STREAM or CONSUMER/STREAM/SUBJECT, with a slash in a name "
                f"written as %2F, not {said}.",
                value=said,
            )
        return cls(*names)

    @classmethod
    def check(cls, key: object) -> CursorKey:
        """Return `key` if it is a CursorKey.

        Raises InvalidCursorError.
        """
        if type(key) is cls:
            return key
        if not isinstance(key, cls):
            raise invalid(
                "key",
                f'must be a CursorKey, not {fields.kind(key)}: CursorKey("webhooks", "orders").',
                value=fields.kind(key),
            )
        # A subclass may add fields or override methods; both are left out.
        return cls.kept(key.consumer_id, key.stream_name, key.subject_id)

    def __str__(self) -> str:
        return paths.joined((self.consumer_id, self.stream_name, self.subject_id))


@sealed
@attrs.frozen(kw_only=True, weakref_slot=False)
class Cursor:
    """The state of one cursor: the fold of its entries.

    `last_sequence` is the last sequence that the consumer confirmed, 0 if none. `last_delivered_at`
    is None until something was delivered; `last_error` is empty unless the last entry is an error.
    `updated_at` is the caller's time of the last entry. `version` counts the entries of this
    cursor, and `epoch` the resets among them.

    `key` names it. `last_delivery_id` is the delivery that it last confirmed; empty if none was
    named.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41, delivery_id="msg-41")
    >>> cursor.last_sequence, cursor.last_delivery_id, cursor.version, cursor.epoch
    (41, 'msg-41', 1, 0)
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
    """What became of the sequences that an advance passes; only one of the three is delivery.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41, outcome=ledger.Outcome.SKIPPED)
    ...     [entry.event.outcome.value for entry in book.history(key)]
    ['skipped']
    """

    DELIVERED = "delivered"
    """They were delivered."""
    SKIPPED = "skipped"
    """They were passed over, for example because a filter rejects them."""
    SUPPRESSED = "suppressed"
    """They were held back on purpose, for example because the consumer is muted."""

    @classmethod
    def of(cls, value: object) -> Outcome:
        """Return the outcome named `value`.

        Raises InvalidCursorError.
        """
        if type(value) is cls:
            return value
        try:
            return cls(fields.exact(value, "outcome"))
        except ValueError:
            names, said = tuple(outcome.value for outcome in cls), fields.shown(value)
            raise invalid(
                "outcome",
                f"must be one of {', '.join(names)}, not {said}.",
                value=said,
                allowed=names,
            ) from None
