"""The loop of a consumer, in threads: fetch, deliver, confirm, and begin anew after a reset."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from ledger.consuming.deliveries import Delivery
from ledger.consuming.retrying import GiveUp, Plan, Retry
from ledger.consuming.window import WindowFullError
from ledger.errors import StorageError
from ledger.law.refusals import StaleEpochError

if TYPE_CHECKING:
    from ledger.consuming.consumer import Consumer

__all__ = ["Loop"]

E = TypeVar("E")

LOOK_S = 0.05
"""So often an idle loop looks whether the cursor was reset."""


class Loop(Generic[E]):
    """One run of `Consumer.run`."""

    def __init__(
        self,
        consumer: Consumer,
        fetch: Callable[[int], Iterable[E]],
        deliver: Callable[[E, Delivery], object],
        *,
        retry: Retry,
        stop: threading.Event,
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
        # What follows is shared with the threads that deliver.
        self._changed = threading.Condition()
        self._plan: Plan[E] = Plan(retry)
        self._running = 0
        self._failure: BaseException | None = None
        self._stale = False
        self._storage_failures = 0

    def run(self) -> None:
        """Run until `stop` is set, or an event is given up by stopping.

        Raises the error of that event, or what the ledger raises as often as events are tried.
        """
        with ThreadPoolExecutor(
            self._consumer.in_flight, thread_name_prefix="cursor-ledger consumer"
        ) as threads:
            try:
                while self._goes_on():
                    try:
                        self._round(threads)
                    except StaleEpochError:
                        self._stale = True
                    if self._stale:
                        self._start_over()
            finally:
                self._drain()
        if self._failure is not None:
            raise self._failure

    def _goes_on(self) -> bool:
        return not self._stop.is_set() and self._failure is None

    def _round(self, threads: ThreadPoolExecutor) -> None:
        fetched = False
        for event in self._fetch(self._consumer.reached):
            fetched = True
            if not self._begin(event, threads):
                return
        if not fetched:
            self._idle(threads)

    def _begin(self, event: E, threads: ThreadPoolExecutor) -> bool:
        """Begin to deliver `event` once there is room; say whether the loop goes on."""
        sequence = self._sequence(event)
        while self._goes_on() and not self._stale:
            self._try_again(threads)
            wait_s = self._plan.wait_s(time.monotonic(), self._poll_s)
            try:
                delivery = self._consumer.delivering(
                    sequence, delivery_id=self._delivery_id(event), timeout_s=wait_s
                )
            except WindowFullError:
                self._wait(wait_s)
                continue
            except StorageError as error:
                self._note_storage(error)
                continue
            self._submit(sequence, event, delivery, threads)
            return True
        return False

    def _submit(
        self, sequence: int, event: E, delivery: Delivery, threads: ThreadPoolExecutor
    ) -> None:
        with self._changed:
            self._plan.began(sequence, event)
            self._running += 1
        threads.submit(self._attempt, event, delivery)

    def _try_again(self, threads: ThreadPoolExecutor) -> None:
        """Begin once more with what failed and is due."""
        while self._goes_on() and not self._stale:
            with self._changed:
                due = self._plan.due(time.monotonic())
            if due is None:
                return
            sequence, event = due
            try:
                delivery = self._consumer.delivering(sequence, delivery_id=self._delivery_id(event))
            except StorageError as error:
                with self._changed:
                    self._plan.put_off(sequence, time.monotonic())
                self._note_storage(error)
                return
            self._submit(sequence, event, delivery, threads)

    def _idle(self, threads: ThreadPoolExecutor) -> None:
        """Wait for new events; look often whether the cursor was reset, or something is due."""
        until = time.monotonic() + self._poll_s
        while self._goes_on() and not self._stale and time.monotonic() < until:
            self._try_again(threads)
            try:
                self._consumer.flush()
                self._consumer.look()
            except StorageError as error:
                self._note_storage(error)
            self._wait(min(LOOK_S, self._plan.wait_s(time.monotonic(), self._poll_s)))

    def _wait(self, seconds: float) -> None:
        with self._changed:
            if self._goes_on() and not self._stale:
                self._changed.wait(min(seconds, LOOK_S))

    def _drain(self) -> None:
        """Wait for what is being delivered."""
        with self._changed:
            while self._running:
                self._changed.wait()

    def _start_over(self) -> None:
        """Read the cursor anew after a reset, once nothing is being delivered for the old epoch."""
        self._drain()
        with self._changed:
            self._plan.clear()
            self._stale = False
        self._consumer.refresh()

    # --- in the threads that deliver ---

    def _attempt(self, event: E, delivery: Delivery) -> None:
        raised: BaseException | None = None
        try:
            with delivery:
                try:
                    self._deliver(event, delivery)
                except BaseException as error:
                    raised = error
                    raise
        except BaseException as error:  # noqa: BLE001 - raised by the loop
            self._note(delivery, error, of_event=error is raised)
        else:
            with self._changed:
                self._plan.done(delivery.sequence)
                self._storage_failures = 0
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _note(self, delivery: Delivery, error: BaseException, *, of_event: bool) -> None:
        if not of_event:
            if isinstance(error, StaleEpochError):
                self._stale = True
            elif isinstance(error, StorageError):
                self._note_storage(error)
            else:
                self._failure = self._failure or error
            return
        if not isinstance(error, Exception):
            self._failure = self._failure or error
            return
        with self._changed:
            end = self._plan.failed(delivery.sequence, delivery.tries, time.monotonic())
        if end is GiveUp.STOP:
            self._failure = self._failure or error
        elif end is GiveUp.SKIP:
            self._skip(delivery, error)

    def _skip(self, delivery: Delivery, error: Exception) -> None:
        try:
            self._consumer.give_up(
                delivery.sequence, reason=f"{delivery.tries} tries failed: {type(error).__name__}"
            )
        except StaleEpochError:
            self._stale = True
        except StorageError as storage:
            self._note_storage(storage)
        with self._changed:
            self._plan.done(delivery.sequence)

    def _note_storage(self, error: StorageError) -> None:
        """Go on after a failure of the database, as often as an event is tried."""
        with self._changed:
            self._storage_failures += 1
            if self._storage_failures >= self._plan.retry.tries_max:
                self._failure = self._failure or error
            wait_s = self._plan.retry.wait_before(self._storage_failures)
        self._stop.wait(wait_s)
