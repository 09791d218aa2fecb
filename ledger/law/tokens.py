"""Tokens: positions without an order, each of which gets the next sequence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields, given
from ledger.law.cursor import CursorKey, Outcome
from ledger.law.making import once, quick, sealed
from ledger.law.numbering import NEXT, Next
from ledger.law.pairs import EMPTY

__all__ = ["NEXT", "ConfirmToken", "Next"]


def _token(value: str) -> str:
    try:
        return fields.required(value, "delivery_id")
    except InvalidCursorError as error:
        raise _shorter(error) from None


def _after(value: str | None) -> str:
    try:
        return "" if value is None else fields.text(value, "after")
    except InvalidCursorError as error:
        raise _shorter(error) from None


def _shorter(error: InvalidCursorError) -> InvalidCursorError:
    """Return the refusal of a token with what to do if it is too long."""
    if error.bound is None or error.field is None:
        return error
    problem = (
        f"{error.problem} Take the SHA-256 of a longer token, and keep the token in the metadata."
    )
    return invalid(error.field, problem, value=error.value, bound=error.bound)


@quick
@sealed
@attrs.frozen(weakref_slot=False)
class ConfirmToken:
    """Confirm the token `delivery_id`, which the source has named next after the token `after`.

    Tokens have no order that can be read off, so each gets the next sequence. It is refused unless
    `after` is the delivery id of the cursor as it stands; it is empty if the cursor has none, as
    before the first token. A token that is confirmed already, and is the last one, is confirmed
    again: an entry at the same sequence. A token has at most 512 characters.

    `key`, `last_delivered_at`, `outcome`, `now`, `actor`, `epoch`, `expected_version` and
    `metadata` mean what they mean for AdvanceCursor.

    Raises InvalidCursorError.

    >>> import ledger
    >>> key = ledger.CursorKey("billing", "stripe")
    >>> requests = [
    ...     ledger.ConfirmToken(key, "evt_9a"),
    ...     ledger.ConfirmToken(key, "evt_3f", after="evt_9a"),
    ... ]
    >>> with ledger.open(":memory:") as book:
    ...     [cursor.last_sequence for cursor in book.append(requests)]
    [1, 2]
    """

    key: CursorKey = attrs.field(converter=given.key)
    delivery_id: str = attrs.field(converter=_token)
    after: str = attrs.field(default="", kw_only=True, converter=_after)
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
