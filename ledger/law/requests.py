"""The requests: start a cursor, advance it, confirm a token, reset a cursor, record an error.

A request that exists is valid in itself; whether the cursor allows it is decided in `rules`.
Fields are named as in the JSON of requests. Each has a converter, which checks and trims it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import get_args

import attrs

from ledger.errors import LedgerError, invalid
from ledger.law import fields, given
from ledger.law.cursor import CursorKey, Outcome
from ledger.law.making import maker, once, quick, sealed
from ledger.law.pairs import EMPTY
from ledger.law.tokens import NEXT, ConfirmToken, Next

__all__ = [
    "AdvanceCursor",
    "RecordError",
    "Request",
    "ResetCursor",
    "ResetReasonRequiredError",
    "StartCursor",
    "advance_to",
    "checked",
    "checked_one",
    "make_advance",
]


class ResetReasonRequiredError(LedgerError):
    """A reset without a reason.

    `key` is that of the cursor that was to be reset.

    >>> import ledger
    >>> try:
    ...     ledger.ResetCursor(ledger.CursorKey("webhooks", "orders"), 41, "  ")
    ... except ledger.ResetReasonRequiredError as error:
    ...     print(error.key)
    webhooks/orders
    """

    __module__ = "ledger"

    key: CursorKey | None = None

    def __init__(self, key: CursorKey | str) -> None:
        if isinstance(key, str):
            super().__init__(key)
            return
        super().__init__(f"A reset of {key} needs a reason; it is kept for ever, so say why.")
        self.key = key


@quick
@sealed
@attrs.frozen(weakref_slot=False)
class AdvanceCursor:
    """Confirm everything up to `last_sequence`, from 1 to 2**63 - 1.

    `delivery_id` names the delivery that is confirmed; to repeat a confirmation, repeat it.
    `last_delivered_at` is the time of the delivery, by default `now`; `now` is the caller's time,
    by default the ledger's. `epoch` is the one that the consumer read: after a reset it no longer
    matches. `expected_version` is the version that the cursor must be at.

    `key` names the cursor. `outcome` says what became of what the advance passes. `actor` is who
    acts, the ledger's own actor if it is empty; a blank one is refused. `metadata` is kept with the
    entry: at most 16 pairs of text, of 4,096 characters in all.

    Raises InvalidCursorError.

    >>> import ledger
    >>> request = ledger.AdvanceCursor(ledger.CursorKey("webhooks", "orders"), 41, epoch=0)
    >>> with ledger.open(":memory:") as book:
    ...     [cursor.last_sequence for cursor in book.append([request])]
    [41]
    """

    key: CursorKey = attrs.field(converter=given.key)
    last_sequence: int = attrs.field(converter=given.from_one)
    delivery_id: str = attrs.field(default="", kw_only=True, converter=given.delivery_id)
    last_delivered_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=given.last_delivered_at
    )
    outcome: Outcome = attrs.field(default=Outcome.DELIVERED, kw_only=True, converter=given.outcome)
    now: datetime | None = attrs.field(default=None, kw_only=True, converter=given.now)
    actor: str = attrs.field(default="", kw_only=True, converter=given.actor)
    epoch: int | None = attrs.field(default=None, kw_only=True, converter=given.epoch)
    expected_version: int | None = attrs.field(
        default=None, kw_only=True, converter=given.expected_version
    )
    metadata: Mapping[str, str] = attrs.field(
        default=EMPTY, kw_only=True, hash=False, converter=given.metadata
    )

    __attrs_pre_init__ = once("key")


make_advance = maker(AdvanceCursor)


def advance_to(
    key: CursorKey,
    to: int | Next,
    *,
    after: str | None,
    delivery_id: str,
    last_delivered_at: datetime | None = None,
    outcome: Outcome,
    now: datetime | None = None,
    actor: str,
    epoch: int | None,
    expected_version: int | None = None,
    metadata: Mapping[str, str],
) -> AdvanceCursor | ConfirmToken:
    """Return the request of an advance to a sequence, or to `NEXT`, after the token `after`.

    Raises InvalidCursorError, also if there is an `after` that would not be judged.
    """
    if to is not NEXT:
        if after is not None:
            raise invalid("after", "is for tokens: pass to=ledger.NEXT with it, or leave it out.")
        return make_advance(
            key,
            to,
            delivery_id=delivery_id,
            last_delivered_at=last_delivered_at,
            outcome=outcome,
            now=now,
            actor=actor,
            epoch=epoch,
            expected_version=expected_version,
            metadata=metadata,
        )
    return ConfirmToken(
        key,
        delivery_id,
        after="" if after is None else after,
        last_delivered_at=last_delivered_at,
        outcome=outcome,
        now=now,
        actor=actor,
        epoch=epoch,
        expected_version=expected_version,
        metadata=metadata,
    )


@sealed
@attrs.frozen(weakref_slot=False)
class ResetCursor:
    """Move the cursor to `last_sequence`, from 0 to 2**63 - 1, in either direction, and say why.

    `reason` is kept for ever; at most 4,096 characters. The delivery id and time of the cursor are
    replaced by the ones given here, or cleared. A cursor that does not exist yet is created.

    `last_delivery_id` and `last_delivered_at` are those that the cursor has then. `key`, `now`,
    `actor`, `expected_version` and `metadata` mean what they mean for AdvanceCursor; a reset needs
    an actor.

    Raises InvalidCursorError, ResetReasonRequiredError, ActorRequiredError for a blank actor.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> request = ledger.ResetCursor(key, 41, "receiver lost 42 and 43", actor="ines")
    >>> with ledger.open(":memory:") as book:
    ...     [cursor.epoch for cursor in book.append([request])]
    [1]
    """

    key: CursorKey = attrs.field(converter=given.key)
    last_sequence: int = attrs.field(converter=given.from_zero)
    reason: str = attrs.field(converter=given.reason)
    last_delivery_id: str = attrs.field(default="", kw_only=True, converter=given.last_delivery_id)
    last_delivered_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=given.last_delivered_at
    )
    now: datetime | None = attrs.field(default=None, kw_only=True, converter=given.now)
    actor: str = attrs.field(default="", kw_only=True, converter=given.required_actor)
    expected_version: int | None = attrs.field(
        default=None, kw_only=True, converter=given.expected_version
    )
    metadata: Mapping[str, str] = attrs.field(
        default=EMPTY, kw_only=True, hash=False, converter=given.metadata
    )

    __attrs_pre_init__ = once("key")

    def __attrs_post_init__(self) -> None:
        # After all other fields, so that a reset which is wrong in two ways says the other first.
        if not self.reason:
            raise ResetReasonRequiredError(self.key)


@sealed
@attrs.frozen(weakref_slot=False)
class RecordError:
    """Record that a delivery failed; the position stays. A missing cursor is created at 0.

    `last_error` is masked and cut before it is kept: see `ledger.law.fields.message`. `epoch` is
    the one that the consumer read: after a reset it no longer matches.

    `key`, `now`, `actor`, `expected_version` and `metadata` mean what they mean for AdvanceCursor.

    Raises InvalidCursorError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> ledger.RecordError(key, "HTTP 401, password=hunter2").last_error
    'HTTP 401, password=***'
    """

    key: CursorKey = attrs.field(converter=given.key)
    last_error: str = attrs.field(converter=given.last_error)
    now: datetime | None = attrs.field(default=None, kw_only=True, converter=given.now)
    actor: str = attrs.field(default="", kw_only=True, converter=given.actor)
    epoch: int | None = attrs.field(default=None, kw_only=True, converter=given.epoch)
    expected_version: int | None = attrs.field(
        default=None, kw_only=True, converter=given.expected_version
    )
    metadata: Mapping[str, str] = attrs.field(
        default=EMPTY, kw_only=True, hash=False, converter=given.metadata
    )

    __attrs_pre_init__ = once("key")


@sealed
@attrs.frozen(weakref_slot=False)
class StartCursor:
    """Make the cursor, at `last_sequence`, from 0 to 2**63 - 1, and say why it starts there.

    It is no reset: it must be the first entry of its cursor, and the epoch stays 0. What lies
    before it is before the ledger's time. `reason` is kept for ever; at most 4,096 characters.
    `source` names where the position was taken from, such as "kafka group mailer": at most 512
    characters, empty if it was taken from nowhere.

    `last_delivery_id` and `last_delivered_at` are those of the last delivery before the ledger's
    time, if they are known. `key`, `now`, `actor` and `metadata` mean what they mean for
    AdvanceCursor; a start needs an actor. It takes no version: there must be no entry before it.

    Raises InvalidCursorError, ActorRequiredError for a blank actor.

    >>> import ledger
    >>> key = ledger.CursorKey("mailer", "orders")
    >>> request = ledger.StartCursor(
    ...     key, 41, "moved from Kafka", source="kafka group mailer", actor="ines"
    ... )
    >>> with ledger.open(":memory:") as book:
    ...     [(cursor.last_sequence, cursor.epoch) for cursor in book.append([request])]
    [(41, 0)]
    """

    key: CursorKey = attrs.field(converter=given.key)
    last_sequence: int = attrs.field(converter=given.from_zero)
    reason: str = attrs.field(converter=given.reason_of_start)
    source: str = attrs.field(default="", kw_only=True, converter=given.source)
    last_delivery_id: str = attrs.field(default="", kw_only=True, converter=given.last_delivery_id)
    last_delivered_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=given.last_delivered_at
    )
    now: datetime | None = attrs.field(default=None, kw_only=True, converter=given.now)
    actor: str = attrs.field(default="", kw_only=True, converter=given.required_actor)
    metadata: Mapping[str, str] = attrs.field(
        default=EMPTY, kw_only=True, hash=False, converter=given.metadata
    )

    __attrs_pre_init__ = once("key")


Request = AdvanceCursor | ConfirmToken | ResetCursor | RecordError | StartCursor
"""What can be asked of a cursor.

