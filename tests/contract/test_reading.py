"""What is read back: filters against a plain list, order, laziness, bounded memory."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ledger
from ledger import (
    AdvanceCursor,
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
)
from ledger.stores import paged
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.depth import thorough

KEYS = [ORDERS, JOBS, CursorKey("webhooks", "jobs"), CursorKey("mailer", "orders", "customer-7")]


@pytest.fixture
def log(book: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A hundred entries of every kind, read in pages of three and more."""
    monkeypatch.setattr(paged, "PAGE_ROWS_FIRST", 3)
    monkeypatch.setattr(book._store, "page_rows_max", 7)
    at = dict.fromkeys(KEYS, 0)
    for key in KEYS[2:]:
        at[key] = 7
        book.start(key, at=7, source="kafka", reason="moved here", actor="actor-0")
    for n in range(98):
        key = KEYS[n * n % 7 % len(KEYS)]
        actor = f"actor-{n % 3}"
        if n % 10 == 9:
            at[key] = max(0, at[key] - 4) if n % 20 == 9 else at[key] + 3
            book.reset(key, to=at[key], reason="x", actor=actor)
        elif n % 7 == 3:
            book.record_error(key, "boom", actor=actor)
        else:
            at[key] += n % 4 or at[key] == 0
            book.advance(key, to=at[key], actor=actor)
        clock.tick(n % 2)
    return book


def covers(entry: Entry, sequence: int) -> bool:
    event = entry.event
    if isinstance(event, ErrorRecorded):
        return False
    if isinstance(event, CursorStarted):
        return sequence <= event.sequence
    passed = range(
        min(event.previous_sequence, event.sequence) + 1,
        max(event.previous_sequence, event.sequence) + 1,
    )
    confirmed = isinstance(event, CursorAdvanced) and event.sequence == sequence
    return sequence in passed or confirmed


def jumps(entry: Entry) -> bool:
    event = entry.event
    return isinstance(event, CursorAdvanced) and event.sequence > event.previous_sequence + 1


FILTERS: dict[str, tuple[Any, Callable[[Entry, Any], bool]]] = {
    "key": (st.sampled_from([*KEYS, CursorKey("no", "one")]), lambda e, v: e.key == v),
    "consumer_id": (st.sampled_from(["mailer", "x"]), lambda e, v: e.key.consumer_id == v),
    "stream_name": (st.sampled_from(["jobs", "orders"]), lambda e, v: e.key.stream_name == v),
    "subject_id": (st.just("customer-7"), lambda e, v: e.key.subject_id == v),
    "kinds": (
        st.lists(
            st.sampled_from([CursorAdvanced, CursorReset, CursorStarted, ErrorRecorded]), min_size=1
        ),
        lambda e, v: type(e.event) in v,
    ),
    "actor": (st.sampled_from(["actor-1", "nobody"]), lambda e, v: e.actor == v),
    "recorded_from": (
        st.integers(-1, 51).map(lambda n: Clock().now + timedelta(seconds=n)),
        lambda e, v: e.recorded_at >= v,
    ),
    "recorded_until": (
        st.integers(-1, 51).map(lambda n: Clock().now + timedelta(seconds=n)),
        lambda e, v: e.recorded_at <= v,
    ),
    "position_from": (st.integers(0, 110), lambda e, v: e.position >= v),
    "position_until": (st.integers(0, 110), lambda e, v: e.position <= v),
    "version_from": (st.integers(0, 30), lambda e, v: e.version >= v),
    "version_until": (st.integers(0, 30), lambda e, v: e.version <= v),
    "covering": (st.integers(0, 12), covers),
    "positions": (
        st.lists(st.integers(0, 110), min_size=1, max_size=40),
        lambda e, v: e.position in v,
    ),
    "jumping": (st.just(True), lambda e, _: jumps(e)),
}
queries = st.fixed_dictionaries(
    {"newest_first": st.booleans(), "limit": st.integers(-1, 30)},
    optional={name: values for name, (values, _) in FILTERS.items()},
)


@settings(
    max_examples=thorough(150, 10), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=queries)
def test_a_query_gives_what_a_plain_filter_gives(log: Ledger, query: dict[str, Any]) -> None:
    if "key" not in query and query.keys() & {"version_from", "version_until"}:
        with pytest.raises(ledger.InvalidCursorError, match="need a key"):
            EntryQuery(**query)
        return
    everything = list(log.entries())
    assert [entry.position for entry in everything] == list(range(1, 101))
    chosen = [
        entry
        for entry in everything
        if all(FILTERS[name][1](entry, query[name]) for name in query if name in FILTERS)
    ]
    if query["newest_first"]:
        chosen.reverse()
    if query["limit"] > 0:
        chosen = chosen[: query["limit"]]
    assert list(log.entries(EntryQuery(**query))) == chosen


