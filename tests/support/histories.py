"""Random histories of a few cursors, as the law lets them pass."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Any

import attrs
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
from ledger.law.takeovers import takeover
from support.clock import Clock
from support.cursors import JOBS, ORDERS

SEQUENCES = range(1, 13)
KEYS = [ORDERS, JOBS, CursorKey("mapper", "jobs"), CursorKey("billing", "jobs")]


@attrs.frozen
class TakeOver:
    """Take the cursor over as it stands by then, which no request that is drawn can know."""

    key: CursorKey


def requests(
    keys: list[CursorKey], *, takeovers: bool = False
) -> st.SearchStrategy[Request | TakeOver]:
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
        *([st.builds(TakeOver, key)] if takeovers else []),
    )


steps = st.integers(0, 400).map(lambda n: timedelta(seconds=n))


def written(asked: list[tuple[Request | TakeOver, timedelta]]) -> Ledger:
    """Return a ledger with what the law lets pass of `asked`, with so much time between."""
    clock = Clock()
    book = ledger.open(":memory:", actor="tester", clock=clock)
    for request, pause in asked:
        clock.tick(pause.total_seconds())
        book.append_each([request_for(book, request)])
    return book


def request_for(book: Ledger, asked: Request | TakeOver) -> Request:
    """Return the request itself, or the takeover of a cursor as it stands now."""
    if isinstance(asked, TakeOver):
        return takeover(asked.key, book.find(asked.key), "the old one is gone")
    return asked


def scenes(keys: list[CursorKey]) -> st.SearchStrategy[list[tuple[Any, timedelta]]]:
    """Return a few requests for one cursor that are seldom drawn together: it begins again.

    Errors and takeovers stand before its first advance from 0, and behind a reset to 0.
    """

    def of(key: CursorKey) -> st.SearchStrategy[list[tuple[Any, timedelta]]]:
        back = st.just(ResetCursor(key, 0, "from the beginning", actor="ines"))
        quiet = st.sampled_from([TakeOver(key), RecordError(key, "HTTP 503")])
        jump = st.builds(AdvanceCursor, st.just(key), st.integers(1, 12))
        return st.builds(
            lambda *parts: list(chain(*parts)),
            st.lists(st.tuples(back, steps), max_size=1),
            st.lists(st.tuples(quiet, steps), max_size=3),
            st.lists(st.tuples(jump, steps), min_size=1, max_size=1),
        )

    return st.sampled_from(keys).flatmap(of)


def histories(keys: list[CursorKey] = KEYS[:1], *, takeovers: bool = False) -> Any:
    """Return histories; with `takeovers`, for views that look at what else begins an epoch."""
    any_of_them = st.lists(st.tuples(requests(keys, takeovers=takeovers), steps), max_size=40)
    if not takeovers:
        return any_of_them
    # Short ones, because nothing else that is drawn stands between their requests.
    return any_of_them | st.lists(scenes(keys), max_size=4).map(lambda parts: list(chain(*parts)))
