"""What a ledger and its cursors are known by, so that a plan is not applied to others."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ledger import (
    ArchivedError,
    CursorKey,
    DivergedError,
    EntryQuery,
    InvalidCursorError,
    Ledger,
)
from ledger.law import fields
from projections.resets.planned import PlannedReset, read_digest

__all__ = ["LedgerMark", "check", "head"]


@attrs.frozen(kw_only=True)
class LedgerMark:
    """What a ledger is known by: its id, and its first entry; None and None while it has none.

    The id is empty as long as a file has none: a ledger and its copies are known by the same.
    """

    id: str
    position: int | None
    digest: bytes | None

    @classmethod
    def of(cls, book: Ledger) -> LedgerMark:
        """Return the mark of a ledger."""
        try:
            first = next(((e.position, e.digest) for e in book.entries(EntryQuery(limit=1))), None)
        except ArchivedError as error:
            # Its digest stays, and the ledger is known by it as before.
            first = error.first
        position, digest = first or (None, None)
        return cls(id=book.identity(), position=position, digest=digest)

    @classmethod
    def of_plain(cls, plain: object) -> LedgerMark | None:
        """Return the mark that plain JSON values describe, or None for None.

        Raises InvalidCursorError.
        """
        if plain is None:
            return None
        if not isinstance(plain, dict) or plain.keys() != {"id", "position", "digest"}:
            raise InvalidCursorError("ledger, in a plan, must have id, position and digest.")
        position, digest = plain["position"], plain["digest"]
        return cls(
            id=fields.text(plain["id"], "id"),
            position=fields.counter(position, "position"),
            digest=None if digest is None else read_digest(digest, "digest"),
        )

    def is_of(self, book: Ledger) -> bool:
        """Return whether `book` can be this ledger. What was empty may have a first entry by now.

        What had no id then may have one by now, and is known by its first entry.
        """
        there = LedgerMark.of(book)
        if self.id != there.id and (self.id or self.digest is None):
            return False
        return self.digest in (None, there.digest)


def head(book: Ledger, key: CursorKey, version: int) -> bytes | None:
    """Return the digest of the entry that made the cursor's `version`; None if it is not there.

    Raises ArchivedError if it was archived, unless it was the last one of the cursor.
    """
    query = EntryQuery(key=key, version_from=version, version_until=version)
    try:
        return next((entry.digest for entry in book.entries(query)), None)
    except ArchivedError as error:
        if error.last is None or error.last[0] != version:
            raise
        return error.last[1]


def check(book: Ledger, mark: LedgerMark | None, resets: Iterable[PlannedReset]) -> None:
    """Refuse a ledger that has not `mark`, or whose cursors came to their versions otherwise.

    Raises DivergedError.
    """
    if mark is not None and not mark.is_of(book):
        raise DivergedError(
            "the plan was made for another ledger than this one. Name that ledger, or plan the "
            "reset again."
        )
    for reset in resets:
        # One that is not at the version yet is refused by the append, under the cursor's lock.
        there = None if reset.head is None else head(book, reset.key, reset.version)
        if there is not None and there != reset.head:
            raise DivergedError(
                f"{reset.key} came to version {reset.version} by another history than that of the "
                "plan, so this is another ledger. Name that ledger, or plan the reset again."
            )
