"""What an entry does to the sequences that it touches: the one notion of views that tell of them.

`explain` asks it of one sequence, and `gaps` of all, so that they cannot tell different stories.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from ledger import CursorAdvanced, CursorReset, CursorStarted, ErrorRecorded

__all__ = ["Crossing", "How", "crossings"]


class How(StrEnum):
    """What an entry did to a sequence.

    >>> import ledger
    >>> from projections import explain
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to, delivery_id="msg-41") for to in (41, 41)]
    ...     [step.how for step in explain(book.history(key), 41).steps]
    [<How.LANDED: 'landed'>, <How.CONFIRMED_AGAIN: 'confirmed_again'>]
    """

    LANDED = "landed"
    """An advance came to it from below."""
    CONFIRMED_AGAIN = "confirmed_again"
    """An advance confirmed it where the cursor already stood."""
    JUMPED = "jumped"
    """An advance passed it and landed further on."""
    SKIPPED_BY_RESET = "skipped_by_reset"
    """A reset moved the cursor forward, to it or beyond it."""
    REWOUND = "rewound"
    """A reset moved the cursor back, to before it."""
    STARTED = "started"
    """The cursor was started at it, or beyond it."""


Crossing: TypeAlias = tuple[int, int, How]
"""The first and the last of some sequences, and what an entry did to them."""


def crossings(
    event: CursorAdvanced | CursorReset | CursorStarted | ErrorRecorded,
) -> tuple[Crossing, ...]:
    """Return what `event` did to the sequences that it touched, apart from one another, in order.

    An error touches none.
    """
    match event:
        case CursorAdvanced(previous_sequence=start, sequence=end) if start == end:
            return ((end, end, How.CONFIRMED_AGAIN),)
        case CursorAdvanced(previous_sequence=start, sequence=end):
            landed = (end, end, How.LANDED)
            return (landed,) if end == start + 1 else ((start + 1, end - 1, How.JUMPED), landed)
        case CursorReset(previous_sequence=start, sequence=end) if start < end:
            return ((start + 1, end, How.SKIPPED_BY_RESET),)
        case CursorReset(previous_sequence=start, sequence=end) if end < start:
            return ((end + 1, start, How.REWOUND),)
        case CursorStarted(sequence=end) if end:
            return ((1, end, How.STARTED),)
        case _:
            return ()
