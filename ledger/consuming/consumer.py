"""A consumer for threads. Everything that it appends carries the epoch that it read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

from ledger.consuming.deliveries import Deliveries, checked_in_flight
from ledger.consuming.delivery import Delivery
from ledger.consuming.failures import note_unrecorded
from ledger.consuming.one_at_a_time import OneAtATime
from ledger.consuming.retrying import Retry, ends_at
from ledger.consuming.room import Room
from ledger.errors import LedgerError, StorageError
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.refusals import StaleEpochError
from ledger.law.requests import RecordError
from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from ledger.consuming.takeovers import Book

__all__ = ["Consumer"]

E = TypeVar("E")


class Consumer:
    """Delivers what comes after one cursor, and confirms it; `Ledger.consumer` makes it.

    It reads the cursor when it is made, and every confirmation and error carries the epoch that it
    read. After somebody reset the cursor, it raises StaleEpochError until `refresh`.

    With `in_flight` above 1, as many deliveries may run at once, in threads, and end in any order.
    The cursor moves to the last one before which all are confirmed. One that failed holds the
    cursor back until it is delivered again, or given up.

    Safe to use from many threads. Begin deliveries in the order of the stream.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     with book.consumer(key, in_flight=2) as consumer:
    ...         first, second = consumer.delivering(41), consumer.delivering(44)
    ...         with second:
    ...             print("44 is sent; the cursor is at", consumer.position)
    ...         with first:
    ...             print("41 is sent")
    ...         print("the cursor is at", consumer.position)
    ...         cursor = book.reset(key, to=41, reason="receiver lost 44")
    ...         try:
    ...             consumer.delivering(45)
    ...         except ledger.StaleEpochError:
    ...             print("go on after", consumer.refresh().last_sequence)
    44 is sent; the cursor is at 0
    41 is sent
    the cursor is at 44
    go on after 41
    """

    def __init__(
        self,
        book: Book,
        key: CursorKey,
        *,
        in_flight: int = 1,
        take_over: str | None = None,
    ) -> None:
        self._book = book
        self._deliveries = Deliveries(CursorKey.check(key), checked_in_flight(in_flight))
        self._room = Room(self._deliveries)
        # Confirmations are appended by one thread at a time, so that they stand in order.
        self._appending = OneAtATime()
        if take_over is None:
            self.refresh()
        else:
            # Imported here, because it is rare.
            from ledger.consuming import takeovers

            reason = takeovers.checked_reason(take_over)
            # Not read anew: by then, another may have taken it over in its turn.
            self._deliveries.read(takeovers.take(book, self.key, reason))

    # --- where it stands ---

    @property
    def key(self) -> CursorKey:
        """The cursor's key."""
        return self._deliveries.key

    @property
    def position(self) -> int:
        """The sequence up to which everything is confirmed; 0 if nothing is."""
        return self._deliveries.position

    @property
    def reached(self) -> int:
        """The sequence that began last, or `position`: what is fetched next comes after it."""
        return self._deliveries.reached

    @property
    def token(self) -> str:
        """The delivery id of what `reached` names; empty if there is none.

        Where positions are tokens, what is fetched next comes after it, and is delivered as
        `reached + 1`.
        """
        return self._deliveries.token

    @property
    def epoch(self) -> int:
        """The epoch that was read."""
        return self._deliveries.epoch

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

    def refresh(self) -> Cursor | None:
        """Read the cursor anew, and begin after it; None if it has no entries.

        What was begun before is forgotten: deliveries that still run are not confirmed, and raise
        StaleEpochError when they end; a call of `delivering` that waits meanwhile raises it, too.
        Call it where deliveries are begun, and begin after the position that it read.

        Raises TakenOverError if another consumer took the cursor over since it was read: this one
        is at its end. Raises StorageError in a callback or a signal handler while confirmations are
        appended.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:", actor="ines") as book, book.consumer(key) as consumer:
        ...     cursor = book.reset(key, to=41, reason="start at order 42")
        ...     consumer.refresh().last_sequence, consumer.epoch
        (41, 1)
        """
        return self._appending.run(self._read, _refuse_to_read, waits=not in_callback())

    # --- delivering ---

    def delivering(
        self,
        sequence: int,
        *,
        delivery_id: str = "",
        outcome: Outcome = Outcome.DELIVERED,
        metadata: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Delivery:
        """Begin to deliver `sequence`, from 1; deliver it in the body of the `with`.

        When the body is done, `sequence` is confirmed, and the cursor moves if everything before it
        is confirmed as well. If the body raises, the error is recorded and raised again; `sequence`
        then holds the cursor back.

        It begins here and not at the `with`, so that one thread can begin what others deliver. If
        `in_flight` deliveries are not confirmed, this waits for room, up to `timeout_s` seconds;
        without end if that is None, or 10 if this thread began all of them and none was entered.

        `delivery_id`, `outcome` and `metadata` go with the confirmation, as in `Ledger.advance`.
        The last two can be set in the body, too; `metadata` goes with an error as well.

        Raises StaleEpochError after a reset; NonMonotonicCursorError if `sequence` is confirmed
        already; InvalidCursorError; WindowFullError after that time, or if only failed deliveries
        are in the way. Nothing was delivered then.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book, book.consumer(key) as consumer:
        ...     with consumer.delivering(41, delivery_id="msg-41", timeout_s=5) as delivery:
        ...         delivery.metadata["status"] = "202"
        ...     consumer.position
        41
        """
        generation = self._deliveries.generation
        advance = self._deliveries.asked(sequence, delivery_id, outcome, metadata)
        until = ends_at(timeout_s, time.monotonic())
        while True:
            if not self._deliveries.may_begin(sequence):
                # A delivery that would be refused does not wait.
                self._deliveries.check(self._book.find(self.key), advance)
                self._room.wait(sequence, until, self.flush)
            # Once more, because a reset may come while this waits.
            self._deliveries.check(self._book.find(self.key), advance)
            me, end = threading.get_ident(), self._end
            if (begun := self._deliveries.begin(advance, generation, end, me)) is not None:
                return begun

    def give_up(self, sequence: int, *, reason: str) -> None:
        """Go on without the delivery of `sequence`, which failed: confirm it as skipped.

        `reason` is kept as `given_up` in the metadata of the entry, and how often it was tried as
        `tries`.

        Raises InvalidCursorError if `sequence` did not fail, or `reason` is empty, and what
        `Ledger.advance` raises.

        >>> import contextlib, ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book, book.consumer(key) as consumer:
        ...     with contextlib.suppress(ConnectionError), consumer.delivering(41):
        ...         raise ConnectionError("410 Gone")
        ...     consumer.give_up(41, reason="the receiver has closed")
        ...     consumer.position, consumer.failed
        (41, ())
        """
        self._deliveries.give_up(sequence, reason)
        self.flush()

    def look(self) -> None:
        """Look whether the cursor was reset since it was read.

        Raises StaleEpochError.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:", actor="ines") as book, book.consumer(key) as consumer:
        ...     cursor = book.reset(key, to=41, reason="start at order 42")
        ...     try:
        ...         consumer.look()
        ...     except ledger.StaleEpochError as error:
        ...         print("go on after", error.current.last_sequence)
        go on after 41
        """
        self._deliveries.look(self._book.find(self.key))

    def run(
        self,
        fetch: Callable[[int], Iterable[E]],
        deliver: Callable[[E, Delivery], object],
        *,
        retry: Retry | None = None,
        stop: threading.Event | None = None,
        poll_s: float = 1.0,
        sequence: Callable[[E], int] | None = None,
        delivery_id: Callable[[E], str] | None = None,
    ) -> None:
        """Fetch, deliver and confirm, until `stop` is set.

        `fetch(position)` returns the events after `position`, in the order of the stream, as many
        as it likes. If there are none yet, it is asked again after `poll_s` seconds, above 0 and at
        most 86,400. `deliver(event, delivery)` delivers one; up to `in_flight` run at once, in
        threads of their own. It may set `delivery.outcome` and `delivery.metadata`. `sequence` and
        `delivery_id` say where an event has these; by default in attributes of that name.

        An event whose delivery raises is delivered again as `retry` says, or a `Retry()` if that is
        None. After a reset, the cursor
        is read anew and fetching starts there, at once also when there was nothing to fetch.
        A failure of the database is waited for in the same way.

        Returns when `stop` is set and what is in flight has ended; never if it is None.

        Raises the error of an event that failed as often as it is tried, or of the database;
        TakenOverError if another consumer took the cursor over; InvalidCursorError for metadata
        that cannot be kept, without a further try, because it was delivered, and for a `deliver`
        that must be awaited; and what `fetch` raises.

        >>> import ledger, threading
        >>> key, stop = ledger.CursorKey("webhooks", "orders"), threading.Event()
        >>> orders = [{"number": 41}, {"number": 44}]
        >>> def fetch(position):
        ...     return [order for order in orders if order["number"] > position]
        >>> def deliver(order, delivery):
        ...     print("sending order", order["number"])
        ...     if order is orders[-1]:
        ...         stop.set()  # a service sets it when it is told to end
        >>> with ledger.open(":memory:") as book, book.consumer(key) as consumer:
        ...     consumer.run(fetch, deliver, stop=stop, sequence=lambda order: order["number"])
        sending order 41
        sending order 44
        """
        # Imported here, because threads to deliver in take 5 ms to import.
        from ledger.consuming.running import Loop

        Loop(
            self,
            fetch,
            deliver,
            retry=retry,
            stop=stop,
            poll_s=poll_s,
            sequence=sequence,
            delivery_id=delivery_id,
        ).run()

    def flush(self) -> None:
        """Append the confirmations that are ready. `delivering` does so by itself.

        After a StorageError they are still ready, and this, or the next delivery, appends them.

        Raises what `Ledger.append` raises.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     consumer = book.consumer(key)
        ...     with consumer.delivering(41):
        ...         print("sending order 41")
        ...     consumer.flush()  # before it ends; `with book.consumer(key)` does so, too
        ...     consumer.has_begun
        sending order 41
        False
        """
        # The thread that appends now may wait for this callback; what is ready is appended later.
        self._appending.run(self._append, _append_later, waits=not in_callback())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Append what is ready still; an error that is on its way is not replaced."""
        if error is None:
            self.flush()
        else:
            with suppress(LedgerError):
                self.flush()

    # --- one thread at a time ---

    def _read(self) -> Cursor | None:
        cursor = self._book.find(self.key)
        if self._deliveries.was_reset(cursor):
            from ledger.consuming import takeovers

            takeovers.refuse_taken(self._book, self.key, cursor, since=self.epoch)
        with self._deliveries.lock:
            self._deliveries.read(cursor)
            self._room.wake()
        return cursor

    def _append(self) -> None:
        try:
            if self._deliveries.unsure:
                self._deliveries.settle(self._book.find(self.key))
            if ready := self._deliveries.appending():
                try:
                    cursors = self._book.append(ready)
                except LedgerError as error:
                    self._deliveries.refused(error)
                    raise
                self._deliveries.recorded(cursors)
        finally:
            self._room.wake()

    # --- what a delivery tells when it ends ---

    def _end(self, delivery: Delivery, error: BaseException | None) -> None:
        if error is None:
            try:
                self._deliveries.confirm(delivery)
            finally:
                self._room.wake()
            self.flush()
            return
        try:
            said = self._deliveries.fail(delivery, error)
        finally:
            self._room.wake()
        if said is not None:
            self._record(said, error)

    def _record(self, said: RecordError, error: BaseException) -> None:
        try:
            self._book.append([said])
        except Exception as unrecorded:  # noqa: BLE001 - what the body has raised comes out
            if isinstance(unrecorded, StaleEpochError):
                self._deliveries.note_stale(unrecorded)
            note_unrecorded(error, unrecorded)


def _append_later() -> None:
    """Leave what is ready to the next delivery."""


def _refuse_to_read() -> NoReturn:
    raise StorageError(
        "a callback or a signal handler cannot read the cursor anew while confirmations are "
        "appended, because they may wait for it. Read it in another thread."
    )
