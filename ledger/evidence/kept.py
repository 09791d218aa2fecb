"""The tree that is kept beside the log, so that evidence costs what is new and not what is there.

A row has the root over a full block of settled entries, which never change. It is a cache and no
evidence, because whoever can write to it can lie in it: nothing is signed by a row, but what the
key has signed before; a proof is verified before it is returned; `verify` recomputes every row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import attrs

from ledger.errors import BrokenChainError
from ledger.evidence.digests import GENESIS
from ledger.evidence.merkle import BLOCK, LEVELS, Checkpoint, Tree, TreeRow
from ledger.evidence.paths import Range
from ledger.evidence.source import Keeping, Log

__all__ = [
    "BLOCKS_AT_ONCE",
    "BLOCKS_A_TURN",
    "Blocks",
    "Grown",
    "Kept",
    "KeptTree",
    "NotKeptError",
    "grown",
    "in_turn",
    "kept_of",
    "signable",
    "turns_of",
]

BLOCKS_AT_ONCE = 65_536
"""At most this many blocks of level 1 are made at once, which bounds the memory."""

BLOCKS_A_TURN = 64
"""How many blocks are compared with their leaves at each turn: 30 ms of CPU time in a file."""


class NotKeptError(Exception):
    """What is kept does not do. It is caught in this room, and the whole log is read instead."""


@attrs.frozen(kw_only=True)
class Grown:
    """The tree over all that is settled, and the rows that are to be kept of it."""

    now: Checkpoint
    then: Checkpoint | None = None
    """The tree when it had the size that was asked for; None if it has fewer leaves."""
    rows: Sequence[TreeRow] = ()


def grown(log: Log, *, turn: int = 0, block: int = BLOCK) -> Grown:
    """Return the tree by the rows that are kept, and by the leaves behind them.

    The last block and some others, another part of them with each `turn`, are compared with their
    leaves first. If one differs, the rows are not those of this log, and all leaves are read.
    """
    kept = kept_of(log, block)
    if not _holds(log, kept, turn, block):
        return _read(log, Kept(), None, block)
    return _read(log, kept, kept.counts, block)


def signable(log: Log, entries: int, root: bytes, *, turn: int = 0, block: int = BLOCK) -> Grown:
    """Return the tree, and what it was with so many entries, when a note was signed over `root`.

    Rows are used below that size alone, and leaves above it. If the root of then is the one that
    was signed, so is every node that it was computed of, and the last leaf: no row is believed.
    Whether the log still has what is under them is looked at in parts, another with each `turn`.
    """
    kept = kept_of(log, block)
    if entries > block and kept.blocks:
        # One leaf at least is read below that size, which says where the rows have ended.
        below = kept_of(log, block, (entries - 1) // block)
        found = _read(log, below, kept.counts, block, entries)
        is_signed = found.then is not None and found.then.root == root
        if is_signed and _holds(log, kept, turn, block):
            return found
        # The log does not begin with what was signed, or a row lies: all leaves tell.
        return _read(log, Kept(), None, block, entries)
    return _read(log, Kept(), kept.counts, block, entries)


class KeptTree:
    """The blocks of a log's tree, for proofs: as they are kept, and behind those as leaves say.

    Raises NotKeptError if it cannot tell. What it returns is worth no more than the rows.
    """

    def __init__(self, log: Log, entries: int, *, block: int = BLOCK) -> None:
        if not isinstance(log, Keeping):
            raise NotKeptError
        self._log = log
        self._block = block
        self._rows: dict[tuple[int, int], dict[int, TreeRow]] = {}
        self._leaves: dict[int, list[tuple[int, bytes, Any]]] = {}
        self._made: dict[tuple[int, int], TreeRow] = {}
        kept = kept_of(log, block, entries // block)
        if entries - kept.blocks * block > BLOCKS_AT_ONCE * block:
            raise NotKeptError
        tree = Tree(self._make, block=block)
        for level, first in enumerate((*kept.counts[1:], 0), 1):
            # To ask a server once more takes as long as all that is done with the answer.
            self._rows[level, first] = {}
        for row in kept.rows:
            # Of the highest level all rows are there, and those in no larger block may be many.
            self._rows.setdefault((row.level, row.number // block), {})[row.number] = row
            tree.add_full(row.root, block**row.level, row.position)
        for position, leaf in islice(_leaves_behind(log, kept.position), entries - tree.entries):
            tree.add(position, leaf)

    def index_of(self, position: int) -> int:
        """Return how many leaves come before `position`."""
        number = 0
        for level in range(LEVELS, 0, -1):
            number *= self._block
            while (row := self._row(level, number)) is not None and row.position < position:
                number += 1
        leaves = self._leaves_of(number)
        return number * self._block + sum(1 for leaf in leaves if leaf[0] < position)

    def checkpoint(self, entries: int) -> Checkpoint:
        """Return the tree as it was with so many leaves, from 1 to those that it was made for."""
        number, nth = divmod(entries - 1, self._block)
        leaves = self._leaves_of(number)
        if len(leaves) <= nth:
            raise NotKeptError
        root = self._root(0, entries)
        return Checkpoint(entries=entries, position=leaves[nth][0], root=root)

    def roots(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return the root over each of `ranges`, which are subtrees of RFC 9162."""
        return [self._root(start, end) for start, end in ranges]

    def _root(self, start: int, end: int) -> bytes:
        tree, at = Tree(block=self._block), start
        while at < end:
            if (row := self._largest(at, end)) is not None:
                tree.add_full(row.root, self._block**row.level, row.position)
            else:
                first = at % self._block
                leaves = self._leaves_of(at // self._block)[first : first + end - at]
                if not leaves:
                    raise NotKeptError
                for position, leaf, *_ in leaves:
                    tree.add(position, leaf)
            at = start + tree.entries
        return tree.checkpoint().root

    def _largest(self, at: int, end: int) -> TreeRow | None:
        """Return the row over the largest block from `at` on that ends by `end`."""
        for level in range(LEVELS, 0, -1):
            leaves = self._block**level
            if at % leaves == 0 and at + leaves <= end:
                row = self._row(level, at // leaves)
                if row is not None:
                    return row
        return None

    def _row(self, level: int, number: int) -> TreeRow | None:
        if (made := self._made.get((level, number))) is not None:
            return made
        parent = number // self._block
        if (level, parent) not in self._rows:
            first = parent * self._block
            rows = self._log.tree_rows(level, first, first + self._block)
            self._rows[level, parent] = {row.number: row for row in rows if _is_sound(row)}
        return self._rows[level, parent].get(number)

    def _leaves_of(self, number: int) -> list[tuple[int, bytes, Any]]:
        if number not in self._leaves:
            before = self._row(1, number - 1) if number else None
            if number and before is None:
                raise NotKeptError
            after = 0 if before is None else before.position
            self._leaves[number] = list(self._log.leaves_after(after, self._block))
        return self._leaves[number]

    def _make(self, row: TreeRow) -> None:
        self._made[row.level, row.number] = row


@attrs.frozen
class Kept:
    """The largest blocks that are kept, from the first leaf on, without a gap."""

    rows: Sequence[TreeRow] = ()
    blocks: int = 0
    """How many blocks of level 1 that are."""
    counts: Sequence[int] = (0,) * LEVELS
    """How many blocks of each level are kept."""

    @property
    def position(self) -> int:
        """The position of the last entry in them."""
        return self.rows[-1].position if self.rows else 0

    def largest(self, level: int, number: int, block: int) -> TreeRow:
        """Return the row of a block that is in no larger one."""
        counts = (*self.counts, 0)
        before = sum(counts[at] - counts[at + 1] * block for at in range(level, LEVELS))
        return self.rows[before + number - counts[level] * block]


def kept_of(log: Log, block: int, blocks_max: int | None = None) -> Kept:
    """Return what is kept of a log, or of its first blocks; nothing where it is damaged."""
    if not isinstance(log, Keeping):
        return Kept()
    rows: list[TreeRow] = []
    counts: list[int] = []
    number, until = 0, log.settled()
    with suppress(BrokenChainError):
        for level in range(LEVELS, 0, -1):
            first = number = number * block
            end = None if level == LEVELS else first + block
            if blocks_max is not None:
                most = blocks_max // block ** (level - 1)
                end = most if end is None else min(end, most)
            for row in log.tree_rows(level, first, end):
                before = rows[-1].position if rows else 0
                if row.number != number or not _is_sound(row) or not before < row.position <= until:
                    break
                rows.append(row)
                number += 1
            counts.append(number)
        return Kept(rows, number, counts[::-1])
    return Kept()


def _is_sound(row: TreeRow) -> bool:
    """Return whether the columns are of the types that they should be."""
    return type(row.position) is int and type(row.root) is bytes and len(row.root) == len(GENESIS)


def in_turn(blocks: int, turn: int) -> tuple[int, int]:
    """Return which of so many blocks are looked at: the first, and the one behind the last.

    If `turn` grows by one at a time, `turns_of` turns look at all of them.
    """
    parts, turns = _parts_of(blocks), turns_of(blocks)
    part = turn % turns
    first = (part if part < parts else part - turns // 2) * BLOCKS_A_TURN
    return first, min(first + BLOCKS_A_TURN, blocks)


def turns_of(blocks: int) -> int:
    """Return how many turns look at so many blocks: a power of two, fewer than twice the parts.

    It stays what it is until the log has doubled.
    """
    return 1 << (_parts_of(blocks) - 1).bit_length()


def _parts_of(blocks: int) -> int:
    return max(-(-blocks // BLOCKS_A_TURN), 1)


def _holds(log: Log, kept: Kept, turn: int, block: int) -> bool:
    """Return whether the last block that is kept, and part of the others, are those of the log."""
    if not isinstance(log, Keeping) or not kept.blocks:
        return True
    blocks = Blocks(log, kept, block=block)
    try:
        first, end = in_turn(kept.blocks, turn)
        blocks.compare(first, end)
        if end < kept.blocks:
            blocks.compare(kept.blocks - 1, kept.blocks)
    except (NotKeptError, BrokenChainError):
        return False
    return True


class Blocks:
    """The blocks of level 1 in what is kept, which are compared with the leaves of the log.

    The row of one that is in a larger block is not believed: those in it have to lead to its root.
    """

    def __init__(self, log: Keeping, kept: Kept, *, block: int = BLOCK) -> None:
        self._log = log
        self._kept = kept
        self._block = block
        # For each level the rows in one larger block: blocks are mostly asked for in order.
        self._below: dict[int, tuple[int, Sequence[TreeRow]]] = {}
        self._compared: set[int] = set()

    def compare(self, first: int, end: int) -> None:
        """Compare the blocks from `first` to before `end`. Raises NotKeptError if one differs."""
        made: list[TreeRow] = []
        tree = Tree(made.append, block=self._block)
        leaves = self._log.leaves_after(self.position_before(first), (end - first) * self._block)
        for position, leaf, *_ in leaves:
            tree.add(position, leaf)
        # Numbers are counted from the first of these blocks.
        found = [row[2:] for row in made if row.level == 1]
        if found != [self.row(1, number)[2:] for number in range(first, end)]:
            raise NotKeptError

    def confirm(self, position: int) -> None:
        """Compare the block that has an entry in it, once. Raises NotKeptError if it differs.

        What is behind all blocks is left to who reads it.
        """
        if position > self._kept.position:
            return
        number = self._number_of(position)
        if number not in self._compared:
            self.compare(number, number + 1)
            self._compared.add(number)

    def position_before(self, number: int) -> int:
        """Return the position behind which a block begins."""
        return self.row(1, number - 1).position if number else 0

    def row(self, level: int, number: int) -> TreeRow:
        """Return the row of a block. Raises NotKeptError if it does not lead where it must."""
        above = number // self._block
        if level < LEVELS and above < self._kept.counts[level]:
            return self._rows_below(level + 1, above)[number % self._block]
        return self._kept.largest(level, number, self._block)

    def _number_of(self, position: int) -> int:
        row = self._kept.rows[bisect_left(self._kept.rows, position, key=_position)]
        while row.level > 1:
            below = self._rows_below(row.level, row.number)
            row = below[bisect_left(below, position, key=_position)]
        return row.number

    def _rows_below(self, level: int, number: int) -> Sequence[TreeRow]:
        """Return the rows of the next level in a block, which lead to its root."""
        if (known := self._below.get(level)) is not None and known[0] == number:
            return known[1]
        above = self.row(level, number)
        first = number * self._block
        rows = list(self._log.tree_rows(level - 1, first, first + self._block))
        if [row.number for row in rows] != [*range(first, first + self._block)]:
            raise NotKeptError
        tree = Tree(block=self._block)
        for row in rows:
            if not (_is_sound(row) and tree.position < row.position):
                raise NotKeptError
            tree.add_full(row.root, self._block ** (level - 1), row.position)
        if (tree.position, tree.checkpoint().root) != above[2:]:
            raise NotKeptError
        self._below[level] = number, rows
        return rows


def _position(row: TreeRow) -> int:
    return row.position


def _read(
    log: Log, kept: Kept, counts: Sequence[int] | None, block: int, entries: int | None = None
) -> Grown:
    """Read the leaves behind `kept`.

    Rows are made that are not among `counts` of each level; none if that is None, because what is
    there is wrong.
    """
    rows: list[TreeRow] = []
    last = kept.blocks + BLOCKS_AT_ONCE

    def make(row: TreeRow) -> None:
        is_new = counts is not None and row.number >= counts[row.level - 1]
        if is_new and (row.number + 1) * block ** (row.level - 1) <= last:
            rows.append(row)

    makes = counts is not None and isinstance(log, Keeping)
    tree = Tree(make if makes else None, block=block)
    then = tree.checkpoint() if entries == 0 else None
    for row in kept.rows:
        tree.add_full(row.root, block**row.level, row.position)
    if kept.rows and isinstance(log, Keeping):
        for _, first, *_ in log.leaves_after(0, 1):
            tree.begin_with(first)
    for position, leaf in _leaves_behind(log, kept.position):
        tree.add(position, leaf)
        if tree.entries == entries:
            then = tree.checkpoint()
    return Grown(now=tree.checkpoint(), then=then, rows=rows)


def _leaves_behind(log: Log, position: int) -> Iterator[tuple[int, bytes]]:
    """Return (position, digest) of the settled entries behind `position`."""
    until = log.settled()
    leaves = log.leaves()
    if position and isinstance(log, Keeping):
        leaves = log.leaves_after(position)
    return ((at, leaf) for at, leaf, *_ in leaves if at <= until)
