"""Only one thread of a consumer appends at a time; an interrupt leaves the next one its turn."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import ledger
from ledger.consuming import one_at_a_time
from ledger.consuming.one_at_a_time import OneAtATime
from support.cursors import ORDERS
from support.interrupted import steps_interrupted

# What gives it back, in which no signal handler runs before the lock is released.
ENDS = (
    "if self._owner == me:",
    "self._owner = None",
    "try:  # noqa: SIM105 - a context manager would be a call",
    "lock.release()",
)


def ran() -> str:
    return "ran"


def missed() -> str:
    return "missed"


def test_an_interrupt_leaves_the_next_thread_its_turn() -> None:
    turns = OneAtATime()
    steps = 0
    with ThreadPoolExecutor(1) as other:
        for _ in steps_interrupted(
            one_at_a_time, lambda: turns.run(ran, missed, waits=True), never_at=ENDS
        ):
            steps += 1
            assert other.submit(turns.run, ran, missed, waits=False).result() == "ran", steps
            assert turns.run(ran, missed, waits=False) == "ran", steps
    assert steps >= 4


def test_a_consumer_appends_after_an_interrupt_of_an_append() -> None:
    with (
        ThreadPoolExecutor(1) as other,
        ledger.open(":memory:") as book,
        book.consumer(ORDERS) as consumer,
    ):
        for step in steps_interrupted(one_at_a_time, consumer.flush, never_at=ENDS):
            with consumer.delivering(step):
                pass
            other.submit(consumer.flush).result(10)
            assert book.get(ORDERS).last_sequence == step


def test_a_step_is_missed_in_the_middle_of_another_one() -> None:
    turns = OneAtATime()
    inside, done = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        done.wait(10)
        return turns.run(ran, missed, waits=True)

    with ThreadPoolExecutor(1) as other:
        first = other.submit(turns.run, slow, missed, waits=True)
        assert inside.wait(10)
        assert turns.run(ran, missed, waits=False) == "missed"
        done.set()
        assert first.result(10) == "missed"
    assert turns.run(ran, missed, waits=False) == "ran"
