"""The heads of streams, for coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from ledger.consuming.heads import OVERTAKEN, all_heads, following, head_key, recording
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.queries import CursorQuery
from ledger.law.requests import Request

__all__ = ["AsyncHeads"]


class AsyncBook(Protocol):
    """What heads ask of a ledger whose methods are coroutines."""

    async def get(self, key: CursorKey) -> Cursor:
        """Return the cursor of `key`."""

    async def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entries."""

    def cursors(self, query: CursorQuery | None = None) -> AsyncIterator[Cursor]:
        """Yield the cursors that `query` chooses."""

    async def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append `requests` in one transaction."""


class AsyncHeads:
    """`Heads` for coroutines; see `AsyncLedger.heads`. Each method does what that of `Heads` does.

    >>> import asyncio, ledger.aio
    >>> async def main() -> int:
    ...     async with ledger.aio.open(":memory:") as book:
    ...         await book.heads.record("orders", "", 44)
    ...         return (await book.heads.get("orders")).last_sequence
    >>> asyncio.run(main())
    44
    """

    def __init__(self, book: AsyncBook) -> None:
        self._book = book

    async def record(
        self,
        stream_name: str,
        subject_id: str,
        sequence: int,
        *,
        now: datetime | None = None,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Record that `sequence`, from 1, exists on a stream; return the head as it is then."""
        request = recording(
            stream_name, subject_id, sequence, now=now, actor=actor, metadata=metadata
        )
        while True:
            head = await self._book.find(request.key)
            if head is not None and head.last_sequence >= sequence:
                return head
            try:
                [after] = await self._book.append([following(head, request)])
            except OVERTAKEN:
                continue
            return after

    async def get(self, stream_name: str, subject_id: str = "") -> Cursor:
        """Return the head of a stream, or of a subject in it."""
        return await self._book.get(head_key(stream_name, subject_id))

    async def find(self, stream_name: str, subject_id: str = "") -> Cursor | None:
        """Return the head of a stream, or of a subject in it; None if none was recorded."""
        return await self._book.find(head_key(stream_name, subject_id))

    def all(self, stream_name: str = "", subject_id: str = "") -> AsyncIterator[Cursor]:
        """Yield the heads, lazily, by stream and subject; `stream_name` chooses those of a stream.

        `subject_id` chooses those of a subject.
        """
        return self._book.cursors(all_heads(stream_name, subject_id))
