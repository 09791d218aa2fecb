"""What asks for the next sequence, in place of a sequence."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["NEXT", "Next"]


class Next(Enum):
    """The type of `NEXT`."""

    NEXT = "next"

    def __repr__(self) -> str:
        return "ledger.NEXT"


NEXT: Final = Next.NEXT
"""The sequence that a token gets: `Ledger.advance(key, to=NEXT, delivery_id=token, after=…)`.

For positions that are not ordered, such as the ids of Stripe: the ledger numbers them 1, 2, 3…

>>> import ledger
>>> key = ledger.CursorKey("billing", "stripe")
>>> with ledger.open(":memory:") as book:
...     cursor = book.advance(key, to=ledger.NEXT, delivery_id="evt_9a")
...     cursor = book.advance(key, to=ledger.NEXT, delivery_id="evt_3f", after="evt_9a")
>>> cursor.last_sequence, cursor.last_delivery_id
(2, 'evt_3f')
"""
