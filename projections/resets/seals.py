"""What the entry of a signed reset has of its plan, and the text that is made of it again.

A line says what is planned for one cursor, and can be made from the plan or from the entry. The
names in the metadata are read in the log long after the plan is gone, so they never change.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from ledger import (
    CursorKey,
    CursorReset,
    Entry,
    InvalidCursorError,
    PlanText,
    SshSignature,
    UnprovenError,
)
from ledger.law import fields
from ledger.law.reserved import APPROVAL, APPROVED_BY, SIGNATURE, is_signature
from ledger.law.reserved import SIGNED_TEXT as ABOUT
from ledger.log.text import dumps, loads, parse_time, show_time
from projections.resets.marks import PLAN, PLANNED_AT, PLANNED_BY, of_file
from projections.resets.planned import PlannedReset, read_digest, read_time

__all__ = [
    "ABOUT",
    "APPROVAL",
    "APPROVED_BY",
    "SIGNATURE",
    "Seal",
    "Signatures",
    "line_of",
    "marks_of",
]

_HASH_BYTES = 32
_SAID = {"ledger", "first", "expires_at", "occurred", "cursors", "index", "path"}


@attrs.frozen(kw_only=True)
class Signatures:
    """The signatures of a plan: `planner`'s, and the `approval` of `approved_by`, if anybody's.

    >>> from projections import Signatures
    >>> [field.name for field in Signatures.__attrs_attrs__]
    ['planner', 'approved_by', 'approval']
    """

    planner: SshSignature
    approved_by: str = ""
    approval: SshSignature | None = None


@attrs.frozen(kw_only=True)
class Seal:
    """What an entry says was signed: the text, and the signatures."""

    text: PlanText
    signatures: Signatures

    @classmethod
    def of(cls, entry: Entry, head: bytes | None) -> Seal | None:
        """Return the seal of an entry after the one of the digest `head`; None if it has none.

        Raises UnprovenError if it is damaged, or of another reset than this one.
        """
        if not any(map(is_signature, entry.metadata)):
            return None
        try:
            return _read(entry, head)
        except InvalidCursorError as error:
            raise UnprovenError(f"what it says of its plan is damaged: {error}") from None


def line_of(reset: PlannedReset) -> bytes:
    """Return the line of a reset that is planned. Raises InvalidCursorError if it has no head."""
    if reset.version and reset.head is None:
        raise InvalidCursorError(
            f"the reset of {reset.key} does not say which entry it follows, so it cannot be "
            "signed. Make the plan by ResetPlan.make or ResetPlan.undo."
        )
    return _line(
        reset.key,
        version=reset.version,
        head=reset.head,
        previous_sequence=reset.previous_sequence,
        sequence=reset.sequence,
        delivery_id=reset.delivery_id,
        delivered_at=reset.delivered_at,
        reason=reset.reason,
        occurred_at=reset.occurred_at,
        metadata=reset.metadata,
    )


def marks_of(
    text: PlanText,
    signatures: Signatures,
    reset: PlannedReset,
    index: int,
    path: Sequence[bytes],
) -> dict[str, str]:
    """Return the metadata that the entry of a signed reset has, beside that of a plan in a file."""
    about = _about(text, index, path, occurred=reset.occurred_at is not None)
    marks = {SIGNATURE: signatures.planner.base64, ABOUT: about}
    if signatures.approval is not None:
        marks |= {APPROVED_BY: signatures.approved_by, APPROVAL: signatures.approval.base64}
    return marks


def _about(text: PlanText, index: int, path: Sequence[bytes], *, occurred: bool) -> str:
    said = {
        "ledger": text.ledger,
        "first": text.first.hex() if text.first else None,
        "expires_at": show_time(text.expires_at) if text.expires_at else None,
        "occurred": occurred,
        "cursors": text.cursors,
        "index": index,
        "path": base64.b64encode(b"".join(path)).decode(),
    }
    return dumps(said)


def _read(entry: Entry, head: bytes | None) -> Seal:
    event, metadata = entry.event, entry.metadata
    about = loads(metadata.get(ABOUT, "null"))
    if not isinstance(event, CursorReset) or not isinstance(about, dict) or about.keys() != _SAID:
        raise InvalidCursorError("it is not complete")
    parts = {SIGNATURE, ABOUT, APPROVED_BY, APPROVAL}
    if unknown := sorted(name for name in metadata if is_signature(name) and name not in parts):
        raise InvalidCursorError(f"{unknown[0]!r:.80} is not known here")
    given = {name: metadata[name] for name in metadata if not is_signature(name)}
    plan, planned_by = given.pop(PLAN, ""), given.pop(PLANNED_BY, "")
    planned_at = parse_time(given.pop(PLANNED_AT, ""), PLANNED_AT)
    line = _line(
        entry.key,
        version=entry.version - 1,
        head=head,
        previous_sequence=event.previous_sequence,
        sequence=event.sequence,
        delivery_id=event.delivery_id,
        delivered_at=event.delivered_at,
        reason=event.reason,
        occurred_at=event.occurred_at if about["occurred"] is True else None,
        metadata=given,
    )
    path = _path(about["path"])
    index = fields.sequence(about["index"], "index", least=0)
    cursors = fields.sequence(about["cursors"], "cursors", least=1)
    # The path leads to the root only if the line is that of the plan.
    text = PlanText(
        ledger=about["ledger"],
        first=None if about["first"] is None else read_digest(about["first"], "first"),
        planned_by=planned_by,
        planned_at=planned_at,
        expires_at=read_time(about["expires_at"], "expires_at"),
        plan=plan,
        cursors=cursors,
        root=PlanText.root_of(line, index, cursors, path),
    )
    approval, approved_by = metadata.get(APPROVAL), metadata.get(APPROVED_BY, "")
    # What was signed has one form: not another spelling of a time, nor a blank behind a name.
    own = of_file(text.plan, planned_by=text.planned_by, planned_at=text.planned_at)
    own[ABOUT] = _about(text, index, path, occurred=about["occurred"] is True)
    own[APPROVED_BY] = "" if approval is None else approved_by.strip()
    if any(metadata.get(name, "") != own.get(name, "") for name in (*own, PLANNED_BY)):
        raise InvalidCursorError("it is written in another way than a signed plan writes it")
    return Seal(
        text=text,
        signatures=Signatures(
            planner=SshSignature(metadata.get(SIGNATURE, "")),
            approved_by=approved_by,
            approval=None if approval is None else SshSignature(approval),
        ),
    )


def _path(value: object) -> list[bytes]:
    said = fields.storable(value, "path")
    try:
        whole = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidCursorError("path is not base64") from None
    if len(whole) % _HASH_BYTES:
        raise InvalidCursorError("path does not consist of hashes")
    return [whole[at : at + _HASH_BYTES] for at in range(0, len(whole), _HASH_BYTES)]


def _line(
    key: CursorKey,
    *,
    version: int,
    head: bytes | None,
    previous_sequence: int,
    sequence: int,
    delivery_id: str,
    delivered_at: datetime | None,
    reason: str,
    occurred_at: datetime | None,
    metadata: Mapping[str, str],
) -> bytes:
    said = {
        "consumer_id": key.consumer_id,
        "stream_name": key.stream_name,
        "subject_id": key.subject_id,
        "version": version,
        "head": head.hex() if head else None,
        "previous_sequence": previous_sequence,
        "sequence": sequence,
        "delivery_id": delivery_id,
        "delivered_at": show_time(delivered_at) if delivered_at else None,
        "reason": reason,
        "occurred_at": show_time(occurred_at) if occurred_at else None,
        # The log keeps it in this order.
        "metadata": dict(sorted(metadata.items())),
    }
    return dumps(said).encode()
