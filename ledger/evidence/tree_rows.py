"""The kept tree held against the leaves: each row must be there once, and be what they make it."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import BrokenChainError
from ledger.evidence.faults import Faults
from ledger.evidence.findings import Fault, FaultKind
from ledger.evidence.merkle import BLOCK, LEVELS, Tree, TreeRow
from ledger.evidence.source import Keeping, Log

__all__ = ["PLACE", "TreeRows", "check_rows"]

PLACE = "ledger_tree"

_REMEDY = "verify --repair removes all rows, and the next checkpoint makes them anew"


class TreeRows:
    """The rows of a log, which are asked for as the leaves of each block were read."""

    def __init__(
        self, log: Log, begun: Sequence[int] = (0,) * LEVELS, *, block: int = BLOCK
    ) -> None:
        """`begun` says of each level how many rows are taken as they are, without their leaves."""
        self.faults = Faults()
        self._block = block
        # Behind which number the rows of each level end.
        self._end = dict(enumerate(begun, 1)) if isinstance(log, Keeping) else {}
        self._levels = (
            {level: log.tree_rows(level, first) for level, first in self._end.items()}
            if isinstance(log, Keeping)
            else {}
        )
        self._next = {level: self._read(level) for level in self._levels}

    def compare(self, made: TreeRow) -> None:
        """Compare the row that leaves make with the one that is kept, if there is one."""
        level = made.level
        if made.number < self._end.get(level, 0):
            return  # It is one of those that are taken as they are.
        # One that is out of order is of no block: a number below 0, or one that is no number.
        while (kept := self._next.get(level)) is not None and not (
            type(kept.number) is int and kept.number >= made.number
        ):
            self._add(kept, "it is of no block")
            self._next[level] = self._read(level)
        if kept is None:
            return
        if kept.number > made.number:
            self._add(made, "it is missing, though later ones are there")
            return
        if (kept.position, kept.root) != (made.position, made.root):
            self._add(
                made,
                f"its root is {_shown(kept.root)} and its last position {kept.position!r:.40}, by "
                f"the entries they are {_shown(made.root)} and {made.position}",
            )
        self._end[level] = made.number + 1
        self._next[level] = self._read(level)

    def finish(self) -> Faults:
        """Return the faults, when all leaves were read."""
        for level in self._levels:
            while (kept := self._next[level]) is not None:
                self._add(kept, "there are no entries to fill its block")
                self._next[level] = self._read(level)
        for level in range(2, len(self._levels) + 1):
            there, below = self._end[level], self._end[level - 1]
            if there < below // self._block:
                missing = TreeRow(level, there, 0, b"")
                self._add(missing, "it is missing, though those in it are not")
            elif there > below // self._block:
                missing = TreeRow(level - 1, below, 0, b"")
                self._add(missing, "it is missing, though the one that it is in is not")
        return self.faults

    def _read(self, level: int) -> TreeRow | None:
        try:
            return next(self._levels[level], None)
        except BrokenChainError as error:
            # Nothing of the log: what it says is in other tables.
            self._levels[level] = iter(())
            self.faults.add_damage(error)
            return None

    def _add(self, row: TreeRow, what: str) -> None:
        detail = f"row {row.number!r:.40} of level {row.level}: {what}; {_REMEDY}"
        position = row.position if type(row.position) is int and row.position > 0 else None
        self.faults.add(Fault(kind=FaultKind.TREE, place=PLACE, position=position, detail=detail))


def check_rows(log: Log, *, block: int = BLOCK) -> Faults:
    """Compare the rows with the leaves, and with nothing else."""
    rows = TreeRows(log, block=block)
    tree = Tree(rows.compare, block=block)
    for position, leaf, *_ in log.leaves():
        tree.add(position, leaf)
    return rows.finish()


def _shown(value: object) -> str:
    return value.hex()[:16] + "…" if isinstance(value, bytes) else f"{value!r:.40}"
