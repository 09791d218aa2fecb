"""A consumer: no reset is undone, no event is lost, on every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ledger
from ledger import (
    CursorAdvanced,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
    NonMonotonicCursorError,
    Outcome,
    StaleEpochError,
    WindowFullError,
)
from support.cursors import ORDERS

# --- the promise ---


def test_the_loop_of_a_new_user_does_not_undo_a_reset(book: Ledger) -> None:
    """It fetched 5 to 10; the cursor is reset to 0 in between; it must not jump from 1 to 7."""
    sent = []
    consumer = book.consumer(ORDERS)

    def loop() -> None:
        for sequence in range(5, 11):
            with consumer.delivering(sequence):
                sent.append(sequence)
            if sequence == 6:
                book.reset(ORDERS, to=0, reason="the mails bounced", actor="ines")

    with pytest.raises(StaleEpochError, match="in epoch 1, because it was reset"):
        loop()
    assert sent == [5, 6], "nothing is delivered after the reset"
    assert book.get(ORDERS).last_sequence == 0, "and the reset stands"
    cursor = consumer.refresh()
    assert cursor is not None
    assert (consumer.position, consumer.epoch) == (0, 1)
    with consumer.delivering(1):
        pass
    assert book.get(ORDERS).last_sequence == 1


def test_a_reset_while_the_body_runs_is_noticed_behind_it(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with pytest.raises(StaleEpochError), consumer.delivering(5):
        book.reset(ORDERS, to=2, reason="again", actor="ines")
    assert book.get(ORDERS).last_sequence == 2
    with pytest.raises(StaleEpochError):
        consumer.delivering(6)


def test_a_late_error_of_the_old_epoch_is_not_recorded(book: Ledger) -> None:
    delivery = book.consumer(ORDERS).delivering(5)
    book.reset(ORDERS, to=0, reason="again", actor="ines")
    with pytest.raises(ConnectionError) as raised, delivery:
        raise ConnectionError("503")
    assert "could not record this error: StaleEpochError" in raised.value.__notes__[0]
    assert book.get(ORDERS).last_error == ""


def test_a_failed_event_is_not_passed_by_those_behind_it(book: Ledger) -> None:
    with book.consumer(ORDERS, in_flight=3) as consumer:
        first, failing, last = (consumer.delivering(sequence) for sequence in (1, 2, 3))
        with last:
            pass
        assert book.find(ORDERS) is None, "1 and 2 hold the cursor"
        with pytest.raises(ConnectionError), failing:
            raise ConnectionError("503")
        with first:
            pass
        assert book.get(ORDERS).last_sequence == 1
        assert consumer.failed == (2,)
        with consumer.delivering(2) as again:
            assert again.tries == 2
        assert book.get(ORDERS).last_sequence == 3
    steps = [type(entry.event).__name__ for entry in book.history(ORDERS)]
    assert steps == ["ErrorRecorded", "CursorAdvanced", "CursorAdvanced", "CursorAdvanced"]


def test_what_was_above_the_mark_comes_again_after_a_crash(book: Ledger) -> None:
    dead = book.consumer(ORDERS, in_flight=3)
    first, _, last = (dead.delivering(sequence) for sequence in (1, 2, 3))
    with first:
        pass
    with last:
        pass
    living = book.consumer(ORDERS, in_flight=3)
    assert living.position == 1, "3 was delivered, and comes again behind 2"


# --- what is said ---


def test_each_delivery_has_its_own_entry_with_its_outcome(book: Ledger) -> None:
    with book.consumer(ORDERS, in_flight=2) as consumer:
        deliveries = [
            consumer.delivering(7, delivery_id="msg-7", metadata={"attempt": "1"}),
            consumer.delivering(9, delivery_id="msg-9"),
        ]
        with deliveries[1] as second:
            second.outcome = Outcome.SUPPRESSED
            second.metadata["status"] = "410"
        with deliveries[0]:
            pass
    said = [
        (entry.event.sequence, entry.event.delivery_id, entry.event.outcome, dict(entry.metadata))
        for entry in book.history(ORDERS)
        if isinstance(entry.event, CursorAdvanced)
    ]
    assert said == [
        (7, "msg-7", Outcome.DELIVERED, {"attempt": "1"}),
        (9, "msg-9", Outcome.SUPPRESSED, {"status": "410"}),
    ]


def test_an_error_says_which_event_failed(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with pytest.raises(ConnectionError), consumer.delivering(7, metadata={"attempt": "1"}):
        raise ConnectionError("password=hunter2 was refused")
    [entry] = book.history(ORDERS)
    assert isinstance(entry.event, ErrorRecorded)
    assert entry.event.message == "ConnectionError: password=*** was refused"
    assert dict(entry.metadata) == {"attempt": "1", "sequence": "7"}


def test_giving_up_says_why_and_goes_on(book: Ledger) -> None:
    with book.consumer(ORDERS) as consumer:
        with pytest.raises(ConnectionError), consumer.delivering(1):
            raise ConnectionError("503")
        with pytest.raises(WindowFullError, match=r"1 failed and held back the cursor") as full:
            consumer.delivering(2)
        assert full.value.failed == (1,)
        consumer.give_up(1, reason="the receiver is gone")
        with consumer.delivering(2):
            pass
    entries = [entry for entry in book.history(ORDERS) if isinstance(entry.event, CursorAdvanced)]
    skipped = entries[0]
    assert isinstance(skipped.event, CursorAdvanced)
    assert skipped.event.outcome is Outcome.SKIPPED
    assert dict(skipped.metadata) == {"given_up": "the receiver is gone", "tries": "1"}


# --- what is refused before the body ---


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"sequence": 0}, "last_sequence"),
        ({"sequence": "5"}, "last_sequence"),
        ({"sequence": 2**63}, "last_sequence"),
        ({"sequence": 9, "delivery_id": "x" * 513}, "delivery_id"),
        ({"sequence": 9, "outcome": "lost"}, "outcome"),
        ({"sequence": 9, "metadata": {"n": 1}}, "metadata"),
    ],
)
def test_a_delivery_that_could_not_be_confirmed_does_not_begin(
    book: Ledger, arguments: dict[str, Any], field: str
) -> None:
    consumer = book.consumer(ORDERS)
    with pytest.raises(InvalidCursorError, match=field):
        consumer.delivering(**arguments)
    assert book.find(ORDERS) is None


def test_what_is_confirmed_already_is_refused(book: Ledger) -> None:
    book.advance(ORDERS, to=7, delivery_id="msg-7")
    consumer = book.consumer(ORDERS)
    for sequence in (3, 7):
        with pytest.raises(NonMonotonicCursorError):
            consumer.delivering(sequence, delivery_id="another")
    with pytest.raises(InvalidCursorError, match="is at 7, so it is confirmed already"):
        consumer.delivering(7, delivery_id="msg-7")


def test_another_deliverer_of_the_same_cursor_is_noticed(book: Ledger) -> None:
    mine, other = book.consumer(ORDERS), book.consumer(ORDERS)
    with mine.delivering(5):
        pass
    with pytest.raises(InvalidCursorError, match="confirmed already"):
        other.delivering(5)


@pytest.mark.parametrize("in_flight", [0, -1, 1.5, "3", None, True, 10_001])
def test_how_many_may_be_in_flight_is_checked(book: Ledger, in_flight: Any) -> None:
    with pytest.raises(InvalidCursorError, match="in_flight"):
        book.consumer(ORDERS, in_flight=in_flight)


@pytest.mark.parametrize("key", [None, "webhooks", 7])
def test_a_consumer_needs_a_key(book: Ledger, key: Any) -> None:
    with pytest.raises(InvalidCursorError, match="key"):
        book.consumer(key)


def test_deliveries_begin_in_the_order_of_the_stream(book: Ledger) -> None:
    consumer = book.consumer(ORDERS, in_flight=3)
    with consumer.delivering(7):
        with pytest.raises(InvalidCursorError, match="7 was begun before 5"):
            consumer.delivering(5)
        with pytest.raises(InvalidCursorError, match="7 is being delivered already"):
            consumer.delivering(7)


def test_metadata_that_cannot_be_kept_leave_the_delivery_unconfirmed(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with pytest.raises(InvalidCursorError), consumer.delivering(5) as delivery:
        delivery.metadata["body"] = "x" * 5_000
    assert consumer.failed == (5,)
    with consumer.delivering(5):
        pass
    assert book.get(ORDERS).last_sequence == 5


# --- in flight ---


def test_the_bound_is_felt_and_a_place_that_is_free_is_taken(book: Ledger) -> None:
    consumer = book.consumer(ORDERS, in_flight=2)
    first, _ = consumer.delivering(1), consumer.delivering(2)
    with pytest.raises(WindowFullError, match="2 deliveries are in flight"):
        consumer.delivering(3, timeout_s=0.05)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(consumer.delivering, 3)
        with first:
            pass
        assert waiting.result(10).sequence == 3


def test_a_thread_does_not_wait_for_itself(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with consumer.delivering(1), pytest.raises(WindowFullError):
        consumer.delivering(2)


def test_many_threads_lose_nothing(book: Ledger) -> None:
    in_flight = 8
    with book.consumer(ORDERS, in_flight=in_flight) as consumer:
        done: list[int] = []

        def deliver(delivery: ledger.Delivery) -> None:
            with delivery:
                done.append(delivery.sequence)

        with ThreadPoolExecutor(in_flight) as threads:
            futures = [
                threads.submit(deliver, consumer.delivering(sequence))
                for sequence in range(3, 300, 3)
            ]
        for future in futures:
            future.result()
    landed = [
        entry.event.sequence
        for entry in book.history(ORDERS)
        if isinstance(entry.event, CursorAdvanced)
    ]
    assert landed == list(range(3, 300, 3)), "each has its entry, in the order of the stream"
    assert sorted(done) == landed
    assert book.verify().ok
