"""A span of time is found by a few looks at each cursor: what a scan of the whole log finds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
from ledger import AdvanceCursor, CursorKey, Entry, EntryQuery, Ledger, RecordError, Request
from ledger.law.reserved import HEAD
from ledger.stores.sqlite import moments
from support.clock import Clock
from support.depth import thorough

BEGINNING = Clock().now
KEYS = [CursorKey("mailer", "orders"), CursorKey("mailer", "jobs"), CursorKey(HEAD, "orders")]

seconds = st.integers(0, 40)
steps = st.lists(
    # Which cursor, whether an error, and when by a clock that may be set back.
    st.tuples(st.integers(0, len(KEYS) - 1), st.booleans(), seconds),
    max_size=60,
)


@pytest.fixture(autouse=True)
def searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search however short the log is, to the very entry."""
    monkeypatch.setattr(moments, "ROWS_A_CURSOR", 0.01)
    monkeypatch.setattr(moments, "ROWS_A_LOOK", 0)


def at(second: int | None) -> datetime | None:
    return None if second is None else BEGINNING + timedelta(seconds=second)


def filled(book: Ledger, clock: Clock, history: list[tuple[int, bool, int]]) -> None:
    for sequence, (nth, is_error, second) in enumerate(history, 1):
        clock.now = BEGINNING + timedelta(seconds=second)
        request: Request = AdvanceCursor(KEYS[nth], sequence)
        book.append([RecordError(KEYS[nth], "HTTP 503") if is_error else request])


def scanned(book: Ledger, query: EntryQuery) -> list[Entry]:
    """Return what the query chooses, by looking at every entry."""
    first, last = query.recorded_from, query.recorded_until
    found = [
        entry
        for entry in book.entries()
        if (first is None or entry.recorded_at >= first)
        and (last is None or entry.recorded_at <= last)
        and (not query.stream_name or entry.key.stream_name == query.stream_name)
        and entry.position >= (query.position_from or 0)
    ]
    found = found[::-1] if query.newest_first else found
    return found[: query.limit or None]


def bounds(book: Ledger, query: EntryQuery) -> tuple[int, int]:
    until = book.horizon().position
    pool = book._store.connections  # type: ignore[attr-defined]
    found: tuple[int, int] = pool.read(lambda session: session.narrowed(query, until))
    return found


@settings(max_examples=thorough(400, 80), deadline=None)
@given(
    history=steps,
    first=st.none() | seconds,
    last=st.none() | seconds,
    stream=st.sampled_from(["", "orders", "nothing"]),
    position=st.none() | st.integers(0, 70),
    newest_first=st.booleans(),
    limit=st.sampled_from([0, 0, 3]),
)
def test_a_search_finds_what_a_scan_finds(  # noqa: PLR0917 - what hypothesis draws
    history: list[tuple[int, bool, int]],
    first: int | None,
    last: int | None,
    stream: str,
    position: int | None,
    newest_first: bool,
    limit: int,
) -> None:
    clock = Clock()
    query = EntryQuery(
        recorded_from=at(first),
        recorded_until=at(last),
        stream_name=stream,
        position_from=position,
        newest_first=newest_first,
        limit=limit,
    )
    with ledger.open(":memory:", clock=clock) as book:
        filled(book, clock, history)
        assert list(book.entries(query)) == scanned(book, query)


@settings(max_examples=thorough(200, 50), deadline=None)
@given(history=steps, first=seconds, last=seconds)
def test_a_search_leaves_nothing_to_scan_but_the_span(
    history: list[tuple[int, bool, int]], first: int, last: int
) -> None:
    clock = Clock()
    query = EntryQuery(recorded_from=at(first), recorded_until=at(last))
    with ledger.open(":memory:", clock=clock) as book:
        filled(book, clock, history)
        entries, end = list(book.entries()), book.horizon().position
        low, high = bounds(book, query)
        late = [each.position for each in entries if each.recorded_at >= at(first)]  # type: ignore[operator]
        early = [each.position for each in entries if each.recorded_at <= at(last)]  # type: ignore[operator]
        if entries:
            assert (low, high) == (min(late, default=end + 1), max(early, default=0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    clock, place = Clock(), tmp_path / "cursors.db"
    with ledger.open(place, clock=clock) as book:
        filled(book, clock, [(nth % 3, False, nth) for nth in range(30)])
    return place


def test_few_entries_of_many_cursors_are_scanned(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(path) as book:
        query = EntryQuery(recorded_from=at(20))
        assert bounds(book, query) == (21, 30)
        monkeypatch.setattr(moments, "ROWS_A_CURSOR", 11)
        assert bounds(book, query) == (0, 30)
        # One named cursor may be searched where all three may not.
        assert bounds(book, EntryQuery(recorded_from=at(20), stream_name="jobs")) == (23, 30)


def falsify(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_cursors SET version = 1",
        "DELETE FROM ledger_events WHERE version = 5",
    ],
)
def test_what_was_falsified_hides_no_entry(path: Path, statement: str) -> None:
    falsify(path, statement)
    with ledger.open(path) as book:
        late = [each.position for each in book.entries(EntryQuery(recorded_from=at(20)))]
        assert late == list(range(21, 31))


def test_an_entry_without_a_time_is_reported(path: Path) -> None:
    falsify(path, "UPDATE ledger_events SET recorded_at = 'noon' WHERE version = 5")
    with ledger.open(path) as book, pytest.raises(ledger.BrokenChainError, match="position 13"):
        list(book.entries(EntryQuery(recorded_from=at(20))))
