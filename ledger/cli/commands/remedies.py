"""What to do next about the faults that `verify` finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger.cli.process.hosts import command_name
from ledger.evidence.findings import Fault, FaultKind

__all__ = ["remedies"]

_CHANGED = (
    "The log was changed, and nothing repairs that: stop what appends, and keep the database as "
    "it is. Verify a backup against a checkpoint that was kept elsewhere, and put it back: "
    "{restore} (docs/backup.md)."
)
_ALTERED = (
    "Somebody changed the tables, and may have changed entries: verify against a checkpoint that "
    "was kept elsewhere, by --against or --checkpoint. If it holds, make the tables anew: "
    "{name} copy --move LEDGER NEW (docs/command-line.md)."
)
_STEPS = {
    FaultKind.EDITED: _CHANGED,
    FaultKind.MISSING: _CHANGED,
    FaultKind.ORDER: _CHANGED,
    FaultKind.LAW: _CHANGED,
    FaultKind.UNREADABLE: _CHANGED,
    FaultKind.CURSOR: "Stored cursors are rebuilt from their entries: {name} verify --repair "
    "(docs/command-line.md).",
    FaultKind.ORPHAN: _CHANGED,
    FaultKind.KEY: _CHANGED,
    FaultKind.POSITION: _CHANGED,
    FaultKind.TAG: _CHANGED,
    FaultKind.INDEX: "An index and its table disagree: keep a copy of the database as it is, make "
    "the indexes anew by REINDEX in SQL, and verify against a checkpoint that was kept elsewhere "
    "(docs/design.md).",
    FaultKind.DAMAGED: "The database is damaged: stop what uses it, check its disk, and put a "
    "backup back: {restore} (docs/backup.md).",
    FaultKind.DEFINITION: _ALTERED,
    FaultKind.FOREIGN: _ALTERED,
    FaultKind.UNSETTLED: "An open transaction holds up the check; to see which: {name} status",
    FaultKind.CHECKPOINT: "A checkpoint does not hold: check that it is of this ledger. If it is, "
    "the log was cut off or rewritten. Verify a backup against the same checkpoint, and put it "
    "back: {restore} (docs/backup.md).",
    FaultKind.TREE: "The kept tree is made again from the entries: {name} verify --repair, and "
    "the next checkpoint (docs/evidence.md).",
    FaultKind.SESSION: "Who was logged in cannot be restored: look for these resets and starts in "
    "the server's own log (docs/postgresql.md).",
}
"""What is said of each kind; of those that are only counted, nothing."""

_LEFT = {
    FaultKind.CURSOR: "A stored cursor that --repair leaves has faults in its entries, or has "
    "seen more entries than the log has: put a backup back: {restore} (docs/backup.md).",
    FaultKind.TREE: "Only the owner of the tables may remove the kept tree: as this user, run "
    "{name} verify --repair",
}
"""What is said of a kind that was to be repaired, and is still there."""


def remedies(faults: Iterable[Fault], *, repaired: bool, in_file: bool) -> Iterator[str]:
    """Yield what to do next about each kind of fault, each sentence once.

    `repaired` says that --repair was tried before, `in_file` that the ledger is in a file.
    """
    name = command_name()
    restore = f"{name} restore BACKUP" if in_file else "pg_restore"
    said = _STEPS | _LEFT if repaired else _STEPS
    kinds = (fault.kind for fault in faults)
    for step in dict.fromkeys(said[kind] for kind in kinds if kind in said):
        yield step.format(name=name, restore=restore)
