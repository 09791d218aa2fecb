"""What a text, a sequence, a time and a map of metadata may be.

Every value that enters the ledger is checked here once, when it is made. The refusals carry their
facts: see `InvalidCursorError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from unicodedata import category

from ledger.errors import InvalidCursorError, invalid
from ledger.law.pairs import EMPTY, Pairs

__all__ = [
    "BLANK_ACTOR",
    "MESSAGE_LENGTH_MAX",
    "METADATA_LENGTH_MAX",
    "METADATA_PAIRS_MAX",
    "REASON_LENGTH_MAX",
    "SEQUENCE_MAX",
    "TEXT_LENGTH_MAX",
    "actor",
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


BLANK_ACTOR = "is blank; name who acts, or leave it out."


def text(value: object, name: str, *, length_max: int = TEXT_LENGTH_MAX, seen: bool = False) -> str:
    """Return `value` trimmed; refuse what is no text, is too long, or not every database can store.

    With `seen`, also refuse a text that is not empty and has no visible character. New entries are
    checked like that; what is searched for or already in the log need not be visible.
    """
    if type(value) is not str:
        value = exact(value, name)
    if not value:
        return ""
    trimmed = value.strip()
    if len(trimmed) > length_max:
        raise invalid(
            name,
            f"has {len(trimmed):,} characters; at most {length_max:,} are kept.",
            value=len(trimmed),
            bound=length_max,
        )
    if "\0" in trimmed if trimmed.isascii() else _UNSTORABLE.search(trimmed):
        raise _unstorable(name, name)
    if seen and trimmed and not "!" <= trimmed[0] <= "~" and not is_seen(trimmed):
        raise _unseen(trimmed, name, name)
    return trimmed


def storable(value: object, name: str, *, subject: str | None = None) -> str:
    """Return `value` as it is; refuse what is no text, and what not every database can store.

    `subject` is what the refusal calls it, if that is not just the field `name`.
    """
    if type(value) is not str:
        value = exact(value, name, subject=subject)
    if "\0" in value if value.isascii() else _UNSTORABLE.search(value):
        raise _unstorable(name, subject)
    return value


def exact(value: object, name: str, *, subject: str | None = None) -> str:
    """Return the text that a subclass of str holds, whatever its own methods return."""
    if not isinstance(value, str):
        raise invalid(name, f"must be text, not {kind(value)}.", subject=subject, value=kind(value))
    return str.__str__(value)


def actor(value: object) -> str:
    """Return who acts, trimmed; it may be empty, because another one stands in, but not blank."""
    given = exact(value, "actor")
    trimmed = text(given, "actor", seen=True)
    if given and not trimmed:
        raise invalid("actor", BLANK_ACTOR)
    return trimmed


def is_seen(value: str) -> bool:
    """Return whether `value` has a visible character: a letter, a number, punctuation or a symbol.

    Marks and controls are not visible, nor are the few letters and symbols that are blank.
    """
    # The first character usually settles it.
    if "!" <= value[:1] <= "~":
        return True
    return any(category(char)[0] in "LNPS" and char not in _BLANK for char in value)


def spelled(value: str) -> str:
    r"""Return `value` as it is if it is visible or blank; otherwise spelled out, like \u200b.

    Only its beginning counts, because no more of it is looked at when secrets are masked.
    """
    beginning = value if len(value) <= _BEGINNING else value.strip()[:_BEGINNING]
    if is_seen(beginning) or not beginning.strip():
        return value
    return beginning.encode("unicode_escape").decode()


def required(value: object, name: str, *, seen: bool = False) -> str:
    """Return `value` trimmed, as `text` does; also refuse a blank one."""
    trimmed = text(value, name, seen=seen)
    if not trimmed:
        raise _blank(name)
    return trimmed


def sequence(value: object, name: str, *, least: int) -> int:
    """Return `value` if it is an integer from `least` to 2**63 - 1; refuse a bool and a float."""
    if type(value) is not int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid(
                name,
                f"must be an integer, not {kind(value)}.{_advice(name, value)}",
                value=kind(value),
            )
        value = int.__int__(value)  # A subclass may override the comparison below.
    if not least <= value <= SEQUENCE_MAX:
        shown = value if abs(value) < 10**40 else f"a number of {value.bit_length()} bits"
        raise invalid(
            name,
            f"must be from {least} to {SEQUENCE_MAX}, not {shown}.{_advice(name, value)}",
            value=shown,
            bound=least if value < least else SEQUENCE_MAX,
        )
    return value


def _advice(name: str, value: object) -> str:
    # Imported with the first refusal.
    from ledger.law import foreign

    return foreign.advice(name, value)


def counter(value: object, name: str) -> int | None:
    """Return an optional version or epoch: None, or an integer from 0."""
    return None if value is None else sequence(value, name, least=0)


def limit(value: object) -> int:
    """Return the largest number of rows wanted, from -2**63; 0 and less mean all rows."""
    return max(sequence(value, "limit", least=-SEQUENCE_MAX - 1), 0)


def moment(value: object, name: str) -> datetime:
    """Return an aware time in UTC; refuse a naive one, because it names no instant."""
    if not isinstance(value, datetime):
        raise invalid(
            name, f"must be a datetime with a zone, not {kind(value)}.", value=kind(value)
        )
    if value.tzinfo is UTC and type(value) is datetime and not value.fold:
        return value
    # Of a subclass, such as pandas.Timestamp, only the parts that a datetime has are read, because
    # its own methods may return something else. One that is outside the years 1 to 9999 holds
    # another year than its `year` says.
    local = datetime.combine(datetime.date(value), datetime.timetz(value))
    naive = local.replace(tzinfo=None)
    said = naive.isoformat()
    try:
        year = value.year
        offset = local.utcoffset()
        if offset is not None and year == local.year:
            return (naive - offset).replace(tzinfo=UTC)
    except OverflowError:
        raise invalid(
            name, f"({said} in its zone) is outside the years 1 to 9999 in UTC.", value=said
        ) from None
    except Exception as error:
        raise invalid(
            name, f"({said}) has a zone that cannot say its offset: {shown(error)}.", value=said
        ) from error
    if offset is not None:
        raise invalid(
            name, f"says that its year is {shown(year)}, which is not kept.", value=shown(year)
        )
    raise invalid(
        name,
        f"has no zone ({said}); say which instant it is, for example with datetime.now(UTC).",
        value=said,
    )


def metadata(value: object) -> Pairs:
    """Return a copy of a flat map of strings: at most 16 pairs and 4,096 characters in all."""
    pairs = kept_metadata(value)
    for name in pairs:
        if not is_seen(name):
            raise _unseen(name, "metadata", _A_NAME)
    return pairs


def kept_metadata(value: object) -> Pairs:
    """Return the same for a map that is already in the log, whose names may be invisible."""
    if value is EMPTY or (type(value) is dict and not value):
        return EMPTY
    pairs: dict[str, str] = {}
    for label, item in _items(value):
        name = storable(label, "metadata", subject=_A_NAME)
        if not name.strip():
            raise invalid("metadata", "has a blank name.")
        if name in pairs:
            raise invalid("metadata", f"has {name!r:.80} twice.", value=f"{name!r:.80}")
        pairs[name] = storable(item, "metadata", subject=f"metadata {name!r:.80}")
    length = sum(len(name) + len(item) for name, item in pairs.items())
    if length > METADATA_LENGTH_MAX:
        raise invalid(
            "metadata",
            f"has {length:,} characters; at most {METADATA_LENGTH_MAX:,} are kept.",
            value=length,
            bound=METADATA_LENGTH_MAX,
        )
    return Pairs(pairs) if pairs else EMPTY


_A_NAME = "a name in metadata"


def _items(value: object) -> list[tuple[object, object]]:
    """Return the pairs of a map as they are at one moment."""
    if not isinstance(value, Mapping):
        raise invalid(
            "metadata", f"must be a map of text to text, not {kind(value)}.", value=kind(value)
        )
    try:
        # A dict is copied at once, so that no other thread can change it meanwhile.
        whole = dict(value) if type(value) is dict else value
        items = [(name, item) for name, item in islice(whole.items(), METADATA_PAIRS_MAX + 1)]
    except Exception as error:
        raise invalid("metadata", f"could not be read: {shown(error)}.") from error
    if len(items) > METADATA_PAIRS_MAX:
        raise invalid(
            "metadata", f"has more than {METADATA_PAIRS_MAX} pairs.", bound=METADATA_PAIRS_MAX
        )
    return items


def message(value: object, name: str) -> str:
    """Return an error message with its secrets masked, cut to 2,048 characters.

    Messages come from other programs, often while something is failing, so what cannot be stored is
    replaced with U+FFFD rather than refused. What is recognised: `ledger.law.masking`.
    """
    if not isinstance(value, str):
        raise invalid(name, f"must be text, not {kind(value)}.", value=kind(value))
    trimmed = value.strip()
    if not trimmed:
        raise _blank(name)
    # Imported with the first error, because its patterns take some milliseconds to compile.
    from ledger.law import masking

    kept = trimmed[: masking.WINDOW + 1]
    if "\0" in kept if kept.isascii() else _UNSTORABLE.search(kept):
        kept = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", kept)
    return masking.masked(kept, MESSAGE_LENGTH_MAX)


set_field = object.__setattr__
"""Sets a field of a frozen instance while it is being made."""

# Letters and symbols without a glyph: fillers of Hangul, blank Braille, blank hieroglyphs, a note
# without a head. All else that Unicode ignores by default is a mark, a control or unassigned.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0\U00013441\U00013442\U0001d159"

# As many characters as `ledger.law.masking` looks at.
_BEGINNING = 6_144

# Some databases end a text at NUL; a lone surrogate has no UTF-8.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def kind(value: object) -> str:
    """Name the type of what was given, for a refusal."""
    return "nothing" if value is None else f"a {type(value).__name__}"


def shown(value: object) -> str:
    """Show what was given in at most 80 characters, even if its own repr raises."""
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 - a refusal must not fail on what it refuses
        return kind(value)


def _blank(name: str) -> InvalidCursorError:
    return invalid(name, "is required, and must not be blank.")


def _unstorable(name: str, subject: str | None) -> InvalidCursorError:
    return invalid(
        name,
        "has a NUL or a lone surrogate in it, which not every database can store.",
        subject=subject,
    )


def _unseen(value: str, name: str, subject: str) -> InvalidCursorError:
    said = f"{ascii(value)!s:.80}"
    return invalid(
        name,
        f"has no character that can be seen: {said}. Give it one.",
        subject=subject,
        value=said,
    )
