"""What a check of the evidence finds: faults, anomalies, and what it covered."""

from __future__ import annotations

from enum import StrEnum

import attrs

from ledger.evidence.merkle import Checkpoint

__all__ = ["Anomaly", "Compared", "Fault", "FaultKind", "Partial", "Standing", "Verification"]


class FaultKind(StrEnum):
    """The kinds of fault. Each is one way in which a log can be wrong.

    >>> import ledger
    >>> ledger.FaultKind("edited")
    <FaultKind.EDITED: 'edited'>
    """

    EDITED = "edited"
    """The digest does not fit what the entry says."""
    MISSING = "missing"
    """Entries before this one are gone, or all entries of a stored cursor."""
    ORDER = "order"
    """Positions or times run against the versions of a cursor."""
    LAW = "law"
    """The law does not allow the event there."""
    UNREADABLE = "unreadable"
    """The row holds no entry: wrong types, an unknown tag, a time out of range."""
    CURSOR = "cursor"
    """A stored cursor is not the fold of its entries."""
    ORPHAN = "orphan"
    """Entries have no stored cursor."""
    KEY = "key"
    """Two stored cursors have the same key, or one is stored under an id that is not its key's."""
    POSITION = "position"
    """A position was given twice, or is beyond the last one that was given."""
    TAG = "tag"
    """The table of tags is not the one that events are kept under, or an entry has none of them."""
    INDEX = "index"
    """A table and one of its indexes disagree, so a reader may miss what the table has."""
    DAMAGED = "damaged"
    """The database's own check of its file or pages fails."""
    DEFINITION = "definition"
    """A table, index, view, trigger or function is missing, or is not as it was made."""
    FOREIGN = "foreign"
    """Something that the ledger did not make stands on its tables, or has one of its names."""
    UNSETTLED = "unsettled"
    """Nothing is settled, so the checkpoint covers none of the entries that are there."""
    CHECKPOINT = "checkpoint"
    """The entries under a checkpoint that was kept are no longer the same."""
    TREE = "tree"
    """A row of the tree that is kept beside the log is not what the entries make it."""
    SESSION = "session"
    """A reset or start has no note of who was logged in to the database, or a note has none."""
    MORE = "more"
    """Faults past the bound of the list; `detail` has their number."""


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that is wrong, and where. `FaultKind` says what each kind means.

    `place` is the cursor, table or index, `position` and `version` are those of the entry, None if
    it is not about one, and `detail` says what is wrong. `kind` is for programs.

    >>> import ledger
    >>> kind = ledger.FaultKind.EDITED
    >>> fault = ledger.Fault(
    ...     kind=kind, place="webhooks/orders", position=7, version=3, detail="the digest differs"
    ... )
    >>> print(fault)
    edited: position 7, webhooks/orders: the digest differs
    """

    kind: FaultKind
    place: str
    position: int | None = None
    version: int | None = None
    detail: str

    def __str__(self) -> str:
        where = self.place if self.position is None else f"position {self.position}, {self.place}"
        return f"{self.kind}: {where}: {self.detail}"


@attrs.frozen(kw_only=True)
class Anomaly:
    """Something odd that is no fault: the clock of a machine may have been set.

    `position` is that of the entry, and `detail` says what is odd.

    >>> import ledger
    >>> print(ledger.Anomaly(position=7, detail="recorded an hour after the next"))
    position 7: recorded an hour after the next
    """

    position: int
    detail: str

    def __str__(self) -> str:
        return f"position {self.position}: {self.detail}"


class Standing(StrEnum):
    """How a log stands to a checkpoint that was kept of it.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, ledger.open(":memory:") as other:
    ...     cursors = book.advance(key, to=41), other.advance(key, to=7)
    ...     other.verify(book.checkpoint()).against[0].standing
    <Standing.OTHER: 'other ledger'>
    """

    KEPT = "kept"
    """The entries under the checkpoint are all there, the same, and in the same order."""
    BY_TREE = "kept by its tree"
    """The tree is still that of the checkpoint, but not all of the entries in it were read."""
    CUT_OFF = "cut off"
    """The log has fewer entries than the checkpoint."""
    CHANGED = "changed"
    """Entries under the checkpoint were changed, removed, added, or put in another order."""
    UNREAD = "unread"
    """The database is damaged, and could not be read so far."""
    OTHER = "other ledger"
    """The first entry is another one: the checkpoint is of another ledger, or all was rewritten."""


@attrs.frozen(kw_only=True)
class Compared:
    """How the log stands to one checkpoint; `detail` says what is known of the difference.

    `checkpoint` is the one that was kept, and `standing` says whether the log still has what it
    covers.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     [compared] = book.verify(book.checkpoint()).against
    >>> compared.standing is ledger.Standing.KEPT, compared.checkpoint.entries
    (True, 1)
    """

    checkpoint: Checkpoint
    standing: Standing
    detail: str = ""


@attrs.frozen(kw_only=True)
class Partial:
    """What a check since a checkpoint has not read, and what it has read again.

    `unread` is how many entries under the checkpoint were not read: for these, only the kept tree
    was held against the checkpoint. `again` is how many of the older entries were read again, other
    ones each day: `turns` such checks, one a day, read everything.

    >>> import ledger
    >>> partial = ledger.Partial(unread=983_616, again=16_384, turns=64)
    >>> partial.unread + partial.again
    1000000
    """

    unread: int
    again: int
    turns: int


@attrs.frozen(kw_only=True)
class Verification:
    """What was found in so many entries and stored cursors, and what the check covered.

    `checkpoint` is over the entries that are settled; `unsettled` entries come behind it, where a
    transaction may still append something between them. `against` has the checkpoints that were
    kept, in the order in which they were given. `unvouched` entries are newer than the largest of
    them that holds: for these, nothing outside the database vouches.

    `entries` and `cursors` count what was read. `faults` are wrong, `anomalies` only odd; `ok` says
    that there are no faults in what was read. That is everything if `partial` is None; after a
    check since a checkpoint, it says what was left out.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     found = book.verify()
    >>> found.ok, found.entries, found.cursors, found.faults, found.unvouched
    (True, 1, 1, (), 1)
    """

    entries: int
    cursors: int
    faults: tuple[Fault, ...]
    checkpoint: Checkpoint
    anomalies: tuple[Anomaly, ...] = ()
    against: tuple[Compared, ...] = ()
    unsettled: int = 0
    unvouched: int = 0
    partial: Partial | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    @property
    def archived(self) -> int:
        """How many entries come before these that were archived and removed.

        Their digests were read, but not what they said, which is in the archive.
        """
        if self.partial is not None:
            return 0  # Of a ledger of which entries were removed, everything else is read.
        return max(0, self.checkpoint.entries + self.unsettled - self.entries)
