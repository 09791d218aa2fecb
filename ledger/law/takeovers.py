"""A takeover: a reset to where the cursor stands, which ends the epoch of whoever delivers."""

from __future__ import annotations

# `ledger.ResetCursor` is imported by the first takeover: most ask only whether there was one.
import ledger
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset, Entry

__all__ = ["MARK", "is_takeover", "takeover", "takes_over"]

MARK = "cursor-ledger/takeover"
"""The name in the metadata of a takeover; its value is the epoch that it ends."""


def takeover(key: CursorKey, cursor: Cursor | None, reason: str) -> ledger.ResetCursor:
    """Return the request that takes over `cursor`, exactly as it stands.

    Where `cursor` is None, because the key has no entry, it makes the cursor, at 0.

    Raises InvalidCursorError, ResetReasonRequiredError.
    """
    if cursor is None:
        return ledger.ResetCursor(key, 0, reason, expected_version=0, metadata={MARK: "0"})
    return ledger.ResetCursor(
        key,
        cursor.last_sequence,
        reason,
        last_delivery_id=cursor.last_delivery_id,
        last_delivered_at=cursor.last_delivered_at,
        expected_version=cursor.version,
        metadata={MARK: str(cursor.epoch)},
    )


def takes_over(cursor: Cursor | None, request: ledger.ResetCursor) -> bool:
    """Return whether `request` takes over `cursor`, and leaves it exactly as it stands."""
    stands = (
        (cursor.last_sequence, cursor.last_delivery_id, cursor.last_delivered_at)
        if cursor
        else (0, "", None)
    )
    asked = (request.last_sequence, request.last_delivery_id, request.last_delivered_at)
    return asked == stands and request.metadata.get(MARK) == str(cursor.epoch if cursor else 0)


def is_takeover(entry: Entry) -> bool:
    """Return whether `entry` is a takeover.

    A reset to the same place is none, nor is one whose metadata were copied from a takeover: it
    ends another epoch.
    """
    event = entry.event
    return (
        isinstance(event, CursorReset)
        and event.sequence == event.previous_sequence
        and entry.metadata.get(MARK) == str(entry.epoch - 1)
    )
