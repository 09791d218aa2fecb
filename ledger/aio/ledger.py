"""The ledger as coroutines meet it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import datetime
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import attrs

from ledger import service
from ledger.aio.futures import in_own_thread, settled
from ledger.aio.readers import Readers
from ledger.aio.streams import Stream, run_in_thread
from ledger.aio.waiting import news_of
from ledger.consuming.cancellations import is_failure
from ledger.consuming.coroutines import AsyncConsumer
from ledger.consuming.failures import described, note_unrecorded
from ledger.consuming.heads_coroutines import AsyncHeads
from ledger.errors import LedgerError, StorageError
from ledger.law import rules
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.pairs import EMPTY
from ledger.law.requests import (
    RecordError,
    Request,
    ResetCursor,
    StartCursor,
    advance_to,
    checked,
)
from ledger.law.tokens import ConfirmToken, Next
from ledger.service import Ledger
from ledger.stores.forks import ForkGuard
from ledger.waking import waiting
from ledger.waking.waker import Waker
from ledger.writing import answers
from ledger.writing.commit import Answer, Group
from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from ledger.positions import AsyncPositions

__all__ = ["AsyncLedger", "close_at_once"]

P = ParamSpec("P")
R = TypeVar("R")


def _in_thread(
    method: Callable[Concatenate[Ledger, P], R],
) -> Callable[Concatenate[AsyncLedger, P], Coroutine[Any, Any, R]]:
    @wraps(method)
    async def coroutine(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._readers.run(method, self._ledger, *args, **kwargs)

    return coroutine


def _iterating(
    method: Callable[Concatenate[Ledger, P], Iterator[R]],
) -> Callable[Concatenate[AsyncLedger, P], Stream[R]]:
    @wraps(method)
    def iterate(self: AsyncLedger, /, *args: P.args, **kwargs: P.kwargs) -> Stream[R]:
        # A wrong argument is refused here. Nothing is read before a row is asked for.
        method(self._ledger, *args, **kwargs)
        return self.stream(method, *args, **kwargs)

    return iterate


class AsyncLedger:
    """A `Ledger` whose methods are coroutines; histories are asynchronous iterators.

    If a call that appends is cancelled, it is withdrawn if its transaction has not begun, or else
    waited for: once the await has ended, the outcome is settled, and `get` returns it. A call
    that was cancelled may therefore have been appended; one that raised anything else was not. Any
    other call that is cancelled is withdrawn, or ends by itself.

    Each method takes and raises what the method of `Ledger` of the same name does.

    >>> import asyncio, ledger.aio
    >>> async def main() -> list[int]:
    ...     key = ledger.CursorKey("webhooks", "orders")
    ...     async with ledger.aio.open(":memory:") as book:
    ...         async with book.delivering(key, to=41) as before:
    ...             assert before is None
    ...         await book.advance(key, to=44)
    ...         return [entry.event.sequence async for entry in book.history(key)]
    >>> asyncio.run(main())
    [41, 44]
    """

    def __init__(self, ledger: Ledger) -> None:
        self._guard = ForkGuard()
        self._closed = False
        self._ledger = ledger
        self._readers = Readers(self._check)

    @property
    def immutable(self) -> bool:
        """Whether this user may only read the file, and it was opened as one that stays as it is.

        SQLite then takes no locks, and writes nothing beside the file either. If somebody else
        writes to it all the same, a later call raises StorageError.
        """
        return self._ledger.immutable

    @property
    def _waker(self) -> Waker | None:
        return self._ledger._waker

    # --- reading ---

    get = _in_thread(Ledger.get)
    find = _in_thread(Ledger.find)
    cursors = _iterating(Ledger.cursors)
    history = _iterating(Ledger.history)
    entries = _iterating(Ledger.entries)
    moves = _in_thread(Ledger.moves)
    now = _in_thread(Ledger.now)
    horizon = _in_thread(Ledger.horizon)
    identity = _in_thread(Ledger.identity)

    @property
    def positions(self) -> AsyncPositions:
        """The mapping of each stream between its positions and sequences, kept in this ledger."""
        from ledger.positions import AsyncPositions

        return AsyncPositions(self)

    @property
    def heads(self) -> AsyncHeads:
        """The heads of the streams: the highest sequence that exists on each, for `lag`."""
        return AsyncHeads(self)

    def stream(
        self,
        work: Callable[Concatenate[Ledger, P], Iterable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Stream[R]:
        """Return, as a stream, what `work` yields when it is called with the ledger for threads.

        It runs in a thread, a page at a time, as rows are asked for; so does any function of
        `projections`.

        >>> import asyncio, ledger.aio, projections
        >>> async def main() -> list[str]:
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:", actor="ines") as book:
        ...         cursor = await book.reset(key, to=3, reason="the mails bounced")
        ...         return [reset.actor async for reset in book.stream(projections.resets)]
        >>> asyncio.run(main())
        ['ines']
        """
        return Stream(self._readers, self._ledger, lambda book: work(book, *args, **kwargs))

    async def run(
        self, work: Callable[Concatenate[Ledger, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Return what `work` returns when it is called, in a thread, with the ledger for threads.

        If this is cancelled, `work` stops when it reads the next row; what it appends is waited
        for. It must not keep the ledger, nor close it.

        >>> import asyncio, ledger.aio
        >>> from projections import ResetPlan
        >>> async def main() -> list[int]:
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:") as book:
        ...         cursor = await book.advance(key, to=44)
        ...         plan = await book.run(ResetPlan.make, [key], to=41, reason="42 was lost")
        ...         return [each.last_sequence for each in await book.run(plan.apply, actor="ines")]
        >>> asyncio.run(main())
        [41]
        """
        return await run_in_thread(
            self._readers, self._ledger, lambda book: work(book, *args, **kwargs)
        )

    # --- writing ---

    async def start(
        self,
        key: CursorKey,
        *,
        at: int,
        reason: str,
        source: str = "",
        delivery_id: str = "",
        delivered_at: datetime | None = None,
        now: datetime | None = None,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Make the cursor of `key`, at sequence `at`, from 0, and say why it starts there.

        What lies before is before the ledger's time. Parameters are those of StartCursor. Raises
        InvalidCursorError, CursorExistsError if it has any entry, ActorRequiredError if neither the
        call nor the ledger names one.
        """
        return await self.submit(
            StartCursor(
                key,
                at,
                reason,
                source=source,
                last_delivery_id=delivery_id,
                last_delivered_at=delivered_at,
                now=now,
                actor=actor,
                metadata=EMPTY if metadata is None else metadata,
            )
        )

    async def advance(
        self,
        key: CursorKey,
        *,
        to: int | Next,
        delivery_id: str = "",
        after: str | None = None,
        delivered_at: datetime | None = None,
        outcome: Outcome = Outcome.DELIVERED,
        now: datetime | None = None,
        actor: str = "",
        epoch: int | None = None,
        expected_version: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Confirm everything up to sequence `to`, from 1; the same place may be confirmed again.

        With `to=ledger.NEXT`, confirm the token `delivery_id`, which follows the token `after`.

        Parameters are those of AdvanceCursor, or of ConfirmToken. Raises InvalidCursorError,
        NonMonotonicCursorError, StaleTokenError, StaleEpochError, VersionConflictError,
        EpochRequiredError.
        """
        return await self.submit(
            advance_to(
                key,
                to,
                after=after,
                delivery_id=delivery_id,
                last_delivered_at=delivered_at,
                outcome=outcome,
                now=now,
                actor=actor,
                epoch=epoch,
                expected_version=expected_version,
                metadata=EMPTY if metadata is None else metadata,
            )
        )

    async def reset(
        self,
        key: CursorKey,
        *,
        to: int,
        reason: str,
        delivery_id: str = "",
        delivered_at: datetime | None = None,
        now: datetime | None = None,
        actor: str = "",
        expected_version: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Move the cursor to sequence `to`, from 0, in either direction, and say why.

        Parameters are those of ResetCursor. Raises InvalidCursorError, ResetReasonRequiredError,
        ActorRequiredError if neither the call nor the ledger names one, VersionConflictError.
        """
        return await self.submit(
            ResetCursor(
                key,
                to,
                reason,
                last_delivery_id=delivery_id,
                last_delivered_at=delivered_at,
                now=now,
                actor=actor,
                expected_version=expected_version,
                metadata=EMPTY if metadata is None else metadata,
            )
        )

    async def record_error(
        self,
        key: CursorKey,
        message: str,
        *,
        now: datetime | None = None,
        actor: str = "",
        epoch: int | None = None,
        expected_version: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Record that a delivery failed; the sequence stays. Secrets in `message` are masked.

        Parameters are those of RecordError. Raises InvalidCursorError, StaleEpochError,
        VersionConflictError.
        """
        return await self.submit(
            RecordError(
                key,
                message,
                now=now,
                actor=actor,
                epoch=epoch,
                expected_version=expected_version,
                metadata=EMPTY if metadata is None else metadata,
            )
        )

    async def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append all of `requests`, in order, in one transaction, or none; return the cursors.

        Raises the refusal of the first request that is refused.
        """
        return await self._append([checked(requests)], answers.whole)

    async def append_each(self, requests: Iterable[Request]) -> list[Cursor | LedgerError]:
        """Append `requests`, in order, in one transaction, each on its own.

        Where the law refuses one, its refusal is returned in place of the cursor; the others are
        appended.
        """
        return await self._append([(request,) for request in checked(requests)], answers.each)

    async def submit(self, request: Request) -> Cursor:
        """Append `request`, and return the cursor."""
        return await self._append([checked((request,))], answers.one)

    def consumer(
        self, key: CursorKey, *, in_flight: int = 1, take_over: str | None = None
    ) -> AsyncConsumer:
        """Return a consumer of `key`: it delivers what comes after the cursor, and confirms it.

        `in_flight` is how many deliveries may be unconfirmed at once, from 1 to 10,000. With
        `take_over`, it takes the cursor over when it is entered, and says why: see
        `Ledger.consumer`.

        Raises InvalidCursorError.
        """
        return AsyncConsumer(self, key, in_flight=in_flight, take_over=take_over)

    @asynccontextmanager
    async def delivering(
        self,
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
        """Deliver in the body; on success advance to `to`, on an exception record and re-raise it.

        Yields the cursor as it stood, or None if there was none. Its epoch goes with the advance:
        if the cursor is reset meanwhile, StaleEpochError is raised, and the reset stands. If an
        error cannot be recorded, the body's exception is raised with a note that says so.

        It cannot know which events you fetched before it was called: if the cursor was reset since
        then, it would jump over what was to be delivered again. Pass the `epoch` that you read
        before you fetched: it goes with the advance and the error, and StaleEpochError is raised
        before the body runs. `consumer` does that by itself, and delivers many at once; this is for
        one at a time, and a second one of the same key raises DeliveringError.

        With `to=ledger.NEXT`, StaleTokenError is raised before the body runs, too.

        Raises what `advance` raises.
        """
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
        with service.deliverers_of(self._ledger).only(advance.key):
            cursor = await self.find(advance.key)
            rules.check_epoch(cursor, advance)
            if isinstance(advance, ConfirmToken):
                rules.ordinal(cursor, advance)
            try:
                yield cursor
            except (Exception, asyncio.CancelledError) as error:
                if not is_failure(error):
                    raise
                try:
                    await self.record_error(
                        key, described(error), actor=actor, epoch=epoch, metadata=metadata
                    )
                except Exception as unrecorded:  # noqa: BLE001 - the body's exception is raised
                    note_unrecorded(error, unrecorded)
                raise
            await self.submit(attrs.evolve(advance, epoch=cursor.epoch if cursor else 0))

    # --- waiting ---

    async def wait(
        self, key: CursorKey, after_version: int, timeout: float | None = None
    ) -> Cursor | None:
        """Wait until the cursor of `key` has a version above `after_version`, and return it.

        Returns at once if it has; None after `timeout` seconds, or never without one. A version
        counts entries, so this wakes at any advance, reset or error, of whatever process; 0 waits
        for the first. It wakes at once where this process appends, else within some 30 ms; resets
        on PostgreSQL are told of at once. Of several entries in the meantime only the last state
        is seen: `history` has them all.

        One thread wakes all who wait for a ledger, so that many may.

        Raises InvalidCursorError, also inside a caller's transaction; StorageError if the ledger is
        closed meanwhile, or in a callback of `submit`, which what it waits for would wait for.
        """
        self._check()
        waiter, until = waiting.for_version(key, after_version), waiting.until(timeout)
        news = await news_of(service.waker_of(self._ledger), waiter, until)
        return news if isinstance(news, Cursor) else None

    async def wait_for_entries(self, after: int, timeout: float | None = None) -> int | None:
        """Wait until the log is settled beyond position `after`; return how far it is.

        Returns None after `timeout` seconds, or never without one. Entries up to the position that
        is returned can be read, and nothing can be appended before them any more: see `horizon`.

        Raises what `wait` raises.
        """
        self._check()
        waiter, until = waiting.for_entries(after), waiting.until(timeout)
        waker = service.waker_of(self._ledger)
        while (settled := (await self.horizon()).position) <= waiter.position:
            began = time.monotonic()
            if await news_of(waker, waiter, until) is None:
                return None
            await asyncio.sleep(waiting.rest_s(began, until))
        return settled

    # --- proof ---

    verify = _in_thread(Ledger.verify)
    checkpoint = _in_thread(Ledger.checkpoint)
    rebuild = _in_thread(Ledger.rebuild)
    copy_to = _in_thread(Ledger.copy_to)

    # --- life ---

    async def close(self) -> None:
        """Close the ledger, once all that was asked for is answered. Closing twice is fine.

        If this is cancelled, the ledger is closed all the same, by itself; to wait for that, close
        it again.
        """
        if self._guard.forked():
            return  # A child has not inherited the threads.
        if self._readers.has_this_thread():
            raise StorageError(
                "This thread reads from the ledger that it would close, and would wait for itself. "
                "Close it where it was opened."
            )
        self._closed = True
        if in_callback():
            # The event loop runs in a thread that gives answers: there, closing serves the queue.
            self._finish()
            return
        await asyncio.shield(asyncio.wrap_future(in_own_thread(self._finish)))

    async def __aenter__(self) -> Self:
        """Return the ledger itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        await self.close()

    async def _append(self, groups: Sequence[Group], conclude: Callable[[list[Answer]], R]) -> R:
        self._check()
        # No waiting for room: that would stop the event loop.
        return await settled(service.submitted(self._ledger, groups, conclude, room=False))

    def _check(self) -> None:
        self._guard.check()
        if self._closed:
            raise StorageError("This ledger is closed; open it again.")

    def _finish(self) -> None:
        # Those who wait would not end by themselves. What is read needs the ledger to be open.
        service.stop_waiting(self._ledger)
        self._readers.close()
        self._ledger.close()


# --- for ledger.testing ---


def close_at_once(book: AsyncLedger) -> None:
    """Close `book` as its `close` does, in this thread, where no event loop runs."""
    book._closed = True
    book._finish()
