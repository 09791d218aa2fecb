"""The check of the evidence: the tables, every chain, every stored cursor, and what was kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeAlias

import attrs

from ledger.errors import BrokenChainError
from ledger.evidence.findings import Anomaly, Compared, Fault, FaultKind, Standing, Verification
from ledger.evidence.following import FAULTS_MAX, PROGRESS_ENTRIES, Chain, Log, StoredHead, paired
from ledger.evidence.merkle import Checkpoint, Tree
from ledger.law.fields import SEQUENCE_MAX

__all__ = ["ANOMALIES_MAX", "CLOCK_SLACK", "settled", "verify"]

ANOMALIES_MAX = 1_000
"""So many anomalies are listed."""

CLOCK_SLACK = timedelta(seconds=60)
"""Neighbours in the log may be recorded so far apart, against their order, and nobody is told.

Machines have clocks that differ, and a caller's transaction may wait for a lock.
"""

Progress: TypeAlias = Callable[[int], None]


def verify(
    log: Log, *, against: Sequence[Checkpoint] = (), progress: Progress | None = None
) -> Verification:
    """Check `log`, and report all faults rather than the first.

    The entries under each checkpoint in `against` must still be the same ones, in the same order.
    `progress` is told now and then how many entries were checked. Memory does not grow with the
    log.
    """
    found = _Found()
    found.add_all(log.structure())
    entries, cursors, whole_chains = _check_chains(log, found, progress)
    order = _Order(_settled(log, found), against)
    order.read_to_its_end = found.add_all(order.follow(log))
    if order.read_to_its_end and whole_chains and order.tree.entries != entries:
        detail = f"the table has {order.tree.entries:,} entries, its index by cursor {entries:,}"
        found.add(Fault(kind=FaultKind.INDEX, place="the log", detail=detail))
    whole = order.settled or order.tree.checkpoint()
    if order.tree.entries and not whole.entries:
        detail = (
            "an open transaction may still append before the first entry, so no checkpoint covers "
            "what is there; verify again when it has ended"
        )
        found.add(Fault(kind=FaultKind.UNSETTLED, place="the log", detail=detail))
    compared = tuple(order.compare(kept, found.false_from) for kept in against)
    vouched = max(
        (each.checkpoint.entries for each in compared if each.standing is Standing.KEPT), default=0
    )
    found.add_all(_lost(compared))
    return Verification(
        entries=entries,
        cursors=cursors,
        faults=found.all(),
        checkpoint=whole,
        anomalies=tuple(order.anomalies),
        against=compared,
        unsettled=order.tree.entries - whole.entries,
        unvouched=max(0, order.tree.entries - vouched),
    )


def settled(log: Log) -> Iterator[tuple[int, bytes]]:
    """Return (position, digest) of the entries that a checkpoint is over.

    What is appended before a checkpoint would make it untrue, so it does not cover entries that
    something may still come in front of.
    """
    until = log.settled()
    return ((position, leaf) for position, leaf, _ in log.leaves() if position <= until)


def _settled(log: Log, found: _Found) -> int:
    try:
        return log.settled()
    except BrokenChainError as error:
        found.add_damage(error)
        return SEQUENCE_MAX  # What can be read is there; what comes behind it nobody knows.


# A checkpoint covers digests, and with these an entry no longer is what its digest covers.
_FALSE = {FaultKind.EDITED, FaultKind.UNREADABLE, FaultKind.ORPHAN, FaultKind.TAG}


@attrs.define
class _Found:
    """The faults so far; past `FAULTS_MAX` they are only counted."""

    false_from: int = SEQUENCE_MAX
    """The position of the first entry that does not say what its digest covers."""
    _listed: list[Fault] = attrs.field(factory=list)
    _count: int = 0

    def add(self, fault: Fault) -> None:
        self._count += 1
        if fault.kind in _FALSE and fault.position is not None:
            self.false_from = min(self.false_from, fault.position)
        if len(self._listed) < FAULTS_MAX:
            self._listed.append(fault)

    def add_all(self, faults: Iterable[Fault | None]) -> bool:
        """Add each one, and say whether these were all.

        Where the database finds its own file damaged, that is added, and no more of them.
        """
        try:
            for fault in faults:
                if fault is not None:
                    self.add(fault)
        except BrokenChainError as error:
            self.add_damage(error)
            return False
        return True

    def add_damage(self, error: BrokenChainError) -> None:
        place, detail = error.place or "the log", error.fault or str(error)
        self.add(Fault(kind=FaultKind.DAMAGED, place=place, detail=detail))

    def all(self) -> tuple[Fault, ...]:
        if self._count <= FAULTS_MAX:
            return tuple(self._listed)
        detail = f"{self._count - FAULTS_MAX:,} more faults are not listed"
        return (*self._listed, Fault(kind=FaultKind.MORE, place="the log", detail=detail))


# --- by cursor ---


def _check_chains(log: Log, found: _Found, progress: Progress | None) -> tuple[int, int, bool]:
    """Follow every chain beside its stored cursor.

    Returns the number of entries and of cursors, and whether these are all that there are.
    """
    entries = cursors = 0

    def faults() -> Iterator[Fault | None]:
        nonlocal entries, cursors
        for head, rows in paired(log):
            chain = Chain(place=head[1] if head else "no cursor")
            cursors += head is not None
            seen = 0
            for seen, row in enumerate(rows, 1):
                entries += 1
                if progress is not None and entries % PROGRESS_ENTRIES == 0:
                    progress(entries)
                if head is not None:
                    yield from chain.follow(row)
                elif seen == 1:
                    yield _orphan(row[0])
            if head is not None:
                yield chain.compare(head[2]) if seen else _without_entries(head)

    whole = found.add_all(faults())
    return entries, cursors, whole


def _without_entries(head: StoredHead) -> Fault:
    detail = "a cursor is stored, but no entry of it is in the log"
    return Fault(kind=FaultKind.MISSING, place=head[1], detail=detail)


def _orphan(position: int) -> Fault:
    detail = "this entry, and all of the same cursor, have no stored cursor"
    return Fault(kind=FaultKind.ORPHAN, place="no cursor", position=position, detail=detail)


# --- by position ---


class _Order:
    """The entries in order of position: their tree, and what it is at each size that matters."""

    def __init__(self, until: int, against: Iterable[Checkpoint]) -> None:
        self.tree = Tree()
        self.settled: Checkpoint | None = None
        self.anomalies: list[Anomaly] = []
        self.read_to_its_end = True
        self._until = until
        self._sizes = {kept.entries for kept in against}
        self._at: dict[int, Checkpoint] = {0: self.tree.checkpoint()}

    def follow(self, log: Log) -> Iterator[Fault]:
        """Go through all entries; return positions that were given twice."""
        tree, until, sizes = self.tree, self._until, self._sizes
        last = latest = 0
        for position, leaf, recorded_at in log.leaves():
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
        """Say how the log stands to a checkpoint that was kept, if entries are false from there."""
        now = self._at.get(kept.entries)
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


def _lost(compared: Iterable[Compared]) -> Iterator[Fault]:
    """Return a fault for each checkpoint that is not kept, the smallest first."""
    held = 0
    for each in sorted(compared, key=lambda each: each.checkpoint.entries):
        size = each.checkpoint.entries
        if each.standing is Standing.KEPT:
            held = size
            continue
        since = f"; the first {held:,} are, by an earlier checkpoint" if held else ""
        yield Fault(
            kind=FaultKind.CHECKPOINT,
            place=f"the checkpoint over {size:,} entries",
            position=each.checkpoint.position,
            detail=f"{each.standing}: {each.detail}{since}",
        )
