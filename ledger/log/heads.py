"""Where the chain of a cursor ends."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from ledger.errors import BrokenChainError
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.making import maker
from ledger.log import columns
from ledger.log.columns import Row
from ledger.log.cursors import cursor_from
from ledger.log.text import micros

__all__ = ["Head", "make_head"]


@attrs.frozen(kw_only=True, weakref_slot=False)
class Head:
    """Where a cursor's chain ends: its state, and the time and digest of its last entry.

    `cursor_id` is the number that the store knows the cursor by; None until it has one.
    """

    cursor_id: int | None
    cursor: Cursor
    recorded_at: int
    digest: bytes

    @classmethod
    def of(cls, key: CursorKey, row: Row) -> Head:
        """Return the head of `key` that a row holds, in the order of `HEAD`.

        Raises BrokenChainError if it holds none.
        """
        cursor_id, recorded_at, last_digest = row[_ID], row[_RECORDED_AT], row[_DIGEST]
        if (type(cursor_id), type(recorded_at), type(last_digest)) != (int, int, bytes):
            raise BrokenChainError(str(key), "its stored cursor has columns of the wrong types")
        # The next entry is recorded no earlier, and has to be read again.
        if not _EARLIEST <= recorded_at <= _LATEST:
            raise BrokenChainError(
                str(key), "its stored cursor was recorded at a time that no calendar has"
            )
        return cls(
            cursor_id=cursor_id,
            cursor=cursor_from(key, row[_CURSOR]),
            recorded_at=recorded_at,
            digest=last_digest,
        )

    @property
    def state(self) -> Row:
        """What is stored of it, in the order of `STATE`."""
        cursor = self.cursor
        updated_at = micros(cursor.updated_at)
        delivered_at = cursor.last_delivered_at
        if delivered_at is None:
            delivered = None
        else:
            # Mostly it is the very same moment; to count it takes 0.3 µs.
            delivered = updated_at if delivered_at is cursor.updated_at else micros(delivered_at)
        return (
            cursor.last_sequence,
            cursor.last_delivery_id,
            delivered,
            cursor.last_error,
            updated_at,
            cursor.version,
            cursor.epoch,
            self.recorded_at,
            self.digest,
        )


make_head = maker(Head)

_EARLIEST = micros(datetime.min.replace(tzinfo=UTC))
_LATEST = micros(datetime.max.replace(tzinfo=UTC))

_ID, _RECORDED_AT, _DIGEST = (columns.HEAD.place(name) for name in ("id", "recorded_at", "digest"))
_CURSOR = columns.HEAD.places(columns.CURSOR)
