"""The entries of each cursor, followed one by one, and held against the stored cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol, TypeAlias

import attrs

from ledger.errors import BrokenChainError
from ledger.evidence.digests import GENESIS, digest_of
from ledger.evidence.findings import Fault, FaultKind
from ledger.law import rules
from ledger.law.cursor import Cursor
from ledger.log.heads import STATE, Head
from ledger.log.rows import Row, entry_from

__all__ = ["FAULTS_MAX", "PROGRESS_ENTRIES", "Chain", "Log", "StoredHead", "paired"]

FAULTS_MAX = 10_000
"""So many faults are listed; past them they are only counted, to bound the memory."""

PROGRESS_ENTRIES = 10_000

StoredHead: TypeAlias = tuple[int, str, Row]
"""A stored cursor, unread: its id, its key as text, its state in the order of `STATE`."""


class Log(Protocol):
    """What a check reads, all of it as of one moment. What it reads is distrusted.

    Its iterators raise BrokenChainError where the database finds its own file damaged.
    """

    def heads(self) -> Iterator[StoredHead]:
        """Return every stored cursor, by id."""

    def rows(self) -> Iterator[tuple[Any, Row]]:
        """Return (cursor id, row) of every entry, by cursor id and then version."""

    def leaves(self) -> Iterator[tuple[int, bytes, Any]]:
        """Return (position, digest, recorded_at) of every entry, by position."""

    def settled(self) -> int:
        """Return the position up to which every entry is there that will ever be."""

    def structure(self) -> Iterator[Fault]:
        """Return what is wrong with the tables themselves: everything but what entries say."""


def paired(log: Log) -> Iterator[tuple[StoredHead | None, Iterable[Row]]]:
    """Return every stored cursor with its entries, which may be none, and entries without a cursor.

    The entries of one are to be read before the next one is asked for.
    """
    heads = log.heads()
    head = next(heads, None)
    for cursor_id, group in groupby(log.rows(), key=itemgetter(0)):
        while head is not None and _rank(head[0]) < _rank(cursor_id):
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


def _rank(cursor_id: Any) -> tuple[int, Any]:  # noqa: ANN401 - whatever stands in the column
    """Order ids of any type as SQLite orders them: NULL, numbers, text, blobs."""
    match cursor_id:
        case None:
            return 0, 0
        case int() | float():
            return 1, cursor_id
        case str():
            return 2, cursor_id.encode("utf-8", "surrogateescape")
        case _:
            return 3, cursor_id


@attrs.define(kw_only=True)
class Chain:
    """The entries of one cursor, followed one by one."""

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

    def follow(self, row: Row) -> Sequence[Fault]:
        """Check the next entry; what is wrong with it is not held against the ones after it."""
        known = self.known and row[_VERSION] == self.version + 1
        self.known = True
        faults: list[Fault] = []
        if fault := self._check_link(row):
            faults.append(fault)
        if fault := self._check_position(row):
            faults.append(fault)
        try:
            entry = entry_from(row)
        except BrokenChainError as error:
            faults.append(self._fault(row, FaultKind.UNREADABLE, error.fault or str(error)))
        else:
            recorded_at = row[_RECORDED_AT]
            if self.recorded_at is not None and recorded_at < self.recorded_at:
                detail = "it was recorded before the entry that it follows"
                faults.append(self._fault(row, FaultKind.ORDER, detail))
            if known and (objection := rules.objection(self.cursor, entry)):
                faults.append(self._fault(row, FaultKind.LAW, objection))
            self.cursor = rules.adopt(self.cursor, entry)
            self.recorded_at = recorded_at
        version, last_digest = row[_VERSION], row[-1]
        # A version or a digest of another type is a fault by now; the count goes on without it.
        self.version = version if type(version) is int else self.version + 1
        self.digest = last_digest if type(last_digest) is bytes else b""
        return faults

    def _check_link(self, row: Row) -> Fault | None:
        if row[_VERSION] != self.version + 1:
            # Its digest cannot be known: it covers the one before the hole.
            detail = f"version {_shown(row[_VERSION])} follows version {self.version}"
            return self._fault(row, FaultKind.MISSING, detail)
        try:
            if digest_of(self.digest, row[1:-1]) == row[-1]:
                return None
        except (TypeError, ValueError) as error:
            return self._fault(row, FaultKind.UNREADABLE, f"it has no digest: {error}")
        return self._fault(row, FaultKind.EDITED, "its digest does not fit what it says")

    def _check_position(self, row: Row) -> Fault | None:
        position, before = row[0], self.position
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
        names = STATE if self.sound else ("version", "digest")
        differing = [
            f"{name} is {_shown(stored)}, by its entries {_shown(folded)}"
            for name, stored, folded in zip(STATE, state, own, strict=True)
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
            position=_number(row[0]),
            version=_number(row[_VERSION]),
            detail=detail,
        )


_VERSION = 4
_RECORDED_AT = 6


def _number(value: object) -> int | None:
    return value if type(value) is int else None


def _shown(value: object) -> str:
    return value.hex()[:16] + "…" if isinstance(value, bytes) else f"{value!r:.80}"
