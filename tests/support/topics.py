"""A topic of twelve partitions, of which a consumer has confirmed a part."""

from __future__ import annotations

from ledger import AdvanceCursor, CursorKey, Ledger

__all__ = ["ABSENT", "PARTITIONS", "confirmed", "places"]

PARTITIONS = [CursorKey("mailer", "orders", str(partition)) for partition in range(12)]
ABSENT = CursorKey("mailer", "orders", "12")


def confirmed(book: Ledger, *, consumer: str = "mailer", start: int = 100, step: int = 1) -> None:
    """Confirm each partition, by default partition p up to 100 + p."""
    keys = [CursorKey(consumer, "orders", str(partition)) for partition in range(12)]
    book.append(
        AdvanceCursor(key, start + step * partition, delivery_id="late")
        for partition, key in enumerate(keys)
    )


def places(book: Ledger) -> list[int]:
    """Return where the cursors stand."""
    return [cursor.last_sequence for cursor in book.cursors()]
