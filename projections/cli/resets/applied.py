"""What is said of a plan that was applied before: that, and not only that a cursor has moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger import ArchivedError, EntryQuery, Ledger, VersionConflictError
from ledger.log.text import show_time, visible
from projections.resets.marks import PLAN
from projections.resets.plans import ResetPlan

__all__ = ["unless_applied"]


@contextmanager
def unless_applied(book: Ledger, plan: ResetPlan) -> Iterator[None]:
    """Explain a conflict that is there because this very plan has reset the cursor already.

    Raises VersionConflictError, as the body does.
    """
    try:
        yield
    except VersionConflictError as error:
        if said := _applied(book, plan, error):
            raise VersionConflictError(said) from error
        raise


def _applied(book: Ledger, plan: ResetPlan, conflict: VersionConflictError) -> str:
    request = conflict.request
    if not plan.digest or request is None:
        return ""
    version = next((each.version for each in plan.resets if each.key == request.key), None)
    if version is None:
        return ""
    # The entry that a reset of this plan makes is the next one of its cursor.
    query = EntryQuery(key=request.key, version_from=version + 1, version_until=version + 1)
    try:
        entry = next(book.entries(query), None)
    except ArchivedError:
        return ""
    if entry is None or entry.metadata.get(PLAN) != plan.digest:
        return ""
    return (
        f"this plan was applied before, at {show_time(entry.recorded_at)} by "
        f"{visible(entry.actor)}: all of its resets are in the log, and nothing is left to do. "
        "To reset again, plan again."
    )