It is an `AdvanceCursor`, a `ConfirmToken`, a `ResetCursor`, a `RecordError` or a `StartCursor`.

>>> import ledger
>>> key = ledger.CursorKey("webhooks", "orders")
>>> requests = [ledger.AdvanceCursor(key, 41), ledger.RecordError(key, "HTTP 503")]
>>> all(isinstance(request, ledger.Request) for request in requests)
True
"""

REQUESTS: tuple[type[Request], ...] = get_args(Request)


def checked(requests: Iterable[Request]) -> list[Request]:
    """Return `requests` as a list.

    Raises InvalidCursorError if one of them is no request.
    """
    given: object = requests
    if not isinstance(given, Iterable):
        said = fields.kind(given)
        raise invalid("requests", f"must be a sequence, not {said}.", value=said)
    return [checked_one(request) for request in given]


def checked_one(request: object) -> Request:
    """Return `request`, or what a request has of it if it is of a subclass.

    Raises InvalidCursorError if it is no request.
    """
    for kind in REQUESTS:
        if type(request) is kind and type(request.key) is CursorKey:
            return request
        if isinstance(request, kind):
            # A subclass may add fields or override methods; both are left out.
            given = {field.name: getattr(request, field.name) for field in attrs.fields(kind)}
            return kind(**given)
    known = tuple(kind.__name__ for kind in REQUESTS)
    said = fields.kind(request)
    raise invalid(
        "a request", f"must be one of {', '.join(known)}, not {said}.", value=said, allowed=known
    )
