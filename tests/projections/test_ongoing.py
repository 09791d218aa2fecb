"""What stands still or fails now is found from where cursors stand, as it is found in the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
import projections
from ledger import CursorKey, CursorQuery, EntryQuery, Ledger
from ledger.law.reserved import HEAD
from ledger.law.takeovers import takeover
from projections import ongoing
from projections.ongoing import Ongoing
from support.clock import Clock
from support.depth import thorough
from support.histories import KEYS, requests

STORES = "every"

SUBJECTS = [CursorKey("mailer", "orders", subject) for subject in ("a", "b")]
HEADS = [CursorKey(HEAD, "jobs"), CursorKey(HEAD, "orders", "a")]
OWNED = [*KEYS, *SUBJECTS]

# Some clocks are behind, so that time goes back, but never within a cursor.
steps = st.integers(-300, 400).map(lambda n: timedelta(seconds=n))
takeovers = st.sampled_from(OWNED)
histories = st.lists(st.tuples(requests([*OWNED, *HEADS]) | takeovers, steps), max_size=60)


def written(asked: list[tuple[Any, timedelta]]) -> Ledger:
    """Return a ledger with what the law lets pass of `asked`; a key is taken over."""
    clock = Clock()
    book = ledger.open(":memory:", actor="tester", clock=clock)
    for request, pause in asked:
        clock.tick(pause.total_seconds())
        is_taken = isinstance(request, CursorKey)
        asked_now = takeover(request, book.find(request), "gone") if is_taken else request
        book.append_each([asked_now])
    return book


def in_log(book: Ledger, query: EntryQuery, after: timedelta, **named: Any) -> list[Any]:
    found = projections.stalls(book.entries(query), after=after, **named)
    return [stall for stall in found if stall.until is None]


@settings(max_examples=thorough(600, 40), deadline=None)
@given(
    asked=histories,
    after=st.integers(0, 900).map(lambda n: timedelta(seconds=n)),
    siblings=st.booleans(),
    stream=st.sampled_from(["", "orders", "jobs"]),
    least=st.integers(1, 3),
    pairs=st.sampled_from([0, 2, 2_000]),
)
def test_what_goes_on_is_what_the_log_tells_has_not_ended(  # noqa: PLR0917 - drawn
    asked: Any, after: timedelta, siblings: bool, stream: str, least: int, pairs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, written(asked) as book:
        patch.setattr(ongoing, "PAIRS_MAX", pairs)
        found = Ongoing(book, CursorQuery(stream_name=stream))
        query = EntryQuery(stream_name=stream)
        assert found.stalls(after, siblings=siblings) == in_log(
            book, query, after, siblings=siblings
        )
        streaks = projections.error_streaks(book.entries(query), least=least)
        assert found.streaks(least) == [each for each in streaks if each.ended_at is None]


def test_what_goes_on_is_found_on_every_store(book: Ledger, clock: Clock) -> None:
    webhooks, mailer = CursorKey("webhooks", "orders"), CursorKey("mailer", "orders")
    alone, headed = CursorKey("mailer", "parcels"), CursorKey("mailer", "letters")
    for nth in range(1, 9):
        clock.tick(300)
        book.advance(webhooks, to=nth)
        if nth < 3:
            book.advance(mailer, to=nth)
            book.advance(headed, to=nth)
        elif nth != 5:
            book.record_error(mailer, f"HTTP 50{nth}")
        else:
            book.append([takeover(mailer, book.get(mailer), "the old one is gone")])
        book.record_error(alone, "HTTP 503")
        book.heads.record("letters", "", nth)
    found = Ongoing(book, CursorQuery())
    first, second = found.stalls(timedelta(minutes=15), siblings=False)
    assert {(each.key, each.errors) for each in (first, second)} == {(mailer, 5), (headed, 0)}
    assert [first, second] == in_log(book, EntryQuery(), timedelta(minutes=15))
    assert [(each.key, each.count) for each in found.streaks(2)] == [(alone, 8), (mailer, 5)]
    assert found.streaks(2) == list(projections.error_streaks(book.entries()))


def test_a_stall_begins_no_earlier_than_the_cursor_came_there(book: Ledger, clock: Clock) -> None:
    webhooks, mailer = CursorKey("webhooks", "orders"), CursorKey("mailer", "orders")
    book.advance(mailer, to=1)
    moved_at = clock.now
    clock.tick(-3_600)  # The clock of the other machine is behind.
    book.advance(webhooks, to=2)
    clock.tick(3_600 + 20 * 60)
    book.advance(webhooks, to=3)
    [stall] = Ongoing(book, CursorQuery()).stalls(timedelta(minutes=15), siblings=False)
    assert stall.since == stall.moved_at == moved_at
    assert [stall] == in_log(book, EntryQuery(), timedelta(minutes=15))
