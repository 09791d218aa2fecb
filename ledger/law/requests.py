"""What can be asked of a cursor: advance, reset, record an error.

A request that exists is valid in itself; whether the cursor allows it, the law decides (rules.py).
Fields are named as in the JSON of requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from ledger.errors import LedgerError
from ledger.law import fields
from ledger.law.cursor import CursorKey, Outcome
from ledger.law.fields import set_field
from ledger.law.making import once, sealed
from ledger.law.pairs import EMPTY

__all__ = ["AdvanceCursor", "RecordError", "Request", "ResetCursor", "ResetReasonRequiredError"]


class ResetReasonRequiredError(LedgerError):
    """A reset without a reason."""

    key: CursorKey | None = None

    def __init__(self, key: CursorKey | str) -> None:
        if isinstance(key, str):
            super().__init__(key)
            return
        super().__init__(f"A reset of {key} needs a reason; it is kept for ever, so say why.")
        self.key = key


@sealed
@attrs.frozen
class AdvanceCursor:
    """Confirm everything up to `last_sequence`, from 1 to 2**63 - 1.

    `delivery_id` names the delivery that is confirmed; to repeat a confirmation, repeat it.
    `last_delivered_at` is when it happened, `now` if it is not given; `now` is the caller's time,
    the ledger's own if it is not given. `epoch` is the one that the consumer read: after a reset it
    no longer matches. `expected_version` is the version that the cursor must be at.

    Raises InvalidCursorError.
    """

    key: CursorKey
    last_sequence: int
    delivery_id: str = attrs.field(default="", kw_only=True)
    last_delivered_at: datetime | None = attrs.field(default=None, kw_only=True)
    outcome: Outcome = attrs.field(default=Outcome.DELIVERED, kw_only=True)
    now: datetime | None = attrs.field(default=None, kw_only=True)
    actor: str = attrs.field(default="", kw_only=True)
    epoch: int | None = attrs.field(default=None, kw_only=True)
    expected_version: int | None = attrs.field(default=None, kw_only=True)
    metadata: Mapping[str, str] = attrs.field(default=EMPTY, kw_only=True, hash=False)

    __attrs_pre_init__ = once("key")

    def __attrs_post_init__(self) -> None:
        _settle(self)
        set_field(
            self, "last_sequence", fields.sequence(self.last_sequence, "last_sequence", least=1)
        )
        set_field(self, "delivery_id", fields.text(self.delivery_id, "delivery_id"))
        set_field(self, "outcome", Outcome.of(self.outcome))
        if self.epoch is not None:
            set_field(self, "epoch", fields.sequence(self.epoch, "epoch", least=0))
        if self.last_delivered_at is not None:
            _settle_delivered_at(self)


@sealed
@attrs.frozen
class ResetCursor:
    """Move the cursor to `last_sequence`, from 0 to 2**63 - 1, in either direction, and say why.

    `reason` is kept for ever; at most 4,096 characters. The delivery id and time of the cursor are
    replaced by the ones given here, or cleared. A cursor that does not exist yet is made.

    Raises InvalidCursorError, ResetReasonRequiredError.
    """

    key: CursorKey
    last_sequence: int
    reason: str
    last_delivery_id: str = attrs.field(default="", kw_only=True)
    last_delivered_at: datetime | None = attrs.field(default=None, kw_only=True)
    now: datetime | None = attrs.field(default=None, kw_only=True)
    actor: str = attrs.field(default="", kw_only=True)
    expected_version: int | None = attrs.field(default=None, kw_only=True)
    metadata: Mapping[str, str] = attrs.field(default=EMPTY, kw_only=True, hash=False)

    __attrs_pre_init__ = once("key")

    def __attrs_post_init__(self) -> None:
        _settle(self)
        set_field(
            self, "last_sequence", fields.sequence(self.last_sequence, "last_sequence", least=0)
        )
        set_field(self, "last_delivery_id", fields.text(self.last_delivery_id, "last_delivery_id"))
        reason = fields.text(self.reason, "reason", length_max=fields.REASON_LENGTH_MAX, seen=True)
        set_field(self, "reason", reason)
        if self.last_delivered_at is not None:
            _settle_delivered_at(self)
        if not self.reason:
            raise ResetReasonRequiredError(self.key)


@sealed
@attrs.frozen
class RecordError:
    """Note that delivery failed; the position stays. A cursor that does not exist yet is made at 0.

    `last_error` is masked and cut before it is kept: see `ledger.law.fields.message`. `epoch` is
    the one that the consumer read: after a reset it no longer matches.

    Raises InvalidCursorError.
    """

    key: CursorKey
    last_error: str
    now: datetime | None = attrs.field(default=None, kw_only=True)
    actor: str = attrs.field(default="", kw_only=True)
    epoch: int | None = attrs.field(default=None, kw_only=True)
    expected_version: int | None = attrs.field(default=None, kw_only=True)
    metadata: Mapping[str, str] = attrs.field(default=EMPTY, kw_only=True, hash=False)

    __attrs_pre_init__ = once("key")

    def __attrs_post_init__(self) -> None:
        _settle(self)
        if self.epoch is not None:
            set_field(self, "epoch", fields.sequence(self.epoch, "epoch", least=0))
        # An error is not refused because nobody can see it: its characters are spelled out.
        said = fields.spelled(fields.exact(self.last_error, "last_error"))
        set_field(self, "last_error", fields.message(said, "last_error"))


Request = AdvanceCursor | ResetCursor | RecordError


def _settle(request: Request) -> None:
    """Check what all requests have in common."""
    if type(request.key) is not CursorKey:
        set_field(request, "key", CursorKey.check(request.key))
    set_field(request, "actor", fields.text(request.actor, "actor", seen=True))
    if request.metadata is not EMPTY:
        set_field(request, "metadata", fields.metadata(request.metadata))
    if request.expected_version is not None:
        version = fields.sequence(request.expected_version, "expected_version", least=0)
        set_field(request, "expected_version", version)
    if request.now is not None:
        set_field(request, "now", fields.moment(request.now, "now"))


def _settle_delivered_at(request: AdvanceCursor | ResetCursor) -> None:
    moment = fields.moment(request.last_delivered_at, "last_delivered_at")
    set_field(request, "last_delivered_at", moment)
