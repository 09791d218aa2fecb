"""The consumers that belong to the ledger itself: cursors in which it keeps facts about streams."""

from __future__ import annotations

__all__ = ["HEAD", "POSITIONS", "PREFIX", "is_reserved"]

PREFIX = "cursor-ledger/"
"""What the id of every consumer of the ledger's own begins with."""

HEAD = "cursor-ledger/head"
"""Its cursor on a stream says how far the stream goes: the highest sequence that exists."""

POSITIONS = "cursor-ledger/positions"
"""The metadata of its entries says how the positions of a stream are written."""


def is_reserved(consumer_id: str) -> bool:
    """Say whether `consumer_id` belongs to the ledger itself."""
    return consumer_id.startswith(PREFIX)
