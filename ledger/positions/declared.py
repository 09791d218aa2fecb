"""Which mapping each stream has, kept in the ledger.

It is the delivery id of a cursor of the ledger's own consumer, so that the law keeps it: the first
declaration is a token after nothing, a change is a reset with its reason, and of two who declare at
once, one is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Protocol

import attrs

from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.queries import CursorQuery
from ledger.law.refusals import VersionConflictError
from ledger.law.requests import Request, ResetCursor, ResetReasonRequiredError
from ledger.law.reserved import POSITIONS
from ledger.law.tokens import ConfirmToken
from ledger.positions.mapping import PositionMapping

__all__ = ["AsyncPositions", "Declared", "Positions"]

_ALL = CursorQuery(consumer_id=POSITIONS)
_NAMED = {mapping.value: mapping for mapping in PositionMapping}


@attrs.frozen(kw_only=True)
class Declared:
    """The `mapping` of the stream `stream_name`, declared at `declared_at`, in the caller's time.

    `changes` counts how often it was changed to another one since it was first declared.

    >>> import ledger
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     declared = book.positions.declare("orders", "zero-based")
    >>> declared.stream_name, declared.mapping.value, declared.changes
    ('orders', 'zero-based', 0)
    """

    stream_name: str
    mapping: PositionMapping
    declared_at: datetime
    changes: int


class Book(Protocol):
    """What declarations ask of a ledger."""

    def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entries."""

    def cursors(self, query: CursorQuery | None = None) -> Iterator[Cursor]:
        """Yield the cursors that `query` chooses."""

    def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append `requests` in one transaction."""


class Positions:
    """The mappings of the streams of one ledger; `Ledger.positions` makes it.

    >>> import ledger
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     declared = book.positions.declare("orders", "zero-based")
    ...     book.positions.of("orders").word_of(44)
    'offset:43'
    """

    def __init__(self, book: Book) -> None:
        self._book = book

    def of(self, stream_name: str) -> PositionMapping | None:
        """Return the mapping that was declared for a stream, or None.

        Raises InvalidCursorError.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     print(book.positions.of("orders"))
        None
        """
        return _mapping(self._book.find(_kept_key(stream_name)))

    def list(self) -> Iterator[Declared]:
        """Yield what was declared, lazily, by stream.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     declared = book.positions.declare("orders", "lsn")
        ...     [each.stream_name for each in book.positions.list()]
        ['orders']
        """
        for cursor in self._book.cursors(_ALL):
            if (declared := _declared(cursor)) is not None:
                yield declared

    def declare(
        self,
        stream_name: str,
        mapping: PositionMapping | str,
        *,
        reason: str = "",
        actor: str = "",
    ) -> Declared:
        """Keep in the ledger that the positions of a stream have this `mapping`.

        It says what the sequences mean that are there already, and changes none of them. To declare
        the same again changes nothing. Another one needs a `reason` and an actor, and is recorded
        as a reset.

        Raises InvalidCursorError, ResetReasonRequiredError, ActorRequiredError, and
        VersionConflictError if somebody declares another one at the same time.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     declared = book.positions.declare("orders", "plain")
        ...     reason = "the source counts from 0"
        ...     book.positions.declare("orders", "zero-based", reason=reason).changes
        1
        """
        kept = PositionMapping.of(mapping)
        key = _key(stream_name)
        before = self._book.find(key)
        if (request := _asked(before, key, kept, reason, actor)) is None:
            return _known(before)
        try:
            [after] = self._book.append([request])
        except VersionConflictError as error:
            # Somebody else was first. Perhaps with the same one.
            if _mapping(error.current) is not kept:
                raise
            return _known(error.current)
        return _known(after)


class AsyncBook(Protocol):
    """What declarations ask of a ledger of coroutines."""

    async def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entries."""

    def cursors(self, query: CursorQuery | None = None) -> AsyncIterator[Cursor]:
        """Yield the cursors that `query` chooses."""

    async def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append `requests` in one transaction."""


class AsyncPositions:
    """The same as `Positions`, for coroutines; `AsyncLedger.positions` makes it.

    >>> import asyncio, ledger.aio
    >>> async def main() -> list[str]:
    ...     async with ledger.aio.open(":memory:", actor="ines") as book:
    ...         await book.positions.declare("orders", "lsn")
    ...         return [each.mapping.value async for each in book.positions.list()]
    >>> asyncio.run(main())
    ['lsn']
    """

    def __init__(self, book: AsyncBook) -> None:
        self._book = book

    async def of(self, stream_name: str) -> PositionMapping | None:
        """Return the mapping that was declared for a stream, or None.

        Raises InvalidCursorError.
        """
        return _mapping(await self._book.find(_kept_key(stream_name)))

    async def list(self) -> AsyncIterator[Declared]:
        """Yield what was declared, lazily, by stream."""
        async for cursor in self._book.cursors(_ALL):
            if (declared := _declared(cursor)) is not None:
                yield declared

    async def declare(
        self,
        stream_name: str,
        mapping: PositionMapping | str,
        *,
        reason: str = "",
        actor: str = "",
    ) -> Declared:
        """Keep in the ledger that the positions of a stream have this `mapping`.

        See `Positions.declare`, which takes and raises the same.
        """
        kept = PositionMapping.of(mapping)
        key = _key(stream_name)
        before = await self._book.find(key)
        if (request := _asked(before, key, kept, reason, actor)) is None:
            return _known(before)
        try:
            [after] = await self._book.append([request])
        except VersionConflictError as error:
            if _mapping(error.current) is not kept:
                raise
            return _known(error.current)
        return _known(after)


# --- what a declaration is in the log ---


def _key(stream_name: str) -> CursorKey:
    return CursorKey(POSITIONS, stream_name)


def _kept_key(stream_name: str) -> CursorKey:
    # A stream that an earlier version has written down may have a name that cannot be seen.
    return CursorKey.kept(POSITIONS, stream_name, "")


def _asked(
    before: Cursor | None, key: CursorKey, mapping: PositionMapping, reason: str, actor: str
) -> Request | None:
    """Return what declares `mapping`, or None if it is declared already."""
    reason = fields.text(reason, "reason", length_max=fields.REASON_LENGTH_MAX)
    actor = fields.text(actor, "actor")
    declared = _mapping(before)
    if declared is mapping:
        return None
    if before is None or declared is None:
        # What is there and names no mapping was appended by hand; it stays in the log.
        return ConfirmToken(
            key,
            mapping.value,
            after=before.last_delivery_id if before else "",
            epoch=before.epoch if before else 0,
            expected_version=before.version if before else 0,
            actor=actor,
        )
    if not reason:
        refusal = ResetReasonRequiredError(
            f"{key.stream_name} is declared as {declared}. To declare it as {mapping} changes what "
            "all of its sequences mean, so it needs a reason, which is kept for ever."
        )
        refusal.key = key
        raise refusal
    return ResetCursor(
        key,
        before.last_sequence + 1,
        reason,
        last_delivery_id=mapping.value,
        actor=actor,
        expected_version=before.version,
    )


def _mapping(cursor: Cursor | None) -> PositionMapping | None:
    return None if cursor is None else _NAMED.get(cursor.last_delivery_id)


def _declared(cursor: Cursor) -> Declared | None:
    mapping = _mapping(cursor)
    return None if mapping is None else _known(cursor)


def _known(cursor: Cursor | None) -> Declared:
    # It is there, and names a mapping, or nobody would ask.
    assert cursor is not None  # noqa: S101
    return Declared(
        stream_name=cursor.key.stream_name,
        mapping=PositionMapping(cursor.last_delivery_id),
        declared_at=cursor.updated_at,
        changes=cursor.epoch,
    )
