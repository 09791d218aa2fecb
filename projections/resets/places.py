"""Where a cursor is to stand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import attrs

from ledger import Cursor, CursorKey, LedgerError

__all__ = ["Goal", "Place"]


@attrs.frozen
class Place:
    """Where a cursor is to stand, and under which delivery."""

    sequence: int
    delivery_id: str = ""
    delivered_at: datetime | None = None

    @classmethod
    def of(cls, cursor: Cursor) -> Place:
        """Return where `cursor` stands."""
        return cls(cursor.last_sequence, cursor.last_delivery_id, cursor.last_delivered_at)


Goal: TypeAlias = Callable[[CursorKey, Cursor | None], "Place | LedgerError"]
"""Says where a cursor is to go, or returns why it has nowhere to go."""
