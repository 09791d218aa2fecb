"""Which token a cursor confirmed at a sequence, and which sequence a token has there.

Each cursor numbers the tokens that it confirms for itself, so both are in its own history only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.law.events import Entry, ErrorRecorded
from ledger.law.queries import EntryQuery

__all__ = ["sequence_of_token", "token_at"]


class Book(Protocol):
    """What is asked of a ledger."""

    def entries(self, query: EntryQuery | None = None) -> Iterator[Entry]:
        """Yield the entries that `query` chooses."""


def token_at(book: Book, key: CursorKey, sequence: int) -> str:
    """Return the token that was last confirmed as `sequence`, from 1, at the cursor of `key`.

    Raises InvalidCursorError if none was.
    """
    for entry in book.entries(EntryQuery(key=key, newest_first=True)):
        event = entry.event
        if isinstance(event, ErrorRecorded) or event.sequence != sequence:
            continue
        if event.delivery_id:
            return event.delivery_id
    raise InvalidCursorError(
        f"no token of {key} was confirmed as {sequence}, so a consumer cannot go on after it. "
        "Name one that was, as in --to token:evt_9a; or add --delivery-id TOKEN."
    )


def sequence_of_token(book: Book, key: CursorKey, token: str) -> int:
    """Return the sequence that `token` has at the cursor of `key`; the newest, if it has several.

    Raises InvalidCursorError if the cursor never confirmed it.
    """
    # After a reset, the source may have named them in another order.
    for entry in book.entries(EntryQuery(key=key, newest_first=True)):
        event = entry.event
        if not isinstance(event, ErrorRecorded) and event.delivery_id == token:
            return event.sequence
    said = fields.shown(token)
    raise invalid("position", f"is a token that {key} never confirmed: {said}.", value=said)
