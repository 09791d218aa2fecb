"""The proofs of RFC 9162, section 2.1: that an entry is in a tree, and that a tree only grew.

A proof is a list of roots, each over a range of the leaves. One pass over the leaves computes all
of them, in memory that grows with the logarithm of the tree's size. What verifies a proof looks at
nothing but the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice
from typing import TypeAlias

from ledger.evidence.merkle import Leaf, Tree

__all__ = [
    "HASHES_MAX",
    "Range",
    "consistency_ranges",
    "inclusion_paths",
    "inclusion_ranges",
    "is_consistent",
    "is_included",
    "leaf_hash",
    "root_above",
    "roots_of",
]

Range: TypeAlias = tuple[int, int]
"""The leaves from one index on, up to the one before another."""

HASHES_MAX = 64
"""No tree of fewer than 2**63 leaves has a longer proof."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of the tree's leaf for a digest."""
    return sha256(b"\0" + leaf).digest()


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove that the leaf `index` is in a tree of `size` leaves."""
    start, end, found = 0, size, list[Range]()
    while end - start > 1:
        middle = start + _half(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove that a tree of `size` leaves begins with one of `old`."""
    if not 0 < old < size:
        return []
    start, end, found = 0, size, list[Range]()
    while end != old:
        middle = start + _half(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    # A verifier has the root of the old tree.
    return [*([(start, end)] if start else []), *found[::-1]]


def roots_of(leaves: Iterable[Leaf], ranges: Sequence[Range]) -> list[bytes]:
    """Return the root over each of `ranges`, which do not overlap, of leaves in order."""
    roots: dict[Range, bytes] = {}
    each, at = iter(leaves), 0
    for start, end in sorted(ranges):
        tree = Tree()
        for position, leaf, *_ in islice(each, start - at, end - at):
            tree.add(position, leaf)
        at = end
        roots[start, end] = tree.checkpoint().root
    return [roots[wanted] for wanted in ranges]


def inclusion_paths(leaves: Sequence[bytes]) -> tuple[bytes, list[tuple[bytes, ...]]]:
    """Return the root of a tree over `leaves`, and for each of them the proof that it is in it.

    All of the tree is in memory; `roots_of` is for long logs.
    """
    level = [leaf_hash(leaf) for leaf in leaves]
    # Of each leaf, the node above it, and what stood beside the nodes below that one.
    above, paths = list(range(len(level))), [list[bytes]() for _ in level]
    while len(level) > 1:
        for leaf, node in enumerate(above):
            if (node ^ 1) < len(level):
                paths[leaf].append(level[node ^ 1])
            above[leaf] = node >> 1
        last = level[-1:] if len(level) & 1 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [_joined(left, right) for left, right in pairs] + last
    root = level[0] if level else sha256().digest()
    return root, [tuple(path) for path in paths]


def is_included(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether `path` proves that the leaf of the hash `leaf` is at `index` in a tree.

    The tree has `size` leaves and the root `root`: RFC 9162, section 2.1.3.2.
    """
    return _are_hashes(root) and root_above(index, size, leaf, path) == root


def root_above(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """Return the root of the tree in which `path` proves a leaf; None if it proves none."""
    if not 0 <= index < size or not _are_hashes(leaf, *path):
        return None
    node, last, computed = index, size - 1, leaf
    for sibling in path:
        if not last:
            return None
        if node & 1 or node == last:
            computed = _joined(sibling, computed)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            computed = _joined(computed, sibling)
        node, last = node >> 1, last >> 1
    return None if last else computed


def is_consistent(old: int, size: int, path: Sequence[bytes], old_root: bytes, root: bytes) -> bool:
    """Return whether `path` proves that a tree begins with the leaves of an older one.

    It has `size` leaves and the root `root`, the older one `old` and `old_root`: RFC 9162, section
    2.1.4.2, and for what that leaves out, that nothing has to be proved by a hash: every tree
    begins with the empty one, and with itself.
    """
    if not 0 <= old <= size or not _are_hashes(old_root, *path, root):
        return False
    if not old and old_root != sha256().digest():
        return False
    if old in (0, size):
        return not path and (old < size or old_root == root)
    if not path:
        return False
    first, *rest = path if old & (old - 1) else (old_root, *path)
    node, last = old - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = now = first
    for sibling in rest:
        if not last:
            return False
        if node & 1 or node == last:
            before, now = _joined(sibling, before), _joined(sibling, now)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            now = _joined(now, sibling)
        node, last = node >> 1, last >> 1
    return not last and before == old_root and now == root


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == _HASH_BYTES for value in values)


_HASH_BYTES = 32


def _half(leaves: int) -> int:
    """Return the largest power of two below `leaves`."""
    return 1 << (leaves - 1).bit_length() - 1


def _joined(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()
