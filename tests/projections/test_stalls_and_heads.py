"""A cursor is stalled if the head of its stream went on, whoever else there is."""

from __future__ import annotations

import tracemalloc
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings

import projections
from ledger import (
    AdvanceCursor,
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    Ledger,
)
from ledger.law.reserved import HEAD, POSITIONS
from projections import ongoing
from projections.ongoing import Ongoing
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import histories, steps, written

MAILER = CursorKey("mailer", "orders")
QUARTER = timedelta(minutes=15)
HEADS = [CursorKey(HEAD, key.stream_name, key.subject_id) for key in (ORDERS, JOBS)]


def pauses(own: list[Entry]) -> list[tuple[Entry, Entry | None]]:
    moves = [
        entry
        for entry in own
        if isinstance(entry.event, CursorReset | CursorStarted)
        or (
            isinstance(entry.event, CursorAdvanced)
            and entry.event.sequence != entry.event.previous_sequence
        )
    ]
    start = [] if own[0] in moves else [own[0]]
    return [(a, b) for a, b in pairwise([*start, *moves, None]) if a is not None]


def naive(entries: list[Entry], key: CursorKey, after: timedelta) -> list[tuple[Any, ...]]:
    """Return (since, until, front) of the pauses of the only consumer beside a head."""
    found = []
    head = [e for e in entries if e.key == CursorKey(HEAD, key.stream_name, key.subject_id)]
    head = [e for e in head if not isinstance(e.event, ErrorRecorded)]
    for here, there in pauses([e for e in entries if e.key == key]):
        place = 0 if isinstance(here.event, ErrorRecorded) else here.event.sequence
        end = there.position if there else len(entries) + 1
        since: datetime | None = None
        front = None
        for entry in head:
            assert not isinstance(entry.event, ErrorRecorded)
            if entry.position > end:
                break
            front = entry.event.sequence
            if front <= place:
                since = None
            elif since is None:
                since = max(entry, here, key=lambda each: each.position).recorded_at
        last = there.recorded_at if there else max(e.recorded_at for e in entries)
        if since is not None and last - since >= after:
            found.append((since, there.recorded_at if there else None, front, HEAD))
    return found


@settings(max_examples=thorough(300, 24))
@given(asked=histories([ORDERS, JOBS, *HEADS]), after=steps)
def test_stalls_are_pauses_in_which_the_head_was_beyond(asked: Any, after: timedelta) -> None:
    with written(asked) as book:
        entries = list(book.entries())
        found = list(projections.stalls(entries, after=after))
        for key in (ORDERS, JOBS):
            own = [e for e in entries if e.key == key]
            assert [
                (s.since, s.until, s.front, s.front_consumer) for s in found if s.key == key
            ] == (naive(entries, key, after) if own else [])
        assert {s.key for s in found} <= {ORDERS, JOBS}


def test_the_head_is_enough_for_a_consumer_that_is_alone(book: Ledger, clock: Clock) -> None:
    book.advance(MAILER, to=5)
    book.heads.record("orders", "", 5)
    clock.tick(3_600)  # With nothing to do, it is idle.
    since = clock.now
    book.heads.record("orders", "", 6)
    clock.tick(15 * 60)
    assert list(projections.stalls(book.entries())) == []
    book.record_error(CursorKey("webhooks", "parcels"), "HTTP 503")  # Time goes on.
    [stall] = projections.stalls(book.entries())
    assert (stall.key, stall.since, stall.until) == (MAILER, since, None)
    assert (stall.front, stall.front_consumer, stall.front_at) == (6, HEAD, since)


