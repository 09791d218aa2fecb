"""One call at a time delivers a cursor, and an interrupt leaves it to the next one."""

from __future__ import annotations

import gc

import pytest

from ledger.consuming import alone
from ledger.consuming.alone import Deliverers
from ledger.law.rivals import DeliveringError
from support.cursors import JOBS, ORDERS
from support.interrupted import steps_interrupted

# No signal handler runs at these, because nothing is called before the cursor is let go.
ENDS = (
    "try:  # Nothing is called in here.",
    *("if self._tokens[named] is mine:", "del self._tokens[named]"),
)


def deliver(deliverers: Deliverers) -> None:
    with deliverers.only(ORDERS):
        pass


def test_an_interrupt_leaves_the_cursor_to_the_next_call() -> None:
    deliverers = Deliverers()
    steps = 0
    for _ in steps_interrupted(alone, lambda: deliver(deliverers), never_at=ENDS):
        steps += 1
        gc.collect()
        deliver(deliverers)
    assert steps >= 4


def test_a_call_that_is_refused_leaves_the_other_one_its_cursor() -> None:
    deliverers = Deliverers()
    with deliverers.only(ORDERS), deliverers.only(JOBS):
        for _ in range(2):
            with pytest.raises(DeliveringError):
                deliver(deliverers)
    deliver(deliverers)
