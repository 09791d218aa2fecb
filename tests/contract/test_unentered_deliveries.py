"""A delivery that was begun and not entered: what is in its way is told of, and what to write."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ledger import Ledger, WindowFullError
from ledger.aio import AsyncLedger
from ledger.consuming import room
from support.cursors import ORDERS

ENTER = r"in the body of a `with`: `with consumer\.delivering\({0}\)` \(`async with` in corout"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody else has half a second for what was handed on."""
    with monkeypatch.context() as patch:
        patch.setattr(room, "ENTERED_WITHIN_S", 0.5)
        yield


def within_s(seconds: float, work: Any) -> Any:
    """Return what `work` returns, in a thread, because it might never end."""
    answers: list[Any] = []

    def noted() -> None:
        try:
            answers.append(work())
        except WindowFullError as error:
            answers.append(error)

    thread = threading.Thread(target=noted, daemon=True)
    thread.start()
    thread.join(seconds)
    assert answers, "it waits for ever"
    return answers[0]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("in_flight", [1, 2])
def test_what_is_kept_and_never_entered_is_not_waited_for_without_end(
    book: Ledger, in_flight: int
) -> None:
    consumer = book.consumer(ORDERS, in_flight=in_flight)

    def forget() -> None:
        kept = []
        for sequence in (1, 2, 3):
            kept.append(consumer.delivering(sequence))  # noqa: PERF401 - as it is written

    error = within_s(20, forget)
    assert isinstance(error, WindowFullError)
    said = {1: "1 was begun, but not entered", 2: "1, 2 were begun, but not entered"}[in_flight]
    with pytest.raises(WindowFullError, match=f"{said}. Deliver {ENTER.format(1)}"):
        raise error
    assert error.failed == ()
    assert book.find(ORDERS) is None


def test_what_is_dropped_has_not_failed(book: Ledger) -> None:
    consumer = book.consumer(ORDERS, in_flight=2)
    for sequence in (1, 2):
        consumer.delivering(sequence)
    with pytest.raises(WindowFullError, match="1, 2 were begun and dropped, but not ent") as raised:
        consumer.delivering(3)
    assert raised.value.failed == (1, 2), "they hold back the cursor"
    with pytest.raises(WindowFullError, match=f"Deliver each {ENTER.format(1)}.*give_up"):
        consumer.delivering(3)
    for sequence in (1, 2, 3):
        with consumer.delivering(sequence):
            pass
    assert book.get(ORDERS).last_sequence == 3


def test_what_failed_and_what_was_dropped_are_told_apart(book: Ledger) -> None:
    consumer = book.consumer(ORDERS, in_flight=2)
    with pytest.raises(ConnectionError), consumer.delivering(1):
        raise ConnectionError
    consumer.delivering(2)
    said = (
        "1 failed and held back the cursor; 2 was begun and dropped.* Deliver each again, or give"
    )
    with pytest.raises(WindowFullError, match=said):
        consumer.delivering(3)


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_body_within_a_body_is_told_what_to_do(book: Ledger, in_flight: int) -> None:
    consumer = book.consumer(ORDERS, in_flight=in_flight)
    said = {1: "1 delivery is in flight", 2: "2 deliveries are in flight"}[in_flight]
    with consumer.delivering(1):
        entered = [consumer.delivering(sequence) for sequence in range(2, in_flight + 1)]
        for each in entered:
            each.__enter__()
        with pytest.raises(
            WindowFullError, match=f"{said}, as many as are allowed. End one first, or make .*in_fl"
        ):
            consumer.delivering(3)


def test_what_another_thread_enters_in_time_is_waited_for(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    first = consumer.delivering(1)

    def deliver() -> None:
        with first:
            pass

    timer = threading.Timer(0.3, deliver)
    timer.start()
    with consumer.delivering(2):
        pass
    assert book.get(ORDERS).last_sequence == 2


@pytest.mark.usefixtures("hasty")
def test_what_another_thread_began_is_waited_for_as_long_as_it_takes(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(consumer.delivering, 1).result()

        def deliver() -> None:
            with first:
                pass

        timer = threading.Timer(2, deliver)
        timer.start()
        with consumer.delivering(2):
            pass
    assert book.get(ORDERS).last_sequence == 2


@pytest.mark.usefixtures("hasty")
def test_a_task_does_not_wait_for_what_it_has_not_entered(book: Ledger) -> None:
    async def main() -> None:
        abook = AsyncLedger(book)
        try:
            async with asyncio.timeout(20), abook.consumer(ORDERS) as consumer:
                kept = await consumer.delivering(1)
                with pytest.raises(WindowFullError, match="1 was begun, but not entered"):
                    await consumer.delivering(2)
                del kept
                with pytest.raises(WindowFullError, match="1 was begun and dropped, but not ent"):
                    await consumer.delivering(2)
                async with consumer.delivering(1):
                    pass
        finally:
            abook._readers.close()

    asyncio.run(main())
    assert book.get(ORDERS).last_sequence == 1
