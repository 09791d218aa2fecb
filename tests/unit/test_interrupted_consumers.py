"""A consumer whose main thread is interrupted: no other thread waits for it, and its loop ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import ledger
from ledger import Consumer, Retry
from ledger.consuming import running
from ledger.consuming.retrying import delivery_id_of, sequence_of
from ledger.consuming.running import Loop
from ledger.testing import Event
from support.cursors import ORDERS
from support.interrupted import steps_interrupted


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    with ledger.open(":memory:") as book:
        yield book.consumer(ORDERS, in_flight=2)


def test_an_interrupt_in_what_wakes_leaves_no_lock_taken(consumer: Consumer) -> None:
    with ThreadPoolExecutor(1) as other:
        for step in steps_interrupted(threading, consumer._room.wake):
            with other.submit(consumer.delivering, step).result(10) as delivery:
                assert delivery.sequence == step


def test_a_loop_waits_for_no_delivery_that_an_interrupt_kept_from_beginning(
    consumer: Consumer,
) -> None:
    delivered: list[int] = []
    loop: Loop[Event] = Loop(
        consumer,
        lambda _: [],
        lambda event, _: delivered.append(event.sequence),
        retry=Retry(),
        stop=threading.Event(),
        poll_s=1,
        sequence=sequence_of,
        delivery_id=delivery_id_of,
    )
    steps = 0
    with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as other:

        def submit() -> None:
            event = Event(consumer.reached + 1)
            loop._submit(event.sequence, event, consumer.delivering(event.sequence), threads)

        # No signal handler runs before a lock is released, nor between two stores.
        ends = ("with self._lock:", "counted = True")
        for _ in steps_interrupted(running, submit, never_at=ends):
            steps += 1
            other.submit(loop._drain).result(10)
            consumer.refresh()
    assert steps >= 6
    assert delivered
