"""The loops of a consumer, in threads and in tasks: retried, given up, stopped, woken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import attrs
import pytest

from ledger import CursorAdvanced, Delivery, GiveUp, Ledger, Outcome
from support.cursors import ORDERS
from support.loops import PROMPT, RUNS, Event, Runner, Source, advances


@pytest.fixture(params=RUNS)
def runner(request: pytest.FixtureRequest, book: Ledger) -> Runner:
    return Runner(book, request.param)


# --- delivered, retried, given up ---


@pytest.mark.parametrize("in_flight", [1, 8])
def test_everything_is_delivered_once_and_confirmed_in_order(
    runner: Runner, in_flight: int
) -> None:
    source = Source(range(2, 60, 3))
    runner.start(source.after, source.send, in_flight=in_flight)
    runner.until(runner.at(59))
    source.events += [Event(70, "late")]
    runner.until(runner.at(70))
    runner.end()
    assert runner.raised is None
    sequences = [*range(2, 60, 3), 70]
    assert [event.sequence for event in advances(runner.book)] == sequences
    assert [event.delivery_id for event in advances(runner.book)][-2:] == ["msg-59", "late"]
    assert sorted(source.sent) == sequences
    if in_flight == 1:
        assert source.sent == sequences


def test_an_event_that_fails_is_delivered_again(runner: Runner) -> None:
    source, tries = Source(range(1, 21)), Counter[int]()

    def send(event: Event, delivery: Delivery) -> None:
        tries[event.sequence] += 1
        assert delivery.tries == tries[event.sequence]
        if event.sequence % 5 == 0 and delivery.tries < 3:
            raise ConnectionError("503")

    runner.start(source.after, send, in_flight=4)
    runner.until(runner.at(20))
    runner.end()
    assert runner.raised is None
    assert {tries[each] for each in (5, 10, 15, 20)} == {3}
    assert [event.sequence for event in advances(runner.book)] == list(range(1, 21))


def test_giving_up_by_stopping_raises_the_error(runner: Runner) -> None:
    source, tries = Source([1, 2, 3]), Counter[int]()

    def send(event: Event, _: Delivery) -> None:
        tries[event.sequence] += 1
        if event.sequence == 2:
            raise ConnectionError("503")

    runner.start(source.after, send, in_flight=2)
    runner.wait()
    assert isinstance(runner.raised, ConnectionError)
    assert tries[2] == 3
    assert runner.book.get(ORDERS).last_sequence == 1, "2 holds the cursor"


def test_giving_up_by_skipping_says_why_without_its_secrets(runner: Runner) -> None:
    source = Source([1, 2, 3])

    def send(event: Event, _: Delivery) -> None:
        if event.sequence == 2:
            raise ConnectionError("password=hunter2 was refused\n\x00\ud800")

    runner.start(source.after, send, retry=attrs.evolve(PROMPT, give_up=GiveUp.SKIP))
    runner.until(runner.at(3))
    runner.end()
    [skipped] = [
        entry
        for entry in runner.book.history(ORDERS)
        if isinstance(entry.event, CursorAdvanced) and entry.event.outcome is Outcome.SKIPPED
    ]
    assert isinstance(skipped.event, CursorAdvanced)
    assert (skipped.event.sequence, skipped.event.delivery_id) == (2, "msg-2")
    said = skipped.metadata["given_up"]
    assert said.startswith("3 tries failed; the last: ConnectionError: password=*** was refused")
    assert skipped.metadata["tries"] == "3"


def test_events_may_have_no_delivery_id_and_other_names(runner: Runner) -> None:
    runner.start(
        lambda position: [each for each in (4, 5) if each > position],
        lambda _event, _delivery: None,
        sequence=lambda number: number,
    )
    runner.until(runner.at(5))
    runner.end()
    assert [event.delivery_id for event in advances(runner.book)] == ["", ""]


# --- stopped, woken ---


def test_it_stops_and_leaves_no_thread_behind(runner: Runner) -> None:
    before = threading.active_count()
    runner.start(lambda _position: [], lambda _event, _delivery: None, poll_s=3_600)
    began = time.monotonic()
    runner.end()
    assert time.monotonic() - began < 5
    assert threading.active_count() <= before + 1


def test_it_stops_while_it_waits_for_room(runner: Runner) -> None:
    held = threading.Event()
    source = Source([1, 2, 3])

    def send(_event: Event, _: Delivery) -> Any:
        if runner.how == "threads":
            held.wait(10)
            return None
        return asyncio.get_running_loop().run_in_executor(None, held.wait, 10)

    async def sending(event: Event, delivery: Delivery) -> None:
        await send(event, delivery)

    runner.start(source.after, send if runner.how == "threads" else sending, poll_s=3_600)
    runner.until(lambda: runner.consumer.has_begun)
    runner.stop()
    time.sleep(0.1)
    held.set()
    runner.wait()
    assert runner.book.get(ORDERS).last_sequence == 1, "what was in flight is confirmed"


def test_a_reset_wakes_an_idle_loop(runner: Runner) -> None:
    source = Source([1, 2, 3])
    runner.start(source.after, source.send, in_flight=2, poll_s=3_600)
    runner.until(runner.at(3))
    runner.until(lambda: source.positions[-1] == 3)
    runner.book.reset(ORDERS, to=1, reason="again", actor="ines")
    assert runner.until(runner.at(3)) < 1
    runner.end()
    assert runner.raised is None
    assert sorted(source.sent) == [1, 2, 2, 3, 3]


def test_a_reset_while_events_are_delivered_starts_over(runner: Runner) -> None:
    source = Source(range(1, 31))

    def send(event: Event, delivery: Delivery) -> None:
        source.send(event, delivery)
        if event.sequence == 20 and source.sent.count(20) == 1:
            runner.book.reset(ORDERS, to=3, reason="again", actor="ines")

    runner.start(source.after, send, in_flight=4)
    runner.until(lambda: source.sent.count(20) == 2)
    runner.until(runner.at(30))
    runner.end()
    assert runner.raised is None
    landed = [event.sequence for event in advances(runner.book)]
    assert landed[-27:] == list(range(4, 31)), "after the reset, everything behind 3 again"
    assert runner.book.verify().ok


def test_a_second_run_begins_with_what_the_first_has_left(book: Ledger) -> None:
    source, broken = Source([1, 2]), [True]
    consumer, stop = book.consumer(ORDERS), threading.Event()

    def send(event: Event, _delivery: Delivery) -> None:
        if broken:
            raise ConnectionError("503")
        if event.sequence == 2:
            stop.set()

    with pytest.raises(ConnectionError):
        consumer.run(source.after, send, retry=PROMPT, stop=stop, poll_s=0.01)
    broken.clear()
    consumer.run(source.after, send, retry=PROMPT, stop=stop, poll_s=0.01)
    assert book.get(ORDERS).last_sequence == 2
