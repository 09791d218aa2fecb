"""The check of the evidence: the tables, every chain, every stored cursor, and what was kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from ledger.errors import BrokenChainError
from ledger.evidence.chains import CheckedChains, check_chains
from ledger.evidence.faults import Faults
from ledger.evidence.findings import Compared, Fault, FaultKind, Standing, Verification
from ledger.evidence.merkle import Checkpoint
from ledger.evidence.order import Order
from ledger.evidence.source import Begun, Log
from ledger.evidence.tree_rows import TreeRows
from ledger.law.fields import SEQUENCE_MAX

__all__ = ["Crew", "settled", "verify"]

Progress: TypeAlias = Callable[[int], None]


class Crew(Protocol):
    """Processes that check chains of the same log, as of the same moment."""

    def check_chains(self, log: Log, progress: Progress | None) -> CheckedChains | None:
        """Check the chains together with this process; None if that cannot be relied on."""


def verify(
    log: Log,
    *,
    structure: Iterable[Fault] = (),
    against: Sequence[Checkpoint] = (),
    progress: Progress | None = None,
    crew: Crew | None = None,
) -> Verification:
    """Check `log`, and report all faults rather than the first.

    `structure` is what the store finds wrong with its own tables. The entries under each checkpoint
    in `against` must still be the same ones, in the same order. `progress` is told now and then how
    many entries were checked. `crew` changes how long it takes, and not what is found. Memory does
    not grow with the log.
    """
    found, unread, doubled = Faults(), Faults(), Faults()
    found.add_all(structure)
    rows = TreeRows(log)
    order = Order(_settled(log, unread), against, rows.compare)
    order.read_to_its_end = doubled.add_all(order.follow(log.leaves()))
    chains = None
    if crew is not None and not found.count:
        # Where the tables are not as they were made, an id may be of a type that ranges leave out.
        chains = crew.check_chains(log, progress)
    if chains is None or not chains.whole:
        chains = check_chains(log, progress=progress)
    for part in (chains.faults, unread, doubled):
        found.take(part)
    if order.read_to_its_end:
        found.take(rows.finish())
    archived = log.archived() if isinstance(log, Begun) else 0
    there = order.tree.entries - archived
    if order.read_to_its_end and chains.whole and there != chains.entries:
        detail = f"the table has {there:,} entries, its index by cursor {chains.entries:,}"
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
        entries=chains.entries,
        cursors=chains.cursors,
        faults=found.all(),
        checkpoint=whole,
        anomalies=tuple(order.anomalies),
        against=compared,
        unsettled=order.tree.entries - whole.entries,
        unvouched=max(0, order.tree.entries - vouched),
    )


def settled(log: Log) -> Iterator[tuple[int, bytes]]:
    """Return (position, digest) of the entries that a checkpoint is over.

    A checkpoint does not cover an entry as long as another may still be appended before it, because
    that would make the checkpoint untrue.
    """
    until = log.settled()
    return ((position, leaf) for position, leaf, _ in log.leaves() if position <= until)


def _settled(log: Log, found: Faults) -> int:
    try:
        return log.settled()
    except BrokenChainError as error:
        found.add_damage(error)
        return SEQUENCE_MAX  # What can be read is there; what comes behind it nobody knows.


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
            position=each.checkpoint.position or None,
            detail=f"{each.standing}: {each.detail}{since}",
        )
