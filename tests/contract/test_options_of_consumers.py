"""An option that a loop cannot use is refused before the first event, and not when it is needed."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from typing import Any

import pytest

from ledger import InvalidCursorError, Ledger
from ledger.aio import AsyncLedger
from ledger.testing import Event, Source
from support.cursors import ORDERS


async def awaited(_: Event) -> int:
    return 1


class Stopping:
    def is_set(self) -> bool:
        return False


WRONG = [
    ({"retry": 3}, r"^retry must be a ledger.Retry\(…\), not 3"),
    ({"retry": {"tries_max": 3}}, "^retry must be"),
    ({"retry": False}, "^retry must be"),
    ({"poll_s": "1"}, "^poll_s must be above 0"),
    ({"poll_s": None}, "^poll_s must be above 0"),
    ({"stop": False}, "^stop must be an? .*Event, not bool"),
    ({"stop": lambda: False}, "^stop must be"),
    ({"stop": Stopping()}, "^stop must be"),
    ({"sequence": "number"}, "^sequence must be callable, not a str"),
    ({"sequence": 0}, "^sequence must be callable, not a int"),
    ({"sequence": awaited}, "^sequence is an `async def`"),
    ({"delivery_id": "id"}, "^delivery_id must be callable"),
    ({"delivery_id": awaited}, "^delivery_id is an `async def`"),
    ({"fetch": []}, "^fetch must be callable, not a list"),
    ({"deliver": None}, "^deliver must be callable, not nothing"),
]


def run(book: Ledger, given: dict[str, Any]) -> None:
    options = {"fetch": Source.numbered(1).after, "deliver": lambda *_: None, **given}
    with book.consumer(ORDERS) as consumer:
        consumer.run(**options)


def arun(book: Ledger, given: dict[str, Any]) -> None:
    async def main() -> None:
        abook = AsyncLedger(book)
        options = {"fetch": Source.numbered(1).after, "deliver": lambda *_: None, **given}
        try:
            async with asyncio.timeout(10), abook.consumer(ORDERS) as consumer:
                await consumer.run(**options)
        finally:
            abook._readers.close()

    asyncio.run(main())


@pytest.mark.parametrize("how", [run, arun])
@pytest.mark.parametrize(("given", "said"), WRONG)
def test_an_option_of_the_wrong_kind_is_refused_before_the_first_event(
    book: Ledger, how: Any, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidCursorError, match=said):
        how(book, given)
    assert book.find(ORDERS) is None


def test_what_stops_threads_does_not_stop_tasks_and_the_other_way_round(book: Ledger) -> None:
    with pytest.raises(InvalidCursorError, match=r"a threading.Event, not asyncio.locks.Event"):
        run(book, {"stop": asyncio.Event()})
    with pytest.raises(InvalidCursorError, match=r"an asyncio.Event, not threading.Event"):
        arun(book, {"stop": threading.Event()})


def test_an_event_of_processes_stops_a_loop_in_threads(book: Ledger) -> None:
    stop = multiprocessing.Event()
    stop.set()
    run(book, {"stop": stop})
    assert book.find(ORDERS) is None


@pytest.mark.parametrize("timeout_s", ["5", True, float("nan"), threading.Event()])
def test_a_time_out_is_a_number_of_seconds(book: Ledger, timeout_s: Any) -> None:
    async def main() -> None:
        abook = AsyncLedger(book)
        try:
            async with abook.consumer(ORDERS) as consumer:
                with pytest.raises(InvalidCursorError, match=r"^timeout_s must be None or"):
                    await consumer.delivering(1, timeout_s=timeout_s)
        finally:
            abook._readers.close()

    with pytest.raises(InvalidCursorError, match=r"^timeout_s must be None or"):
        book.consumer(ORDERS).delivering(1, timeout_s=timeout_s)
    asyncio.run(main())


@pytest.mark.parametrize("timeout_s", [None, 0, -1, 5, 0.5, float("inf")])
def test_a_number_of_seconds_or_none_is_a_time_out(book: Ledger, timeout_s: Any) -> None:
    with book.consumer(ORDERS) as consumer:
        for sequence in (1, 2):
            with consumer.delivering(sequence, timeout_s=timeout_s):
                pass
    assert book.get(ORDERS).last_sequence == 2
