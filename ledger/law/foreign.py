"""What to do with a position that is no sequence: the advice that its refusal ends with."""

from __future__ import annotations

import re
from enum import Enum

__all__ = ["advice"]

# The fields that have what a source calls a position; all other numbers are the ledger's own.
_POSITIONS = {"last_sequence", "sequence", "to", "covering"}

_SIXTY_THREE_BITS = 2**63
_LSN = re.compile(r"\s*[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}\s*")
# More digits than this are more than 63 bits.
_DIGITS = re.compile(r"\s*[0-9]{1,18}\s*")

_ZERO = (
    "Where positions begin at 0, as Kafka's offsets do, offset k is sequence k + 1: see "
    "ledger.positions, or cursor-ledger positions --help."
)
_WAL = "This looks like an LSN of PostgreSQL: ledger.positions makes a sequence of it."
_UNORDERED = (
    "A position that is no such number is a token: advance with to=ledger.NEXT and "
    "delivery_id=token, and the ledger numbers it."
)
_NEXT = "The next sequence is that of a token: make a ledger.ConfirmToken."
_FLOAT = "A float is not exact: make an integer of it before it becomes one."
_TEXT = "Make an integer of it."


def advice(name: str, value: object) -> str:
    """Return what to do with `value`, which is refused as the sequence `name`.

    Empty if there is nothing to say beyond the refusal; otherwise with a space in front.
    """
    said = _advice(value) if name in _POSITIONS and not isinstance(value, bool) else ""
    return f" {said}" if said else ""


def _advice(value: object) -> str:
    match value:
        case int():
            return _UNORDERED if value >= _SIXTY_THREE_BITS else _ZERO if value == 0 else ""
        case str():
            return _WAL if _LSN.fullmatch(value) else _of_text(value)
        case float():
            return _FLOAT
        case bytes():
            return _UNORDERED
        case Enum(value="next"):
            return _NEXT
    return ""


def _of_text(value: str) -> str:
    return _TEXT if _DIGITS.fullmatch(value) else _UNORDERED
