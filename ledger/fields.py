"""What a text, a sequence, a moment and a map of metadata may be.

Everything that enters the ledger passes through here once, when its value is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ledger.errors import InvalidCursorError

__all__ = [
    "MESSAGE_LENGTH_MAX",
    "METADATA_LENGTH_MAX",
    "METADATA_PAIRS_MAX",
    "REASON_LENGTH_MAX",
    "SEQUENCE_MAX",
    "TEXT_LENGTH_MAX",
    "counter",
    "kind",
    "limit",
    "message",
    "metadata",
    "moment",
    "required",
    "sequence",
    "set_field",
    "storable",
    "text",
    "utc_now",
]

TEXT_LENGTH_MAX = 512
REASON_LENGTH_MAX = 4_096
MESSAGE_LENGTH_MAX = 2_048
METADATA_PAIRS_MAX = 16
METADATA_LENGTH_MAX = 4_096
SEQUENCE_MAX = 2**63 - 1
"""Sequences are 64-bit signed integers, which is what every database keeps exactly."""


def text(value: object, name: str, *, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Give `value` trimmed; refuse what is no text, is too long, or cannot be stored everywhere."""
    if not isinstance(value, str):
        raise InvalidCursorError(f"{name} must be text, not {kind(value)}.")
    if not value:
        return ""
    trimmed = value.strip()
    if len(trimmed) > length_max:
        raise InvalidCursorError(
            f"{name} has {len(trimmed):,} characters; at most {length_max:,} are kept."
        )
    return storable(trimmed, name)


def storable(value: object, name: str) -> str:
    """Give `value` as it is; refuse what is no text, and what not every database can store."""
    if not isinstance(value, str):
        raise InvalidCursorError(f"{name} must be text, not {kind(value)}.")
    if "\0" in value if value.isascii() else _UNSTORABLE.search(value):
        raise InvalidCursorError(
            f"{name} has a NUL or a lone surrogate in it, which not every database can store."
        )
    return str(value)


def required(value: object, name: str) -> str:
    """Give `value` trimmed, as `text` does; refuse a blank one as well."""
    trimmed = text(value, name)
    if not trimmed:
        raise InvalidCursorError(f"{name} is required, and must not be blank.")
    return trimmed


def sequence(value: object, name: str, *, least: int) -> int:
    """Give `value` if it is an integer from `least` to 2**63 - 1; a bool or a float is none."""
    if type(value) is not int and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidCursorError(f"{name} must be an integer, not {kind(value)}.")
    if not least <= value <= SEQUENCE_MAX:
        shown = value if abs(value) < 10**40 else f"a number of {value.bit_length()} bits"
        raise InvalidCursorError(f"{name} must be from {least} to {SEQUENCE_MAX}, not {shown}.")
    return int(value)


def counter(value: object, name: str) -> int | None:
    """Give an optional version or epoch: None, or an integer from 0."""
    return None if value is None else sequence(value, name, least=0)


def limit(value: object) -> int:
    """Give the most rows that are wanted, from -2**63; 0 and less mean all of them."""
    return max(sequence(value, "limit", least=-SEQUENCE_MAX - 1), 0)


def moment(value: object, name: str) -> datetime:
    """Give an aware time in UTC; refuse a naive one, for nobody knows which instant it means."""
    if not isinstance(value, datetime):
        raise InvalidCursorError(f"{name} must be a datetime with a zone, not {kind(value)}.")
    if value.tzinfo is UTC and type(value) is datetime:
        return value
    if value.utcoffset() is None:
        raise InvalidCursorError(
            f"{name} has no zone ({value.isoformat()}); say which instant it is, "
            "for example with datetime.now(UTC)."
        )
    try:
        there = value.astimezone(UTC)
    except OverflowError:
        raise InvalidCursorError(
            f"{name} ({value.isoformat()}) is outside the years 1 to 9999 in UTC."
        ) from None
    # A subclass (pandas.Timestamp, for one) is left behind: only its instant is kept.
    return datetime.combine(there.date(), there.time(), UTC)


def metadata(value: object) -> dict[str, str]:
    """Give a copy of a flat map of strings: at most 16 pairs and 4,096 characters in all."""
    if not value and isinstance(value, dict):
        return {}
    if not isinstance(value, Mapping):
        raise InvalidCursorError(f"metadata must be a map of text to text, not {kind(value)}.")
    if len(value) > METADATA_PAIRS_MAX:
        raise InvalidCursorError(
            f"metadata has {len(value)} pairs; at most {METADATA_PAIRS_MAX} are kept."
        )
    pairs: dict[str, str] = {}
    for name, item in value.items():
        label = storable(name, "a name in metadata")
        if not label.strip():
            raise InvalidCursorError("metadata has a blank name.")
        pairs[label] = storable(item, f"metadata {label!r:.80}")
    length = sum(len(name) + len(item) for name, item in pairs.items())
    if length > METADATA_LENGTH_MAX:
        raise InvalidCursorError(
            f"metadata has {length:,} characters; at most {METADATA_LENGTH_MAX:,} are kept."
        )
    return pairs


def message(value: object, name: str) -> str:
    """Return an error message with its secrets masked, cut to 2,048 characters.

    It comes from the outside world, often while something is on fire, so what cannot be stored in
    it is replaced with U+FFFD rather than refused. What is recognised: `ledger.masking`.
    """
    if not isinstance(value, str):
        raise InvalidCursorError(f"{name} must be text, not {kind(value)}.")
    trimmed = value.strip()
    if not trimmed:
        raise InvalidCursorError(f"{name} is required, and must not be blank.")
    # Imported with the first error: its patterns take some milliseconds to make.
    from ledger import masking

    kept = trimmed[: masking.WINDOW + 1]
    if "\0" in kept if kept.isascii() else _UNSTORABLE.search(kept):
        kept = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", kept)
    return masking.masked(kept, MESSAGE_LENGTH_MAX)


def utc_now() -> datetime:
    """Give the system's time; the clock that a ledger goes by unless it is given another."""
    return datetime.now(UTC)


set_field = object.__setattr__
"""Sets a field of a frozen instance while it is being made."""

# NUL ends a text for some databases; a lone surrogate has no UTF-8.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def kind(value: object) -> str:
    """Name what was given instead, for a refusal."""
    return "nothing" if value is None else f"a {type(value).__name__}"
