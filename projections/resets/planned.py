"""One reset that is planned: which cursor, at which version, from where to where, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

import attrs

from ledger import CursorKey, InvalidCursorError, ResetCursor
from ledger.errors import invalid
from ledger.law import fields
from ledger.log.json import structure, unstructure
from ledger.log.text import parse_time
from projections.ranges import Range
from projections.resets.views import Direction

__all__ = ["PlannedReset", "read_digest", "read_time"]

# What follows from the rest is written for whoever looks at the file, and not read again.
_DERIVED = ("delivered_again", "passed_over")


@attrs.frozen(kw_only=True)
class PlannedReset:
    """A reset of one cursor, planned when it was at `version` and `previous_sequence`.

    `version` is 0 if there was no cursor. `head` is the digest of the last entry that it had, None
    if it had none or nobody looked. The other names are those of the entry that it becomes.

    `key`, `sequence`, `reason`, `delivery_id`, `delivered_at`, `occurred_at` and `metadata` are
    those of the entry that it becomes.

    Raises InvalidCursorError, ResetReasonRequiredError.

    >>> import ledger
    >>> from projections import PlannedReset
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> reset = PlannedReset(
    ...     key=key, version=2, previous_sequence=44, sequence=41, reason="receiver lost 42 and 43"
    ... )
    >>> print(reset.delivered_again, reset.passed_over)
    3 sequences, 42 to 44 None
    """

    key: CursorKey
    version: int
    previous_sequence: int
    sequence: int
    reason: str
    delivery_id: str = ""
    delivered_at: datetime | None = None
    occurred_at: datetime | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    head: bytes | None = None

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "version", fields.sequence(self.version, "version", least=0))
        fields.set_field(
            self,
            "previous_sequence",
            fields.sequence(self.previous_sequence, "previous_sequence", least=0),
        )
        # What the request would refuse is refused now, and kept as the request has it.
        request = self.request
        fields.set_field(self, "sequence", request.last_sequence)
        fields.set_field(self, "reason", request.reason)
        fields.set_field(self, "delivery_id", request.last_delivery_id)
        fields.set_field(self, "delivered_at", request.last_delivered_at)
        fields.set_field(self, "occurred_at", request.now)
        fields.set_field(self, "metadata", request.metadata)

    @property
    def request(self) -> ResetCursor:
        """What is asked of the ledger: the reset, if the cursor is still at `version`."""
        return ResetCursor(
            self.key,
            self.sequence,
            self.reason,
            last_delivery_id=self.delivery_id,
            last_delivered_at=self.delivered_at,
            now=self.occurred_at,
            expected_version=self.version,
            metadata=self.metadata,
        )

    @property
    def delivered_again(self) -> Range | None:
        """The sequences that will be delivered again; None unless it goes back."""
        return self._crossed(Direction.BACK)

    @property
    def passed_over(self) -> Range | None:
        """The sequences that will be passed over; None unless it goes forward."""
        return self._crossed(Direction.FORWARD)

    @property
    def plain(self) -> dict[str, object]:
        """The reset in plain JSON values, with what will be delivered again or passed over."""
        plain: dict[str, object] = unstructure(self)
        return {**plain, **{name: unstructure(getattr(self, name)) for name in _DERIVED}}

    def _crossed(self, towards: Direction) -> Range | None:
        start, end = self.previous_sequence, self.sequence
        return Range.between(start, end) if Direction.between(start, end) is towards else None

    @classmethod
    def of_plain(cls, plain: object) -> PlannedReset:
        """Return the reset that plain JSON values describe; nothing is coerced.

        Raises InvalidCursorError, ResetReasonRequiredError.
        """
        if not isinstance(plain, dict):
            raise InvalidCursorError(f"it must be an object, not {fields.kind(plain)}.")
        given = {name: value for name, value in plain.items() if name not in _DERIVED}
        known = {field.name: field for field in attrs.fields(cls)}
        if unknown := sorted(given.keys() - known.keys()):
            raise InvalidCursorError(
                f"{unknown[0]!r:.80} is not known here; it has {', '.join(known)}."
            )
        for name, field in known.items():
            if field.default is attrs.NOTHING and name not in given:
                raise invalid(name, "is missing.")
        given["key"] = structure(given["key"], CursorKey)
        for name in ("delivered_at", "occurred_at"):
            given[name] = read_time(given.get(name), name)
        if given.get("head") is not None:
            given["head"] = read_digest(given["head"], "head")
        return cls(**given)


def read_time(value: object, name: str) -> datetime | None:
    """Return the time that `value` is as text, or None for None."""
    return None if value is None else parse_time(fields.storable(value, name), name)


def read_digest(value: object, name: str) -> bytes:
    """Return the digest that `value` is in hexadecimal."""
    text = fields.storable(value, name)
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise invalid(name, f"must be 64 hexadecimal digits, not {text!r:.80}.")
    return bytes.fromhex(text)
