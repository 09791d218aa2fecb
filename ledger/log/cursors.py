"""Stored cursors as rows: what is read where nobody asks for entries."""

from __future__ import annotations

from datetime import datetime

from ledger.errors import BrokenChainError
from ledger.law.cursor import Cursor, CursorKey, make_cursor
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.columns import CURSOR, Row
from ledger.log.text import instant

__all__ = ["cursor_from"]


def cursor_from(key: CursorKey, row: Row) -> Cursor:
    """Return the cursor of `key` that a row holds, in the order of `CURSOR`.

    Raises BrokenChainError if it holds none.
    """
    if not _fits_cursor(row):
        raise BrokenChainError(str(key), "its stored cursor has columns of the wrong types")
    last_sequence, last_delivery_id, delivered_at, last_error, updated_at, version, epoch = row
    # An entry that continued from numbers that no entry has could not be read again.
    if not (0 < version < SEQUENCE_MAX and 0 <= epoch < SEQUENCE_MAX and last_sequence >= 0):
        said = f"version {version}, epoch {epoch} and sequence {last_sequence}"
        raise BrokenChainError(str(key), f"its stored cursor has {said}, which no entries make")
    try:
        updated = instant(updated_at)
        delivered: datetime | None = updated
        if delivered_at != updated_at:
            delivered = None if delivered_at is None else instant(delivered_at)
    except OverflowError as error:
        raise BrokenChainError(str(key), f"its stored cursor has no time: {error}") from None
    return make_cursor(
        key=key,
        last_sequence=last_sequence,
        last_delivery_id=last_delivery_id,
        last_delivered_at=delivered,
        last_error=last_error,
        updated_at=updated,
        version=version,
        epoch=epoch,
    )


_fits_cursor = CURSOR.fit()
