"""A caller whose wait was interrupted waits no more, and its thread ends; whatever the moment."""

from __future__ import annotations

import threading
import time
from types import ModuleType

import pytest

import ledger
from ledger.waking import waiters, waker
from support.cursors import ORDERS
from support.interrupted import steps_interrupted

# CPython runs no signal handler at a store, nor before a lock is released by `with`.
ENDS = ("try:", "finally:", "waiter.has_left = True", "with self.lock:", "with self.waiters.lock:")


@pytest.mark.parametrize("module", [waiters, waker])
def test_an_interrupted_wait_leaves_neither_a_waiter_nor_a_thread(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waker, "IDLE_S", 0.05)
    with ledger.open(":memory:", actor="tester") as book:
        book.advance(ORDERS, to=1)
        steps = 0
        for _ in steps_interrupted(module, lambda: book.wait(ORDERS, 1, 0.001), never_at=ENDS):
            steps += 1
        assert steps >= 8
        until = time.monotonic() + 10
        while "cursor-ledger waker" in {each.name for each in threading.enumerate()}:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert book._waker is not None
        assert not book._waker.waiters
        assert book._waker.waiters.only_for_resets
