"""Resets that were made together: by one plan, in one transaction, under one `batch`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ledger import CursorKey, CursorReset, EntryQuery, Ledger
from ledger.law import fields
from projections.resets.marks import BATCH

__all__ = ["Group", "group_at"]


@attrs.frozen(kw_only=True)
class Group:
    """The resets of one plan, named by the position of any of them.

    `position` and `actor` are those of the first. `positions` has, for each cursor, the position of
    its reset.
    """

    position: int
    actor: str
    positions: Mapping[CursorKey, int]


def group_at(book: Ledger, position: int) -> Group | None:
    """Return the group that the reset at `position` belongs to, or None if none was made there.

    A reset that was made alone is a group of one. Raises InvalidCursorError.
    """
    at = fields.sequence(position, "group", least=1)
    one = EntryQuery(kinds=(CursorReset,), position_from=at, position_until=at)
    entry = next(book.entries(one), None)
    if entry is None:
        return None
    together = [entry]
    if batch := entry.metadata.get(BATCH, ""):
        # A batch is made by one actor.
        made = EntryQuery(kinds=(CursorReset,), actor=entry.actor)
        together = [other for other in book.entries(made) if other.metadata.get(BATCH) == batch]
    return Group(
        position=together[0].position,
        actor=entry.actor,
        positions={each.key: each.position for each in together},
    )
