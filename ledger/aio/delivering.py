"""One delivery in a coroutine: `delivering` of a ledger, and of one inside a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, cast

import attrs

from ledger.consuming.cancellations import is_failure
from ledger.consuming.failures import described, note_unrecorded
from ledger.law import rivals, rules
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.pairs import EMPTY
from ledger.law.refusals import NonMonotonicCursorError
from ledger.law.requests import RecordError, Request, advance_to
from ledger.law.tokens import ConfirmToken, Next
from ledger.service import Ledger, deliverers_of

__all__ = ["delivering_as"]

P = ParamSpec("P")


class Delivering(Protocol):
    """What a delivery needs of a ledger for coroutines."""

    _ledger: Ledger

    async def find(self, key: CursorKey, /) -> Cursor | None:
        """Return the cursor of `key`, or None if nothing was ever appended for it."""

    async def append(self, requests: Iterable[Request], /) -> list[Cursor]:
        """Append all of `requests`."""


def delivering_as(
    method: Callable[Concatenate[Ledger, P], AbstractContextManager[Cursor | None]],
) -> Callable[Concatenate[Delivering, P], AbstractAsyncContextManager[Cursor | None]]:
    """Return what does for coroutines what `method`, which is `Ledger.delivering`, does."""
    return cast(
        "Callable[Concatenate[Delivering, P], AbstractAsyncContextManager[Cursor | None]]",
        wraps(method)(delivering),
    )


@asynccontextmanager
async def delivering(
    book: Delivering,
    key: CursorKey,
    *,
    to: int | Next,
    delivery_id: str = "",
    after: str | None = None,
    outcome: Outcome = Outcome.DELIVERED,
    actor: str = "",
    epoch: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> AsyncIterator[Cursor | None]:
    # Made first, so that a wrong argument is refused before anything is delivered.
    advance = advance_to(
        key,
        to,
        after=after,
        delivery_id=delivery_id,
        outcome=outcome,
        actor=actor,
        epoch=epoch,
        metadata=EMPTY if metadata is None else metadata,
    )
    with deliverers_of(book._ledger).only(advance.key):
        cursor = await book.find(advance.key)
        rules.check_epoch(cursor, advance)
        if isinstance(advance, ConfirmToken):
            rules.ordinal(cursor, advance)
        try:
            yield cursor
        except (Exception, asyncio.CancelledError) as error:
            if not is_failure(error):
                raise
            try:
                failed = RecordError(
                    key,
                    described(error),
                    actor=actor,
                    epoch=epoch,
                    metadata=EMPTY if metadata is None else metadata,
                )
                await book.append([failed])
            except Exception as unrecorded:  # noqa: BLE001 - the body's exception is raised
                note_unrecorded(error, unrecorded)
            raise
        try:
            await book.append([attrs.evolve(advance, epoch=cursor.epoch if cursor else 0)])
        except NonMonotonicCursorError as error:
            known = cursor.last_sequence if cursor else 0
            rivals.refuse_overtaken(error, known, "Read the cursor again")
            raise
