"""Troubles of late are found from fewer entries than all, and are the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

import ledger
from ledger import CursorKey, Entry, EntryQuery, Ledger, NonMonotonicCursorError
from projections import error_streaks, stalls
from projections.lately import lately
from support.clock import Clock
from support.depth import thorough

AFTER = timedelta(minutes=15)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
CONSUMERS = ("webhooks", "mailer", "billing", "search")
PLACES = (("orders", ""), ("orders", "eu"), ("payments", ""), ("stripe", ""))


def a_day(book: Ledger, clock: Clock, seed: int) -> None:
    """Append what may happen: cursors that stop, fail, are reset, taken over, repeated."""
    chance = random.Random(seed)
    keys = [CursorKey(consumer, *place) for place in PLACES for consumer in CONSUMERS]
    stopped = {key: chance.randint(50, 600) for key in chance.sample(keys, 4)}
    heads = chance.sample(PLACES, 2)
    if chance.random() < 0.5:
        book.positions.declare("stripe", "tokens")
    for nth in range(400):
        clock.tick(chance.choice((1, 30, 200, 600)))
        key = chance.choice(keys)
        if nth > stopped.get(key, 600):
            continue
        at, what = book.find(key), chance.random()
        sequence = at.last_sequence if at is not None else 0
        if what < 0.15:
            book.record_error(key, f"failed {nth}")
        elif what < 0.2:
            book.reset(key, to=chance.randint(0, sequence + 20), reason="r")
        elif what < 0.23:
            book.consumer(key, take_over="deploy")
        elif what < 0.33 and heads:
            stream, subject = chance.choice(heads)
            with suppress(NonMonotonicCursorError):
                book.heads.record(stream, subject, nth + chance.randint(0, 200))
        elif at is not None and sequence and chance.random() < 0.3:
            book.advance(key, to=sequence, delivery_id=at.last_delivery_id)
        else:
            book.advance(key, to=sequence + chance.choice((1, 5, 40)), delivery_id=f"m-{nth}")


def found(entries: Iterable[Entry], since: datetime) -> list[object]:
    """Return the troubles that lasted at `since` or later."""
    every = list(entries)
    ended = [each for each in stalls(every, after=AFTER) if not each.until or each.until >= since]
    failed = error_streaks(every, least=2)
    return [*ended, *(each for each in failed if not each.ended_at or each.ended_at >= since)]


@pytest.mark.parametrize("seed", range(thorough(30, 8)))
def test_what_lasted_at_a_time_is_found_without_older_entries(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.lately.ENTRIES_PER_LOOK", 1)
    clock = Clock()
    with ledger.open(":memory:", actor="x", clock=clock) as book:
        a_day(book, clock, seed)
        every = list(book.entries())
        read = []
        for place in (1, len(every) // 2, len(every) - 40, len(every) - 1):
            since = every[place].recorded_at
            few = list(lately(book, EntryQuery(), since))
            troubles = found(every, since)
            assert found(few, since) == troubles
            assert len(troubles) > 2
            of_orders = [each for each in every if each.key.stream_name == "orders"]
            fewer = lately(book, EntryQuery(stream_name="orders"), since)
            assert found(fewer, since) == found(of_orders, since)
            read.append(len(few))
        assert read[-1] <= len(every)


def test_of_a_log_whose_cursors_all_move_only_the_end_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("projections.lately.ENTRIES_PER_LOOK", 1)
    clock = Clock()
    with ledger.open(":memory:", actor="x", clock=clock) as book:
        for nth in range(1, 200):
            clock.tick(60)
            book.advance(CursorKey("a", "orders"), to=nth)
            book.advance(CursorKey("b", "orders"), to=nth)
        since = clock.now - timedelta(minutes=10)
        assert len(list(lately(book, EntryQuery(), since))) < 30


def test_a_trouble_that_ends_at_that_very_time_is_one_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("projections.lately.ENTRIES_PER_LOOK", 1)
    clock, key = Clock(), CursorKey("mailer", "orders")
    with ledger.open(":memory:", actor="x", clock=clock) as book:
        book.advance(key, to=1)
        for _ in range(3):
            clock.tick(3_600)
            book.record_error(key, "HTTP 503")
        clock.tick(60)
        book.advance(key, to=2)
        clock.tick(60)
        book.advance(key, to=3)
        since = list(book.entries())[4].recorded_at
        troubles = found(lately(book, EntryQuery(), since), since)
        assert troubles == found(book.entries(), since)
        assert len(troubles) == 1


@pytest.mark.parametrize("since", [FIRST, LAST])
def test_the_first_and_the_last_time_there_is_are_times(
    since: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.lately.ENTRIES_PER_LOOK", 1)
    clock = Clock()
    with ledger.open(":memory:", actor="x", clock=clock) as book:
        a_day(book, clock, 1)
        few = lately(book, EntryQuery(), since)
        assert found(few, since) == found(book.entries(), since)
