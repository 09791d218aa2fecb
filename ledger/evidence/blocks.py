"""The tree over all entries, kept as one root for each block of 1,024 leaves.

That is enough to make the path of any leaf from the leaves of its own block, so a log that is read
once, and each block once more, has the paths of as many entries as are asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import sha256

import attrs

from ledger.evidence.merkle import Leaf
from ledger.evidence.paths import leaf_hash

__all__ = ["BLOCK_LEAVES", "Block", "Blocks"]

BLOCK_LEAVES = 1_024
"""A power of two, so that the roots of blocks are nodes of the tree."""


@attrs.frozen
class Block:
    """The leaves of one block, as the levels of its own tree: the lowest first, the root last."""

    index: int
    """How many leaves come before it."""
    levels: list[list[bytes]]

    @classmethod
    def of(cls, index: int, digests: Iterable[bytes]) -> Block:
        """Return the block whose leaves are these digests."""
        return cls(index, _levels([leaf_hash(digest) for digest in digests]))

    @property
    def root(self) -> bytes:
        """Return the root over its leaves."""
        return self.levels[-1][0]


@attrs.define
class Blocks:
    """The roots of all blocks of a tree, and the position of the first entry of each.

    They take some 200 bytes for each 1,024 entries.
    """

    positions: list[int]
    levels: list[list[bytes]]
    entries: int

    @classmethod
    def over(cls, leaves: Iterable[Leaf]) -> Blocks:
        """Return those over `leaves`, in order."""
        positions, roots, digests, entries = list[int](), list[bytes](), list[bytes](), 0
        for position, digest, *_ in leaves:
            if not digests:
                positions.append(position)
            digests.append(digest)
            entries += 1
            if len(digests) == BLOCK_LEAVES:
                roots.append(Block.of(entries, digests).root)
                digests.clear()
        if digests:
            roots.append(Block.of(entries, digests).root)
        return cls(positions, _levels(roots), entries)

    @property
    def root(self) -> bytes:
        """Return the root of the tree."""
        return self.levels[-1][0] if self.entries else sha256().digest()

    def number_of(self, position: int) -> int:
        """Return the number of the block that has the entry at `position`, from 0."""
        return bisect_right(self.positions, position) - 1

    def is_of(self, block: Block) -> bool:
        """Return whether these leaves are those that were read for the tree."""
        return self.levels[0][block.index // BLOCK_LEAVES] == block.root

    def path(self, block: Block, place: int) -> tuple[bytes, ...]:
        """Return the proof that the leaf at `place` in `block` is in the tree."""
        number = block.index // BLOCK_LEAVES
        return (*_path(block.levels, place), *_path(self.levels, number))


def _levels(nodes: Sequence[bytes]) -> list[list[bytes]]:
    """Return the levels of the tree over `nodes`; a node without a neighbour goes up as it is."""
    levels = [list(nodes)]
    while len(below := levels[-1]) > 1:
        above = [
            sha256(b"\1" + left + right).digest()
            for left, right in zip(below[::2], below[1::2], strict=False)
        ]
        levels.append(above + below[2 * len(above) :])
    return levels


def _path(levels: Sequence[Sequence[bytes]], place: int) -> list[bytes]:
    path = []
    for level in levels[:-1]:
        neighbour = place ^ 1
        if neighbour < len(level):
            path.append(level[neighbour])
        place >>= 1
    return path
