"""What may go wrong around a delivery: the ledger fails, threads race, something interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ledger
from ledger import (
    CursorAdvanced,
    CursorKey,
    InvalidCursorError,
    Ledger,
    StaleEpochError,
    StorageError,
    WindowFullError,
)
from support.cursors import ORDERS

# --- the ledger fails ---


def test_a_confirmation_that_could_not_be_appended_is_appended_later(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = book.consumer(ORDERS)
    append = book.append
    with monkeypatch.context() as broken:
        broken.setattr(book, "append", failing(StorageError("the disk is full")))
        with pytest.raises(StorageError), consumer.delivering(5):
            pass
    assert book.find(ORDERS) is None
    assert book.append == append
    with consumer.delivering(6):
        pass
    landed = [entry.event for entry in book.history(ORDERS)]
    assert [event.sequence for event in landed if isinstance(event, CursorAdvanced)] == [5, 6]


def test_an_append_whose_answer_was_lost_is_not_made_twice(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = book.consumer(ORDERS)
    append = book.append

    def cut_off(requests: Any) -> Any:
        append(requests)
        raise ledger.UnknownOutcomeError("the answer was lost")

    with monkeypatch.context() as broken:
        broken.setattr(book, "append", cut_off)
        with pytest.raises(ledger.UnknownOutcomeError), consumer.delivering(5):
            pass
    consumer.flush()
    with consumer.delivering(6):
        pass
    assert [entry.version for entry in book.history(ORDERS)] == [1, 2]


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_an_interrupt_is_no_failure_of_the_event(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with pytest.raises(KeyboardInterrupt), consumer.delivering(5):
        raise KeyboardInterrupt
    assert book.find(ORDERS) is None, "nothing is recorded"
    assert consumer.failed == (5,), "and nothing is confirmed"


def test_an_interrupt_behind_an_append_does_not_append_twice(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = book.consumer(ORDERS)
    append = book.append

    def interrupted(requests: Any) -> Any:
        append(requests)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(book, "append", interrupted)
        with pytest.raises(KeyboardInterrupt), consumer.delivering(5):
            pass
    with monkeypatch.context() as broken:
        broken.setattr(book, "find", failing(StorageError("the disk is full")))
        with pytest.raises(StorageError):
            consumer.flush()
    consumer.flush()
    assert [entry.version for entry in book.history(ORDERS)] == [1]


# --- what must not happen behind the back of a delivery ---


def test_a_delivery_that_was_begun_and_dropped_holds_the_cursor(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    consumer.delivering(5)
    assert consumer.failed == (5,)
    with pytest.raises(WindowFullError, match="5 was begun and dropped"):
        consumer.delivering(6)
    with consumer.delivering(5) as again:
        assert again.tries == 2
    assert book.get(ORDERS).last_sequence == 5


def test_a_delivery_that_was_begun_before_a_reset_is_not_entered(book: Ledger) -> None:
    consumer = book.consumer(ORDERS, in_flight=2)
    first, second = consumer.delivering(5), consumer.delivering(6)
    book.reset(ORDERS, to=0, reason="again", actor="ines")
    with pytest.raises(StaleEpochError), first:
        pass
    sent = []
    with pytest.raises(StaleEpochError) as raised, second:
        sent.append(6)
    assert not sent
    assert raised.value.current == book.get(ORDERS)


def test_a_reset_while_a_thread_waits_for_room_is_noticed_before_its_body(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    first = consumer.delivering(5)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(consumer.delivering, 6)
        with pytest.raises(ConnectionError), first:  # noqa: PT012 - it is the body of a delivery
            book.reset(ORDERS, to=0, reason="again", actor="ines")
            raise ConnectionError("503")
        with pytest.raises((StaleEpochError, WindowFullError)):
            waiting.result(10)


def test_an_earlier_try_cannot_end_a_later_one(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    first = consumer.delivering(5)
    with pytest.raises(ConnectionError), first:
        raise ConnectionError("503")
    with pytest.raises(InvalidCursorError, match="was entered before"):
        first.__enter__()
    second = consumer.delivering(5)
    with pytest.raises(StaleEpochError, match="5 was begun"):
        first.__exit__(None, None, None)
    assert book.get(ORDERS).last_sequence == 0, "the second try has not ended"
    with second:
        pass
    assert book.get(ORDERS).last_sequence == 5


def test_reading_anew_forgets_what_runs_and_what_waits(book: Ledger) -> None:
    """Or 6 would be confirmed as if 5 had been, which is forgotten."""
    consumer = book.consumer(ORDERS)
    running = consumer.delivering(5)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(consumer.delivering, 6)
        while not waiting.running():
            pass
        threading.Event().wait(0.05)
        consumer.refresh()
        with pytest.raises(StaleEpochError, match="6 was begun, so it is not confirmed"):
            waiting.result(10)
    with pytest.raises(StaleEpochError, match="Go on from 0"), running:
        pass
    assert book.find(ORDERS) is None


def test_many_threads_that_wait_for_room_get_it_in_turn(book: Ledger) -> None:
    """None is told that there is no room because another was faster."""
    consumer = book.consumer(ORDERS, in_flight=2)
    lock, numbers = threading.Lock(), iter(range(1, 61))

    def deliver() -> None:
        with lock:
            delivery = consumer.delivering(next(numbers))
        with delivery:
            pass

    with ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(deliver) for _ in range(60)]:
            future.result()
    assert book.get(ORDERS).last_sequence == 60


def test_a_callback_may_end_a_delivery_while_others_append(book: Ledger) -> None:
    """It runs in the thread that commits, which the appending of the others may wait for."""
    consumer = book.consumer(ORDERS, in_flight=3)
    other = CursorKey("mailer", "orders")

    def deliver_all() -> None:
        for sequence in range(1, 51):
            with consumer.delivering(sequence):
                book.submit(ledger.AdvanceCursor(other, sequence)).add_done_callback(
                    lambda _: consumer.flush()
                )

    thread = threading.Thread(target=deliver_all, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    consumer.flush()
    assert book.get(ORDERS).last_sequence == 50


def test_giving_up_keeps_the_delivery_id(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with pytest.raises(ConnectionError), consumer.delivering(5, delivery_id="msg-5"):
        raise ConnectionError("503")
    consumer.give_up(5, reason="gone")
    assert book.get(ORDERS).last_delivery_id == "msg-5"


def test_leaving_a_consumer_appends_what_is_ready(book: Ledger) -> None:
    other = CursorKey("mailer", "orders")

    def leave() -> None:
        with book.consumer(other, in_flight=2) as consumer:
            with consumer.delivering(1):
                pass
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave()
    assert book.get(other).last_sequence == 1
    assert threading.active_count() < 20
