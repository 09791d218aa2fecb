"""How resets are planned: each cursor is looked at, and nothing is changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import attrs

from ledger import Cursor, CursorKey, CursorNotFoundError, InvalidCursorError, Ledger, LedgerError
from projections.resets import goals, identity
from projections.resets.groups import Group
from projections.resets.marks import BATCH, UNDOES
from projections.resets.missing import LeftOut, Missing
from projections.resets.places import Goal, Place
from projections.resets.planned import PlannedReset
from projections.resets.token_places import TokenPlaces

__all__ = ["Planned", "Planner", "planned", "to_place", "undoing"]

Planned: TypeAlias = tuple[tuple[PlannedReset, ...], tuple[LeftOut, ...]]
Planner: TypeAlias = Callable[
    [CursorKey, Cursor | None, bytes | None], "PlannedReset | LedgerError"
]
"""Plans the reset of one cursor: its key, the cursor, and the digest of its last entry.

It returns the refusal if the cursor is not there, or has nowhere to go.
"""


def planned(
    book: Ledger, keys: Iterable[CursorKey], plan: Planner, missing: Missing | None
) -> Planned:
    """Return what `plan` makes of each cursor as it is now, and what is left out.

    Several resets share a `cursor-ledger/batch`.
    """
    resets: list[PlannedReset] = []
    left_out: list[LeftOut] = []
    for key in keys:
        current = goals.current(book, key)
        head = identity.head(book, key, current.version) if current else None
        reset = plan(key, current, head)
        if isinstance(reset, PlannedReset):
            resets.append(reset)
        elif missing is Missing.SKIP:
            left_out.append(LeftOut(key=key, why=str(reset)))
        else:
            raise reset
    if len(resets) > 1:
        batch = uuid.uuid4().hex
        resets = [
            attrs.evolve(reset, metadata={**reset.metadata, BATCH: batch}) for reset in resets
        ]
    return tuple(resets), tuple(left_out)


def to_place(
    book: Ledger,
    goal: Goal,
    *,
    missing: Missing | None,
    reason: str,
    delivery_id: str,
    delivered_at: datetime | None,
    now: datetime | None,
    metadata: Mapping[str, str] | None,
) -> Planner:
    """Return the planner that resets each cursor to where `goal` says.

    Where tokens are numbered, a place is named with its token, and one without is refused.
    """
    tokens = TokenPlaces(book)

    def place_of(key: CursorKey, current: Cursor | None) -> Place | LedgerError:
        # Unless it is said what to do about it, a cursor that is not there is made.
        if current is None and missing in {Missing.SKIP, Missing.REFUSE}:
            return CursorNotFoundError(key)
        place = goal(key, current)
        if isinstance(place, LedgerError) and missing is Missing.ZERO:
            # Of a cursor that was started, nobody knows where it stood before.
            return place if goals.start_of(book, key) else Place(0)
        return place

    def plan(
        key: CursorKey, current: Cursor | None, head: bytes | None
    ) -> PlannedReset | LedgerError:
        place = place_of(key, current)
        if isinstance(place, LedgerError):
            return place
        if not delivery_id:
            place = tokens.with_token(key, place)
        return PlannedReset(
            key=key,
            version=current.version if current else 0,
            previous_sequence=current.last_sequence if current else 0,
            sequence=place.sequence,
            reason=reason,
            delivery_id=delivery_id or place.delivery_id,
            delivered_at=delivered_at or place.delivered_at,
            occurred_at=now,
            metadata={} if metadata is None else metadata,
            head=head,
        )

    return plan


def undoing(
    book: Ledger,
    *,
    group: Group | None,
    missing: Missing | None,
    reason: str,
    now: datetime | None,
    metadata: Mapping[str, str] | None,
) -> Planner:
    """Return the planner that resets each cursor to where it was before its last reset.

    With `group`, the last reset of each has to be the one of that group.
    """
    if missing is Missing.ZERO:
        raise InvalidCursorError(
            "an undo has no use for missing='zero': skip or refuse what has nothing to undo."
        )

    def plan(
        key: CursorKey, current: Cursor | None, head: bytes | None
    ) -> PlannedReset | LedgerError:
        if current is None:
            return CursorNotFoundError(key)
        found = goals.before_last_reset(book, key, current, group)
        if isinstance(found, LedgerError):
            return found
        place, entry = found
        named = (
            f"undoes the reset at position {entry.position} by {entry.actor}"
            if group is None
            else f"undoes the group of resets at position {group.position} by {group.actor}"
        )
        return PlannedReset(
            key=key,
            version=current.version,
            previous_sequence=current.last_sequence,
            sequence=place.sequence,
            reason=f"{reason} ({named})" if reason.strip() else named,
            delivery_id=place.delivery_id,
            delivered_at=place.delivered_at,
            occurred_at=now,
            metadata={**(metadata or {}), UNDOES: str(entry.position)},
            head=head,
        )

    return plan
