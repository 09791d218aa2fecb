"""The check of what is new since a checkpoint, and of a part of what is older, in turn.

Entries under the checkpoint are taken by the rows that are kept of the tree, which have to lead to
its root. If anything is not as it should be, nothing is said of it here: the whole log is read, and
that report is the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import attrs

from ledger.errors import BrokenChainError
from ledger.evidence.findings import Compared, Fault, Partial, Standing, Verification
from ledger.evidence.kept import Blocks, Kept, KeptTree, NotKeptError, in_turn, kept_of, turns_of
from ledger.evidence.merkle import BLOCK, LEVELS, Checkpoint
from ledger.evidence.order import Order
from ledger.evidence.source import Begun, Keeping, Log, Partible
from ledger.evidence.spans import check_heads, check_span
from ledger.evidence.tree_rows import TreeRows
from ledger.law.fields import SEQUENCE_MAX

__all__ = ["verify_since"]


def verify_since(
    log: Log,
    since: Checkpoint,
    *,
    structure: Callable[[], Iterable[Fault]],
    against: Sequence[Checkpoint] = (),
    turn: int = 0,
    again: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Verification | None:
    """Check what `log` has behind the checkpoint `since`, and a part of what is older.

    `structure` returns what the store finds wrong with its own tables; it is asked at one of the
    turns. The older entries are in parts, of which `again` are checked again, others with each
    `turn`. The entries under each checkpoint in `against` must still have its root.

    Return None if anything is wrong, if too little of the tree is kept, or if everything would be
    read anyway: `verify` is to be asked then.
    """
    if not isinstance(log, Partible) or (isinstance(log, Begun) and log.archived()):
        return None  # Of entries that were removed, nothing but the digests can be read again.
    try:
        # One leaf at least is read below that size, which says where the rows have ended.
        kept = kept_of(log, BLOCK, max(since.entries - 1, 0) // BLOCK)
        turns = turns_of(kept.blocks)
        if again >= turns:
            return None
        _refuse(log.definitions())
        order, compared = _followed(log, kept, (since, *against))
        blocks = Blocks(log, kept)
        entries, cursors = check_span(log, kept.position, confirm=blocks.confirm, progress=progress)
        if entries != order.tree.entries - kept.blocks * BLOCK:
            return None
        older, had = 0, set[int]()
        for nth in range(turn * again, (turn + 1) * again):
            first, end = in_turn(kept.blocks, nth)
            if first not in had:
                older += _check_again(log, blocks, first, end)
                had.add(first)
            if progress is not None:
                progress(entries + older)
            cursors += check_heads(log, log.share(nth % turns, turns))
            if nth % turns == 0:
                _refuse(structure())
                _refuse_rows_of_no_block(log)
    except (BrokenChainError, NotKeptError):
        return None
    whole = order.settled or order.tree.checkpoint()
    vouched = max(each.checkpoint.entries for each in compared)
    return Verification(
        entries=entries + older,
        cursors=cursors,
        faults=(),
        checkpoint=whole,
        anomalies=tuple(order.anomalies),
        against=compared,
        unsettled=order.tree.entries - whole.entries,
        unvouched=order.tree.entries - vouched,
        partial=Partial(
            unread=kept.blocks * BLOCK - older,
            again=older,
            turns=-(-turns // again),
        ),
    )


def _followed(
    log: Partible, kept: Kept, against: Sequence[Checkpoint]
) -> tuple[Order, tuple[Compared, ...]]:
    """Return the tree over all entries, of which those in `kept` are taken from there.

    Raises NotKeptError if it is not the tree of each checkpoint in `against`.
    """
    rows = TreeRows(log, kept.counts)
    order = Order(log.settled(), against, rows.compare)
    for row in kept.rows:
        order.tree.add_full(row.root, BLOCK**row.level, row.position)
    for _, first, *_ in log.leaves_after(0, 1):
        order.tree.begin_with(first)
    smaller = [each.entries for each in against if each.entries <= order.tree.entries]
    if any(smaller):
        tree = KeptTree(log, order.tree.entries)
        for entries in filter(None, smaller):
            order.add_checkpoint(tree.checkpoint(entries))
    _refuse(order.follow(log.leaves_after(kept.position)))
    _refuse(rows.finish().all())
    compared = [order.compare(each, SEQUENCE_MAX) for each in against]
    if any(each.standing is not Standing.KEPT for each in compared):
        raise NotKeptError
    return order, tuple(attrs.evolve(each, standing=Standing.BY_TREE) for each in compared)


def _check_again(log: Partible, blocks: Blocks, first: int, end: int) -> int:
    """Check the entries in the blocks from `first` to before `end`; return how many they are."""
    blocks.compare(first, end)
    after, until = blocks.position_before(first), blocks.row(1, end - 1).position
    entries, _ = check_span(log, after, until)
    if entries != (end - first) * BLOCK:
        raise NotKeptError
    return entries


def _refuse_rows_of_no_block(log: Keeping) -> None:
    for level in range(1, LEVELS + 1):
        for row in islice(log.tree_rows(level), 1):
            if row.number != 0:
                raise NotKeptError


def _refuse(faults: Iterable[Fault]) -> None:
    for _ in faults:
        raise NotKeptError
