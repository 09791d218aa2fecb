"""Random histories of a few cursors, as the law lets them pass."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    Ledger,
    RecordError,
    Request,
    ResetCursor,
    StartCursor,
)
from support.clock import Clock
from support.cursors import JOBS, ORDERS

SEQUENCES = range(1, 13)
KEYS = [ORDERS, JOBS, CursorKey("mapper", "jobs"), CursorKey("billing", "jobs")]


def requests(keys: list[CursorKey]) -> st.SearchStrategy[Request]:
    key = st.sampled_from(keys)
    place = st.integers(1, 12)
    outcome = st.sampled_from(["delivered", "delivered", "skipped", "suppressed"])
    return st.one_of(
        st.builds(AdvanceCursor, key, place, outcome=outcome, delivery_id=st.sampled_from("ab")),
        st.builds(AdvanceCursor, key, place, outcome=outcome),
        st.builds(ResetCursor, key, st.integers(0, 12), st.just("because"), actor=st.just("ines")),
        # Only as the first of its cursor.
        st.builds(StartCursor, key, st.integers(0, 12), st.just("moved here")),
        st.builds(RecordError, key, st.sampled_from(["HTTP 503", "HTTP 504"])),
    )


steps = st.integers(0, 400).map(lambda n: timedelta(seconds=n))


def written(asked: list[tuple[Request, timedelta]]) -> Ledger:
    """Give a ledger with what the law lets pass of `asked`, with so much time between."""
    clock = Clock()
    book = ledger.open(":memory:", actor="tester", clock=clock)
    for request, pause in asked:
        clock.tick(pause.total_seconds())
        book.append_each([request])
    return book


def histories(keys: list[CursorKey] = KEYS[:1]) -> Any:
    return st.lists(st.tuples(requests(keys), steps), max_size=40)
