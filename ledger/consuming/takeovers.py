"""How a consumer takes a cursor over, and how another one learns that it was; awaited or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Protocol

from ledger.errors import ArchivedError, invalid
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset, Entry
from ledger.law.queries import EntryQuery
from ledger.law.refusals import VersionConflictError
from ledger.law.requests import Request
from ledger.law.rivals import TakenOverError
from ledger.law.takeovers import is_takeover, takeover

__all__ = ["checked_reason", "refuse_taken", "refuse_taken_async", "take", "take_async"]

TRIES_MAX = 1_000
"""A cursor may move each time before it is taken, but each time somebody else has to be quicker."""


class Book(Protocol):
    """What a takeover asks of a ledger."""

    def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entries."""

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        """Return the entries that `query` chooses."""

    def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append `requests` in one transaction."""


class AsyncBook(Protocol):
    """What a takeover asks of an asynchronous ledger."""

    async def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entries."""

    def entries(self, query: EntryQuery) -> AsyncIterator[Entry]:
        """Return the entries that `query` chooses."""

    async def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append `requests` in one transaction."""


def checked_reason(value: object) -> str:
    """Return why a cursor is taken over: a text with a visible character, kept for ever.

    Raises InvalidCursorError.
    """
    reason = fields.text(value, "take_over", length_max=fields.REASON_LENGTH_MAX, seen=True)
    if not reason:
        raise invalid(
            "take_over",
            'must say why, such as "deploy 1.4.2": it is kept for ever, as a reason is.',
        )
    return reason


def take(book: Book, key: CursorKey, reason: str) -> Cursor:
    """Take the cursor of `key` over, as it stands when that is appended; return it.

    Raises ActorRequiredError; VersionConflictError if it moved each of 1,000 times.
    """
    cursor, tries = book.find(key), 0
    while True:
        try:
            return book.append([takeover(key, cursor, reason)])[0]
        except VersionConflictError as error:
            cursor, tries = error.current, tries + 1
            if tries == TRIES_MAX:
                raise


async def take_async(book: AsyncBook, key: CursorKey, reason: str) -> Cursor:
    """Take the cursor of `key` over: see `take`."""
    cursor, tries = await book.find(key), 0
    while True:
        try:
            return (await book.append([takeover(key, cursor, reason)]))[0]
        except VersionConflictError as error:
            cursor, tries = error.current, tries + 1
            if tries == TRIES_MAX:
                raise


def refuse_taken(book: Book, key: CursorKey, cursor: Cursor | None, *, since: int) -> None:
    """Refuse if somebody took the cursor of `key` over after the epoch `since`.

    Raises TakenOverError.
    """
    with suppress(ArchivedError):  # That it was reset is known; who has done it is archived.
        for entry in book.entries(_resets(key)):
            if entry.epoch <= since:
                return
            if is_takeover(entry):
                raise TakenOverError(cursor, entry)


async def refuse_taken_async(
    book: AsyncBook, key: CursorKey, cursor: Cursor | None, *, since: int
) -> None:
    """Refuse if somebody took the cursor over: see `refuse_taken`."""
    with suppress(ArchivedError):
        async for entry in book.entries(_resets(key)):
            if entry.epoch <= since:
                return
            if is_takeover(entry):
                raise TakenOverError(cursor, entry)


def _resets(key: CursorKey) -> EntryQuery:
    return EntryQuery(key=key, kinds=(CursorReset,), newest_first=True)