@pytest.mark.parametrize("key", [None, *KEYS])
def test_a_range_is_covered_where_one_of_its_sequences_is(
    log: Ledger, key: CursorKey | None
) -> None:
    everything = list(log.entries(EntryQuery(key=key)))
    for first in range(12):
        for last in range(first, 13):
            found = log.entries(EntryQuery(key=key, covering=first, covering_until=last))
            each = range(first, last + 1)
            expected = [e for e in everything if any(covers(e, sequence) for sequence in each)]
            assert list(found) == expected, (first, last)


def test_a_range_without_a_beginning_is_refused() -> None:
    for covering in (None, 8):
        with pytest.raises(ledger.InvalidCursorError, match="needs covering"):
            EntryQuery(covering=covering, covering_until=7)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [0, 1, 7])
def test_few_cursors_are_read_one_by_one_and_merged(
    log: Ledger, monkeypatch: pytest.MonkeyPatch, newest_first: bool, limit: int
) -> None:
    monkeypatch.setattr(paged, "SCANNED_AT_LEAST", 1)
    monkeypatch.setattr(paged, "MERGED_SHARE", 0)
    everything = list(log.entries())
    if newest_first:
        everything.reverse()
    for part in ("consumer_id", "stream_name", "subject_id"):
        for value in (*{getattr(key, part) for key in KEYS}, "none"):
            for rest in ({}, {"position_from": 30, "position_until": 90}, {"actor": "actor-1"}):
                query = EntryQuery(**{part: value}, **rest, newest_first=newest_first, limit=limit)
                expected = [
                    entry
                    for entry in everything
                    if (not value or getattr(entry.key, part) == value)
                    and all(FILTERS[name][1](entry, bound) for name, bound in rest.items())
                ]
                assert list(log.entries(query)) == expected[: limit or None]


def test_a_history_is_the_entries_of_one_cursor(log: Ledger) -> None:
    for key in KEYS:
        assert list(log.history(key)) == list(log.entries(EntryQuery(key=key)))
    assert list(log.history(CursorKey("no", "one"))) == []


def test_cursors_come_by_stream_subject_and_consumer_in_code_point_order(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged, "PAGE_ROWS_FIRST", 2)
    monkeypatch.setattr(book._store, "page_rows_max", 3)
    # By UTF-16, as some sort, the last two would change places; by a locale, most of them.
    names = ["B", "Z", "a", "z", "Ä", "é", "\uffee", "\U0001f600"]
    keys = [CursorKey(c, s, j) for c in names[:3] for s in names for j in ["", *names[-2:]]]
    book.append([AdvanceCursor(key, 1) for key in sorted(keys, key=hash)])

    def parts(key: CursorKey) -> tuple[str, str, str]:
        return key.stream_name, key.subject_id, key.consumer_id

    found = [cursor.key for cursor in book.cursors()]
    assert found == sorted(keys, key=parts)
    assert [c.key for c in book.cursors(CursorQuery(limit=5))] == found[:5]
    only = CursorQuery(consumer_id=" Z", subject_id="\uffee", limit=7)
    assert [c.key for c in book.cursors(only)] == [
        key for key in found if key.consumer_id == "Z" and key.subject_id == "\uffee"
    ][:7]


def test_an_iterator_ends_at_what_was_there_when_it_began(log: Ledger) -> None:
    seen = 0
    for entry in log.entries():
        seen += 1
        assert seen <= 100
        log.record_error(JOBS, f"saw {entry.position}")
    assert seen == 100
    half = log.history(JOBS)
    before = log.get(JOBS).version
    next(half)
    log.record_error(JOBS, "late")
    assert sum(1 for _ in half) == before - 1


@pytest.mark.slow("it writes long logs to measure memory")
def test_memory_does_not_grow_with_the_log(target: str) -> None:
    with ledger.open(target, durability="normal") as book:
        for start in range(0, 20_000, 2_000):
            book.append([AdvanceCursor(JOBS, start + n) for n in range(1, 2_001)])

        def peak(work: Callable[[], object]) -> int:
            work()
            tracemalloc.start()
            work()
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return most

        assert peak(lambda: sum(1 for _ in itertools.islice(book.entries(), 3_000))) < 4_000_000
        assert peak(lambda: sum(1 for _ in book.entries())) < 4_000_000
        assert peak(book.verify) < 4_000_000


def test_an_advance_jumps_if_it_passes_one_sequence_more(book: Ledger) -> None:
    for to in (1, 2, 4, 7):
        book.advance(ORDERS, to=to)
    book.reset(ORDERS, to=9, reason="poison", actor="ines")
    found = [entry.position for entry in book.entries(EntryQuery(jumping=True))]
    assert found == [3, 4]
