"""The check of the evidence: every chain, and every stored cursor against its entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Protocol, TypeAlias

import attrs

from ledger import codec, rules
from ledger.chain import GENESIS, STATE, Checkpoint, Head, checkpoint, digest
from ledger.codec import Row
from ledger.cursor import Cursor
from ledger.errors import BrokenChainError

__all__ = [
    "FAULTS_MAX",
    "Chain",
    "Fault",
    "Log",
    "StoredHead",
    "Verification",
    "paired",
    "settled",
    "verify",
]

FAULTS_MAX = 10_000
"""So many faults are listed; past them they are only counted, to bound the memory."""

PROGRESS_ENTRIES = 10_000

StoredHead: TypeAlias = tuple[int, str, Row]
"""A stored cursor, unread: its id, its key as text, its state in the order of `STATE`."""


class Log(Protocol):
    """What a check reads, all of it as of one moment."""

    def heads(self) -> Iterator[StoredHead]:
        """Give every stored cursor, by id."""

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Give (cursor id, row) of every entry, by cursor id and then version."""

    def digests(self) -> Iterator[tuple[int, bytes]]:
        """Give (position, digest) of every entry, by position."""

    def settled(self) -> int:
        """Give the position up to which nothing can come any more that is not there."""


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that is wrong, and where.

    `kind` is one of

    - `edited`: the digest does not fit what the entry says;
    - `missing`: entries before this one are gone, or all those of a stored cursor;
    - `order`: positions or times run against the versions;
    - `law`: the law does not allow the event there;
    - `unreadable`: the row holds no entry;
    - `cursor`: a stored cursor is not the fold of its entries;
    - `orphan`: entries without a stored cursor;
    - `index`: the table and its index disagree;
    - `checkpoint`: the entries under a checkpoint are no longer the same;
    - `more`: faults past `FAULTS_MAX`, counted in `detail`.
    """

    kind: str
    place: str
    position: int | None = None
    version: int | None = None
    detail: str

    def __str__(self) -> str:
        where = self.place if self.position is None else f"position {self.position}, {self.place}"
        return f"{self.kind}: {where}: {self.detail}"


@attrs.frozen(kw_only=True)
class Verification:
    """What was found in so many entries and stored cursors; `checkpoint` is over those entries."""

    entries: int
    cursors: int
    faults: tuple[Fault, ...]
    checkpoint: Checkpoint

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(
    log: Log,
    *,
    against: Checkpoint | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Check `log`, and report all faults rather than the first.

    With `against`, a checkpoint taken earlier, the entries under it must still be the same ones.
    `progress` is told now and then how many entries were checked. Memory does not grow with the
    log.
    """
    listed: list[Fault] = []
    faults = entries = cursors = 0
    for count, found in _faults(log):
        if progress is not None and count[0] // PROGRESS_ENTRIES > entries // PROGRESS_ENTRIES:
            progress(count[0])
        entries, cursors = count
        if found is not None:
            faults += 1
            if len(listed) < FAULTS_MAX:
                listed.append(found)
    counted: list[int] = [0]
    whole = checkpoint(settled(log, counted))
    if counted[0] != entries:
        detail = f"the table has {counted[0]:,} entries, its index by cursor {entries:,}"
        listed.append(Fault(kind="index", place="the log", detail=detail))
    if against is not None and checkpoint(log.digests(), entries=against.entries) != against:
        detail = (
            f"the first {against.entries:,} entries are not those of the checkpoint: some were "
            "changed, removed, added, or put in another order"
        )
        listed.append(
            Fault(kind="checkpoint", place="the log", position=against.position, detail=detail)
        )
    if faults > FAULTS_MAX:
        detail = f"{faults - FAULTS_MAX:,} more faults are not listed"
        listed.append(Fault(kind="more", place="the log", detail=detail))
    return Verification(entries=entries, cursors=cursors, faults=tuple(listed), checkpoint=whole)


