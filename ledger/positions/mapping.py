"""Which mapping a stream has, and what a sequence is called in it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import assert_never

from ledger.errors import invalid
from ledger.law import fields
from ledger.positions.lsn import lsn_of, sequence_of_lsn
from ledger.positions.offsets import (
    confirmed_offset_of,
    next_offset_of,
    sequence_of_confirmed_offset,
    sequence_of_next_offset,
)

__all__ = ["PREFIXES", "PositionMapping", "is_word"]

PREFIXES = ("offset:", "next-offset:", "lsn:", "token:")
"""What the word for a position begins with. A word without one is a sequence."""

_DIGITS = re.compile("[0-9]{1,19}")


class PositionMapping(StrEnum):
    """How the positions of a source are kept as sequences.

    A position is written as a word that says what it is, so that none is taken for a sequence, nor
    an offset for the next one: `offset:43`, `next-offset:44`, `lsn:0/16B3748`, `token:evt_9a`.

    >>> from ledger.positions import PositionMapping
    >>> PositionMapping.ZERO_BASED.word_of(44), PositionMapping.LSN.word_of(23803720)
    ('offset:43', 'lsn:0/16B3748')
    >>> PositionMapping.ZERO_BASED.sequence_of("next-offset:44")
    44
    """

    PLAIN = "plain"
    """The position is the sequence."""
    ZERO_BASED = "zero-based"
    """Offset k is sequence k + 1, as for Kafka."""
    LSN = "lsn"
    """The sequence is the number that an LSN of PostgreSQL is, up to 7FFFFFFF/FFFFFFFF."""
    TOKENS = "tokens"
    """The ledger numbers them, as with `ledger.NEXT`; the delivery id is the token."""

    @classmethod
    def of(cls, value: object) -> PositionMapping:
        """Return the mapping named `value`.

        Raises InvalidCursorError.
        """
        if type(value) is cls:
            return value
        names, text = tuple(each.value for each in cls), fields.exact(value, "mapping")
        if text not in names:
            said = fields.shown(text)
            raise invalid(
                "mapping",
                "must be plain, zero-based (as Kafka's offsets are), lsn (PostgreSQL's) or tokens "
                f"(what has no order), not {said}.",
                value=said,
                allowed=names,
            )
        return cls(text)

    def word_of(self, sequence: int, token: str = "") -> str:
        """Return the word for `sequence`, from 0; empty if its number is all that it is called.

        `token` is the delivery id that was confirmed there. Nothing is confirmed at sequence 0,
        which is `next-offset:0` in a stream of offsets.

        Raises InvalidCursorError.
        """
        match self:
            case PositionMapping.PLAIN:
                return ""
            case PositionMapping.ZERO_BASED if sequence == 0:
                return f"next-offset:{next_offset_of(sequence)}"
            case PositionMapping.ZERO_BASED:
                return f"offset:{confirmed_offset_of(sequence)}"
            case PositionMapping.LSN:
                return f"lsn:{lsn_of(sequence)}"
            case PositionMapping.TOKENS:
                return f"token:{token}" if token else ""
            case _:
                assert_never(self)

    def shown(self, sequence: int, token: str = "") -> str:
        """Return what a table shows beside `sequence`; empty where there is nothing to add.

        >>> from ledger.positions import PositionMapping
        >>> PositionMapping.ZERO_BASED.shown(1), PositionMapping.LSN.shown(23803720)
        ('offset 0', '0/16B3748')
        """
        word = self.word_of(sequence, token)
        if self is PositionMapping.ZERO_BASED:
            return word.replace(":", " ") if sequence else "before offset 0"
        return word.partition(":")[2]

    def sequence_of(self, word: str) -> int:
        """Return the sequence of a position, written as `word_of` returns it, or of a number.

        Raises InvalidCursorError; always for a token, because its sequence is in the log alone.
        """
        text = fields.exact(word, "position")
        prefix, colon, rest = text.partition(":")
        if _DIGITS.fullmatch(text):
            return fields.sequence(int(text), "position", least=0)
        match self, prefix + colon:
            case PositionMapping.ZERO_BASED, "offset:":
                return sequence_of_confirmed_offset(_number(rest, text))
            case PositionMapping.ZERO_BASED, "next-offset:":
                return sequence_of_next_offset(_number(rest, text))
            case PositionMapping.LSN, "lsn:":
                return sequence_of_lsn(rest)
        said = fields.shown(text)
        raise invalid("position", f"must be {_FORMS[self]}, not {said}.", value=said)


_FORMS = {
    PositionMapping.PLAIN: "a sequence, such as 44",
    PositionMapping.ZERO_BASED: "offset:43, next-offset:44 or a sequence",
    PositionMapping.LSN: "an LSN, such as lsn:0/16B3748, or a sequence",
    PositionMapping.TOKENS: "a sequence, or a token that the log has, as in token:evt_9a",
}


def is_word(text: str) -> bool:
    """Return whether `text` is the word for a position, and not a sequence."""
    return text.startswith(PREFIXES)


def _number(digits: str, word: str) -> int:
    if not _DIGITS.fullmatch(digits):
        said = fields.shown(word)
        raise invalid(
            "position", f"must have a number from 0 behind the colon, not {said}.", value=said
        )
    return int(digits)
