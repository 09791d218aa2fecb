"""The tree as files that others read: https://c2sp.org/tlog-tiles.

A tile is a row of 256 hashes of the tree, at level 0 those of leaves, above that the root over each
full tile below. All proofs can be computed of the tiles alone. A leaf is the digest of an entry, so
the tiles say nothing of what the entries say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from ledger.errors import UnprovenError
from ledger.evidence.merkle import Leaf, Tree
from ledger.evidence.paths import leaf_hash
from ledger.evidence.tree_heads import TreeHead

__all__ = ["WIDTH", "tile_path", "tiles_of"]

WIDTH = 256
"""How many hashes a full tile has."""

ENTRIES = "entries"
"""The level of the tiles that have the leaves themselves."""


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Return the path of a tile, counted from 0 in its level; of one with fewer than 256 hashes."""
    parts = [f"{number % 1_000:03}"]
    while number := number // 1_000:
        parts.insert(0, f"x{number % 1_000:03}")
    suffix = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(parts)}{suffix}"


def tiles_of(leaves: Iterable[Leaf], head: TreeHead) -> Iterator[tuple[str, bytes]]:
    """Return the path and the bytes of each tile of the tree of `head`.

    Memory grows with the logarithm of its size. Raises UnprovenError at the end if the root over
    `leaves` is not that of `head`, so nothing that was returned is to be used before.
    """
    tree, open_tiles, entries = Tree(), list[_Level](), _Level(ENTRIES)
    for position, leaf, *_ in leaves:
        if tree.entries == head.entries:
            break
        tree.add(position, leaf)
        yield from entries.add(len(leaf).to_bytes(2, "big") + leaf)
        yield from _add(open_tiles, leaf_hash(leaf))
    if (tree.entries, tree.checkpoint().root) != (head.entries, head.root):
        raise UnprovenError(
            f"the first {head.entries:,} entries of this ledger do not have the root in the note "
            f"of {head.origin:.80}: it is of another ledger, or entries were changed."
        )
    for each in (entries, *open_tiles):
        yield from each.rest()


class _Level:
    """The tile of one level that is not full yet."""

    def __init__(self, level: int | str) -> None:
        self._level = level
        self._number = 0
        self._items: list[bytes] = []

    def add(self, item: bytes) -> Iterator[tuple[str, bytes]]:
        """Add the next item, and return the tile if it is full."""
        self._items.append(item)
        if len(self._items) == WIDTH:
            yield tile_path(self._level, self._number), b"".join(self._items)
            self._items = []
            self._number += 1

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """Return the tile as far as it goes, unless it is empty."""
        if self._items:
            path = tile_path(self._level, self._number, len(self._items))
            yield path, b"".join(self._items)


def _add(levels: list[_Level], node: bytes) -> Iterator[tuple[str, bytes]]:
    """Add a hash to the lowest level, and the root over each tile that it fills to the next."""
    height = 0
    while True:
        if height == len(levels):
            levels.append(_Level(height))
        full = list(levels[height].add(node))
        yield from full
        if not full:
            return
        node = _root([full[0][1][at : at + 32] for at in range(0, 32 * WIDTH, 32)])
        height += 1


def _root(nodes: list[bytes]) -> bytes:
    while len(nodes) > 1:
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        nodes = [sha256(b"\1" + left + right).digest() for left, right in pairs]
    return nodes[0]
