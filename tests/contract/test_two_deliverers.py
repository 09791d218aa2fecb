"""Two deliver from one cursor: the slower one is told to read it anew, and not to reset it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ledger import InvalidCursorError, Ledger, NonMonotonicCursorError
from ledger.aio import AsyncConsumer, AsyncLedger
from support.cursors import ORDERS

BEHIND = (
    r"is at 7 \(msg-7\), and no longer at {known}, so {late} cannot be confirmed: somebody else "
    r"delivers from it, too\. {advice}, and go on after 7\. To deliver alone, take it over"
)


def behind(known: int, late: int, advice: str = r"Call refresh\(\)") -> Any:
    said = BEHIND.format(known=known, late=late, advice=advice)
    return pytest.raises(NonMonotonicCursorError, match=said)


def other(book: Ledger) -> None:
    book.advance(ORDERS, to=7, delivery_id="msg-7")


@pytest.mark.parametrize("late", [6, 7])
def test_the_slower_one_is_told_to_read_anew_before_the_body(book: Ledger, late: int) -> None:
    book.advance(ORDERS, to=5)
    consumer = book.consumer(ORDERS)
    other(book)
    with behind(5, late) as raised:
        consumer.delivering(late, delivery_id="mine")
    assert raised.value.current == book.get(ORDERS)
    assert raised.value.request is not None
    assert raised.value.request.last_sequence == late
    assert raised.value.__suppress_context__, "what is said to others is not said as well"


def test_the_slower_one_is_told_to_read_anew_behind_the_body(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with behind(0, 6), consumer.delivering(6):
        other(book)
    with behind(0, 6):
        consumer.flush()
    consumer.refresh()
    with consumer.delivering(8):
        pass
    assert book.get(ORDERS).last_sequence == 8


def test_what_the_other_one_has_confirmed_is_read_first(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    other(book)
    with pytest.raises(InvalidCursorError, match=r"Call refresh\(\), and deliver what comes after"):
        consumer.delivering(7, delivery_id="msg-7")


def test_a_consumer_that_moves_its_own_cursor_back_is_told_what_the_law_says(book: Ledger) -> None:
    consumer = book.consumer(ORDERS)
    with consumer.delivering(7, delivery_id="msg-7"):
        pass
    with pytest.raises(NonMonotonicCursorError, match=r"5 would move it back\. Reset it"):
        consumer.delivering(5)
    with pytest.raises(InvalidCursorError, match=r"already\. Deliver what comes after it"):
        consumer.delivering(7, delivery_id="msg-7")


def test_a_delivery_without_a_consumer_is_told_to_read_again(book: Ledger) -> None:
    with behind(0, 6, "Read the cursor again"), book.delivering(ORDERS, to=6):
        other(book)


def test_coroutines_are_told_the_same(book: Ledger) -> None:
    async def before(abook: AsyncLedger, consumer: AsyncConsumer) -> None:
        await abook.advance(ORDERS, to=7, delivery_id="msg-7")
        with behind(0, 6):
            await consumer.delivering(6)

    async def behind_the_body(abook: AsyncLedger, consumer: AsyncConsumer) -> None:
        with pytest.raises(NonMonotonicCursorError, match=r"no longer at 7.* Call refresh\(\)"):
            async with consumer.delivering(8):
                await abook.advance(ORDERS, to=9)

    async def alone(abook: AsyncLedger, _: AsyncConsumer) -> None:
        with pytest.raises(NonMonotonicCursorError, match=r"at 9.* Read the cursor again, and go"):
            async with abook.delivering(ORDERS, to=10):
                await abook.advance(ORDERS, to=11)

    async def main(way: Callable[[AsyncLedger, AsyncConsumer], Awaitable[None]]) -> None:
        abook = AsyncLedger(book)
        try:
            async with abook.consumer(ORDERS) as consumer:
                await way(abook, consumer)
                await consumer.refresh()
        finally:
            abook._readers.close()

    for way in (before, behind_the_body, alone):
        asyncio.run(main(way))
