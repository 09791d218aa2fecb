"""The turns over what is lent: no signal handler waits for its own thread, or leaves them taken."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from ledger.stores import turns
from ledger.stores.turns import _TURNS, turn_of
from support.interrupted import steps_interrupted

# No handler runs at a store, nor between it and the block that takes it back, nor before a lock is
# released; and what is left to do in the end is done by the next caller.
ENDS = (
    *("with turns.lock:", "try:", "turns.writes = False"),
    *("with _GUARD:", "turns.callers.discard(caller)"),
)


def use(lent: object) -> None:
    with turn_of(lent, writes=True):
        pass


def read(lent: object) -> None:
    with turn_of(lent):
        pass


def test_a_signal_handler_has_its_turn_in_the_middle_of_another_call() -> None:
    lent, another = object(), object()

    def handle() -> None:
        read(lent)
        use(another)

    steps = 0
    for _ in steps_interrupted(turns, lambda: use(lent), handle=handle):
        steps += 1
        assert _TURNS == {}, steps
    assert steps >= 8


def test_an_interrupt_leaves_others_their_turn() -> None:
    lent = object()
    steps = 0
    with ThreadPoolExecutor(1) as other:
        for _ in steps_interrupted(turns, lambda: use(lent), never_at=ENDS):
            steps += 1
            gc.collect()
            other.submit(use, lent).result(10)
            assert _TURNS == {}, steps
    assert steps >= 6


def test_a_child_does_not_wait_for_a_thread_that_it_does_not_have() -> None:
    lent = object()
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with turn_of(lent), turns._GUARD:
            inside.set()
            done.wait(10)

    with ThreadPoolExecutor(1) as other:
        held = other.submit(hold)
        assert inside.wait(10)
        child = os.fork()
        if child == 0:
            threading.Timer(5, os._exit, (1,)).start()
            use(lent)
            os._exit(0)
        done.set()
        held.result(10)
    assert os.waitpid(child, 0)[1] == 0
