"""Proofs made of a log: by the tree that is kept of it, or in one or two passes over its leaves.

None is returned that is not true, whatever the rows of the tree say.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import takewhile

from ledger.errors import BrokenChainError, InvalidCursorError, UnprovenError
from ledger.evidence.digests import GENESIS
from ledger.evidence.kept import KeptTree, NotKeptError
from ledger.evidence.paths import (
    consistency_ranges,
    inclusion_ranges,
    is_consistent,
    is_included,
    leaf_hash,
    roots_of,
)
from ledger.evidence.proofs import ConsistencyProof, EntryProof, entry_preimage
from ledger.evidence.source import Log, Spanning
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.verification import settled
from ledger.law.events import Entry
from ledger.log.rows import entry_from

__all__ = ["entry_proof", "followed", "growth_proof"]


def followed(log: Spanning, position: int) -> tuple[Entry, bytes] | None:
    """Return the entry at `position`, and the digest of the one that it follows.

    None if there is none. Raises BrokenChainError if it is not readable, or follows none.
    """
    if (row := log.row_at(position)) is None:
        return None
    entry = entry_from(row[1:-1])
    previous = row[-1] if entry.version > 1 else GENESIS
    if type(previous) is not bytes:
        raise BrokenChainError(str(entry.key), f"version {entry.version - 1} is missing")
    return entry, previous


def entry_proof(log: Log, entry: Entry, previous: bytes, note: str | bytes) -> EntryProof:
    """Return the proof that `entry` is in the tree of `note`.

    `previous` is the digest of the entry before it on its cursor. Raises InvalidCursorError,
    UnprovenError, BrokenChainError.
    """
    head = TreeHead.unverified(note)
    preimage = entry_preimage(previous, entry)
    with suppress(NotKeptError, BrokenChainError):
        kept = KeptTree(log, head.entries)
        index = kept.index_of(entry.position)
        if index < head.entries:
            path = tuple(kept.roots(inclusion_ranges(index, head.entries)))
            if is_included(index, head.entries, leaf_hash(entry.digest), path, head.root):
                return EntryProof(index=index, path=path, note=_text(note), preimage=preimage)
    # All leaves tell. Positions may have holes, therefore the entries before it are counted.
    index = sum(1 for _ in takewhile(lambda leaf: leaf[0] < entry.position, settled(log)))
    if index >= head.entries:
        raise InvalidCursorError(
            f"position {entry.position} is not among the {head.entries:,} entries of the note; "
            "sign a checkpoint that covers it."
        )
    path = tuple(roots_of(settled(log), inclusion_ranges(index, head.entries)))
    if not is_included(index, head.entries, leaf_hash(entry.digest), path, head.root):
        raise _of_another(head)
    return EntryProof(index=index, path=path, note=_text(note), preimage=preimage)


def growth_proof(log: Log, old: str | bytes, note: str | bytes) -> ConsistencyProof:
    """Return the proof that the tree of `note` begins with that of `old`.

    Raises InvalidCursorError, UnprovenError.
    """
    before, now = TreeHead.unverified(old), TreeHead.unverified(note)
    if before.entries > now.entries:
        raise InvalidCursorError(
            f"the older note is over {before.entries:,} entries, and the newer one over "
            f"{now.entries:,}: exchange them."
        )
    wanted = consistency_ranges(before.entries, now.entries)
    with suppress(NotKeptError, BrokenChainError):
        kept = KeptTree(log, now.entries)
        path = tuple(kept.roots(wanted))
        whole = [(0, now.entries)] if now.entries else []
        if kept.roots(whole) == [now.root] and is_consistent(
            before.entries, now.entries, path, before.root, now.root
        ):
            return ConsistencyProof(old=before.entries, path=path, note=_text(note))
    # Two notes of another ledger are consistent with each other, too.
    first = before if before.entries else now
    if roots_of(settled(log), [(0, first.entries)]) != [first.root]:
        raise _of_another(first)
    path = tuple(roots_of(settled(log), wanted))
    if not is_consistent(before.entries, now.entries, path, before.root, now.root):
        raise _of_another(now)
    return ConsistencyProof(old=before.entries, path=path, note=_text(note))


def _of_another(head: TreeHead) -> UnprovenError:
    return UnprovenError(
        f"the first {head.entries:,} entries of this ledger do not have the root in the note of "
        f"{head.origin:.80}: it is of another ledger, or entries were changed. Run verify() with "
        "the note to see more."
    )


def _text(note: str | bytes) -> str:
    return note if isinstance(note, str) else note.decode()
