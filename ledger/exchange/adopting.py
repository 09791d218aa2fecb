"""Cursors that a source has, compared with a ledger, and started in it.

What a plan says is what is done: both judge each row by the same function, and a start is asked of
the law again in the transaction that appends it. A cursor that exists is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

import attrs

from ledger.errors import InvalidCursorError, LedgerError
from ledger.exchange.staging import Staged, Staging
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorStarted
from ledger.law.pairs import EMPTY
from ledger.law.refusals import CursorExistsError
from ledger.law.requests import StartCursor
from ledger.law.reserved import is_reserved
from ledger.service import Ledger

__all__ = ["Adoption", "State", "Verdict"]


class State(StrEnum):
    """What becomes of a row."""

    NEW = "new"
    """Its cursor does not exist yet, and would be started."""
    STARTED = "started"
    """Its cursor was started."""
    THERE = "there"
    """Its cursor stands where the row says."""
    MOVED_ON = "moved_on"
    """Its cursor was started by an equal row before, and has moved since."""
    REPEATED = "repeated"
    """An earlier row says the same."""
    NOTHING = "nothing"
    """It has no position."""
    DIFFERS = "differs"
    """Its cursor stands somewhere else."""
    REFUSED = "refused"
    """It names no cursor that can be started."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What becomes of a row, why, and how its cursor stands if it exists."""

    row: Staged
    state: State
    current: Cursor | None = None
    error: LedgerError | None = None


@attrs.frozen(kw_only=True)
class Adoption:
    """The cursors of a source, with the reason that each start keeps for ever.

    Raises InvalidCursorError for a reason or metadata that no start can have.
    """

    staging: Staging
    reason: str
    metadata: Mapping[str, str] = EMPTY

    def __attrs_post_init__(self) -> None:
        StartCursor(CursorKey("-", "-"), 0, self.reason, metadata=self.metadata)

    @property
    def digest(self) -> str:
        """The digest of all that would be appended to an empty ledger, apart from the actor."""
        pairs = (part for pair in sorted(self.metadata.items()) for part in pair)
        return self.staging.digest(self.reason, *pairs)

    def plan(self, book: Ledger | None) -> Iterator[Verdict]:
        """Yield what would become of each row; without a ledger, as in an empty one."""
        for page in self.staging.rows():
            for row in page:
                yield self._judged(book, row)

    def execute(self, book: Ledger) -> Iterator[list[Verdict]]:
        """Start the cursors that do not exist, some in a transaction, each on its own.

        Yield what became of the rows, after each transaction.
        """
        for page in self.staging.rows():
            verdicts = [self._judged(book, row) for row in page]
            new = [verdict.row for verdict in verdicts if verdict.state is State.NEW]
            answers = iter(book.append_each(map(self._request, new)) if new else ())
            yield [
                self._answered(book, verdict.row, next(answers))
                if verdict.state is State.NEW
                else verdict
                for verdict in verdicts
            ]

    def _judged(self, book: Ledger | None, row: Staged) -> Verdict:
        if row.problem:
            return Verdict(row=row, state=State.REFUSED)
        if row.same_as is not None:
            return Verdict(row=row, state=State.REPEATED)
        if row.key is None or row.sequence is None:
            return Verdict(row=row, state=State.NOTHING)
        try:
            self._request(row)
        except InvalidCursorError as error:
            return Verdict(row=row, state=State.REFUSED, error=error)
        current = None if book is None else book.find(row.key)
        if book is None or current is None:
            return Verdict(row=row, state=State.NEW)
        return Verdict(row=row, state=_compared(book, row, current), current=current)

    def _answered(self, book: Ledger, row: Staged, answer: Cursor | LedgerError) -> Verdict:
        if isinstance(answer, Cursor):
            return Verdict(row=row, state=State.STARTED, current=answer)
        if isinstance(answer, CursorExistsError):
            # Somebody else was first, perhaps the same command a second time.
            return self._judged(book, row)
        return Verdict(row=row, state=State.REFUSED, error=answer)

    def _request(self, row: Staged) -> StartCursor:
        if row.key is None or row.sequence is None:
            raise InvalidCursorError("the row names no cursor, or no position.")
        if is_reserved(row.key.consumer_id):
            raise InvalidCursorError(
                f"{row.key.consumer_id!r:.80} belongs to the ledger itself. Name another consumer."
            )
        return StartCursor(
            row.key,
            row.sequence,
            self.reason,
            source=row.origin,
            last_delivery_id=row.delivery_id,
            last_delivered_at=row.delivered_at,
            metadata=self.metadata,
        )


def _compared(book: Ledger, row: Staged, current: Cursor) -> State:
    if current.last_sequence == row.sequence and row.delivery_id in ("", current.last_delivery_id):
        return State.THERE
    first = next(book.history(current.key)).event
    began = isinstance(first, CursorStarted) and first.sequence == row.sequence
    return State.MOVED_ON if began else State.DIFFERS
