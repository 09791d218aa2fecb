"""A consumer for asyncio: the deliveries of `consumer.Consumer`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from ledger.consuming.beginning import Beginning
from ledger.consuming.cancellations import is_failure
from ledger.consuming.deliveries import Deliveries, checked_in_flight
from ledger.consuming.delivery import Delivery
from ledger.consuming.failures import note_unrecorded
from ledger.consuming.retrying import Retry, ends_at
from ledger.consuming.room import WAIT_S, Patience
from ledger.errors import InvalidCursorError, LedgerError
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.refusals import StaleEpochError
from ledger.law.requests import AdvanceCursor, RecordError

if TYPE_CHECKING:
    from ledger.consuming.takeovers import AsyncBook

__all__ = ["AsyncConsumer"]

E = TypeVar("E")

Fetch: TypeAlias = Callable[[int], Iterable[E] | AsyncIterable[E] | Awaitable[Iterable[E]]]
Deliver: TypeAlias = Callable[[E, Delivery], Awaitable[object] | None]


class AsyncConsumer:
    """A `Consumer` whose deliveries are awaited; `AsyncLedger.consumer` makes it.

    It reads the cursor, or takes it over, when it is entered, or else with its first delivery; to
    ask where it stands before that raises InvalidCursorError. It belongs to one event loop, and to
    any number of tasks in it. Deliveries begin in the order in which `delivering` is entered or
    awaited.

    >>> import asyncio, ledger.aio
    >>> async def main() -> int:
    ...     key = ledger.CursorKey("webhooks", "orders")
    ...     async with ledger.aio.open(":memory:") as book, book.consumer(key) as consumer:
    ...         async with consumer.delivering(41, delivery_id="msg-41") as delivery:
    ...             delivery.metadata["status"] = "202"
    ...         return consumer.position
    >>> asyncio.run(main())
    41
    """

    def __init__(
        self,
        book: AsyncBook,
        key: CursorKey,
        *,
        in_flight: int = 1,
        take_over: str | None = None,
    ) -> None:
        self._book = book
        self._takes_over = take_over
        if take_over is not None:
            # Imported here, because it is rare.
            from ledger.consuming import takeovers

            self._takes_over = takeovers.checked_reason(take_over)
        self._deliveries = Deliveries(CursorKey.check(key), checked_in_flight(in_flight))
        self._beginning = asyncio.Lock()
        self._appending = asyncio.Lock()
        self._changed = asyncio.Event()

    # --- where it stands ---

    @property
    def key(self) -> CursorKey:
        """The cursor's key."""
        return self._deliveries.key

    @property
    def position(self) -> int:
        """The sequence up to which everything is confirmed; 0 if nothing is."""
        return self._as_read().position

    @property
    def reached(self) -> int:
        """The sequence that began last, or `position`: what is fetched next comes after it."""
        return self._as_read().reached

    @property
    def token(self) -> str:
        """The delivery id of what `reached` names; empty if there is none.

        Where positions are tokens, what is fetched next comes after it, and is delivered as
        `reached + 1`.
        """
        return self._as_read().token

    @property
    def epoch(self) -> int:
        """The epoch that was read."""
        return self._as_read().epoch

    @property
    def failed(self) -> tuple[int, ...]:
        """The sequences that failed, and hold back the cursor until they are delivered again."""
        return self._deliveries.failed

    @property
    def has_begun(self) -> bool:
        """Whether anything was begun that is not confirmed yet, or not appended."""
        return self._deliveries.has_begun

    @property
    def in_flight(self) -> int:
        """How many deliveries may be unconfirmed at once."""
        return self._deliveries.size

    async def refresh(self) -> Cursor | None:
        """Read the cursor anew, and begin after it: see `Consumer.refresh`."""
        async with self._appending:
            cursor = await self._taken_or_found()
            self._deliveries.read(cursor)
            self._takes_over = None
        self._wake()
        return cursor

    async def look(self) -> None:
        """Look whether the cursor was reset since it was read.

        Raises StaleEpochError.
        """
        self._as_read().look(await self._book.find(self.key))

    # --- delivering ---

    def delivering(
        self,
        sequence: int,
        *,
        delivery_id: str = "",
        outcome: Outcome = Outcome.DELIVERED,
        metadata: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Beginning:
        """Begin to deliver `sequence`, and deliver it in the body: see `Consumer.delivering`.

        It begins when it is entered, with `async with`; or when it is awaited, so that one task can
        begin what others deliver. It waits for room up to `timeout_s` seconds; without end if that
        is None. `delivery_id`, `outcome` and `metadata` go with the confirmation.

        Raises, when it begins, what `Consumer.delivering` raises.
        """

        async def begin() -> Delivery:
            if not self._deliveries.was_read:
                await self.refresh()
            generation = self._deliveries.generation
            advance = self._deliveries.asked(sequence, delivery_id, outcome, metadata)
            return await self._begin(advance, generation, timeout_s)

        return Beginning(begin, self._end)

    async def run(
        self,
        fetch: Fetch[E],
        deliver: Deliver[E],
        *,
        retry: Retry | None = None,
        stop: asyncio.Event | None = None,
        poll_s: float = 1.0,
        sequence: Callable[[E], int] | None = None,
        delivery_id: Callable[[E], str] | None = None,
    ) -> None:
        """Fetch, deliver and confirm, until `stop` is set: see `Consumer.run`.

        `fetch(position)` returns an iterable, an asynchronous one, or an awaitable of an iterable;
        `deliver(event, delivery)` is awaited, up to `in_flight` at once, each in a task of its own;
        a plain function has delivered when it returns, and must not block the event loop. `retry`,
        `poll_s`, in seconds, `sequence` and `delivery_id` are as there.

        If this is cancelled, those are cancelled first. A CancelledError of what they await is a
        failure like any other; where it ends the loop, this raises a RuntimeError from it.

        >>> import asyncio, ledger.aio
        >>> from ledger.testing import Event
        >>> async def main() -> int:
        ...     stop, orders = asyncio.Event(), [Event(41), Event(44)]
        ...     async def deliver(order, delivery):
        ...         print("sending order", order.sequence)
        ...         if order is orders[-1]:
        ...             stop.set()  # a service sets it when it is told to end
        ...     key = ledger.CursorKey("webhooks", "orders")
        ...     async with ledger.aio.open(":memory:") as book, book.consumer(key) as consumer:
        ...         await consumer.run(
        ...             lambda position: [order for order in orders if order.sequence > position],
        ...             deliver,
        ...             stop=stop,
        ...         )
        ...         return consumer.position
        >>> asyncio.run(main())
        sending order 41
        sending order 44
        44
        """
        # Imported here, because only a loop needs it.
        from ledger.consuming.running_coroutines import Loop

        loop = Loop(
            self,
            fetch,
            deliver,
            retry=retry,
            stop=stop,
            poll_s=poll_s,
            sequence=sequence,
            delivery_id=delivery_id,
        )
        if not self._deliveries.was_read:
            await self.refresh()
        await loop.run()

    async def give_up(self, sequence: int, *, reason: str) -> None:
        """Go on without the delivery of `sequence`, which failed: see `Consumer.give_up`.

        `reason` is kept in the metadata of the entry.
        """
        self._deliveries.give_up(sequence, reason)
        await self.flush()

    async def flush(self) -> None:
        """Append the confirmations that are ready: see `Consumer.flush`."""
        async with self._appending:
            if self._deliveries.unsure:
                self._deliveries.settle(await self._book.find(self.key))
            try:
                if ready := self._deliveries.appending():
                    self._deliveries.recorded(await self._book.append(ready))
            except LedgerError as error:
                self._deliveries.refused(error)
                raise
            finally:
                self._wake()

    async def __aenter__(self) -> Self:
        """Read the cursor."""
        await self.refresh()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Append what is ready still; an error that is on its way is not replaced."""
        if error is None:
            await self.flush()
        else:
            with suppress(LedgerError):
                await self.flush()

    # --- how a delivery begins and ends ---

    async def _begin(
        self, advance: AdvanceCursor, generation: int, timeout_s: float | None
    ) -> Delivery:
        until = ends_at(timeout_s, _now())
        if advance.last_sequence in self.failed:
            # It has its place. Those who wait for room wait for it, so it must not wait for them.
            return await self._checked(advance, generation, until)
        if self._beginning.locked() and self._deliveries.delivers(_me()):
            # The task that waits for room may wait for this one to end its delivery.
            raise self._deliveries.full()
        # One at a time, so that they begin in the order in which they asked.
        async with self._beginning:
            return await self._checked(advance, generation, until)

    async def _checked(
        self, advance: AdvanceCursor, generation: int, until: float | None
    ) -> Delivery:
        sequence = advance.last_sequence
        while True:
            if not self._deliveries.may_begin(sequence):
                # A delivery that would be refused does not wait.
                self._deliveries.check(await self._book.find(self.key), advance)
                await self._wait_for_room(sequence, until)
            # Once more, because a reset may come while this waits.
            self._deliveries.check(await self._book.find(self.key), advance)
            delivery = self._deliveries.begin(advance, generation, None, _me())
            if delivery is not None:
                return delivery

    async def _taken_or_found(self) -> Cursor | None:
        from ledger.consuming import takeovers

        if self._takes_over is not None:
            # Not read anew behind it: by then, another may have taken it over in its turn.
            return await takeovers.take_async(self._book, self.key, self._takes_over)
        cursor = await self._book.find(self.key)
        if self._deliveries.was_reset(cursor):
            await takeovers.refuse_taken_async(self._book, self.key, cursor, since=self.epoch)
        return cursor

    async def _end(self, delivery: Delivery, error: BaseException | None) -> None:
        if error is None:
            try:
                self._deliveries.confirm(delivery)
            finally:
                self._wake()
            await self.flush()
            return
        try:
            said = self._deliveries.fail(delivery, error, counts=is_failure(error))
        finally:
            self._wake()
        if said is not None:
            await self._record(said, error)

    async def _record(self, said: RecordError, error: BaseException) -> None:
        try:
            await self._book.append([said])
        except Exception as unrecorded:  # noqa: BLE001 - what the body has raised comes out
            if isinstance(unrecorded, StaleEpochError):
                self._deliveries.note_stale(unrecorded)
            note_unrecorded(error, unrecorded)

    async def _wait_for_room(self, sequence: int, until: float | None) -> None:
        patience = Patience(self._deliveries, _me())
        while True:
            if self._deliveries.has_ready:
                await self.flush()
            if self._deliveries.may_begin(sequence):
                return
            if self._deliveries.has_ready:
                continue
            left_s = WAIT_S if until is None else min(until - _now(), WAIT_S)
            late = patience.is_over(_now()) if until is None else left_s <= 0
            if late or not self._deliveries.waits_for_others(_me()):
                raise self._deliveries.full()
            self._changed.clear()
            # Nobody tells when a delivery was begun and dropped, or not entered.
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()

    def _as_read(self) -> Deliveries:
        if not self._deliveries.was_read:
            raise InvalidCursorError(
                f"this consumer has not read the cursor of {self.key} yet, so it does not know "
                "where it stands. Enter it: `async with book.consumer(key) as consumer`; or "
                "`await consumer.refresh()`."
            )
        return self._deliveries


def _me() -> int:
    return id(asyncio.current_task())


def _now() -> float:
    return asyncio.get_running_loop().time()
