"""A delivery whose metadata cannot be kept: what its body raises wins, and is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from ledger import Delivery, ErrorRecorded, InvalidCursorError, Ledger, Retry
from support.cursors import ORDERS
from support.loops import PROMPT, RUNS, Event, Runner, Source

NINE = {f"name-{n}": "text" for n in range(9)}


class Unreadable(Mapping[str, str]):
    def __getitem__(self, name: str) -> str:
        raise ZeroDivisionError

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def __len__(self) -> int:
        return 1


REFUSED: dict[str, tuple[Any, dict[str, str]]] = {
    "a number": ({**NINE, "status": 503}, {**NINE, "sequence": "1"}),
    "a name that is none": ({7: "seven", **NINE}, {**NINE, "sequence": "1"}),
    "too long": ({"body": "x" * 5_000, "status": "503"}, {"status": "503", "sequence": "1"}),
    "a lone surrogate": ({"\udc80": "x", "status": "\ud800"}, {"sequence": "1"}),
    "a list": ([1], {"sequence": "1"}),
    "unreadable": (Unreadable(), {"sequence": "1"}),
    "a wrong sequence": ({"sequence": 1, "status": "503"}, {"status": "503", "sequence": "1"}),
}


def errors(book: Ledger) -> list[dict[str, str]]:
    return [
        dict(entry.metadata)
        for entry in book.history(ORDERS)
        if isinstance(entry.event, ErrorRecorded) and entry.event.message == "ConnectionError: 503"
    ]


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("case", REFUSED)
def test_an_error_is_recorded_and_retried_with_the_metadata_that_can_be_kept(
    book: Ledger, how: str, case: str
) -> None:
    given, kept = REFUSED[case]
    runner, tries = Runner(book, how), []

    def deliver(_event: Event, delivery: Delivery) -> None:
        tries.append(delivery.tries)
        delivery.metadata = given
        raise ConnectionError("503")

    runner.start(Source([1]).after, deliver, retry=PROMPT)
    runner.wait()
    assert isinstance(runner.raised, ConnectionError)
    assert "left out metadata of this error: InvalidCursorError" in runner.raised.__notes__[0]
    assert tries == [1, 2, 3]
    assert errors(book) == [kept] * 3


@pytest.mark.parametrize(
    "given",
    [{f"name-{n}": "text" for n in range(16)}, {"body": "x" * 4_092}],
    ids=["16 pairs", "4,096 characters"],
)
def test_what_fills_an_entry_is_kept_without_the_sequence(
    book: Ledger, given: dict[str, str]
) -> None:
    error = ConnectionError("503")
    with suppress(ConnectionError), book.consumer(ORDERS).delivering(1) as delivery:
        delivery.metadata.update(given)
        raise error
    assert errors(book) == [given]
    assert not hasattr(error, "__notes__")


def test_none_is_as_good_as_no_metadata(book: Ledger) -> None:
    nothing: Any = None
    consumer = book.consumer(ORDERS)
    with suppress(ConnectionError), consumer.delivering(1) as delivery:
        delivery.metadata = nothing
        raise ConnectionError("503")
    assert errors(book) == [{"sequence": "1"}]
    with consumer.delivering(1) as delivery:
        delivery.metadata = nothing
    assert consumer.position == 1


def test_of_too_many_pairs_the_first_are_kept(book: Ledger) -> None:
    many = {f"name-{n:02}": "text" for n in range(40)}
    with suppress(ConnectionError), book.consumer(ORDERS).delivering(1) as delivery:
        delivery.metadata.update(many)
        raise ConnectionError("503")
    assert errors(book) == [{"sequence": "1"} | dict(list(many.items())[:15])]


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("case", REFUSED)
def test_what_was_delivered_is_not_delivered_again_for_its_metadata(
    book: Ledger, how: str, case: str
) -> None:
    """The loop ends, whatever its `Retry` says; nothing is confirmed, and nothing recorded."""
    runner, source = Runner(book, how), Source([1, 2])

    def deliver(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        delivery.metadata = REFUSED[case][0]

    runner.start(source.after, deliver, retry=Retry(tries_max=3, wait_s=0.001, give_up="skip"))
    runner.wait()
    assert isinstance(runner.raised, InvalidCursorError)
    assert source.sent == [1]
    assert runner.consumer.failed == (1,)
    assert book.find(ORDERS) is None


@pytest.mark.parametrize("how", RUNS)
def test_an_outcome_that_is_none_is_refused_where_it_is_set(book: Ledger, how: str) -> None:
    """The error is raised in the body, where any error is recorded and retried."""
    runner, source = Runner(book, how), Source([1])

    def deliver(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        outcome: Any = "nonsense"
        delivery.outcome = outcome

    runner.start(source.after, deliver, retry=PROMPT)
    runner.wait()
    assert isinstance(runner.raised, InvalidCursorError)
    assert source.sent == [1, 1, 1]
    assert [entry.metadata["sequence"] for entry in book.history(ORDERS)] == ["1"] * 3


@pytest.mark.parametrize("how", RUNS)
def test_an_outcome_that_was_refused_does_not_replace_what_the_body_raises(
    book: Ledger, how: str
) -> None:
    runner = Runner(book, how)

    def deliver(_event: Event, delivery: Delivery) -> None:
        outcome: Any = 7
        with pytest.raises(InvalidCursorError):
            delivery.outcome = outcome
        raise ConnectionError("503")

    runner.start(Source([1]).after, deliver, retry=PROMPT)
    runner.wait()
    assert isinstance(runner.raised, ConnectionError)
    assert errors(book) == [{"sequence": "1"}] * 3
