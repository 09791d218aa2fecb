"""How resets are planned: each cursor is looked at, and nothing is changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import attrs

from ledger import Cursor, CursorKey, CursorNotFoundError, Ledger
from projections.resets import goals, identity
from projections.resets.goals import Place
from projections.resets.marks import BATCH, UNDOES
from projections.resets.planned import PlannedReset

__all__ = ["Planner", "planned", "to_place", "undoing"]

Planner: TypeAlias = Callable[[CursorKey, Cursor | None, bytes | None], PlannedReset]
"""Plans the reset of one cursor: its key, the cursor, and the digest of its last entry."""


def planned(book: Ledger, keys: Iterable[CursorKey], plan: Planner) -> tuple[PlannedReset, ...]:
    """Return what `plan` makes of each cursor as it is now; several share a `batch`."""
    resets = []
    for key in keys:
        current = goals.current(book, key)
        head = identity.head(book, key, current.version) if current else None
        resets.append(plan(key, current, head))
    if len(resets) > 1:
        batch = uuid.uuid4().hex
        resets = [
            attrs.evolve(reset, metadata={BATCH: batch, **reset.metadata}) for reset in resets
        ]
    return tuple(resets)


def to_place(
    goal: Callable[[CursorKey, Cursor | None], Place],
    *,
    reason: str,
    delivery_id: str,
    delivered_at: datetime | None,
    now: datetime | None,
    metadata: Mapping[str, str] | None,
) -> Planner:
    """Return the planner that resets each cursor to where `goal` says."""

    def plan(key: CursorKey, current: Cursor | None, head: bytes | None) -> PlannedReset:
        place = goal(key, current)
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
    reason: str,
    now: datetime | None,
    metadata: Mapping[str, str] | None,
) -> Planner:
    """Return the planner that resets each cursor to where it was before its last reset."""

    def plan(key: CursorKey, current: Cursor | None, head: bytes | None) -> PlannedReset:
        if current is None:
            raise CursorNotFoundError(key)
        place, entry = goals.before_last_reset(book, key, current)
        named = f"undoes the reset at position {entry.position} by {entry.actor}"
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
