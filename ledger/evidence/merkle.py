"""The Merkle tree over all entries, and the checkpoint that is kept of it.

A chain of digests proves what was appended to one cursor, and in which order. It cannot prove the
order among cursors, nor that nothing was cut off at the end by somebody who also rewrote the stored
cursor. A checkpoint that is kept elsewhere does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypeAlias

import attrs

from ledger.errors import InvalidCursorError
from ledger.evidence.digests import GENESIS
from ledger.law import fields

__all__ = [
    "BLOCK",
    "LEVELS",
    "Checkpoint",
    "Leaf",
    "Tree",
    "TreeRow",
    "checkpoint_over",
    "checkpoints_over",
]

BLOCK = 256
"""How many leaves are a block of level 1, how many of those a block of level 2, and so on.

It is a power of two and can never change, because the rows that are kept depend on it.
"""

LEVELS = 3
"""Blocks are kept up to this level."""


class TreeRow(NamedTuple):
    """The root over a full block, as it is kept beside the log.

    `number` counts the blocks of a level from 0, and `position` is that of the last leaf, because
    positions may have holes.
    """

    level: int
    number: int
    position: int
    root: bytes


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The RFC 6962 Merkle root over the first `entries` entries, in order of position.

    Keep it where the database's owner cannot write, and `verify` can tell for ever whether the
    entries up to `position` are still the same, all there, and in order. `first` is the digest of
    the first of them, which tells a changed ledger from another one; None if it was not kept.
    `taken_at` is when it was made, by the ledger's clock, and `origin` the ledger's name for
    others; both None where nobody said so. Neither is compared, nor proved.

    `root` has 32 bytes. `position` is 0 where it is not known: a signed note does not say it.

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
    taken_at: datetime | None = attrs.field(default=None, eq=False)
    origin: str | None = attrs.field(default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        fields.set_field(self, "entries", fields.sequence(self.entries, "entries", least=0))
        fields.set_field(self, "position", fields.sequence(self.position, "position", least=0))
        if type(self.root) is not bytes or len(self.root) != len(GENESIS):
            raise InvalidCursorError("root must be the 32 bytes of a SHA-256.")
        if self.first is not None and (
            type(self.first) is not bytes or len(self.first) != len(GENESIS)
        ):
            raise InvalidCursorError("first must be the 32 bytes of a SHA-256.")
        if self.taken_at is not None:
            fields.set_field(self, "taken_at", fields.moment(self.taken_at, "taken_at"))
        if self.origin is not None and type(self.origin) is not str:
            raise InvalidCursorError("origin must be a text, or None.")


class Tree:
    """The Merkle tree over the digests that are added, in order.

    Its memory grows with the logarithm of their number. `on_row` is told of each block that is
    full, a larger one after those in it; another size than `block` is for tests.

    RFC 6962, section 2.1: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
    """

    def __init__(
        self, on_row: Callable[[TreeRow], None] | None = None, *, block: int = BLOCK
    ) -> None:
        self.entries = 0
        self.position = 0
        self._first: bytes | None = None
        # The roots of the full subtrees so far, largest first: one for each 1 in the number of
        # leaves under them.
        self._peaks: list[bytes] = []
        # Leaves that are in no subtree yet. To add many at once takes two thirds of the time.
        self._pending: list[bytes] = []
        self._block = block
        self._on_row = on_row
        self._levels = {block**level: level for level in range(1, LEVELS + 1)} if on_row else {}

    def add(self, position: int, leaf: bytes) -> None:
        """Add the digest of the next entry."""
        self._pending.append(leaf)
        self.entries += 1
        self.position = position
        if not self.entries % self._block:
            self._take_in()

    def add_full(self, root: bytes, leaves: int, position: int) -> None:
        """Add a full subtree of so many leaves, which begins at a multiple of their number."""
        self._take_in()
        before, self.position = self.entries, position
        self.entries += leaves
        self._push(root, before, leaves)

    def begin_with(self, first: bytes) -> None:
        """Set the first leaf, if it was added as a part of a subtree."""
        self._first = first

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint over what was added so far."""
        self._take_in()
        if not self._peaks:
            return Checkpoint(entries=0, position=0, root=hashlib.sha256().digest())
        *larger, root = self._peaks
        for peak in reversed(larger):
            root = hashlib.sha256(b"\1" + peak + root).digest()
        first = self._first if self._first and len(self._first) == len(GENESIS) else None
        return Checkpoint(entries=self.entries, position=self.position, root=root, first=first)

    def _take_in(self) -> None:
        """Put the pending leaves under full subtrees."""
        leaves, self._pending = self._pending, []
        before, each = self.entries - len(leaves), 1
        if not before and leaves:
            self._first = leaves[0]
        sha256 = hashlib.sha256
        nodes = [sha256(b"\0" + leaf).digest() for leaf in leaves]
        if len(nodes) == self._block:
            # They are a full subtree, because they end at a multiple of their number.
            while len(nodes) > 1:
                pairs = zip(nodes[::2], nodes[1::2], strict=True)
                nodes = [sha256(b"\1" + left + right).digest() for left, right in pairs]
            each = self._block
        for node in nodes:
            self._push(node, before, each)
            before += each

    def _push(self, node: bytes, before: int, leaves: int) -> None:
        """Add a full subtree of so many leaves, which comes after `before` of them."""
        end = before + leaves
        while True:
            if (level := self._levels.get(leaves)) and self._on_row is not None:
                self._on_row(TreeRow(level, end // leaves - 1, self.position, node))
            if not before & leaves:
                break
            node = hashlib.sha256(b"\1" + self._peaks.pop() + node).digest()
            leaves *= 2
        self._peaks.append(node)


Leaf: TypeAlias = tuple[int, bytes, *tuple[object, ...]]
"""The position and digest of an entry, and whatever else is known of it."""


def checkpoint_over(leaves: Iterable[Leaf], *, entries: int | None = None) -> Checkpoint:
    """Return the checkpoint over `leaves`, in order; over the first `entries` if given."""
    tree = Tree()
    for position, leaf, *_ in islice(leaves, entries):
        tree.add(position, leaf)
    return tree.checkpoint()


def checkpoints_over(leaves: Iterable[Leaf], entries: int) -> tuple[Checkpoint | None, Checkpoint]:
    """Return the checkpoints over the first `entries`, None if there are fewer, and over all."""
    tree = Tree()
    then = None if entries else tree.checkpoint()
    for position, leaf, *_ in leaves:
        tree.add(position, leaf)
        if tree.entries == entries:
            then = tree.checkpoint()
    return then, tree.checkpoint()
