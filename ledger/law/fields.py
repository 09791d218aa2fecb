"""What a text, a sequence, a moment and a map of metadata may be.

Everything that enters the ledger passes through here once, when its value is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from unicodedata import category

from ledger.errors import InvalidCursorError
from ledger.law.pairs import EMPTY, Pairs

__all__ = [
    "MESSAGE_LENGTH_MAX",
    "METADATA_LENGTH_MAX",
    "METADATA_PAIRS_MAX",
    "REASON_LENGTH_MAX",
    "SEQUENCE_MAX",
    "TEXT_LENGTH_MAX",
    "counter",
    "exact",
    "is_seen",
    "kept_metadata",
    "kind",
    "limit",
    "message",
    "metadata",
    "moment",
    "required",
    "sequence",
    "set_field",
    "shown",
    "spelled",
    "storable",
    "text",
]

TEXT_LENGTH_MAX = 512
REASON_LENGTH_MAX = 4_096
MESSAGE_LENGTH_MAX = 2_048
METADATA_PAIRS_MAX = 16
METADATA_LENGTH_MAX = 4_096
SEQUENCE_MAX = 2**63 - 1
"""Sequences are 64-bit signed integers, which is what every database keeps exactly."""


def text(value: object, name: str, *, length_max: int = TEXT_LENGTH_MAX, seen: bool = False) -> str:
    """Give `value` trimmed; refuse what is no text, is too long, or cannot be stored everywhere.

    With `seen`, refuse as well what is not empty and yet has nothing in it that can be seen. That
    is asked of what is appended anew; what is looked for, or is in the log already, need not be.
    """
    if type(value) is not str:
        value = exact(value, name)
    if not value:
        return ""
    trimmed = value.strip()
    if len(trimmed) > length_max:
        raise InvalidCursorError(
            f"{name} has {len(trimmed):,} characters; at most {length_max:,} are kept."
        )
    if "\0" in trimmed if trimmed.isascii() else _UNSTORABLE.search(trimmed):
        raise _unstorable(name)
    if seen and trimmed and not "!" <= trimmed[0] <= "~" and not is_seen(trimmed):
        raise _unseen(trimmed, name)
    return trimmed


def storable(value: object, name: str) -> str:
    """Give `value` as it is; refuse what is no text, and what not every database can store."""
    if type(value) is not str:
        value = exact(value, name)
    if "\0" in value if value.isascii() else _UNSTORABLE.search(value):
        raise _unstorable(name)
    return value


def exact(value: object, name: str) -> str:
    """Return the text that a subclass of str holds, whatever its own methods say it is."""
    if not isinstance(value, str):
        raise InvalidCursorError(f"{name} must be text, not {kind(value)}.")
    return str.__str__(value)


def is_seen(value: str) -> bool:
    """Say whether a character of `value` can be seen: a letter, a number, punctuation or a symbol.

    Marks and controls are none, nor are the few letters and symbols that are blank.
    """
    # Mostly the first one settles it.
    if "!" <= value[:1] <= "~":
        return True
    return any(category(char)[0] in "LNPS" and char not in _BLANK for char in value)


def spelled(value: str) -> str:
    r"""Give `value` as it is if it can be seen, or is blank; or else spelled out, as \u200b is."""
    if is_seen(value) or not value.strip():
        return value
    return value.encode("unicode_escape").decode()


def required(value: object, name: str, *, seen: bool = False) -> str:
    """Give `value` trimmed, as `text` does; refuse a blank one as well."""
    trimmed = text(value, name, seen=seen)
    if not trimmed:
        raise InvalidCursorError(f"{name} is required, and must not be blank.")
    return trimmed


def sequence(value: object, name: str, *, least: int) -> int:
    """Give `value` if it is an integer from `least` to 2**63 - 1; a bool or a float is none."""
    if type(value) is not int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidCursorError(f"{name} must be an integer, not {kind(value)}.")
        value = int.__int__(value)  # a subclass may compare as it likes
    if not least <= value <= SEQUENCE_MAX:
        shown = value if abs(value) < 10**40 else f"a number of {value.bit_length()} bits"
        raise InvalidCursorError(f"{name} must be from {least} to {SEQUENCE_MAX}, not {shown}.")
    return value


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
    if value.tzinfo is UTC and type(value) is datetime and not value.fold:
        return value
    # Of a subclass (pandas.Timestamp, for one) only what a datetime holds is kept and asked: its
    # own methods may say something else. One that is outside the years 1 to 9999 has another year
    # there than it says.
    local = datetime.combine(datetime.date(value), datetime.timetz(value))
    naive = local.replace(tzinfo=None)
    try:
        year = value.year
        offset = local.utcoffset()
        if offset is not None and year == local.year:
            return (naive - offset).replace(tzinfo=UTC)
    except OverflowError:
        raise InvalidCursorError(
            f"{name} ({naive.isoformat()} in its zone) is outside the years 1 to 9999 in UTC."
        ) from None
    except Exception as error:
        raise InvalidCursorError(
            f"{name} ({naive.isoformat()}) has a zone that cannot say its offset: {shown(error)}."
        ) from error
    if offset is not None:
        raise InvalidCursorError(f"{name} says that its year is {shown(year)}, which is not kept.")
    raise InvalidCursorError(
        f"{name} has no zone ({naive.isoformat()}); say which instant it is, "
        "for example with datetime.now(UTC)."
    )


def metadata(value: object) -> Pairs:
    """Give a copy of a flat map of strings: at most 16 pairs and 4,096 characters in all."""
    pairs = kept_metadata(value)
    for name in pairs:
        if not is_seen(name):
            raise _unseen(name, "a name in metadata")
    return pairs


def kept_metadata(value: object) -> Pairs:
    """Give the same of a map that is in the log already, where a name may be unseen."""
    if value is EMPTY or (type(value) is dict and not value):
        return EMPTY
    pairs: dict[str, str] = {}
    for label, item in _items(value):
        name = storable(label, "a name in metadata")
        if not name.strip():
            raise InvalidCursorError("metadata has a blank name.")
        if name in pairs:
            raise InvalidCursorError(f"metadata has {name!r:.80} twice.")
        pairs[name] = storable(item, f"metadata {name!r:.80}")
    length = sum(len(name) + len(item) for name, item in pairs.items())
    if length > METADATA_LENGTH_MAX:
        raise InvalidCursorError(
            f"metadata has {length:,} characters; at most {METADATA_LENGTH_MAX:,} are kept."
        )
    return Pairs(pairs) if pairs else EMPTY


def _items(value: object) -> list[tuple[object, object]]:
    """Return the pairs of a map as they are at one moment."""
    if not isinstance(value, Mapping):
        raise InvalidCursorError(f"metadata must be a map of text to text, not {kind(value)}.")
    try:
        # A dict is copied at once, so that no other thread can change it meanwhile.
        whole = dict(value) if type(value) is dict else value
        items = [(name, item) for name, item in islice(whole.items(), METADATA_PAIRS_MAX + 1)]
    except Exception as error:
        raise InvalidCursorError(f"metadata could not be read: {shown(error)}.") from error
    if len(items) > METADATA_PAIRS_MAX:
        raise InvalidCursorError(f"metadata has more than {METADATA_PAIRS_MAX} pairs.")
    return items


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
    from ledger.law import masking

    kept = trimmed[: masking.WINDOW + 1]
    if "\0" in kept if kept.isascii() else _UNSTORABLE.search(kept):
        kept = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", kept)
    return masking.masked(kept, MESSAGE_LENGTH_MAX)


set_field = object.__setattr__
"""Sets a field of a frozen instance while it is being made."""

# Letters and symbols without a glyph: fillers of Hangul, blank Braille, blank hieroglyphs, a note
# without a head. All else that Unicode has "ignored by default" is a mark, a control or unassigned.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U0001d159"

# NUL ends a text for some databases; a lone surrogate has no UTF-8.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def kind(value: object) -> str:
    """Name what was given instead, for a refusal."""
    return "nothing" if value is None else f"a {type(value).__name__}"


def shown(value: object) -> str:
    """Show what was given instead, in at most 80 characters, also if it cannot show itself."""
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - a refusal must not fail on what it refuses
        return kind(value)


def _unstorable(name: str) -> InvalidCursorError:
    return InvalidCursorError(
        f"{name} has a NUL or a lone surrogate in it, which not every database can store."
    )


def _unseen(value: str, name: str) -> InvalidCursorError:
    return InvalidCursorError(
        f"{name} has no character that can be seen: {ascii(value)!s:.80}. Give it one."
    )
