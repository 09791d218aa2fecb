"""Stored cursors made anew from the log. The log itself is never changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import attrs

from ledger.evidence.chains import PROGRESS_ENTRIES, CursorCheck
from ledger.evidence.faults import FAULTS_MAX
from ledger.evidence.findings import Fault
from ledger.evidence.source import NO_HEAD, Beginnings, Log, paired
from ledger.evidence.tree_rows import check_rows
from ledger.log.columns import STATE
from ledger.log.rows import Row

__all__ = ["Forgetting", "Rebuild", "Repairable", "rebuild"]


class Repairable(Log, Protocol):
    """A log whose stored cursors may be written, in one transaction."""

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state`, in the order of `STATE`, as the state of that cursor."""


@runtime_checkable
class Forgetting(Protocol):
    """What such a log can do as well if its tree is kept beside it."""

    def forget_tree(self) -> bool:
        """Remove all rows of the tree, and return whether this user may."""


@attrs.frozen(kw_only=True)
class Rebuild:
    """What was made anew, of so many stored cursors.

    `repaired` says of each cursor that differed what was stored and what its entries make it.
    `left` are those that were left as they are, because the log cannot vouch for them: `verify`
    finds faults among their entries, or the stored cursor proves that the log has lost its end.
    At most 10,000 of each are listed. Where a row of the tree that is kept beside the log is wrong,
    all rows are removed, to be made anew by the next checkpoint; each wrong one is among them, too.

    `cursors` is how many stored cursors were looked at.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     book.rebuild()
    Rebuild(cursors=1, repaired=(), left=())
    """

    cursors: int
    repaired: tuple[Fault, ...]
    left: tuple[Fault, ...]


def rebuild(log: Repairable, *, progress: Callable[[int], None] | None = None) -> Rebuild:
    """Compare every stored cursor with the fold of its entries; store the fold where they differ.

    `progress` is told now and then how many entries were read. Memory does not grow with the log.
    """
    repaired: list[Fault] = []
    left: list[Fault] = []
    entries = cursors = 0
    beginnings = Beginnings(log)
    for head, rows in paired(log):
        cursor_id, place, stored = head or NO_HEAD
        check = CursorCheck(place=place)
        if head is not None:
            check.begin(beginnings.of(cursor_id))
        for row in rows:
            # What is wrong, verify reports; what counts here is whether it is sound.
            check.follow(row)
            entries += 1
            if progress is not None and entries % PROGRESS_ENTRIES == 0:
                progress(entries)
        if head is None:
            continue
        cursors += 1
        difference, state = check.compare(stored), check.state
        if difference is None or state is None:
            continue
        if check.sound and not _is_ahead(stored, state):
            log.restore(cursor_id, state)
            kept = repaired
        else:
            kept = left
        if len(kept) < FAULTS_MAX:
            kept.append(difference)
    if isinstance(log, Forgetting) and (wrong := check_rows(log).all()):
        kept = repaired if log.forget_tree() else left
        kept += wrong[: max(0, FAULTS_MAX - len(kept))]
    return Rebuild(cursors=cursors, repaired=tuple(repaired), left=tuple(left))


def _is_ahead(stored: Row, state: Row) -> bool:
    """Return whether a stored cursor has seen entries that the log no longer has.

    It is the only evidence of them, so it is not overwritten.
    """
    version, digest = stored[_VERSION], stored[_DIGEST]
    return isinstance(version, int) and version > state[_VERSION] and digest != state[_DIGEST]


_VERSION = STATE.place("version")
_DIGEST = STATE.place("digest")
