"""A log in memory that keeps rows of its tree, and the naive tree as the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import attrs

from ledger.evidence.kept import grown
from ledger.evidence.merkle import LEVELS, TreeRow
from ledger.evidence.source import EVERY, Ids

__all__ = ["KeepingLog", "naive_root", "true_rows"]


def naive_root(digests: Sequence[bytes]) -> bytes:
    """Return the root as RFC 6962 defines it, word for word."""
    if not digests:
        return sha256().digest()
    if len(digests) == 1:
        return sha256(b"\0" + digests[0]).digest()
    half = 1
    while half * 2 < len(digests):
        half *= 2
    return sha256(b"\1" + naive_root(digests[:half]) + naive_root(digests[half:])).digest()


def true_rows(leaves: Sequence[tuple[int, bytes]], block: int) -> set[TreeRow]:
    """Return all rows that there may be of a tree."""
    found = set()
    for level in range(1, LEVELS + 1):
        size = block**level
        for number in range(len(leaves) // size):
            part = leaves[number * size : (number + 1) * size]
            root = naive_root([digest for _, digest in part])
            found.add(TreeRow(level, number, part[-1][0], root))
    return found


@attrs.define
class KeepingLog:
    """Leaves at positions with holes, of which the first so many are settled, and rows."""

    entries: list[tuple[int, bytes]]
    block: int
    rows_kept: dict[tuple[int, int], TreeRow] = attrs.field(factory=dict)
    unsettled: int = 0
    read: int = 0
    """How many leaves were read."""

    @classmethod
    def of(cls, holes: Sequence[int], block: int, tag: str = "") -> KeepingLog:
        """Return a log of so many entries, each behind a hole of that size."""
        position, entries = 0, []
        for nth, hole in enumerate(holes):
            position += 1 + hole
            entries.append((position, sha256(f"{tag}{nth}".encode()).digest()))
        return cls(entries, block)

    @property
    def digests(self) -> list[bytes]:
        """The digests of what is settled."""
        return [digest for _, digest in self.entries[: len(self.entries) - self.unsettled]]

    def keep(self, rows: Sequence[TreeRow]) -> None:
        """Keep rows as a store does: those that are there stay as they are."""
        for row in rows:
            self.rows_kept.setdefault((row.level, row.number), row)

    def checkpoint(self) -> bytes:
        """Return the root by what is kept, and keep what is new."""
        tree = grown(self, block=self.block)
        self.keep(tree.rows)
        return tree.now.root

    def heads(self, ids: Ids = EVERY) -> Iterator[Any]:  # noqa: ARG002 - of the protocol
        """Return none: cursors do not matter here."""
        return iter(())

    def rows(self, ids: Ids = EVERY) -> Iterator[Any]:  # noqa: ARG002 - of the protocol
        """Return none."""
        return iter(())

    def settled(self) -> int:
        """Return the last position that is settled."""
        settled = len(self.digests)
        return self.entries[settled - 1][0] if settled else 0

    def leaves(self) -> Iterator[tuple[int, bytes, Any]]:
        """Return every leaf."""
        return self.leaves_after(0)

    def leaves_after(
        self, position: int, most: int | None = None
    ) -> Iterator[tuple[int, bytes, Any]]:
        """Return leaves behind a position."""
        found = [leaf for leaf in self.entries if leaf[0] > position]
        for at, digest in found if most is None else found[:most]:
            self.read += 1
            yield at, digest, at

    def tree_rows(self, level: int, first: int = 0, end: int | None = None) -> Iterator[TreeRow]:
        """Return rows by number; of a whole level also those below 0."""
        for at in sorted(self.rows_kept):
            above = first <= at[1] or (not first and end is None)
            if at[0] == level and above and (end is None or at[1] < end):
                yield self.rows_kept[at]
