"""The log checked cursor by cursor: each chain of entries, and the cursor that is stored of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from ledger.errors import BrokenChainError, LedgerError
from ledger.evidence.digests import GENESIS, digest_of, digest_of_unread
from ledger.evidence.faults import Faults
from ledger.evidence.findings import Fault, FaultKind
from ledger.evidence.source import EVERY, NO_HEAD, Beginning, Beginnings, Ids, Log, paired
from ledger.law import rules
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry
from ledger.log.columns import CONTENT, ENTRY, STATE
from ledger.log.heads import Head
from ledger.log.rows import Row, entry_from

__all__ = ["PROGRESS_ENTRIES", "CheckedChains", "CursorCheck", "check_chains"]

PROGRESS_ENTRIES = 10_000
"""After so many entries, progress is told."""


@attrs.frozen(kw_only=True)
class CheckedChains:
    """What a check of some cursors, or of all, has found."""

    entries: int
    cursors: int
    faults: Faults
    whole: bool
    """Whether all of them could be read."""


def check_chains(
    log: Log,
    ids: Ids = EVERY,
    *,
    before: int = 0,
    progress: Callable[[int], None] | None = None,
) -> CheckedChains:
    """Check the entries of each cursor in `ids`, and hold its stored state against them.

    `progress` is told now and then how many entries were checked, `before` included.
    """
    found = Faults()
    entries, cursors = before, 0

    def faults() -> Iterator[Fault | None]:
        nonlocal entries, cursors
        beginnings = Beginnings(log, ids)
        for head, rows in paired(log, ids):
            cursor_id, place, stored = head or NO_HEAD
            check = CursorCheck(place=place)
            cursors += head is not None
            seen, began = 0, None
            if head is not None:
                yield from map(_without_cursor, beginnings.before(cursor_id))
                began = beginnings.of(cursor_id)
                yield check.begin(began)
            for seen, row in enumerate(rows, 1):
                entries += 1
                if progress is not None and entries % PROGRESS_ENTRIES == 0:
                    progress(entries)
                if head is not None:
                    yield from check.follow(row)
                elif seen == 1:
                    yield _orphan(row[_POSITION])
            if head is not None:
                yield check.compare(stored) if seen or began else _without_entries(place)
        yield from map(_without_cursor, beginnings.before(None))

    whole = found.add_all(faults())
    return CheckedChains(entries=entries - before, cursors=cursors, faults=found, whole=whole)


def _without_cursor(began: Beginning) -> Fault:
    detail = "entries of it were archived, and no cursor is stored of them"
    return Fault(kind=FaultKind.MISSING, place=f"cursor {began.cursor_id}", detail=detail)


def _without_entries(place: str) -> Fault:
    detail = "a cursor is stored, but no entry of it is in the log"
    return Fault(kind=FaultKind.MISSING, place=place, detail=detail)


def _orphan(position: int) -> Fault:
    detail = "this entry, and all of the same cursor, have no stored cursor"
    return Fault(kind=FaultKind.ORPHAN, place="no cursor", position=position, detail=detail)


@attrs.define(kw_only=True)
class CursorCheck:
    """The check of one cursor: its entries, one after the other, and then its stored state."""

    place: str
    cursor: Cursor | None = None
    version: int = 0
    position: int = 0
    recorded_at: int | None = None
    digest: bytes = GENESIS
    sound: bool = True
    """Whether no fault was found yet."""
    known: bool = True
    """Whether the cursor is known to be right, so that the law can be held against what follows."""

    @property
    def state(self) -> Row | None:
        """What the entries make of the cursor, in the order of `STATE`; None if there are none."""
        if self.cursor is None or self.recorded_at is None:
            return None
        return Head(
            cursor_id=None, cursor=self.cursor, recorded_at=self.recorded_at, digest=self.digest
        ).state

    def begin(self, began: Beginning | None) -> Fault | None:
        """Begin behind the entries that were archived; return what is wrong with what is kept."""
        if began is None:
            return None
        try:
            key = CursorKey.kept(*began.key)
            head = Head.of(key, (began.cursor_id, *began.state))
        except (LedgerError, TypeError) as error:
            self.sound = self.known = False
            detail = f"what is kept of its archived entries cannot be read: {error}"
            return Fault(kind=FaultKind.UNREADABLE, place=self.place, detail=detail)
        self.cursor, self.version, self.position = head.cursor, head.cursor.version, began.position
        self.recorded_at, self.digest = head.recorded_at, head.digest
        if began.leaf == head.digest:
            return None
        self.sound = False
        detail = "what is kept of its archived entries is not of the last one of them"
        return Fault(
            kind=FaultKind.EDITED, place=self.place, position=began.position, detail=detail
        )

    def follow(self, row: Row) -> Sequence[Fault]:
        """Check the next entry; what is wrong with it is not held against the ones after it."""
        position, version, last_digest = row[_POSITION], row[_VERSION], row[_DIGEST]
        known = self.known and version == self.version + 1
        self.known = True
        entry: Entry | None = None
        unreadable = ""
        faults: list[Fault] = []
        try:
            entry = entry_from(row)
            follows = (
                known
                and position > self.position
                and digest_of(self.digest, row[_CONTENT]) == last_digest
            )
        except BrokenChainError as error:
            follows, unreadable = False, error.fault or str(error)
        except (TypeError, ValueError):
            follows = False
        if follows:
            self.position = position
        else:
            faults += self._place_faults(row, digest_of_unread if entry is None else digest_of)
        if entry is None:
            faults.append(self._fault(row, FaultKind.UNREADABLE, unreadable))
        else:
            recorded_at = row[_RECORDED_AT]
            if self.recorded_at is not None and recorded_at < self.recorded_at:
                detail = "it was recorded before the entry that it follows"
                faults.append(self._fault(row, FaultKind.ORDER, detail))
            if known and (objection := rules.objection(self.cursor, entry)):
                faults.append(self._fault(row, FaultKind.LAW, objection))
            self.cursor = rules.adopt(self.cursor, entry)
            self.recorded_at = recorded_at
        # A version or a digest of another type is a fault by now; the count goes on without it.
        self.version = version if type(version) is int else self.version + 1
        self.digest = last_digest if type(last_digest) is bytes else b""
        return faults

    def _place_faults(self, row: Row, digest_by: Callable[[bytes, Row], bytes]) -> Iterator[Fault]:
        """Return what is wrong with the place of the entry: its link, and its position."""
        if fault := self._check_link(row, digest_by):
            yield fault
        if fault := self._check_position(row):
            yield fault

    def _check_link(self, row: Row, digest_by: Callable[[bytes, Row], bytes]) -> Fault | None:
        if row[_VERSION] != self.version + 1:
            # Its digest cannot be known: it covers the one before the hole.
            detail = f"version {_shown(row[_VERSION])} follows version {self.version}"
            return self._fault(row, FaultKind.MISSING, detail)
        try:
            if digest_by(self.digest, row[_CONTENT]) == row[_DIGEST]:
                return None
        except (TypeError, ValueError) as error:
            return self._fault(row, FaultKind.UNREADABLE, f"it has no digest: {error}")
        return self._fault(row, FaultKind.EDITED, "its digest does not fit what it says")

    def _check_position(self, row: Row) -> Fault | None:
        position, before = row[_POSITION], self.position
        if type(position) is not int:
            # The table is not as it was made, which its definition says.
            return self._fault(row, FaultKind.UNREADABLE, f"its position is {_shown(position)}")
        self.position = position
        if position > before:
            return None
        detail = f"it stands before position {before}, which it follows by its version"
        return self._fault(row, FaultKind.ORDER, detail)

    def compare(self, state: Row) -> Fault | None:
        """Compare the stored state with the fold of the entries that were followed."""
        own = self.state
        if own is None:
            return None
        # Behind a fault, the fold is worth no more than the chain: only its end is compared.
        names = STATE.names if self.sound else ("version", "digest")
        differing = [
            f"{name} is {_shown(stored)}, by its entries {_shown(folded)}"
            for name, stored, folded in zip(STATE.names, state, own, strict=True)
            if name in names and (stored != folded or type(stored) is not type(folded))
        ]
        if not differing:
            return None
        return Fault(
            kind=FaultKind.CURSOR,
            place=self.place,
            position=self.position,
            version=self.version,
            detail="the stored cursor is not what its entries make it: " + "; ".join(differing),
        )

    def _fault(self, row: Row, kind: FaultKind, detail: str) -> Fault:
        self.sound = self.known = False
        return Fault(
            kind=kind,
            place=self.place,
            position=_number(row[_POSITION]),
            version=_number(row[_VERSION]),
            detail=detail,
        )


_POSITION, _VERSION = ENTRY.place("position"), ENTRY.place("version")
_RECORDED_AT, _DIGEST = ENTRY.place("recorded_at"), ENTRY.place("digest")
_CONTENT = ENTRY.places(CONTENT)


def _number(value: object) -> int | None:
    return value if type(value) is int else None


def _shown(value: object) -> str:
    return value.hex()[:16] + "…" if isinstance(value, bytes) else f"{value!r:.80}"
