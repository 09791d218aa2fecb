"""Positions of sources that are not integers from 1, as the ledger's sequences, and back.

A sequence is an integer from 1 to 2**63 - 1; 0 is before the first one. `Ledger.positions` keeps
in the ledger which mapping a stream has, so that commands show both.

>>> from ledger import positions
>>> positions.sequence_of_confirmed_offset(0), positions.sequence_of_lsn("0/16b3748")
(1, 23803720)
"""

from ledger.positions.declared import AsyncPositions, Declared, Positions
from ledger.positions.lsn import lsn_of, sequence_of_lsn
from ledger.positions.mapping import PositionMapping
from ledger.positions.offsets import (
    confirmed_offset_of,
    next_offset_of,
    sequence_of_confirmed_offset,
    sequence_of_next_offset,
)

__all__ = [
    "AsyncPositions",
    "Declared",
    "PositionMapping",
    "Positions",
    "confirmed_offset_of",
    "lsn_of",
    "next_offset_of",
    "sequence_of_confirmed_offset",
    "sequence_of_lsn",
    "sequence_of_next_offset",
]
