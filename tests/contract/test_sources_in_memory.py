"""The source for tests of others: a consumer against it, which is the one that programs run."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

import ledger.aio
from ledger import Delivery, GiveUp, InvalidCursorError, Ledger, Outcome, Retry
from ledger.testing import Event, Source
from projections import explain
from support.coroutines import asynchronous
from support.cursors import ORDERS


def nothing(_: Event, __: Delivery) -> None:
    """Deliver it to nobody."""


def test_everything_is_delivered_and_confirmed(book: Ledger) -> None:
    source = Source.numbered(5)
    cursor = source.consume(book, ORDERS, nothing, in_flight=3)
    assert cursor == book.get(ORDERS)
    assert cursor.last_delivery_id == "msg-5"
    assert sorted(source.delivered) == [1, 2, 3, 4, 5]
    assert source.positions[0] == 0


def test_a_second_time_only_what_is_new_is_delivered(book: Ledger) -> None:
    source = Source.numbered(2)
    source.consume(book, ORDERS, nothing)
    source.events.append(Event(7, "msg-7"))
    source.consume(book, ORDERS, nothing)
    assert source.delivered == [1, 2, 7]


def test_deliveries_fail_as_often_as_it_is_told(book: Ledger) -> None:
    source = Source.numbered(4)
    source.fail(ConnectionError("503"), at=2, times=2)
    assert source.consume(book, ORDERS, nothing, in_flight=2) is not None
    assert sorted(source.delivered) == [1, 2, 3, 4]
    assert book.get(ORDERS).version == 6


def test_what_is_given_up_ends_it_or_is_passed(book: Ledger) -> None:
    source = Source.numbered(3)
    source.fail(ValueError("422"), at=2, times=4)
    with pytest.raises(ValueError, match="422"):
        source.consume(book, ORDERS, nothing, retry=Retry(tries_max=2, wait_s=0))
    assert book.get(ORDERS).last_sequence == 1
    skips = Retry(tries_max=2, wait_s=0, give_up=GiveUp.SKIP)
    assert source.consume(book, ORDERS, nothing, retry=skips).last_sequence == 3  # type: ignore[union-attr]
    assert explain(book.history(ORDERS), 2).steps[-1].entry.event.outcome is Outcome.SKIPPED  # type: ignore[union-attr]


def test_a_fetch_that_fails_ends_it(book: Ledger) -> None:
    source = Source.numbered(3)
    source.fail(TimeoutError("the stream is away"))
    with pytest.raises(TimeoutError, match="away"):
        source.consume(book, ORDERS, nothing)
    assert source.consume(book, ORDERS, nothing) is not None


def test_a_reset_while_it_runs_is_followed(book: Ledger) -> None:
    source = Source.numbered(4)

    def deliver(event: Event, _: Delivery) -> None:
        if event.sequence == 3 and 3 not in source.delivered:
            book.reset(ORDERS, to=1, reason="lost", actor="ines")

    source.consume(book, ORDERS, deliver)
    assert source.delivered == [1, 2, 3, 2, 3, 4]


def test_events_may_be_anything_with_a_number(book: Ledger) -> None:
    class Order(NamedTuple):
        number: int

    source = Source(
        [Order(3), Order(9)],
        sequence=lambda order: order.number,
        delivery_id=lambda order: f"order-{order.number}",
    )
    cursor = source.consume(book, ORDERS, lambda order, _: order.number)
    assert cursor is not None
    assert (cursor.last_sequence, cursor.last_delivery_id) == (9, "order-9")


def test_a_source_without_events_has_nothing_to_deliver(book: Ledger) -> None:
    assert Source.numbered(0).consume(book, ORDERS, nothing) is None
    assert list(book.cursors()) == []


@asynchronous
async def test_coroutines_have_the_same(target: str) -> None:
    source = Source.numbered(5)
    source.fail(ConnectionError("503"), at=4)

    async def deliver(event: Event, delivery: Delivery) -> None:
        delivery.metadata["seen"] = str(event.sequence)

    async with ledger.aio.open(target, actor="tester") as book:
        cursor = await source.aconsume(book, ORDERS, deliver, in_flight=2)
        assert cursor == await book.get(ORDERS)
        assert sorted(source.delivered) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("wrong", [-1, "3", True, None, 1.5])
def test_numbers_are_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidCursorError):
        Source.numbered(wrong)
    source = Source.numbered(1)
    with pytest.raises(InvalidCursorError):
        source.fail(ValueError("422"), times=wrong)
    if wrong is not None:
        with pytest.raises(InvalidCursorError):
            source.fail(ValueError("422"), at=wrong)
    assert [event.sequence for event in source.after(0)] == [1]
