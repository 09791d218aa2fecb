"""A log copied to another database: the same entries, positions and digests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import attrs

from ledger.errors import BrokenChainError, DivergedError, InvalidCursorError
from ledger.evidence.digests import GENESIS, digest_of
from ledger.evidence.merkle import Checkpoint, checkpoint_over
from ledger.evidence.verification import settled
from ledger.law import rules
from ledger.law.cursor import CursorKey
from ledger.law.events import Entry
from ledger.law.queries import EntryQuery
from ledger.log.heads import Head, make_head
from ledger.log.rows import Content, content_of
from ledger.log.text import micros
from ledger.stores import Draft, Provable, Reader, Transaction

__all__ = ["BATCH_ENTRIES", "Batch", "Copied", "copy"]

BATCH_ENTRIES = 1_000


POSITION_MAX = 2**62
"""No digest covers a position. Behind the last one that there is, SQLite would choose any."""


@attrs.frozen(kw_only=True)
class Copied:
    """What was copied, and the checkpoint that both ledgers have now.

    `entries` is how many entries were copied, and `checkpoint` the checkpoint that both have.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, ledger.open(":memory:") as archive:
    ...     cursor = book.advance(key, to=41)
    ...     copied = book.copy_to(archive)
    ...     copied.entries, copied.checkpoint == archive.checkpoint()
    (1, True)
    """

    entries: int
    checkpoint: Checkpoint


class Source(Reader, Provable, Protocol):
    """What is copied: it is read, and checked."""


def copy(
    source: Source,
    target: Provable,
    *,
    write: Callable[[Callable[[Transaction], None]], None],
    progress: Callable[[int], None] | None = None,
) -> Copied:
    """Append to `target` what it lacks of `source`, entry by entry; then compare all of it.

    What `target` has must be the beginning of `source`. A copy that was interrupted goes on where
    it was. `write` runs work in a transaction of the target, in its turn among other calls.
    `progress` is told how many entries were copied.

    Raises DivergedError, BrokenChainError if an entry does not follow from those before it.
    """
    there = _checkpoint(target)
    _compare(source, there)
    copied, after = 0, there.position
    entries = source.entries(EntryQuery(position_from=after + 1))
    while batch := list(islice(entries, BATCH_ENTRIES)):
        write(Batch(batch, after).append)
        after = batch[-1].position
        copied += len(batch)
        if progress is not None:
            progress(copied)
    whole = _checkpoint(target)
    _compare(source, whole)
    return Copied(entries=copied, checkpoint=whole)


def _checkpoint(store: Provable) -> Checkpoint:
    with store.snapshot() as log:
        return checkpoint_over(settled(log))


def _compare(source: Provable, there: Checkpoint) -> None:
    with source.snapshot() as log:
        beginning = checkpoint_over(log.leaves(), entries=there.entries)
    if beginning != there:
        raise DivergedError(
            f"the target has {there.entries:,} entries, which are not the first {there.entries:,} "
            "of the source: it is another ledger, or one of them was written to in the meantime, "
            "or edited. Copy to an empty target."
        )


@attrs.define
class Batch:
    """Entries that are appended as they are, together or not at all, behind the position `after`.

    Each must follow from those before it, by law and by digest.
    """

    entries: Sequence[Entry]
    after: int
    followed: int = attrs.field(init=False, default=0)
    """How many of them follow, when another does not."""

    def append(self, transaction: Transaction) -> None:
        """Append the entries.

        Raises DivergedError, BrokenChainError, InvalidCursorError.
        """
        with transaction.everything() as log:
            if log.settled() != self.after:
                raise DivergedError(
                    "somebody else has written to the target in the meantime. Nothing was appended "
                    "behind that; copy to an empty target."
                )
            transaction.hold({entry.key for entry in self.entries})
            heads: dict[CursorKey, Head] = {}
            drafts: list[Draft] = []
            self.followed = 0
            for entry in self.entries:
                if entry.position > POSITION_MAX:
                    raise InvalidCursorError(
                        "its position leaves no room for what is appended behind it: none is above "
                        f"{POSITION_MAX:,}."
                    )
                head, content = _following(
                    entry, heads.get(entry.key) or transaction.head(entry.key)
                )
                heads[entry.key] = head
                drafts.append((head, content))
                self.followed += 1
            positions = [entry.position for entry in self.entries]
            transaction.append(drafts, heads.values(), positions)


def _following(entry: Entry, before: Head | None) -> tuple[Head, Content]:
    """Return the head that `entry` makes behind `before`, and what it says."""
    recorded_at = micros(entry.recorded_at)
    content = content_of(
        entry.key,
        entry.version,
        entry.epoch,
        recorded_at,
        entry.actor,
        entry.metadata,
        entry.event,
    )
    # Before its digest, because what is missing before it is told by its version.
    cursor = rules.replay(before.cursor if before else None, entry)
    digest = digest_of(before.digest if before else GENESIS, content)
    if digest != entry.digest:
        raise BrokenChainError(
            f"position {entry.position}, {entry.key}",
            "its digest does not fit what it says, so it is not copied",
        )
    cursor_id = before.cursor_id if before else None
    head = make_head(cursor_id=cursor_id, cursor=cursor, recorded_at=recorded_at, digest=digest)
    return head, content
