"""What a plan writes into the metadata of its entries, beside what it was told to.

The names are read in the log long after the plan is gone, so they never change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from ledger import InvalidCursorError
from ledger.errors import invalid
from ledger.law import fields
from ledger.law.reserved import is_reserved
from ledger.log.text import show_time
from projections.resets.planned import PlannedReset
from projections.undoing import UNDOES

__all__ = [
    "BATCH",
    "PLAN",
    "PLANNED_AT",
    "PLANNED_BY",
    "UNDOES",
    "Batch",
    "batch_of",
    "check_expiry",
    "check_given",
    "check_room",
    "merged",
    "of_file",
]

BATCH = "cursor-ledger/batch"
"""What the resets of one plan share, if there are several. Nobody else writes it by accident."""
OLD_BATCH = "batch"
"""The name that it had in 0.1.0; the metadata of users may have it as well."""
PLAN, PLANNED_AT, PLANNED_BY = "plan", "planned_at", "planned_by"
"""The digest of the file of the plan that was applied, when it was planned, and who planned it."""

# What uuid4().hex is.
_OLD = re.compile("[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")


Batch: TypeAlias = tuple[str, str, datetime | None]
"""What the entries of one plan have in common, and no others."""


def batch_of(metadata: Mapping[str, str], actor: str, recorded_at: datetime) -> Batch | None:
    """Return what a reset has in common with those that were made together with it, if any were.

    A plan is made by one actor. Under the old name, only what 0.1.0 wrote is taken for a batch: 32
    random hexadecimal digits, and the same time of the ledger.
    """
    if batch := metadata.get(BATCH):
        return batch, actor, None
    old = metadata.get(OLD_BATCH, "")
    return (old, actor, recorded_at) if _OLD.fullmatch(old) else None


def check_given(metadata: Mapping[str, str] | None) -> None:
    """Refuse metadata with a name that the ledger keeps for itself.

    Raises InvalidCursorError.
    """
    for name in fields.metadata({} if metadata is None else metadata):
        if is_reserved(name.strip()):
            raise invalid(
                "metadata",
                "is a name that the ledger keeps for itself; choose another name.",
                subject=f"metadata {name!r:.80}",
            )


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Refuse a plan that has expired. Raises InvalidCursorError."""
    if expires_at is not None and now > expires_at:
        raise InvalidCursorError(
            f"the plan has expired at {show_time(expires_at)}. Plan the reset again, and look at "
            "the new plan."
        )


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

    Raises InvalidCursorError if `more` has a name that is taken or reserved, or is too much.
    """
    check_given(more)
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
