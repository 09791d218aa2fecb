"""The Merkle tree over all entries, and the checkpoint that is kept of it.

A chain of digests proves what was appended to one cursor, and in which order. It cannot prove the
order among cursors, nor that nothing was cut off at the end by somebody who also rewrote the stored
cursor. A checkpoint that is kept elsewhere does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import islice
from typing import TypeAlias

import attrs

from ledger.errors import InvalidCursorError
from ledger.evidence.digests import GENESIS
from ledger.law import fields

__all__ = ["Checkpoint", "Leaf", "Tree", "checkpoint_over"]


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The RFC 6962 Merkle root over the first `entries` entries, in order of position.

    Keep it where the database's owner cannot write, and `verify` can tell for ever whether the
    entries up to `position` are still the same, all there, and in order. `first` is the digest of
    the first of them, which tells a changed ledger from another one; None if it was not kept.

    `root` has 32 bytes.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     kept = book.checkpoint()
    ...     cursor = book.advance(key, to=44)
    ...     [compared.standing.value for compared in book.verify(kept).against]
    ['kept']
    """

    entries: int
    position: int
    root: bytes = attrs.field(repr=bytes.hex)
    first: bytes | None = attrs.field(
        default=None, eq=False, repr=lambda first: str(first and first.hex())
    )

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "entries", fields.sequence(self.entries, "entries", least=0))
        fields.set_field(self, "position", fields.sequence(self.position, "position", least=0))
        if type(self.root) is not bytes or len(self.root) != len(GENESIS):
            raise InvalidCursorError("root must be the 32 bytes of a SHA-256.")
        if self.first is not None and (
            type(self.first) is not bytes or len(self.first) != len(GENESIS)
        ):
            raise InvalidCursorError("first must be the 32 bytes of a SHA-256.")


class Tree:
    """The Merkle tree over the digests that are added, in order; its memory grows with their log.

    RFC 6962, section 2.1: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
    """

    def __init__(self) -> None:
        self.entries = 0
        self._position = 0
        self._first: bytes | None = None
        # The roots of the full subtrees so far, largest first: one for each 1 in the number of
        # leaves under them.
        self._peaks: list[bytes] = []
        # Leaves that are under none yet. Many at once take two thirds of the time.
        self._pending: list[bytes] = []

    def add(self, position: int, leaf: bytes) -> None:
        """Add the digest of the next entry."""
        self._pending.append(leaf)
        self.entries += 1
        self._position = position
        if not self.entries % LEAVES_AT_ONCE:
            self._take_in()

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint over what was added so far."""
        self._take_in()
        if not self._peaks:
            return Checkpoint(entries=0, position=0, root=hashlib.sha256().digest())
        *larger, root = self._peaks
        for peak in reversed(larger):
            root = hashlib.sha256(b"\1" + peak + root).digest()
        first = self._first if self._first and len(self._first) == len(GENESIS) else None
        return Checkpoint(entries=self.entries, position=self._position, root=root, first=first)

    def _take_in(self) -> None:
        """Put the pending leaves under full subtrees."""
        leaves, self._pending = self._pending, []
        size = self.entries - len(leaves)
        if not size and leaves:
            self._first = leaves[0]
        sha256 = hashlib.sha256
        nodes = [sha256(b"\0" + leaf).digest() for leaf in leaves]
        if len(nodes) == LEAVES_AT_ONCE:
            # They are a full subtree, because they end at a multiple of their number.
            while len(nodes) > 1:
                pairs = zip(nodes[::2], nodes[1::2], strict=True)
                nodes = [sha256(b"\1" + left + right).digest() for left, right in pairs]
            size //= LEAVES_AT_ONCE
        for node in nodes:
            self._push(node, size)
            size += 1

    def _push(self, node: bytes, before: int) -> None:
        """Add a full subtree behind so many of its size."""
        while before & 1:
            node = hashlib.sha256(b"\1" + self._peaks.pop() + node).digest()
            before >>= 1
        self._peaks.append(node)


LEAVES_AT_ONCE = 1_024
"""A power of two."""

Leaf: TypeAlias = tuple[int, bytes, *tuple[object, ...]]
"""The position and digest of an entry, and whatever else is known of it."""


def checkpoint_over(leaves: Iterable[Leaf], *, entries: int | None = None) -> Checkpoint:
    """Return the checkpoint over `leaves`, in order; over the first `entries` if given."""
    tree = Tree()
    for position, leaf, *_ in islice(leaves, entries):
        tree.add(position, leaf)
    return tree.checkpoint()
