"""A takeover: a reset to where the cursor stands, which ends the epoch of whoever delivers."""

from __future__ import annotations

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset, Entry
from ledger.law.requests import ResetCursor

__all__ = ["MARK", "is_takeover", "takeover"]

MARK = "cursor-ledger/takeover"
"""The name in the metadata of a takeover; its value is the epoch that it ends."""


def takeover(key: CursorKey, cursor: Cursor | None, reason: str) -> ResetCursor:
    """Return the request that takes over `cursor`, exactly as it stands; None if there is none.

    Raises InvalidCursorError, ResetReasonRequiredError.
    """
    if cursor is None:
        return ResetCursor(key, 0, reason, expected_version=0, metadata={MARK: "0"})
    return ResetCursor(
        key,
        cursor.last_sequence,
        reason,
        last_delivery_id=cursor.last_delivery_id,
        last_delivered_at=cursor.last_delivered_at,
        expected_version=cursor.version,
        metadata={MARK: str(cursor.epoch)},
    )


def is_takeover(entry: Entry) -> bool:
    """Say whether `entry` is a takeover.

    A reset to the same place is none, nor is one whose metadata were copied from a takeover: it
    ends another epoch.
    """
    event = entry.event
    return (
        isinstance(event, CursorReset)
        and event.sequence == event.previous_sequence
        and entry.metadata.get(MARK) == str(entry.epoch - 1)
    )
