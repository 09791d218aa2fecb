"""What a plan writes into the metadata of its entries, beside what it was told to.

The names are read in the log long after the plan is gone, so they never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ledger import InvalidCursorError
from ledger.errors import invalid
from ledger.law import fields
from ledger.log.text import show_time
from projections.resets.planned import PlannedReset

__all__ = [
    "BATCH",
    "PLAN",
    "PLANNED_AT",
    "PLANNED_BY",
    "UNDOES",
    "check_room",
    "merged",
    "of_file",
]

BATCH = "batch"
"""What the resets of one plan share, if there are several."""
UNDOES = "undoes"
"""The position of the reset that is undone."""
PLAN, PLANNED_AT, PLANNED_BY = "plan", "planned_at", "planned_by"
"""The digest of the file of the plan that was applied, when it was planned, and who planned it."""


def of_file(digest: str, *, planned_by: str, planned_at: datetime | None) -> dict[str, str]:
    """Return the metadata that says which plan from a file was applied; none without a digest."""
    if not digest:
        return {}
    marks = {PLAN: digest}
    if planned_by:
        marks[PLANNED_BY] = planned_by
    if planned_at is not None:
        marks[PLANNED_AT] = show_time(planned_at)
    return marks


def merged(
    reset: PlannedReset, marks: Mapping[str, str], more: Mapping[str, str]
) -> dict[str, str]:
    """Return the metadata of `reset` with `more` beside it, if there is room for `marks` as well.

    Raises InvalidCursorError if `more` has a name that is taken, or is too much.
    """
    taken = {**reset.metadata, **marks}
    if clash := sorted(taken.keys() & more.keys()):
        raise invalid(
            "metadata",
            "is in the plan already; choose another name.",
            subject=f"metadata {clash[0]!r:.80}",
        )
    fields.metadata({**taken, **more})
    return {**reset.metadata, **more}


def check_room(reset: PlannedReset, marks: Mapping[str, str]) -> None:
    """Refuse a reset whose metadata has no room for `marks`. Raises InvalidCursorError."""
    if clash := sorted(marks.keys() & reset.metadata.keys()):
        raise invalid(
            "metadata",
            "is the name that the plan itself is recorded under; choose another name.",
            subject=f"metadata {clash[0]!r:.80}",
        )
    try:
        fields.metadata({**reset.metadata, **marks})
    except InvalidCursorError as error:
        raise InvalidCursorError(
            f"with {', '.join(marks)}, which the entries of a plan from a file have, {error}"
        ) from None
