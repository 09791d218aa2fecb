"""The evidence: digests that chain the entries of a cursor, and a Merkle root over all entries.

A chain proves what was appended to one cursor, and in which order. It cannot prove the order among
cursors, nor that nothing was cut off at the end by somebody who also rewrote the cursor; a
checkpoint, kept elsewhere, does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import attrs

from ledger import codec, fields
from ledger.codec import Content, Row
from ledger.cursor import Cursor, CursorKey
from ledger.errors import BrokenChainError, InvalidCursorError
from ledger.values import maker

__all__ = ["GENESIS", "STATE", "Checkpoint", "Head", "checkpoint", "digest", "make_head"]

GENESIS = bytes(32)
"""What stands before the first entry of a chain."""


def digest(previous: bytes, content: Content | Row) -> bytes:
    """Give the SHA-256 of an entry: over the digest before it, and over what it says, as JSON."""
    said: list[Any] = ["cursor-ledger/1", *content]
    if said[_METADATA] is not None:
        said[_METADATA] = codec.loads(said[_METADATA])
    return hashlib.sha256(previous + codec.dumps(said).encode()).digest()


_METADATA = 8


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
        """Give the head that a row of the stored cursors holds: its id, then `state`.

        Raises BrokenChainError if it holds none.
        """
        cursor_id, recorded_at, last_digest = row[0], row[-2], row[-1]
        if (type(cursor_id), type(recorded_at), type(last_digest)) != (int, int, bytes):
            raise BrokenChainError(str(key), "its stored cursor has columns of the wrong types")
        return cls(
            cursor_id=cursor_id,
            cursor=codec.cursor(key, row[1:-2]),
            recorded_at=recorded_at,
            digest=last_digest,
        )

    @property
    def state(self) -> Row:
        """What is stored of it, in the order of `STATE`."""
        cursor = self.cursor
        delivered_at = cursor.last_delivered_at
        return (
            cursor.last_sequence,
            cursor.last_delivery_id,
            None if delivered_at is None else codec.micros(delivered_at),
            cursor.last_error,
            codec.micros(cursor.updated_at),
            cursor.version,
            cursor.epoch,
            self.recorded_at,
            self.digest,
        )


make_head = maker(Head)


STATE = (
    "last_sequence",
    "last_delivery_id",
    "last_delivered_at",
    "last_error",
    "updated_at",
    "version",
    "epoch",
    "recorded_at",
    "digest",
)


# --- the Merkle tree ---


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The RFC 6962 Merkle root over the first `entries` entries, in order of position.

    Keep it where the database's owner cannot write, and `verify` can tell for ever whether the
    entries up to `position` are still the same, all there, and in order.
    """

    entries: int
    position: int
    root: bytes = attrs.field(repr=bytes.hex)

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "entries", fields.sequence(self.entries, "entries", least=0))
        fields.set_field(self, "position", fields.sequence(self.position, "position", least=0))
        if type(self.root) is not bytes or len(self.root) != len(GENESIS):
            raise InvalidCursorError("root must be the 32 bytes of a SHA-256.")


def checkpoint(digests: Iterable[tuple[int, bytes]], *, entries: int | None = None) -> Checkpoint:
    """Give the checkpoint over (position, digest) pairs; over the first `entries` of them if given.

    Memory grows with the logarithm of their number.
    """
    # The roots of the full subtrees so far, largest first: one for each 1 in the binary `count`.
    peaks: list[bytes] = []
    count = position = 0
    if entries != 0:
        for position, leaf in digests:  # noqa: B007 - the last one is the checkpoint's
            node = hashlib.sha256(b"\0" + leaf).digest()
            size = count
            while size & 1:
                node = hashlib.sha256(b"\1" + peaks.pop() + node).digest()
                size >>= 1
            peaks.append(node)
            count += 1
            if count == entries:
                break
    if not peaks:
        return Checkpoint(entries=0, position=0, root=hashlib.sha256().digest())
    root = peaks.pop()
    while peaks:
        root = hashlib.sha256(b"\1" + peaks.pop() + root).digest()
    return Checkpoint(entries=count, position=position, root=root)
