"""A stream of events in memory, which fails when it is told to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from ledger.consuming.callables import PLAIN, check_doing, is_undone
from ledger.consuming.delivery import Delivery
from ledger.consuming.retrying import Retry, delivery_id_of, sequence_of
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey

if TYPE_CHECKING:
    from ledger.aio import AsyncLedger
    from ledger.service import Ledger

__all__ = ["Event", "Source"]

E = TypeVar("E")

POLL_S = 0.001

PROMPT = Retry(wait_s=0)
"""A test has no receiver that would want a rest."""


@attrs.frozen
class Event:
    """An event of a source: its `sequence`, its `delivery_id`, and whatever is in it, `body`.

    >>> from ledger.testing import Event
    >>> Event(7, "msg-7", body={"order": 12}).sequence
    7
    """

    sequence: int
    delivery_id: str = ""
    body: object = None


class Source(Generic[E]):
    """The `events` of a stream, in its order; what a consumer fetches from in a test.

    `sequence` and `delivery_id` say where an event has these, by default in attributes of that
    name. `Source.numbered(n)` makes n events.

    >>> import ledger
    >>> from ledger.testing import Source
    >>> def deliver(event, delivery):
    ...     print("sending", event.delivery_id)
    >>> source = Source.numbered(3)
    >>> source.fail(ConnectionError("503"), at=2)
    >>> with ledger.open(":memory:", actor="test") as book:
    ...     cursor = source.consume(book, ledger.CursorKey("mailer", "orders"), deliver)
    ...     cursor.last_sequence, cursor.version, source.delivered
    sending msg-1
    sending msg-2
    sending msg-3
    (3, 4, [1, 2, 3])
    """

    def __init__(
        self,
        events: Iterable[E] = (),
        *,
        sequence: Callable[[E], int] | None = None,
        delivery_id: Callable[[E], str] | None = None,
    ) -> None:
        self.events = list(events)
        """All events, in the order of their sequences. Append to them while a consumer runs."""
        self.positions: list[int] = []
        """The position of each fetch, in order."""
        self.delivered: list[int] = []
        """The sequence of each delivery that `consume` has made and that did not fail."""
        self._sequence = sequence or sequence_of
        self._delivery_id = delivery_id or delivery_id_of
        self._lock = threading.Lock()
        self._fetch_failures: deque[BaseException] = deque()
        self._failures: dict[int, deque[BaseException]] = {}

    @classmethod
    def numbered(cls, count: int) -> Source[Event]:
        """Return a source of `count` events, from 0: of sequence 1, with delivery id msg-1, on.

        >>> from ledger.testing import Source
        >>> [event.delivery_id for event in Source.numbered(2).events]
        ['msg-1', 'msg-2']
        """
        last = fields.sequence(count, "count", least=0)
        return Source(Event(number, f"msg-{number}") for number in range(1, last + 1))

    def fail(self, error: BaseException, *, at: int | None = None, times: int = 1) -> None:
        """Raise `error` in place of the next `times` deliveries of sequence `at`, by `consume`.

        Without `at`, the next `times` fetches raise it.

        Raises InvalidCursorError.

        >>> from ledger.testing import Source
        >>> source = Source.numbered(2)
        >>> source.fail(TimeoutError("the stream is away"))
        >>> try:
        ...     source.after(0)
        ... except TimeoutError as error:
        ...     print(error, [event.sequence for event in source.after(0)])
        the stream is away [1, 2]
        """
        count = fields.sequence(times, "times", least=1)
        with self._lock:
            if at is None:
                failures = self._fetch_failures
            else:
                place = fields.sequence(at, "at", least=1)
                failures = self._failures.setdefault(place, deque())
            failures.extend([error] * count)

    def after(self, position: int) -> list[E]:
        """Return the events after `position`; for the loop of a consumer, its `fetch`.

        Raises what it was told to.

        >>> from ledger.testing import Source
        >>> [event.sequence for event in Source.numbered(3).after(1)]
        [2, 3]
        """
        with self._lock:
            self.positions.append(position)
            if self._fetch_failures:
                raise self._fetch_failures.popleft()
        return [event for event in self.events if self._sequence(event) > position]

    def consume(
        self,
        book: Ledger,
        key: CursorKey,
        deliver: Callable[[E, Delivery], object],
        *,
        retry: Retry = PROMPT,
        in_flight: int = 1,
    ) -> Cursor | None:
        """Run the loop of a consumer of `key` until all events are confirmed; return the cursor.

        It is `Consumer.run` with this as its source: `deliver`, `in_flight` and `retry` are those
        of `run`, but `retry` does not wait by default. Returns None if there was nothing to
        deliver, ever.

        Raises what `Consumer.run` raises.

        >>> import ledger
        >>> from ledger.testing import Source
        >>> key = ledger.CursorKey("mailer", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = Source.numbered(3).consume(book, key, lambda event, delivery: None)
        ...     cursor.last_sequence
        3
        """
        check_doing(deliver, "deliver", PLAIN)
        stop = threading.Event()
        with book.consumer(key, in_flight=in_flight) as consumer:

            def fetch(position: int) -> list[E]:
                return self._fetched(position, consumer.position, stop.set)

            def attempt(event: E, delivery: Delivery) -> object:
                self._fail_if_told(event)
                answer = deliver(event, delivery)
                if not is_undone(answer):
                    self._note(event)
                return answer  # The loop refuses it if it is not done.

            consumer.run(
                fetch,
                attempt,
                retry=retry,
                stop=stop,
                poll_s=POLL_S,
                sequence=self._sequence,
                delivery_id=self._delivery_id,
            )
        return book.find(key)

    async def aconsume(
        self,
        book: AsyncLedger,
        key: CursorKey,
        deliver: Callable[[E, Delivery], Awaitable[object] | None],
        *,
        retry: Retry = PROMPT,
        in_flight: int = 1,
    ) -> Cursor | None:
        """Run the loop of an asynchronous consumer: see `consume`.

        >>> import asyncio, ledger.aio
        >>> from ledger.testing import Source
        >>> async def main() -> int:
        ...     async def deliver(event, delivery): ...
        ...     async with ledger.aio.open(":memory:") as book:
        ...         key = ledger.CursorKey("mailer", "orders")
        ...         cursor = await Source.numbered(3).aconsume(book, key, deliver)
        ...     return cursor.last_sequence
        >>> asyncio.run(main())
        3
        """
        import asyncio  # Imported here, because tests without coroutines do not need it.

        check_doing(deliver, "deliver", awaits=True)
        stop = asyncio.Event()
        async with book.consumer(key, in_flight=in_flight) as consumer:

            def fetch(position: int) -> list[E]:
                return self._fetched(position, consumer.position, stop.set)

            async def attempt(event: E, delivery: Delivery) -> object:
                self._fail_if_told(event)
                answer: object = deliver(event, delivery)
                if isinstance(answer, Awaitable):
                    answer = await answer
                if not is_undone(answer):
                    self._note(event)
                return answer  # The loop refuses it if it is not done.

            await consumer.run(
                fetch,
                attempt,
                retry=retry,
                stop=stop,
                poll_s=POLL_S,
                sequence=self._sequence,
                delivery_id=self._delivery_id,
            )
        return await book.find(key)

    def _fetched(self, position: int, confirmed: int, stop: Callable[[], None]) -> list[E]:
        """Return what comes next, and stop once all that there is was confirmed."""
        events = self.after(position)
        if not events and all(self._sequence(event) <= confirmed for event in self.events):
            stop()
        return events

    def _fail_if_told(self, event: E) -> None:
        with self._lock:
            failures = self._failures.get(self._sequence(event))
            if failures:
                raise failures.popleft()

    def _note(self, event: E) -> None:
        with self._lock:
            self.delivered.append(self._sequence(event))
