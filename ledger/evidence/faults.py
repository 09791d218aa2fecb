"""The faults of a check, collected within a bound."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ledger.errors import BrokenChainError
from ledger.evidence.findings import Fault, FaultKind
from ledger.law.fields import SEQUENCE_MAX

__all__ = ["FAULTS_MAX", "Faults"]

FAULTS_MAX = 10_000
"""At most this many faults are listed; more are only counted, which bounds the memory."""

# A checkpoint covers digests. An entry with one of these faults is not what its digest covers.
_FALSE = {FaultKind.EDITED, FaultKind.UNREADABLE, FaultKind.ORPHAN, FaultKind.TAG}


@attrs.define
class Faults:
    """The faults so far, in the order in which they are reported."""

    listed: list[Fault] = attrs.field(factory=list)
    count: int = 0
    false_from: int = SEQUENCE_MAX
    """The position of the first entry that does not say what its digest covers."""

    def add(self, fault: Fault) -> None:
        """Add one."""
        self.count += 1
        if fault.kind in _FALSE and fault.position is not None:
            self.false_from = min(self.false_from, fault.position)
        if len(self.listed) < FAULTS_MAX:
            self.listed.append(fault)

    def add_all(self, faults: Iterable[Fault | None]) -> bool:
        """Add each one, and return whether `faults` was read to its end.

        Where the database finds its own file damaged, that is added, and reading ends.
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
        """Add that the database finds its own file damaged."""
        place, detail = error.place or "the log", error.fault or str(error)
        self.add(Fault(kind=FaultKind.DAMAGED, place=place, detail=detail))

    def take(self, others: Faults) -> None:
        """Add what another part of the check has found, behind what is here."""
        self.count += others.count
        self.false_from = min(self.false_from, others.false_from)
        self.listed += others.listed[: FAULTS_MAX - len(self.listed)]

    def all(self) -> tuple[Fault, ...]:
        """Return those that are listed, and how many are not."""
        if self.count == len(self.listed):
            return tuple(self.listed)
        detail = f"{self.count - len(self.listed):,} more faults are not listed"
        return (*self.listed, Fault(kind=FaultKind.MORE, place="the log", detail=detail))
