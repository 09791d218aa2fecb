"""Tokens that several confirm at once, and a consumer of tokens."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import NEXT, Cursor, CursorAdvanced, Ledger, NonMonotonicCursorError, StaleTokenError
from support.coroutines import asynchronous
from support.cursors import ORDERS, chain

# --- races ---


def test_of_ten_threads_after_the_same_token_one_wins(target: str) -> None:
    """Half of them share a ledger, and so transactions; the others have one of their own."""
    barrier = threading.Barrier(10)

    def confirm(nth: int, book: Ledger) -> int | None:
        barrier.wait()
        try:
            book.advance(ORDERS, to=NEXT, delivery_id=f"evt_{nth}", after="evt_first")
        except StaleTokenError as error:
            assert error.current is not None
            assert error.current.last_sequence == 2
            return None
        return nth

    def alone(nth: int) -> int | None:
        with ledger.open(target, actor=f"thread {nth}") as book:
            return confirm(nth, book)

    with ledger.open(target, actor="tester") as book, ThreadPoolExecutor(10) as pool:
        chain(book, "evt_first")
        tried = [
            pool.submit(confirm, nth, book) if nth % 2 else pool.submit(alone, nth)
            for nth in range(10)
        ]
        winners = [nth for nth in (future.result(30) for future in tried) if nth is not None]
        assert len(winners) == 1
        cursor = book.get(ORDERS)
        assert (cursor.last_sequence, cursor.version) == (2, 2)
        assert cursor.last_delivery_id == f"evt_{winners[0]}"


def test_threads_that_read_again_when_refused_lose_no_token_and_confirm_none_twice(
    target: str,
) -> None:
    def confirm(thread: int) -> int:
        refused = 0
        with ledger.open(target, actor=f"thread {thread}", busy_timeout_s=60) as book:
            for nth in range(12):
                while True:
                    cursor = book.find(ORDERS)
                    after = cursor.last_delivery_id if cursor else ""
                    try:
                        book.advance(ORDERS, to=NEXT, delivery_id=f"{thread}/{nth}", after=after)
                    except StaleTokenError:
                        refused += 1
                    else:
                        break
        return refused

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(confirm, range(4)))
    with ledger.open(target) as book:
        events = [entry.event for entry in book.history(ORDERS)]
        assert all(isinstance(event, CursorAdvanced) for event in events)
        named = [event.delivery_id for event in events if isinstance(event, CursorAdvanced)]
        assert sorted(named) == sorted(
            f"{thread}/{nth}" for thread in range(4) for nth in range(12)
        )
        assert book.get(ORDERS).last_sequence == len(named)
        assert book.verify().ok


def test_of_ten_tasks_after_the_same_token_one_wins(target: str) -> None:
    async def main() -> list[Any]:
        async with ledger.aio.open(target, actor="tester") as book:
            answers: list[Any] = await asyncio.gather(
                *(book.advance(ORDERS, to=NEXT, delivery_id=f"evt_{nth}") for nth in range(10)),
                return_exceptions=True,
            )
            return answers

    answers = asyncio.run(main())
    assert sum(isinstance(answer, Cursor) for answer in answers) == 1
    assert sum(isinstance(answer, StaleTokenError) for answer in answers) == 9


# --- a consumer of tokens ---

SOURCE = ["evt_9a", "evt_3f", "evt_77", "evt_12", "evt_55"]


def following(token: str) -> list[str]:
    """Return the tokens after `token` in a source that knows only tokens."""
    return SOURCE[SOURCE.index(token) + 1 :] if token else SOURCE


def test_a_consumer_goes_on_after_the_token_of_the_cursor(book: Ledger) -> None:
    with book.consumer(ORDERS, in_flight=3) as consumer:
        assert consumer.token == ""
        for token in following(consumer.token)[:2]:
            with consumer.delivering(consumer.reached + 1, delivery_id=token):
                pass
            assert consumer.token == token
    assert chain(book, "evt_77").last_sequence == 3
    with book.consumer(ORDERS) as consumer:
        assert consumer.token == "evt_77"
        book.reset(ORDERS, to=1, delivery_id="evt_9a", reason="lost")
        consumer.refresh()
        assert (consumer.token, following(consumer.token)[0]) == ("evt_9a", "evt_3f")
    book.reset(ORDERS, to=0, delivery_id="evt_12", reason="begin there")
    assert book.consumer(ORDERS).token == "evt_12"


def test_the_token_to_fetch_after_is_that_of_what_began_last(book: Ledger) -> None:
    consumer = book.consumer(ORDERS, in_flight=3)
    first = consumer.delivering(1, delivery_id="evt_9a")
    with consumer.delivering(2, delivery_id="evt_3f"):
        pass
    assert (consumer.position, consumer.token) == (0, "evt_3f")
    with pytest.raises(ConnectionError), first:
        raise ConnectionError("503")
    with consumer.delivering(1, delivery_id="evt_9a"):
        assert consumer.token == "evt_3f", "a second try is not what began last"
    assert (consumer.position, consumer.token) == (2, "evt_3f")


def test_of_two_consumers_that_disagree_one_is_refused(book: Ledger) -> None:
    one, other = book.consumer(ORDERS, in_flight=2), book.consumer(ORDERS, in_flight=2)
    late = other.delivering(1, delivery_id="evt_3f")
    with one.delivering(1, delivery_id="evt_9a"):
        pass
    with pytest.raises(NonMonotonicCursorError), late:
        pass
    with pytest.raises(NonMonotonicCursorError):
        other.delivering(1, delivery_id="evt_3f")
    assert book.get(ORDERS).last_delivery_id == "evt_9a"


@asynchronous
async def _consuming_in_coroutines(target: str) -> None:
    async with ledger.aio.open(target, actor="tester") as book:
        async with book.consumer(ORDERS, in_flight=2) as consumer:
            for token in following(consumer.token):
                async with consumer.delivering(consumer.reached + 1, delivery_id=token):
                    pass
            assert consumer.token == SOURCE[-1]
        assert (await book.get(ORDERS)).last_sequence == len(SOURCE)


def test_coroutines_consume_tokens(target: str) -> None:
    _consuming_in_coroutines(target)


def test_the_loop_of_a_consumer_fetches_after_its_token(book: Ledger) -> None:
    """With a failure that is tried again, and a reset while it runs."""
    stop, sent, tried = threading.Event(), [], set()
    with book.consumer(ORDERS, in_flight=2) as consumer:

        def fetch(_: int) -> list[tuple[int, str]]:
            first = consumer.reached + 1
            return list(enumerate(following(consumer.token)[:2], first))

        def deliver(event: tuple[int, str], _: object) -> None:
            if event[1] == "evt_77" and event not in tried:
                tried.add(event)
                raise ConnectionError("503")
            sent.append(event)
            if event[1] == SOURCE[-1]:
                if sent.count(event) == 1:
                    book.reset(ORDERS, to=3, delivery_id="evt_77", reason="lost")
                else:
                    stop.set()

        consumer.run(
            fetch,
            deliver,
            retry=ledger.Retry(wait_s=0.01),
            stop=stop,
            poll_s=0.01,
            sequence=lambda event: event[0],
            delivery_id=lambda event: event[1],
        )
    assert set(sent) == set(enumerate(SOURCE, 1))
    assert sent.count((4, "evt_12")) >= 2
    assert sent.count((5, "evt_55")) == 2, "once more after the reset"
    cursor = book.get(ORDERS)
    assert (cursor.last_sequence, cursor.last_delivery_id, cursor.epoch) == (5, "evt_55", 1)


def test_a_takeover_keeps_the_token(book: Ledger) -> None:
    chain(book, "evt_9a", "evt_3f")
    with book.consumer(ORDERS, take_over="deploy 1.4.2") as consumer:
        assert (consumer.position, consumer.token) == (2, "evt_3f")
    assert chain(book, "evt_77").last_sequence == 3
