"""Gaps and repeats of many cursors are those that their whole histories tell of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import projections
from ledger import AdvanceCursor, CursorKey, CursorQuery, EntryQuery, Ledger
from ledger.law.takeovers import takeover
from projections import narrowing, searching
from projections.searching import Wanted, gaps_of, repeats_of
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import KEYS, histories, written

STORES = "every"

moments = st.none() | st.integers(0, 20) | st.integers(0, 80)


def moment(asked: list[tuple[Any, timedelta]], drawn: int | None) -> datetime | None:
    """Return the time of the request whose number is half of what was drawn, or shortly after it.

    Such a time parts what comes before a request from what comes after it, which a time out of
    nowhere seldom does.
    """
    if drawn is None:
        return None
    pauses = [pause for _, pause in asked[: drawn // 2 + 1]]
    return Clock().now + sum(pauses, timedelta(seconds=drawn % 2))


def plain_gaps(book: Ledger, **bounds: Any) -> list[Any]:
    found = []
    for cursor in book.cursors():
        at = {entry.position: entry for entry in book.history(cursor.key)}
        found += [
            (gap, at[gap.position])
            for gap in projections.gaps(iter(at.values()))
            if is_wanted(gap, at[gap.position].recorded_at, at[gap.position].recorded_at, **bounds)
        ]
    return found


def plain_repeats(book: Ledger, **bounds: Any) -> list[Any]:
    return [
        repeat
        for cursor in book.cursors()
        for repeat in projections.repeats(book.history(cursor.key))
        if is_wanted(repeat, repeat.first_at, repeat.last_at, **bounds)
    ]


def is_wanted(  # noqa: PLR0917 - what is found, and what is asked for
    found: Any, began: Any, ended: Any, since: Any = None, until: Any = None, least: int = 1
) -> bool:
    sequences = range(found.first, found.last + 1)
    return (
        len(sequences) >= least and not (since and ended < since) and not (until and began > until)
    )


@settings(max_examples=thorough(400, 24), deadline=None)
@given(
    asked=histories(KEYS[:2], takeovers=True),
    since=moments,
    until=moments,
    least=st.integers(1, 4),
    backs=st.sampled_from([0, 1, 16]),
    batch=st.sampled_from([1, 256]),
)
def test_few_entries_tell_what_all_of_them_tell(  # noqa: PLR0917 - drawn
    asked: Any, since: int | None, until: int | None, least: int, backs: int, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, written(asked) as book:
        patch.setattr(narrowing, "BACKS_MAX", backs)
        patch.setattr(searching, "BATCH", batch)
        patch.setattr(searching, "PAGE", batch)
        between = {"since": moment(asked, since), "until": moment(asked, until)}
        bounds: dict[str, Any] = {**between, "least": least}
        wanted = Wanted(**bounds)
        assert list(gaps_of(book, book.cursors(), wanted)) == plain_gaps(book, **bounds)
        assert list(repeats_of(book, book.cursors(), wanted)) == plain_repeats(book, **bounds)
        for cursor in book.cursors():
            own = [EntryQuery(key=cursor.key)]
            found = list(gaps_of(book, [cursor], Wanted(), own))
            assert found == [each for each in plain_gaps(book) if each[0].key == cursor.key]


def many(book: Ledger, clock: Clock) -> None:
    """Append jumps, errors, resets and takeovers to some cursors; the second is never reset."""
    for nth in range(1, 40):
        for key, step in ((ORDERS, 1 + nth % 3), (JOBS, 2)):
            clock.tick(10)
            cursor = book.find(key)
            book.advance(key, to=(cursor.last_sequence if cursor else 0) + step)
            if nth % 5 == 0:
                book.record_error(key, "HTTP 503")
        if nth % 7 == 0:
            at = book.get(ORDERS).last_sequence
            book.reset(ORDERS, to=at - nth % 6, reason="again", actor="ines")
        if nth % 11 == 0:
            book.append([takeover(ORDERS, book.get(ORDERS), "the old one is gone")])


def test_the_search_finds_what_reading_everything_finds_on_every_store(
    book: Ledger, clock: Clock
) -> None:
    many(book, clock)
    for since in (None, Clock().now + timedelta(seconds=400)):
        wanted = Wanted(since=since)
        found = list(gaps_of(book, book.cursors(), wanted))
        assert found == plain_gaps(book, since=since)
        assert {gap.key for gap, _ in found} == {ORDERS, JOBS}
        again = list(repeats_of(book, book.cursors(), wanted))
        assert again == plain_repeats(book, since=since)
        assert again


def test_only_what_may_make_a_gap_is_read(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = CursorKey("steady", "orders")
    book.append([AdvanceCursor(steady, nth) for nth in range(1, 3_001)])
    book.append([AdvanceCursor(steady, 3_005), AdvanceCursor(steady, 3_006)])
    book.reset(steady, to=2_990, reason="again", actor="ines")
    book.append([AdvanceCursor(steady, nth) for nth in range(2_991, 3_100)])
    read = 0
    entries = Ledger.entries

    def counted(self: Ledger, query: EntryQuery | None = None) -> Any:
        nonlocal read
        for entry in entries(self, query):
            read += 1
            yield entry

    monkeypatch.setattr(Ledger, "entries", counted)
    cursors = list(book.cursors(CursorQuery(consumer_id="steady")))
    assert list(gaps_of(book, cursors, Wanted())) == []
    assert [(r.first, r.last) for r in repeats_of(book, cursors, Wanted())] == [
        (2_991, 3_000),
        (3_005, 3_006),
    ]
    assert read < 120


@pytest.mark.parametrize("pause", [timedelta(0), timedelta(seconds=1)])
def test_since_a_time_is_since_it_included(book: Ledger, clock: Clock, pause: timedelta) -> None:
    book.advance(ORDERS, to=1)
    clock.tick(60)
    then = clock.now
    book.advance(ORDERS, to=5)
    found = [gap.first for gap, _ in gaps_of(book, book.cursors(), Wanted(since=then + pause))]
    assert found == ([] if pause else [2])


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_takeover_does_not_end_the_beginning_of_a_cursor_and_a_reset_does(
    book: Ledger, is_reset: bool
) -> None:
    book.append([takeover(ORDERS, None, "the old one is gone")])
    if is_reset:
        book.reset(ORDERS, to=0, reason="from the beginning", actor="ines")
    book.advance(ORDERS, to=5)
    found = list(gaps_of(book, book.cursors(), Wanted()))
    assert found == plain_gaps(book)
    assert [gap.initial for gap, _ in found] == [not is_reset]


@pytest.mark.parametrize("between", ["", "an error", "a second takeover"])
def test_a_takeover_since_then_does_not_begin_a_cursor(
    book: Ledger, clock: Clock, between: str
) -> None:
    book.advance(ORDERS, to=1)
    book.reset(ORDERS, to=0, reason="from the beginning", actor="ines")
    clock.tick(86_400)
    since = clock.now
    book.append([takeover(ORDERS, book.get(ORDERS), "the old one is gone")])
    if between == "an error":
        book.record_error(ORDERS, "HTTP 503")
    elif between:
        book.append([takeover(ORDERS, book.get(ORDERS), "that one is gone, too")])
    book.advance(ORDERS, to=5)
    found = list(gaps_of(book, book.cursors(), Wanted(since=since)))
    assert found == plain_gaps(book, since=since)
    assert [gap.initial for gap, _ in found] == [False]
