"""Log sequence numbers of PostgreSQL: 64 bits, written as two hexadecimal halves, `0/16B3748`.

The number is the sequence. An LSN has 64 bits without a sign, and a sequence 63, so half of all
LSNs have none: those from 80000000/0 on, which a server reaches after it has written 8 EiB of log.
"""

from __future__ import annotations

import re

from ledger.errors import invalid
from ledger.law import fields

__all__ = ["lsn_of", "sequence_of_lsn"]

LSN_MAX = "7FFFFFFF/FFFFFFFF"
# What PostgreSQL reads: one to eight digits, a slash, one to eight digits, in either case.
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def sequence_of_lsn(lsn: str) -> int:
    """Return the sequence of `lsn`: two hexadecimal numbers of up to 8 digits, in either case.

    0/0, which PostgreSQL writes for no LSN, is 0.

    Raises InvalidCursorError, also for an LSN beyond 7FFFFFFF/FFFFFFFF.

    >>> from ledger import positions
    >>> positions.sequence_of_lsn("0/16B3748") == positions.sequence_of_lsn("00000000/016b3748")
    True
    """
    text = fields.exact(lsn, "lsn")
    said = fields.shown(text)
    if (halves := _LSN.fullmatch(text)) is None:
        raise invalid(
            "lsn",
            "must be two hexadecimal numbers of up to 8 digits with a slash between them, as in "
            f"0/16B3748, not {said}.",
            value=said,
        )
    high, low = (int(half, 16) for half in halves.groups())
    sequence = high << 32 | low
    if sequence > fields.SEQUENCE_MAX:
        raise invalid(
            "lsn",
            f"must be at most {LSN_MAX}, because sequences have 63 bits; {said} has 64.",
            value=said,
            bound=fields.SEQUENCE_MAX,
        )
    return sequence


def lsn_of(sequence: int) -> str:
    """Return the LSN of `sequence`, from 0, as PostgreSQL writes it: no leading zeros, capitals.

    Raises InvalidCursorError.

    >>> from ledger import positions
    >>> positions.lsn_of(23803720)
    '0/16B3748'
    """
    number = fields.sequence(sequence, "sequence", least=0)
    return f"{number >> 32:X}/{number & 0xFFFF_FFFF:X}"
