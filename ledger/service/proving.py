"""How the log is proved, and what is stored beside it made anew: methods of `Ledger`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from os import PathLike
from typing import TYPE_CHECKING

import attrs

# What `ledger` names is imported where it is used, because few programs prove anything.
import ledger
from ledger.errors import BrokenChainError, LedgerError, invalid
from ledger.law import fields
from ledger.service.methods import method

if TYPE_CHECKING:
    from ledger.evidence import kept
    from ledger.service import Ledger
    from ledger.stores import Exclusive

__all__ = [
    "PROCESSES_MAX",
    "checkpoint",
    "prove",
    "prove_growth",
    "rebuild",
    "sign",
    "verify",
]

SHARED_ENTRIES_MIN = 50_000
"""To start another process takes as long as to check some 10,000 entries."""

PROCESSES_MAX = 64

RANGES_EACH = 32
"""How many ranges each process has, so that none waits long for the last range of another."""


@method
def verify(
    self: Ledger,
    against: ledger.Checkpoint | Iterable[ledger.Checkpoint] | None = None,
    *,
    since: ledger.Checkpoint | None = None,
    turn: int | None = None,
    again: int = 1,
    progress: Callable[[int], None] | None = None,
    processes: int = 1,
) -> ledger.Verification:
    """Check the tables, every chain, and every stored cursor against the fold of its entries.

    All faults are reported. With `against`, checkpoints that were kept, the entries under each
    must still be the same ones, in the same order; all are checked in one pass. `progress` is
    told now and then how many entries were checked.

    With `processes`, from 2 to 64, a long log is checked by so many, this one included. The
    others are new interpreters, each with a connection of its own, and end with the call. What
    is found is the same. A log in memory, in a file that this user may not write to, or of
    fewer than 50,000 entries is checked by this process alone.

    With `since`, a checkpoint that was kept, what is new is checked: the entries behind it, and the
    stored cursors that have some. Older entries are taken by the kept tree, which must lead to the
    root of `since`. A part of them, 16,384 entries, is checked again, and so is a part of the
    stored cursors: another part each day, so that a ledger of a million entries that is checked
    every day is read once in 64 days. `again` is how many parts that are, 1 or more, and `turn`
    another number than that of the day. The `partial` of what is returned says what was not read.
    If anything is wrong, or few entries are older, everything is read, and `partial` is None. The
    first of `against` in what is returned is `since`.

    Raises InvalidCursorError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     kept = book.checkpoint()
    ...     found = book.verify(against=kept)
    >>> found.ok, found.unvouched
    (True, 0)
    """
    from ledger.evidence import verification
    from ledger.evidence.since import verify_since

    kept = _checkpoints(against)
    _processes(processes)
    turn = None if turn is None else fields.sequence(turn, "turn", least=0)
    again = fields.sequence(again, "again", least=1)
    if since is not None:
        since = _since(since)
        with self._store.snapshot() as log:
            found = verify_since(
                log,
                since,
                structure=log.structure,
                against=kept,
                turn=_day(self) if turn is None else turn,
                again=again,
                progress=progress,
            )
        if found is not None:
            return found
        kept = [since, *kept]
    if processes > 1 and _is_long(self):
        return _verify_together(self, kept, progress, processes)
    with self._store.snapshot() as log:
        return verification.verify(log, structure=log.structure(), against=kept, progress=progress)


@method
def checkpoint(self: Ledger, *, origin: str | None = None) -> ledger.Checkpoint:
    """Return the Merkle root over all entries so far, to be kept elsewhere for `verify`.

    The tree is kept beside the log, a row for each full block of 256 settled entries, so that the
    next one reads what is new. Where rows cannot be written, only the next one takes longer. Rows
    that are there are believed, except some that are compared with their entries, others each
    day; `sign` believes none, and `verify` recomputes them all.

    It says when it was made, and for which `origin`: the name of this ledger for others. Without
    one, that is "cursor-ledger/" and its `identity`, or nothing where it has none.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     book.checkpoint().entries
    2
    """
    from ledger.evidence.kept import grown

    origin = origin or _own_origin(self)
    with self._store.snapshot() as log:
        tree = grown(log, turn=_day(self))
    _keep(self, tree)
    return attrs.evolve(tree.now, taken_at=self.now(), origin=origin)


@method
def sign(self: Ledger, key: str | PathLike[str]) -> str:
    """Return a signed note over all entries so far, made with the key in the file `key`.

    The note is a checkpoint that others can verify: https://c2sp.org/tlog-checkpoint. Its origin
    is that of the key, which `make_key` was told. The file beside the key has the last note that
    it has signed. A ledger that does not begin with those entries is refused, so a backup that was
    restored does not get a second history signed. What was signed before is known by the kept tree,
    if that has the root that was signed; all entries since are read.

    Raises DivergedError; InvalidCursorError, StorageError, UnprovenError if a file is not as it
    should be; LedgerBusyError.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     note = book.sign(f"{folder}/key")
    >>> ledger.TreeHead.opened(note, [key.verifier]).entries
    1
    """
    from ledger.evidence.kept import signable
    from ledger.evidence.key_files import held

    with held(key) as own:
        # Later than what the key has signed last, because no other process signs meanwhile.
        with self._store.snapshot() as log:
            tree = signable(log, own.last.entries, own.last.root, turn=_day(self))
        _keep(self, tree)
        return own.sign(tree.then, tree.now)


@method
def prove(self: Ledger, position: int, note: str | bytes) -> ledger.EntryProof:
    """Return the proof that the entry at `position` is in the tree of a signed note.

    `note` is one that `sign` returned. It has the entry in it, so whoever gets the proof reads
    the entry; it needs no database. It is made by the kept tree and some entries; if it does not
    hold, by all entries, which say what is wrong.

    Raises InvalidCursorError if no such entry is in the tree of the note; UnprovenError if the
    note is none, or is not over this ledger; BrokenChainError.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursors = [book.advance(ledger.CursorKey("webhooks", "orders"), to=n) for n in (7, 9)]
    ...     proof = book.prove(2, book.sign(f"{folder}/key"))
    >>> proof.index, len(proof.path)
    (1, 1)
    """
    from ledger.evidence import proving
    from ledger.evidence.source import Begun, Spanning

    position = fields.sequence(position, "position", least=1)
    with self._store.snapshot() as log:
        if not isinstance(log, Spanning) or (isinstance(log, Begun) and log.archived()):
            found = _found(self, position)
        else:
            found = proving.followed(log, position) if position <= log.settled() else None
        if found is None:
            raise invalid("position", f"{position} has no settled entry.", value=position)
        return proving.entry_proof(log, *found, note)


def _digest_of(self: Ledger, key: ledger.CursorKey, version: int) -> bytes:
    """Return the digest of an entry, which may be the last one that was archived."""
    from ledger.evidence.source import archived_digest

    query = ledger.EntryQuery(key=key, version_from=version, version_until=version)
    try:
        entry = next(self.entries(query), None)
    except ledger.ArchivedError:
        with self._store.snapshot() as log:
            if (digest := archived_digest(log, key, version)) is None:
                raise
        return digest
    if entry is None:
        raise BrokenChainError(str(key), f"version {version} is missing")
    return entry.digest


@method
def prove_growth(self: Ledger, old: str | bytes, note: str | bytes) -> ledger.ConsistencyProof:
    """Return the proof that the tree of `note` begins with all entries of the older note `old`.

    Raises UnprovenError if one of them is no note, or is not over this ledger; InvalidCursorError
    if `old` is the newer one.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     old = book.sign(f"{folder}/key")
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     proof = book.prove_growth(old, book.sign(f"{folder}/key"))
    >>> proof.old, proof.verify(old, [key.verifier]).entries
    (0, 1)
    """
    from ledger.evidence import proving

    with self._store.snapshot() as log:
        return proving.growth_proof(log, old, note)


@method
def rebuild(self: Ledger, *, progress: Callable[[int], None] | None = None) -> ledger.Rebuild:
    """Make the stored cursors anew from the log, and report each one that differed.

    Where a row of the kept tree is wrong, all are removed, for the next checkpoint to make them
    anew. The log is not touched. Other writers wait meanwhile. `progress` is told now and then how
    many entries were read.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=41)
    ...     book.rebuild().repaired
    ()
    """

    from ledger.evidence import repair

    def work(transaction: Exclusive) -> ledger.Rebuild:
        with transaction.everything() as log:
            return repair.rebuild(log, progress=progress)

    result = self._appender.run(work)
    repaired, left = (
        sum(fault.kind != ledger.FaultKind.TREE for fault in faults)
        for faults in (result.repaired, result.left)
    )
    if repaired or left:
        from ledger import notices

        notices.CURSORS_REBUILT.report(cursors=result.cursors, repaired=repaired, left=left)
    return result


def _found(self: Ledger, position: int) -> tuple[ledger.Entry, bytes] | None:
    """Return the entry at a position and the digest of the one before, of a store that is asked."""
    from ledger.evidence.digests import GENESIS

    query = ledger.EntryQuery(position_from=position, position_until=position)
    entry = next(self.entries(query), None)
    if entry is None:
        return None
    if entry.version == 1:
        return entry, GENESIS
    before = entry.version - 1
    return entry, _digest_of(self, entry.key, before)


def _keep(self: Ledger, tree: kept.Grown) -> None:
    """Keep the rows that are new, if that is possible; nothing depends on them."""
    if tree.rows and not self._store.immutable and isinstance(self._store, ledger.stores.KeepsTree):
        with suppress(LedgerError):
            self._store.keep_tree(tree.rows)


def _day(self: Ledger) -> int:
    """Return which day it is: with each, another part of what is kept is compared."""
    return self.now().toordinal()


def _own_origin(self: Ledger) -> str | None:
    identity = self.identity()
    return f"cursor-ledger/{identity}" if identity else None


def _is_long(self: Ledger) -> bool:
    with suppress(LedgerError):  # The check of one process says what is wrong.
        return self._store.horizon().last >= SHARED_ENTRIES_MIN
    return False


def _verify_together(
    self: Ledger,
    kept: Sequence[ledger.Checkpoint],
    progress: Callable[[int], None] | None,
    processes: int,
) -> ledger.Verification:
    from ledger.evidence import crew, verification

    with (
        crew.hired(self._store.opening(), processes) as others,
        self._store.snapshot(others) as log,
    ):
        if others:
            parts = min(RANGES_EACH * processes, crew.RANGES_MAX)
            others.share_out(crew.ranges_between(log.cuts(parts)))
        return verification.verify(
            log, structure=log.structure(), against=kept, progress=progress, crew=others
        )


def _checkpoints(against: object) -> list[ledger.Checkpoint]:
    if against is None:
        return []
    kept = [against] if isinstance(against, ledger.Checkpoint) else against
    if isinstance(kept, Iterable):
        kept = list(kept)
        if all(isinstance(each, ledger.Checkpoint) for each in kept):
            return kept
    said = fields.kind(against)
    raise invalid(
        "against",
        f"must be a Checkpoint, or several, not {said}; see Ledger.checkpoint.",
        value=said,
    )


def _since(given: object) -> ledger.Checkpoint:
    if isinstance(given, ledger.Checkpoint):
        return given
    said = fields.kind(given)
    raise invalid("since", f"must be a Checkpoint, not {said}; see Ledger.checkpoint.", value=said)


def _processes(given: object) -> int:
    if type(given) is not int or not 1 <= given <= PROCESSES_MAX:
        said = f"{given!r:.80}"
        raise invalid(
            "processes",
            f"must be from 1 to {PROCESSES_MAX}, not {said}.",
            value=said,
            bound=PROCESSES_MAX,
        )
    return given
