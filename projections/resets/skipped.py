"""What had become of the sequences that an undo skips, before the reset that it undoes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ledger import CursorAdvanced, Ledger
from projections.blaming import blame
from projections.crossings import How
from projections.resets.planned import PlannedReset
from projections.undoing import UNDOES

__all__ = ["LOOKED_AT_MAX", "before_the_undone"]

LOOKED_AT_MAX = 100_000
"""Of more sequences than this, nothing is said: a plan is to be shown at once."""


def before_the_undone(book: Ledger, planned: PlannedReset) -> Mapping[str, int]:
    """Return how many of the sequences that the undo `planned` skips had which outcome.

    Empty if it skips none or too many, or is not an undo.
    """
    skipped = planned.passed_over
    if UNDOES not in planned.metadata or skipped is None or len(skipped) > LOOKED_AT_MAX:
        return {}
    found: Counter[str] = Counter()
    for part in blame(book, planned.key, skipped.first, skipped.last):
        event = part.entry.event if part.entry else None
        if part.how is How.JUMPED:
            found["jumped over"] += part.last - part.first + 1
        elif part.how is How.SKIPPED_BY_RESET:
            found["skipped"] += part.last - part.first + 1
        elif isinstance(event, CursorAdvanced):
            found[event.outcome.value] += part.last - part.first + 1
    return found
