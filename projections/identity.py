"""What a ledger and its cursors are known by, so that a plan is not applied to others."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ledger import (
    CursorKey,
    DivergedError,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    fields,
)
from projections.planned import PlannedReset, read_digest

__all__ = ["LedgerMark", "check", "head"]


@attrs.frozen(kw_only=True)
class LedgerMark:
    """What a ledger is known by: its first entry. A copy of it is known by the same."""

    position: int
    digest: bytes

    @classmethod
    def of(cls, book: Ledger) -> LedgerMark | None:
        """Return the mark of a ledger, or None while it has no entries."""
        for entry in book.entries(EntryQuery(limit=1)):
            return cls(position=entry.position, digest=entry.digest)
        return None

    @classmethod
    def of_plain(cls, plain: object) -> LedgerMark | None:
        """Return the mark that plain JSON values describe, or None for None.

        Raises InvalidCursorError.
        """
        if plain is None:
            return None
        if not isinstance(plain, dict) or plain.keys() != {"position", "digest"}:
            raise InvalidCursorError("ledger, in the header of a plan, has position and digest.")
        return cls(
            position=fields.sequence(plain["position"], "position", least=0),
            digest=read_digest(plain["digest"], "digest"),
        )


def head(book: Ledger, key: CursorKey, version: int) -> bytes | None:
    """Return the digest of the entry that made the cursor's `version`; None if it is not there."""
    entry = _entry(book, key, version)
    return entry.digest if entry else None


def check(book: Ledger, mark: LedgerMark | None, resets: Iterable[PlannedReset]) -> None:
    """Refuse a ledger that has not `mark`, or whose cursors came to their versions otherwise.

    Raises DivergedError.
    """
    if mark is not None and LedgerMark.of(book) != mark:
        raise DivergedError(
            "the plan was made for another ledger: this one does not begin with the same entry. "
            "Name the ledger that it was made for, or plan anew."
        )
    for reset in resets:
        # One that is not at the version yet is refused by the append, under the cursor's lock.
        there = None if reset.head is None else head(book, reset.key, reset.version)
        if there is not None and there != reset.head:
            raise DivergedError(
                f"{reset.key} came to version {reset.version} by another history than that of the "
                "plan, so this is another ledger. Name the one that it was made for, or plan anew."
            )


def _entry(book: Ledger, key: CursorKey, version: int) -> Entry | None:
    query = EntryQuery(key=key, version_from=version, version_until=version)
    return next(book.entries(query), None)
