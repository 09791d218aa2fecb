"""The loop of a consumer, in threads: fetch, deliver, confirm, and begin anew after a reset."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from ledger.consuming.callables import PLAIN, check_doing, refuse_undone
from ledger.consuming.delivery import Delivery
from ledger.consuming.options import (
    check_stop,
    checked_delivery_id,
    checked_retry,
    checked_sequence,
)
from ledger.consuming.retrying import GiveUp, Outage, Plan, Retry, checked_poll_s, given_up
from ledger.consuming.window import WindowFullError
from ledger.errors import LedgerError, StorageError
from ledger.law.refusals import StaleEpochError
from ledger.waking.telling import told_of_reset

if TYPE_CHECKING:
    from ledger.consuming.consumer import Consumer

__all__ = ["Loop"]

E = TypeVar("E")

LOOK_S = 0.05
"""An idle loop looks at this interval whether it was stopped, and whether the cursor was reset,
unless the ledger tells it.
"""

LOOK_ALSO_S = 1.0
"""The loop looks at the cursor at this interval even if the ledger tells it of resets."""


class Loop(Generic[E]):
    """One run of `Consumer.run`."""

    def __init__(
        self,
        consumer: Consumer,
        fetch: Callable[[int], Iterable[E]],
        deliver: Callable[[E, Delivery], object],
        *,
        retry: Retry | None,
        stop: threading.Event | None,
        poll_s: float,
        sequence: Callable[[E], int] | None,
        delivery_id: Callable[[E], str] | None,
    ) -> None:
        check_doing(fetch, "fetch", PLAIN, yields=True)
        check_doing(deliver, "deliver", PLAIN)
        self._consumer = consumer
        self._fetch = fetch
        self._deliver = deliver
        self._stop = threading.Event() if stop is None else stop
        check_stop(self._stop, awaits=False)
        self._poll_s = checked_poll_s(poll_s)
        self._sequence = checked_sequence(sequence)
        self._delivery_id = checked_delivery_id(delivery_id)
        tries = checked_retry(retry)
        # What follows is shared with the threads that deliver.
        self._lock = threading.RLock()  # Taken by itself, as in room.py.
        self._changed = threading.Condition(self._lock)
        self._plan: Plan[E] = Plan(tries)
        self._outage = Outage(tries, consumer.key)
        self._running = 0
        self._failure: BaseException | None = None
        self._told = False
        self._look_at = 0.0
        # What a failed or interrupted run has left is begun anew: this one does not know it.
        self._stale = consumer.has_begun

    def run(self) -> None:
        """Run until `stop` is set, or an event is given up by stopping.

        Raises the error of that event, or what the ledger raises as often as events are tried.
        """
        with ThreadPoolExecutor(
            self._consumer.in_flight, thread_name_prefix="cursor-ledger consumer"
        ) as threads:
            try:
                while self._goes_on():
                    if self._stale:
                        self._start_over()
                    else:
                        self._round(threads)
            finally:
                self._drain()
        if self._failure is not None:
            with suppress(LedgerError):
                self._consumer.flush()
            raise self._failure
        with suppress(StaleEpochError):
            self._consumer.flush()

    def _goes_on(self) -> bool:
        return not self._stop.is_set() and self._failure is None

    def _delivers(self) -> bool:
        return self._goes_on() and not self._stale

    def _round(self, threads: ThreadPoolExecutor) -> None:
        fetched = False
        events = self._fetch(self._consumer.reached)
        try:
            for event in events:
                fetched = True
                if not self._begin(event, threads):
                    return
        finally:
            # A generator that reads from somewhere lets go of it at once.
            if isinstance(events, Generator):
                events.close()
        if not fetched:
            self._idle(threads)

    def _begin(self, event: E, threads: ThreadPoolExecutor) -> bool:
        """Begin to deliver `event` once there is room; return whether the loop goes on."""
        sequence = self._sequence(event)
        while self._delivers():
            self._try_again(threads)
            if self._begun(sequence, event, threads, wait_s=self._wait_s()):
                return True
        return False

    def _begun(
        self, sequence: int, event: E, threads: ThreadPoolExecutor, *, wait_s: float
    ) -> bool:
        """Begin to deliver `event`; return whether it was begun."""
        try:
            delivery = self._consumer.delivering(
                sequence, delivery_id=self._delivery_id(event), timeout_s=wait_s
            )
        except StaleEpochError:
            self._stale = True
        except WindowFullError:
            self._wait()
        except StorageError as error:
            self._note_storage(error)
            self._pause()
        else:
            self._outage.over()
            self._submit(sequence, event, delivery, threads)
            return True
        return False

    def _submit(
        self, sequence: int, event: E, delivery: Delivery, threads: ThreadPoolExecutor
    ) -> None:
        future: Future[None] = Future()
        counted = False
        try:
            with self._lock:
                self._plan.began(sequence, event)
                self._running += 1
                counted = True
            threads.submit(self._attempt, event, delivery, future)
        except BaseException:
            # No thread could be started, or a signal handler has raised; a thread that runs may
            # have taken it all the same.
            if counted and future.cancel():
                with self._lock:
                    self._running -= 1
            raise

    def _try_again(self, threads: ThreadPoolExecutor) -> None:
        """Begin once more with what failed and is due."""
        while self._delivers():
            with self._lock:
                due = self._plan.due(time.monotonic())
            if due is None:
                return
            sequence, event = due
            if not self._begun(sequence, event, threads, wait_s=0):
                with self._lock:
                    self._plan.put_off(sequence, time.monotonic())
                return

    def _idle(self, threads: ThreadPoolExecutor) -> None:
        """Wait for new events, a reset, or something that is due again."""
        until = time.monotonic() + self._poll_s
        while self._delivers() and time.monotonic() < until:
            self._told = False
            key, epoch = self._consumer.key, self._consumer.epoch
            with told_of_reset(self._consumer._book, key, epoch, self._tell) as tells:
                again_at = min(until, time.monotonic() + LOOK_ALSO_S) if tells else 0.0
                while True:
                    self._try_again(threads)
                    self._attend(tells=tells)
                    self._wait()
                    if self._told or not self._delivers() or time.monotonic() >= again_at:
                        break

    def _tell(self) -> None:
        """Hear that the cursor was reset; in the thread that wakes."""
        with self._lock:
            self._told = True
            self._look_at = 0.0
            self._changed.notify_all()

    def _attend(self, *, tells: bool) -> None:
        """Append what is ready; look at the cursor, unless the ledger `tells` of resets."""
        try:
            self._consumer.flush()
            if not tells or time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + LOOK_ALSO_S
                self._consumer.look()
                self._outage.over()
        except StaleEpochError:
            self._stale = True
        except StorageError as error:
            self._look_at = 0.0
            self._note_storage(error)
            self._pause()

    def _wait(self) -> None:
        with self._lock:
            if self._delivers() and not self._told and (wait_s := self._wait_s()) > 0:
                self._changed.wait(wait_s)

    def _wait_s(self) -> float:
        with self._lock:
            return self._plan.wait_s(time.monotonic(), min(LOOK_S, self._poll_s))

    def _pause(self) -> None:
        """Leave the database alone for a while after a failure."""
        while self._goes_on() and (left_s := self._outage.until - time.monotonic()) > 0:
            self._stop.wait(min(left_s, LOOK_S))

    def _drain(self) -> None:
        """Wait for what is being delivered."""
        with self._lock:
            while self._running:
                self._changed.wait()

    def _start_over(self) -> None:
        """Read the cursor anew after a reset, once nothing is being delivered for the old epoch."""
        self._drain()
        try:
            self._consumer.refresh()
        except StorageError as error:
            self._note_storage(error)
            self._pause()
            return
        self._outage.over()
        with self._lock:
            self._plan.clear()
            self._stale = False

    # --- in the threads that deliver ---

    def _attempt(self, event: E, delivery: Delivery, future: Future[None]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            self._deliver_one(event, delivery)
        except BaseException as error:  # noqa: BLE001 - raised by the loop
            self._fail(error)
        finally:
            with self._lock:
                self._running -= 1
                self._changed.notify_all()

    def _deliver_one(self, event: E, delivery: Delivery) -> None:
        raised: BaseException | None = None
        try:
            with delivery:
                try:
                    answer = self._deliver(event, delivery)
                except BaseException as error:
                    raised = error
                    raise
                # No failure of the event, which would be tried again: it ends the loop.
                refuse_undone(answer, "deliver", PLAIN)
        except StaleEpochError as error:
            if error is raised:
                self._note(delivery, error)
            else:
                self._stale = True
        except StorageError as error:
            if error is raised:
                self._note(delivery, error)
            else:
                # It was delivered; the next delivery appends its confirmation.
                self._done(delivery)
                self._note_storage(error)
        except Exception as error:
            if error is not raised:
                raise
            self._note(delivery, error)
        else:
            self._done(delivery)

    def _done(self, delivery: Delivery) -> None:
        with self._lock:
            self._plan.done(delivery.sequence)

    def _note(self, delivery: Delivery, error: Exception) -> None:
        """Have an event that failed delivered again, or give it up."""
        with self._lock:
            end = self._plan.failed(delivery.sequence, delivery.tries, time.monotonic())
        if end is GiveUp.STOP:
            self._fail(error)
        elif end is GiveUp.SKIP:
            self._skip(delivery, error)

    def _skip(self, delivery: Delivery, error: Exception) -> None:
        reason = given_up(delivery.tries, error)
        try:
            self._consumer.give_up(delivery.sequence, reason=reason)
        except StaleEpochError:
            self._stale = True
        except StorageError as storage:
            self._note_storage(storage)
        self._done(delivery)

    def _note_storage(self, error: StorageError) -> None:
        """Go on after a failure of the database, as often as an event is tried."""
        with self._lock:
            ends = self._outage.failed(time.monotonic(), error)
        if ends:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or error