def settled(log: Log, counted: list[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Give (position, digest) of the entries that a checkpoint is over; count all in `counted`.

    What is appended before a checkpoint would make it untrue, so it is not over those behind which
    something may still come.
    """
    until = log.settled()
    for position, leaf in log.digests():
        if counted is not None:
            counted[0] += 1
        if position <= until:
            yield position, leaf


def _faults(log: Log) -> Iterator[tuple[tuple[int, int], Fault | None]]:
    """Go through the chains beside the stored cursors; give ((entries, cursors) so far, fault)."""
    entries = cursors = 0
    for head, rows in paired(log):
        if head is None:
            for nth, row in enumerate(rows):
                entries += 1
                yield (entries, cursors), _orphan(row) if nth == 0 else None
            continue
        cursors += 1
        chain = Chain(place=head[1])
        for row in rows:
            entries += 1
            for fault in chain.follow(row):
                yield (entries, cursors), fault
            if entries % PROGRESS_ENTRIES == 0:
                yield (entries, cursors), None
        yield (
            (entries, cursors),
            chain.compare(head[2]) if chain.version else _without_entries(head),
        )


def paired(log: Log) -> Iterator[tuple[StoredHead | None, Iterable[Row]]]:
    """Give every stored cursor with its entries, which may be none, and entries without a cursor.

    The entries of one are to be read before the next one is asked for.
    """
    heads = log.heads()
    head = next(heads, None)
    for cursor_id, group in groupby(log.rows(), key=itemgetter(0)):
        while head is not None and head[0] < cursor_id:
            yield head, ()
            head = next(heads, None)
        rows = (row for _, row in group)
        if head is not None and head[0] == cursor_id:
            yield head, rows
            head = next(heads, None)
        else:
            yield None, rows
    while head is not None:
        yield head, ()
        head = next(heads, None)


def _without_entries(head: StoredHead) -> Fault:
    detail = "a cursor is stored, but no entry of it is in the log"
    return Fault(kind="missing", place=head[1], detail=detail)


def _orphan(row: Row) -> Fault:
    detail = "this entry, and all of the same cursor, have no stored cursor"
    return Fault(
        kind="orphan", place="no cursor", position=row[0], version=row[_VERSION], detail=detail
    )


@attrs.define(kw_only=True)
class Chain:
    """The entries of one cursor, followed one by one."""

    place: str
    cursor: Cursor | None = None
    version: int = 0
    position: int = 0
    recorded_at: int = 0
    digest: bytes = GENESIS
    sound: bool = True
    """Whether no fault was found yet."""
    known: bool = True
    """Whether the cursor is known to be right, so that the law can be held against what follows."""

    @property
    def state(self) -> Row | None:
        """What the entries make of the cursor, in the order of `STATE`; None if there are none."""
        if self.cursor is None:
            return None
        return Head(
            cursor_id=None, cursor=self.cursor, recorded_at=self.recorded_at, digest=self.digest
        ).state

    def follow(self, row: Row) -> Sequence[Fault]:
        """Check the next entry; what is wrong with it is not held against the ones after it."""
        faults: list[Fault] = []
        known, self.known = self.known, True
        position, version, recorded_at = row[0], row[_VERSION], row[_RECORDED_AT]
        if version != self.version + 1:
            known = False
            detail = f"version {version} follows version {self.version}"
            faults.append(self._fault(row, "missing", detail))
        else:
            # The digest of an entry behind a hole cannot be known: it covers the one before.
            try:
                fits = digest(self.digest, row[1:-1]) == row[-1]
            except (TypeError, ValueError) as error:
                faults.append(self._fault(row, "unreadable", f"it has no digest: {error}"))
            else:
                if not fits:
                    detail = "its digest does not fit what it says"
                    faults.append(self._fault(row, "edited", detail))
        if position <= self.position:
            detail = f"it stands before position {self.position}, which it follows by its version"
            faults.append(self._fault(row, "order", detail))
        try:
            entry = codec.entry(row)
        except BrokenChainError as error:
            faults.append(self._fault(row, "unreadable", error.fault or str(error)))
        else:
            if recorded_at < self.recorded_at:
                detail = "it was recorded before the entry that it follows"
                faults.append(self._fault(row, "order", detail))
            if known and (objection := rules.objection(self.cursor, entry)):
                faults.append(self._fault(row, "law", objection))
            self.cursor = rules.adopt(self.cursor, entry)
            self.recorded_at = recorded_at
        self.version, self.position, self.digest = version, position, row[-1]
        return faults

    def compare(self, state: Row) -> Fault | None:
        """Compare the stored state with the fold of the entries that were followed."""
        own = self.state
        if own is None:
            return None
        # Behind a fault, the fold is worth no more than the chain: only its end is compared.
        names = STATE if self.sound else ("version", "digest")
        differing = [
            f"{name} is {_shown(stored)}, by its entries {_shown(folded)}"
            for name, stored, folded in zip(STATE, state, own, strict=True)
            if stored != folded and name in names
        ]
        if not differing:
            return None
        return Fault(
            kind="cursor",
            place=self.place,
            position=self.position,
            version=self.version,
            detail="the stored cursor is not what its entries make it: " + "; ".join(differing),
        )

    def _fault(self, row: Row, kind: str, detail: str) -> Fault:
        self.sound = self.known = False
        return Fault(
            kind=kind, place=self.place, position=row[0], version=row[_VERSION], detail=detail
        )


_VERSION = 4
_RECORDED_AT = 6


def _shown(value: object) -> str:
    return value.hex()[:16] + "…" if isinstance(value, bytes) else f"{value!r:.80}"
