"""The loop of an asynchronous consumer, in tasks: what `running` does in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ledger.consuming.deliveries import Delivery
from ledger.consuming.retrying import GiveUp, Plan, Retry
from ledger.consuming.running import LOOK_S
from ledger.consuming.window import WindowFullError
from ledger.errors import StorageError
from ledger.law.refusals import StaleEpochError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from ledger.consuming.coroutines import AsyncConsumer, Beginning, Fetch

__all__ = ["Loop"]

E = TypeVar("E")


class Loop(Generic[E]):
    """One run of `AsyncConsumer.run`."""

    def __init__(
        self,
        consumer: AsyncConsumer,
        fetch: Fetch[E],
        deliver: Callable[[E, Delivery], Awaitable[object]],
        *,
        retry: Retry,
        stop: asyncio.Event,
        poll_s: float,
        sequence: Callable[[E], int],
        delivery_id: Callable[[E], str],
    ) -> None:
        self._consumer = consumer
        self._fetch = fetch
        self._deliver = deliver
        self._stop = stop
        self._poll_s = poll_s
        self._sequence = sequence
        self._delivery_id = delivery_id
        self._plan: Plan[E] = Plan(retry)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._stale = False
        self._storage_failures = 0

    async def run(self) -> None:
        """Run until `stop` is set, or an event is given up by stopping."""
        try:
            while self._goes_on():
                try:
                    await self._round()
                except StaleEpochError:
                    self._stale = True
                if self._stale:
                    await self._start_over()
        except asyncio.CancelledError:
            for task in self._tasks:
                task.cancel()
            raise
        finally:
            await self._drain()
        if self._failure is not None:
            raise self._failure

    def _goes_on(self) -> bool:
        return not self._stop.is_set() and self._failure is None

    async def _round(self) -> None:
        fetched = False
        async for event in self._fetched():
            fetched = True
            if not await self._begin(event):
                return
        if not fetched:
            await self._idle()

    async def _fetched(self) -> AsyncIterator[E]:
        answer = self._fetch(self._consumer.reached)
        if hasattr(answer, "__aiter__"):
            async for event in cast("AsyncIterable[E]", answer):
                yield event
            return
        if hasattr(answer, "__await__"):
            answer = await cast("Awaitable[Iterable[E]]", answer)
        for event in answer:
            yield event

    async def _begin(self, event: E) -> bool:
        """Begin to deliver `event` once there is room; say whether the loop goes on."""
        sequence = self._sequence(event)
        while self._goes_on() and not self._stale:
            await self._try_again()
            try:
                async with asyncio.timeout(self._wait_s()):
                    beginning = await self._consumer.delivering(
                        sequence, delivery_id=self._delivery_id(event)
                    )
            except WindowFullError:
                await asyncio.sleep(self._wait_s())
                continue
            except TimeoutError:
                continue
            except StorageError as error:
                await self._note_storage(error)
                continue
            self._start(sequence, event, beginning)
            return True
        return False

    def _start(self, sequence: int, event: E, beginning: Beginning) -> None:
        self._plan.began(sequence, event)
        task = asyncio.create_task(self._attempt(event, beginning), name="cursor-ledger delivery")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try_again(self) -> None:
        """Begin once more with what failed and is due."""
        while self._goes_on() and not self._stale:
            due = self._plan.due(self._now())
            if due is None:
                return
            sequence, event = due
            try:
                beginning = await self._consumer.delivering(
                    sequence, delivery_id=self._delivery_id(event)
                )
            except StorageError as error:
                self._plan.put_off(sequence, self._now())
                await self._note_storage(error)
                return
            self._start(sequence, event, beginning)

    async def _idle(self) -> None:
        """Wait for new events; look often whether the cursor was reset, or something is due."""
        until = self._now() + self._poll_s
        while self._goes_on() and not self._stale and self._now() < until:
            await self._try_again()
            try:
                await self._consumer.flush()
                await self._consumer.look()
            except StorageError as error:
                await self._note_storage(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._stop.wait()

    async def _drain(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _start_over(self) -> None:
        await self._drain()
        self._plan.clear()
        self._stale = False
        await self._consumer.refresh()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _wait_s(self) -> float:
        return max(self._plan.wait_s(self._now(), LOOK_S), 0.001)

    # --- in the tasks that deliver ---

    async def _attempt(self, event: E, beginning: Beginning) -> None:
        delivery = beginning.delivery
        raised: BaseException | None = None
        try:
            async with beginning:
                try:
                    await self._deliver(event, delivery)
                except BaseException as error:
                    raised = error
                    raise
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the loop
            await self._note(delivery, error, of_event=error is raised)
        else:
            self._plan.done(delivery.sequence)
            self._storage_failures = 0

    async def _note(self, delivery: Delivery, error: BaseException, *, of_event: bool) -> None:
        if not of_event and isinstance(error, StaleEpochError):
            self._stale = True
        elif not of_event and isinstance(error, StorageError):
            await self._note_storage(error)
        elif not of_event or not isinstance(error, Exception):
            self._failure = self._failure or error
        else:
            end = self._plan.failed(delivery.sequence, delivery.tries, self._now())
            if end is GiveUp.STOP:
                self._failure = self._failure or error
            elif end is GiveUp.SKIP:
                await self._skip(delivery, error)

    async def _skip(self, delivery: Delivery, error: Exception) -> None:
        try:
            await self._consumer.give_up(
                delivery.sequence, reason=f"{delivery.tries} tries failed: {type(error).__name__}"
            )
        except StaleEpochError:
            self._stale = True
        except StorageError as storage:
            await self._note_storage(storage)
        self._plan.done(delivery.sequence)

    async def _note_storage(self, error: StorageError) -> None:
        """Go on after a failure of the database, as often as an event is tried."""
        self._storage_failures += 1
        if self._storage_failures >= self._plan.retry.tries_max:
            self._failure = self._failure or error
        with suppress(TimeoutError):
            async with asyncio.timeout(self._plan.retry.wait_before(self._storage_failures)):
                await self._stop.wait()
