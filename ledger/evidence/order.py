"""The log checked position by position: the tree over all entries, and odd times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import attrs

from ledger.evidence.findings import Anomaly, Compared, Fault, FaultKind, Standing
from ledger.evidence.merkle import Checkpoint, Tree, TreeRow

__all__ = ["ANOMALIES_MAX", "CLOCK_SLACK", "Order"]

ANOMALIES_MAX = 1_000
"""At most this many anomalies are listed."""

CLOCK_SLACK = timedelta(seconds=60)
"""Neighbours in the log may be recorded so far apart, against their order, and nobody is told.

Machines have clocks that differ, and a caller's transaction may wait for a lock.
"""


class Order:
    """The entries in order of position: their tree, and what it is at each size that matters."""

    def __init__(
        self,
        until: int,
        against: Iterable[Checkpoint],
        on_row: Callable[[TreeRow], None] | None = None,
    ) -> None:
        self.tree = Tree(on_row)
        self.settled: Checkpoint | None = None
        self.anomalies: list[Anomaly] = []
        self.read_to_its_end = True
        self._until = until
        self._sizes = {kept.entries for kept in against}
        self._at: dict[int, Checkpoint] = {0: self.tree.checkpoint()}

    def add_checkpoint(self, known: Checkpoint) -> None:
        """Add what the tree was before the entries that are followed."""
        self._at[known.entries] = known

    def follow(self, leaves: Iterable[tuple[int, bytes, Any]]) -> Iterator[Fault]:
        """Go through all entries; return positions that were given twice."""
        tree, until, sizes = self.tree, self._until, self._sizes
        last = latest = 0
        for position, leaf, recorded_at in leaves:
            if position == last:
                detail = "another entry has the same position"
                yield Fault(
                    kind=FaultKind.POSITION, place="the log", position=position, detail=detail
                )
            if position > until and self.settled is None:
                self.settled = tree.checkpoint()
            tree.add(position, leaf)
            if tree.entries in sizes:
                self._at[tree.entries] = tree.checkpoint()
            if type(recorded_at) is int:
                if recorded_at < latest - _SLACK and tree.entries > 1:
                    self._note(position, last, latest - recorded_at)
                latest = recorded_at
            last = position

    def compare(self, kept: Checkpoint, false_from: int) -> Compared:
        """Compare the log with a checkpoint that was kept; entries are false from `false_from`."""
        now = self._at.get(kept.entries)
        if now is not None and not kept.position:
            # A signed note says only the number of entries, and the root.
            kept = attrs.evolve(kept, position=now.position)
        if now == kept and false_from > kept.position:
            return Compared(checkpoint=kept, standing=Standing.KEPT)
        if now == kept:
            detail = (
                "the digests are those of the checkpoint, but the entry at position "
                f"{false_from} no longer says what its digest covers"
            )
            return Compared(checkpoint=kept, standing=Standing.CHANGED, detail=detail)
        last = self.tree.checkpoint()
        if None not in (kept.first, last.first) and kept.first != last.first:
            standing = Standing.OTHER
            detail = (
                "its first entry is another one: it is of another ledger, or this one was "
                "rewritten from its first entry on"
            )
        elif now is None and not self.read_to_its_end:
            standing = Standing.UNREAD
            detail = f"the database could be read up to entry {self.tree.entries:,} only"
        elif now is None:
            standing = Standing.CUT_OFF
            detail = (
                f"only {self.tree.entries:,} of its {kept.entries:,} entries are there: the log "
                f"was cut off behind position {last.position}, or entries were removed"
            )
        else:
            standing = Standing.CHANGED
            detail = (
                f"the first {kept.entries:,} entries are not those of the checkpoint: some were "
                "changed, removed, added, or put in another order"
            )
        return Compared(checkpoint=kept, standing=standing, detail=detail)

    def _note(self, position: int, before: int, micros: int) -> None:
        if len(self.anomalies) < ANOMALIES_MAX:
            ago = timedelta(seconds=micros // 1_000_000)
            detail = f"it was recorded {ago} before position {before}, behind which it stands"
            self.anomalies.append(Anomaly(position=position, detail=detail))


_SLACK = CLOCK_SLACK // timedelta(microseconds=1)
