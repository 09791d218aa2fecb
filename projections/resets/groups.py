"""Resets that were made together: by one plan, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping

import attrs

from ledger import CursorKey, CursorReset, Entry, EntryQuery, Ledger, LedgerBusyError
from ledger.law import fields
from ledger.law.takeovers import is_takeover
from projections.resets.marks import Batch, batch_of

__all__ = ["Group", "group_at"]

SETTLED_S = 5.0
"""How long transactions are waited for, behind which a part of a group is not seen yet."""
LOOK_S = 0.02


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

    A reset that was made alone is a group of one. Raises InvalidCursorError; LedgerBusyError if
    the log is not settled in time.
    """
    at = fields.sequence(position, "group", least=1)
    _settle(book)
    one = EntryQuery(kinds=(CursorReset,), position_from=at, position_until=at)
    entry = next(book.entries(one), None)
    if entry is None or is_takeover(entry):
        return None
    together = [entry]
    if batch := _batch(entry):
        made = EntryQuery(kinds=(CursorReset,), actor=entry.actor)
        together = [other for other in book.entries(made) if _batch(other) == batch]
    return Group(
        position=together[0].position,
        actor=entry.actor,
        positions={each.key: each.position for each in together},
    )


def _batch(entry: Entry) -> Batch | None:
    return batch_of(entry.metadata, entry.actor, entry.recorded_at)


def _settle(book: Ledger) -> None:
    """Wait until all that was appended by now can be read: half a group must not pass for one."""
    last = book.horizon().last
    until = time.monotonic() + SETTLED_S
    while (settled := book.horizon().position) < last:
        if time.monotonic() > until:
            raise LedgerBusyError(
                f"the log is settled up to position {settled} of {last}, because a transaction "
                "that has appended has not ended, so a part of the group may not be seen yet. "
                "cursor-ledger status names that transaction; end it, and try again."
            )
        time.sleep(LOOK_S)
