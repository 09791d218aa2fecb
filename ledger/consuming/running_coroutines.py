"""The loop of an asynchronous consumer, in tasks: what `running` does in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ledger.consuming.callables import AWAITED, check_doing, refuse_undone
from ledger.consuming.cancellations import as_error, is_failure
from ledger.consuming.delivery import Delivery
from ledger.consuming.options import (
    check_stop,
    checked_delivery_id,
    checked_retry,
    checked_sequence,
)
from ledger.consuming.retrying import GiveUp, Outage, Plan, Retry, checked_poll_s, given_up
from ledger.consuming.running import LOOK_ALSO_S, LOOK_S
from ledger.consuming.window import WindowFullError
from ledger.errors import LedgerError, StorageError
from ledger.law.refusals import StaleEpochError
from ledger.waking.telling import told_of_reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from ledger.consuming.beginning import Beginning
    from ledger.consuming.coroutines import AsyncConsumer, Deliver, Fetch

__all__ = ["Loop"]

E = TypeVar("E")


class Loop(Generic[E]):
    """One run of `AsyncConsumer.run`."""

    def __init__(
        self,
        consumer: AsyncConsumer,
        fetch: Fetch[E],
        deliver: Deliver[E],
        *,
        retry: Retry | None,
        stop: asyncio.Event | None,
        poll_s: float,
        sequence: Callable[[E], int] | None,
        delivery_id: Callable[[E], str] | None,
    ) -> None:
        check_doing(fetch, "fetch", yields=True, awaits=True)
        check_doing(deliver, "deliver", awaits=True)
        self._consumer = consumer
        self._fetch = fetch
        self._deliver = deliver
        self._stop = asyncio.Event() if stop is None else stop
        check_stop(self._stop, awaits=True)
        self._poll_s = checked_poll_s(poll_s)
        self._sequence = checked_sequence(sequence)
        self._delivery_id = checked_delivery_id(delivery_id)
        tries = checked_retry(retry)
        self._plan: Plan[E] = Plan(tries)
        self._outage = Outage(tries, consumer.key)
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._cancelled = False
        self._failure: BaseException | None = None
        self._told = False
        self._look_at = 0.0
        # What a failed or cancelled run has left is begun anew: this one does not know it.
        self._stale = consumer.has_begun

    async def run(self) -> None:
        """Run until `stop` is set, or an event is given up by stopping.

        Raises CancelledError only if this task is cancelled, and RuntimeError for any other one.
        """
        try:
            while self._goes_on():
                if self._stale:
                    await self._start_over()
                else:
                    await self._round()
        except asyncio.CancelledError as error:
            if is_failure(error):
                raise as_error(error) from error
            self._cancel()
            raise
        finally:
            await self._drain()
        if self._failure is not None:
            with suppress(LedgerError):
                await self._consumer.flush()
            raise as_error(self._failure)
        with suppress(StaleEpochError):
            await self._consumer.flush()

    def _goes_on(self) -> bool:
        return not self._stop.is_set() and self._failure is None

    def _delivers(self) -> bool:
        return self._goes_on() and not self._stale

    async def _round(self) -> None:
        fetched = False
        # Closed at once, because it may read from somewhere.
        async with aclosing(self._fetched()) as events:
            async for event in events:
                fetched = True
                if not await self._begin(event):
                    return
        if not fetched:
            await self._idle()

    async def _fetched(self) -> AsyncGenerator[E, None]:
        answer = self._fetch(self._consumer.reached)
        if hasattr(answer, "__await__"):
            answer = await cast("Awaitable[Iterable[E]]", answer)
        try:
            if hasattr(answer, "__aiter__"):
                async for event in cast("AsyncIterable[E]", answer):
                    yield event
            else:
                for event in answer:
                    yield event
        finally:
            if isinstance(answer, AsyncGenerator):
                await answer.aclose()
            elif isinstance(answer, Generator):
                answer.close()

    async def _begin(self, event: E) -> bool:
        """Begin to deliver `event` once there is room; return whether the loop goes on."""
        sequence = self._sequence(event)
        while self._delivers():
            await self._try_again()
            if await self._begun(sequence, event, wait_s=self._wait_s()):
                return True
        return False

    async def _begun(self, sequence: int, event: E, *, wait_s: float) -> bool:
        """Begin to deliver `event`; return whether it was begun."""
        try:
            beginning = await self._consumer.delivering(
                sequence, delivery_id=self._delivery_id(event), timeout_s=wait_s
            )
        except StaleEpochError:
            self._stale = True
        except WindowFullError:
            await self._wait()
        except StorageError as error:
            self._note_storage(error)
            await self._pause()
        else:
            self._outage.over()
            self._start(sequence, event, beginning)
            return True
        return False

    def _start(self, sequence: int, event: E, beginning: Beginning) -> None:
        self._plan.began(sequence, event)
        task = asyncio.create_task(self._attempt(event, beginning), name="cursor-ledger delivery")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _try_again(self) -> None:
        """Begin once more with what failed and is due."""
        while self._delivers():
            due = self._plan.due(self._now())
            if due is None:
                return
            sequence, event = due
            if not await self._begun(sequence, event, wait_s=0):
                self._plan.put_off(sequence, self._now())
                return

    async def _idle(self) -> None:
        """Wait for new events, a reset, or something that is due again."""
        until = self._now() + self._poll_s
        loop = asyncio.get_running_loop()

        def tell() -> None:
            # In the thread that wakes, and the loop may be closed by now.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._hear)

        while self._delivers() and self._now() < until:
            self._told = False
            key, epoch = self._consumer.key, self._consumer.epoch
            with told_of_reset(self._consumer._book, key, epoch, tell) as tells:
                again_at = min(until, self._now() + LOOK_ALSO_S) if tells else 0.0
                while True:
                    await self._try_again()
                    await self._attend(tells=tells)
                    await self._wait()
                    if self._told or not self._delivers() or self._now() >= again_at:
                        break

    def _hear(self) -> None:
        """Hear that the cursor was reset."""
        self._told = True
        self._look_at = 0.0
        self._changed.set()

    async def _attend(self, *, tells: bool) -> None:
        """Append what is ready; look at the cursor, unless the ledger `tells` of resets."""
        try:
            await self._consumer.flush()
            if not tells or self._now() >= self._look_at:
                self._look_at = self._now() + LOOK_ALSO_S
                await self._consumer.look()
                self._outage.over()
        except StaleEpochError:
            self._stale = True
        except StorageError as error:
            self._look_at = 0.0
            self._note_storage(error)
            await self._pause()

    async def _wait(self) -> None:
        """Wait a moment: until a delivery has ended, a reset is told of, or something is due."""
        self._changed.clear()
        if self._delivers() and not self._told:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s()):
                    await self._changed.wait()

    def _wait_s(self) -> float:
        return self._plan.wait_s(self._now(), min(LOOK_S, self._poll_s))

    async def _pause(self) -> None:
        """Leave the database alone for a while after a failure."""
        while self._goes_on() and (left_s := self._outage.until - self._now()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LOOK_S)):
                    await self._stop.wait()

    def _cancel(self) -> None:
        """Cancel what is being delivered; once, so that it can clean up behind itself."""
        if not self._cancelled:
            self._cancelled = True
            for task in self._tasks:
                task.cancel()

    async def _drain(self) -> None:
        """Wait for what is being delivered; if this is cancelled, cancel that, and wait still."""
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                cancelled = error
                self._cancel()
        if cancelled is not None:
            raise cancelled

    async def _start_over(self) -> None:
        await self._drain()
        try:
            await self._consumer.refresh()
        except StorageError as error:
            self._note_storage(error)
            await self._pause()
            return
        self._outage.over()
        self._plan.clear()
        self._stale = False

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # --- in the tasks that deliver ---

    async def _attempt(self, event: E, beginning: Beginning) -> None:
        try:
            await self._deliver_one(event, beginning)
        except BaseException as error:
            self._fail(error)
            if isinstance(error, asyncio.CancelledError):
                raise

    async def _deliver_one(self, event: E, beginning: Beginning) -> None:
        delivery = beginning.delivery
        raised: BaseException | None = None
        try:
            async with beginning:
                try:
                    answer: object = self._deliver(event, delivery)
                    if isinstance(answer, Awaitable):
                        answer = await answer
                except BaseException as error:
                    raised = error
                    raise
                # No failure of the event, which would be tried again: it ends the loop.
                refuse_undone(answer, "deliver", AWAITED)
        except StaleEpochError as error:
            if error is raised:
                await self._note(delivery, error)
            else:
                self._stale = True
        except StorageError as error:
            if error is raised:
                await self._note(delivery, error)
            else:
                # It was delivered; the next delivery appends its confirmation.
                self._plan.done(delivery.sequence)
                self._note_storage(error)
        except (Exception, asyncio.CancelledError) as error:
            if error is not raised or not is_failure(error):
                raise
            await self._note(delivery, error)
        else:
            self._plan.done(delivery.sequence)

    async def _note(self, delivery: Delivery, error: BaseException) -> None:
        """Have an event that failed delivered again, or give it up."""
        end = self._plan.failed(delivery.sequence, delivery.tries, self._now())
        if end is GiveUp.STOP:
            self._fail(error)
        elif end is GiveUp.SKIP:
            await self._skip(delivery, error)

    async def _skip(self, delivery: Delivery, error: BaseException) -> None:
        reason = given_up(delivery.tries, error)
        try:
            await self._consumer.give_up(delivery.sequence, reason=reason)
        except StaleEpochError:
            self._stale = True
        except StorageError as storage:
            self._note_storage(storage)
        self._plan.done(delivery.sequence)

    def _note_storage(self, error: StorageError) -> None:
        """Go on after a failure of the database, as often as an event is tried."""
        if self._outage.failed(self._now(), error):
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