@pytest.mark.parametrize("pairs", [0, 2_000])
def test_a_head_that_is_recorded_late_ends_no_stall(
    book: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    monkeypatch.setattr(ongoing, "PAIRS_MAX", pairs)
    pricing, webhooks = CursorKey("pricing", "orders"), CursorKey("webhooks", "orders")
    book.advance(pricing, to=1_200)
    since = clock.tick(60)
    for to in (1_300, 1_500):
        book.advance(webhooks, to=to)
        clock.tick(3_600)

    def told() -> Any:
        [stall] = projections.stalls(book.entries())
        assert Ongoing(book, CursorQuery()).stalls(QUARTER, siblings=False) == [stall]
        return stall.key, stall.last_sequence, stall.since, stall.until, stall.front_consumer

    assert told() == (pricing, 1_200, since, None, "webhooks")
    book.heads.record("orders", "", 1_500)
    assert told() == (pricing, 1_200, since, None, HEAD)
    late, level = projections.lag(book)
    assert (late.key, late.since, late.age_s) == (pricing, since, 7_200)
    assert late.state is projections.LagState.STALLED
    assert (level.key, level.behind, level.since) == (webhooks, 0, None)
    # Nor does one that was recorded before, and stood still meanwhile.
    book.heads.record("orders", "", 1_600)
    assert told() == (pricing, 1_200, since, None, HEAD)
    book.advance(pricing, to=1_600)
    assert [stall.until for stall in projections.stalls(book.entries())] == [clock.now]


def test_a_reset_forward_of_another_is_no_sign_that_something_was_there(
    book: Ledger, clock: Clock
) -> None:
    book.advance(MAILER, to=5)
    book.advance(CursorKey("webhooks", "orders"), to=4)
    book.reset(CursorKey("webhooks", "orders"), to=9, reason="skipped")
    recorded = clock.tick(3_600)
    book.heads.record("orders", "", 9)
    clock.tick(1)
    assert [each.since for each in projections.lag(book)] == [recorded, None]


def test_others_count_where_there_is_no_head(book: Ledger, clock: Clock) -> None:
    book.advance(MAILER, to=5)
    book.heads.record("orders", "eu", 99)
    webhooks = CursorKey("webhooks", "orders")
    for to in (6, 7):
        book.advance(webhooks, to=to)
        clock.tick(15 * 60)
    [stall] = projections.stalls(book.entries())
    assert (stall.key, stall.front_consumer) == (MAILER, "webhooks")


def test_siblings_count_only_if_asked_and_only_where_nothing_else_does(
    book: Ledger, clock: Clock
) -> None:
    def cursor(subject: str, consumer: str = "mailer") -> CursorKey:
        return CursorKey(consumer, "orders", subject)

    book.heads.record("orders", "headed", 5)
    for key in (cursor("slow"), cursor("headed"), cursor("shared"), cursor("shared", "webhooks")):
        book.advance(key, to=5)
    for to in (6, 7):
        book.advance(cursor("quick"), to=to)
        clock.tick(15 * 60)
    assert list(projections.stalls(book.entries())) == []
    [stall] = projections.stalls(book.entries(), siblings=True)
    assert (stall.key, stall.front, stall.front_consumer) == (cursor("slow"), 7, "mailer")


def test_the_ledgers_own_cursors_are_never_stalled(book: Ledger, clock: Clock) -> None:
    book.advance(CursorKey(POSITIONS, "orders"), to=1)
    book.heads.record("orders", "", 1)
    book.advance(MAILER, to=2)
    for to in (3, 4):
        clock.tick(15 * 60)
        book.advance(MAILER, to=to)
    assert list(projections.stalls(book.entries(), siblings=True)) == []
    assert list(projections.stalls(book.entries(), after=timedelta(0))) == []


def test_places_that_were_left_are_forgotten_where_there_is_no_head(book: Ledger) -> None:
    for _ in range(3):
        at = book.find(JOBS)
        start = at.last_sequence if at else 0
        book.append([AdvanceCursor(JOBS, start + nth) for nth in range(1, 2_001)])
    entries = list(book.entries())
    assert list(projections.stalls([])) == []  # What is imported for the first time is not counted.
    tracemalloc.start()
    assert list(projections.stalls(entries)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000  # 100 bytes for each place would be 600,000.


def test_a_cursor_that_confirmed_and_was_reset_further_still_says_how_far_others_are(
    book: Ledger, clock: Clock
) -> None:
    other = CursorKey("webhooks", "orders")
    book.advance(MAILER, to=1)
    clock.tick(60)
    book.advance(other, to=5)
    clock.tick(3_600)
    confirmed_at = clock.now
    book.advance(other, to=6)
    clock.tick(60)
    book.reset(other, to=9, reason="6 to 9 are not for it", actor="ines")
    clock.tick(60)
    book.advance(MAILER, to=2)
    [stall] = projections.stalls(book.entries(), after=QUARTER)
    assert (stall.key, stall.front, stall.front_at) == (MAILER, 9, confirmed_at)
