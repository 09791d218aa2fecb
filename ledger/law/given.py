"""What each field of a request takes: the converters that check and trim it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

# Refusals are named as `ledger.ActorRequiredError`, which imports them when one is made.
import ledger
from ledger.errors import invalid
from ledger.law import fields
from ledger.law.cursor import CursorKey, Outcome
from ledger.law.pairs import EMPTY, SignedPairs
from ledger.law.reserved import is_signature

__all__ = [
    "actor",
    "delivery_id",
    "epoch",
    "expected_version",
    "from_one",
    "from_zero",
    "key",
    "last_delivered_at",
    "last_delivery_id",
    "last_error",
    "metadata",
    "now",
    "outcome",
    "reason",
    "reason_of_start",
    "required_actor",
    "source",
]


def key(value: CursorKey) -> CursorKey:
    """Return the key of a cursor."""
    return value if type(value) is CursorKey else CursorKey.check(value)


def from_one(value: int) -> int:
    """Return a sequence that can be confirmed, from 1."""
    return fields.sequence(value, "last_sequence", least=1)


def from_zero(value: int) -> int:
    """Return a sequence that a cursor can be reset to, from 0."""
    return fields.sequence(value, "last_sequence", least=0)


def delivery_id(value: str) -> str:
    """Return the id of the delivery that is confirmed; it may be empty."""
    return fields.text(value, "delivery_id")


def last_delivery_id(value: str) -> str:
    """Return the delivery id that a cursor is reset to; it may be empty."""
    return fields.text(value, "last_delivery_id")


def last_delivered_at(value: datetime | None) -> datetime | None:
    """Return the time of a delivery, or None."""
    return None if value is None else fields.moment(value, "last_delivered_at")


def outcome(value: Outcome) -> Outcome:
    """Return what became of what an advance passes."""
    return value if type(value) is Outcome else Outcome.of(value)


def now(value: datetime | None) -> datetime | None:
    """Return the caller's time, or None."""
    return None if value is None else fields.moment(value, "now")


def reason(value: str) -> str:
    """Return the reason of a reset; it may be empty, and the reset says so."""
    return fields.text(value, "reason", length_max=fields.REASON_LENGTH_MAX, seen=True)


def reason_of_start(value: str) -> str:
    """Return the reason of a start, which must not be empty."""
    if said := reason(value):
        return said
    raise invalid("reason", "is required: it is kept for ever, so say why the cursor starts there.")


def source(value: str) -> str:
    """Return where the position of a start was taken from; it may be empty."""
    return fields.text(value, "source", seen=True)


def last_error(value: str) -> str:
    """Return what went wrong, masked and cut."""
    # An error is not refused because it is invisible: its characters are spelled out.
    said = fields.spelled(fields.exact(value, "last_error"))
    return fields.message(said, "last_error")


def actor(value: str) -> str:
    """Return who acts; it may be empty, but not blank."""
    return fields.actor(value)


def required_actor(value: str) -> str:
    """Return who resets or starts a cursor; empty where the ledger names one, but not blank."""
    given = fields.exact(value, "actor")
    said = fields.text(given, "actor", seen=True)
    if given and not said:
        raise ledger.ActorRequiredError(f"actor {fields.BLANK_ACTOR}")
    return said


def epoch(value: int | None) -> int | None:
    """Return the epoch that a consumer read, or None."""
    return fields.counter(value, "epoch")


def expected_version(value: int | None) -> int | None:
    """Return the version that a cursor must be at, or None."""
    return fields.counter(value, "expected_version")


def metadata(value: Mapping[str, str]) -> Mapping[str, str]:
    """Return a copy of the metadata; refuse the names of a signature from who has not signed."""
    if value is EMPTY:
        return value
    kept = fields.metadata(value)
    if type(value) is SignedPairs:
        return SignedPairs(kept)
    for name in kept:
        if is_signature(name):
            raise invalid(
                "metadata",
                "is a name under which the ledger keeps signatures. Choose another name, or sign "
                "the plan: reset --sign, or ResetPlan.signed.",
                subject=f"metadata {name!r:.80}",
            )
    return kept
