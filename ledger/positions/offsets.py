"""Offsets that begin at 0, as those of Kafka: offset k is sequence k + 1.

Two offsets are easily confused, so no name here says only "offset". The confirmed offset is that of
the last record that was delivered. The next offset is that of the first record that was not, which
is what Kafka commits and shows. It is one more, and equals the sequence.
"""

from __future__ import annotations

from ledger.errors import invalid
from ledger.law import fields

__all__ = [
    "confirmed_offset_of",
    "next_offset_of",
    "sequence_of_confirmed_offset",
    "sequence_of_next_offset",
]

OFFSET_MAX = fields.SEQUENCE_MAX - 1


def sequence_of_confirmed_offset(confirmed_offset: int) -> int:
    """Return the sequence of the record at `confirmed_offset`, from 0 to 2**63 - 2.

    Raises InvalidCursorError.

    >>> from ledger import positions
    >>> positions.sequence_of_confirmed_offset(0)
    1
    """
    offset = fields.sequence(confirmed_offset, "confirmed_offset", least=0)
    if offset > OFFSET_MAX:
        raise invalid(
            "confirmed_offset",
            f"must be from 0 to {OFFSET_MAX}, not {offset}, because sequences are one more.",
            value=offset,
            bound=OFFSET_MAX,
        )
    return offset + 1


def confirmed_offset_of(sequence: int) -> int:
    """Return the offset of the record that is `sequence`, from 1.

    There is none for 0, where nothing is confirmed; `next_offset_of` has one for it.

    Raises InvalidCursorError.

    >>> from ledger import positions
    >>> positions.confirmed_offset_of(1)
    0
    """
    return fields.sequence(sequence, "sequence", least=1) - 1


def sequence_of_next_offset(next_offset: int) -> int:
    """Return the sequence of a cursor whose consumer goes on at `next_offset`, from 0.

    That is the offset that Kafka has committed for a group.

    Raises InvalidCursorError.

    >>> from ledger import positions
    >>> positions.sequence_of_next_offset(0), positions.sequence_of_next_offset(44)
    (0, 44)
    """
    return fields.sequence(next_offset, "next_offset", least=0)


def next_offset_of(sequence: int) -> int:
    """Return the offset to go on at after `sequence`, from 0: what Kafka commits and seeks.

    Raises InvalidCursorError.

    >>> from ledger import positions
    >>> positions.next_offset_of(44), positions.confirmed_offset_of(44)
    (44, 43)
    """
    return fields.sequence(sequence, "sequence", least=0)
