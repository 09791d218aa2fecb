"""What the projections say of random histories, against the plainest way to find the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import projections
from ledger import (
    CursorAdvanced,
    CursorReset,
    Entry,
    EntryQuery,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
)
from ledger.log.json import unstructure
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import KEYS, histories, steps, written

# --- resets, stalls, errors ---


@settings(max_examples=thorough(150, 10))
@given(asked=histories(KEYS[:2]))
def test_resets_say_when_the_cursor_was_back(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.entries())
        expected = []
        for entry in entries:
            event = entry.event
            if not isinstance(event, CursorReset):
                continue
            back = None
            if event.sequence < event.previous_sequence:
                back = next(
                    (
                        later.position
                        for later in entries
                        if later.key == entry.key
                        and later.position > entry.position
                        and not isinstance(later.event, ErrorRecorded)
                        and later.event.sequence >= event.previous_sequence
                    ),
                    None,
                )
            expected.append((entry.position, event.previous_sequence, event.sequence, back))
        found = list(projections.resets(book))
        assert [
            (r.position, r.previous_sequence, r.sequence, r.back_position) for r in found
        ] == expected
        backwards = projections.resets(book, direction=projections.Direction.BACK)
        assert [r.position for r in backwards] == [p for p, f, t, _ in expected if t < f]
        two = projections.resets(book, EntryQuery(key=ORDERS, newest_first=True, limit=2))
        assert [r.position for r in two] == [r.position for r in found if r.key == ORDERS][::-1][:2]


def test_a_cursor_that_was_back_and_went_back_again_was_back(book: Ledger) -> None:
    for to in (8, -3, 9, -2, 5, -1, -8, 8):
        if to < 0:
            book.reset(ORDERS, to=-to, reason="x")
        else:
            book.advance(ORDERS, to=to)
    found = [(r.position, r.back_position) for r in projections.resets(book)]
    # 8→3, back by 9 at position 3; 9→2, never; 5→1, back by the reset to 8; 1→8, forward.
    assert found == [(2, 3), (4, None), (6, 7), (7, None)]


def naive_stalls(entries: list[Entry], after: timedelta) -> list[tuple[Any, ...]]:
    """Return (consumer, since, until) by a look, for each pause, at what all others did in it."""
    found = []
    for key in dict.fromkeys(entry.key for entry in entries):
        mates = [
            e
            for e in entries
            if (e.key.stream_name, e.key.subject_id) == (key.stream_name, key.subject_id)
        ]
        own = [entry for entry in mates if entry.key == key]
        moves = [
            entry
            for entry in own
            if isinstance(entry.event, CursorReset)
            or (
                isinstance(entry.event, CursorAdvanced)
                and entry.event.sequence != entry.event.previous_sequence
            )
        ]
        start = [] if own[0] in moves else [own[0]]
        for here, there in pairwise([*start, *moves, None]):
            assert here is not None
            place = 0 if isinstance(here.event, ErrorRecorded) else here.event.sequence
            until = there.position if there else len(entries) + 1
            beyond = [
                e
                for e in mates
                if here.position < e.position < until
                and e.key != key
                and isinstance(e.event, CursorAdvanced)
                and e.event.sequence > max(place, e.event.previous_sequence)
            ]
            standing = {}
            confirmed = {}
            for e in mates:
                if e.position < until and e.key != key and not isinstance(e.event, ErrorRecorded):
                    standing[e.key] = e.event.sequence
                    if (
                        isinstance(e.event, CursorAdvanced)
                        and e.event.sequence != e.event.previous_sequence
                    ):
                        confirmed[e.key] = e.recorded_at
            last = [t for k, t in confirmed.items() if standing[k] > place]
            if beyond and last and max(last) - beyond[0].recorded_at >= after:
                found.append((key, beyond[0].recorded_at, there.recorded_at if there else None))
    return found


@settings(max_examples=thorough(200, 13))
@given(asked=histories(KEYS), after=steps)
def test_stalls_are_pauses_in_which_others_went_on(asked: Any, after: timedelta) -> None:
    with written(asked) as book:
        entries = list(book.entries())
        found = [(s.key, s.since, s.until) for s in projections.stalls(entries, after=after)]
        assert sorted(found, key=repr) == sorted(naive_stalls(entries, after), key=repr)


@settings(max_examples=thorough(100, 10))
@given(asked=histories(KEYS), least=st.integers(1, 3))
def test_streaks_are_errors_in_a_row(asked: Any, least: int) -> None:
    with written(asked) as book:
        expected = []
        for key in KEYS:
            row: list[Entry] = []
            for entry in [*book.history(key), None]:
                if entry is not None and isinstance(entry.event, ErrorRecorded):
                    row.append(entry)
                    continue
                if len(row) >= least:
                    expected.append((key, row, entry.recorded_at if entry else None))
                row = []
        expected.sort(key=lambda each: each[1][0].position)
        found = sorted(
            projections.error_streaks(book.entries(), least=least), key=lambda s: s.first_position
        )
        assert [(s.key, s.count, s.ended_at) for s in found] == [
            (key, len(row), ended_at) for key, row, ended_at in expected
        ]
        for streak, (key, row, _) in zip(found, expected, strict=True):
            then = projections.as_of(book, key, row[0].position)
            assert then is not None
            assert (streak.last_sequence, streak.first_message) == (
                then.last_sequence,
                message(row[0]),
            )
            assert (streak.last_message, streak.actor) == (message(row[-1]), row[-1].actor)
            assert (streak.first_at, streak.last_at) == (row[0].recorded_at, row[-1].recorded_at)
            assert streak.last_position == row[-1].position


def message(entry: Entry) -> str:
    assert isinstance(entry.event, ErrorRecorded)
    return entry.event.message


@pytest.mark.parametrize(
    "call",
    [
        lambda book: projections.explain(book.entries(), 0),
        lambda book: projections.explain(book.entries(), cast(int, "7")),
        lambda book: projections.explain(book.entries(), 1),
        lambda book: list(projections.gaps(book.entries())),
        lambda book: list(projections.repeats(book.entries())),
        lambda book: projections.timeline(book.entries()),
        lambda book: projections.stalls(book.entries(), after=cast(timedelta, 900)),
        lambda book: projections.stalls(book.entries(), after=timedelta(-1)),
        lambda book: projections.error_streaks(book.entries(), least=0),
        lambda book: projections.resets(book, cast(EntryQuery, "webhooks")),
        lambda book: projections.resets(book, reason=cast(str, 7)),
        lambda _: projections.timeline([]),
        lambda book: projections.follow(book, poll_s=0).__next__(),
        lambda book: projections.follow(book, after=-1).__next__(),
    ],
)
def test_bad_input_is_refused(book: Ledger, call: Callable[[Ledger], object]) -> None:
    book.advance(ORDERS, to=1)
    book.advance(JOBS, to=1)
    with pytest.raises(InvalidCursorError):
        call(book)


def test_what_the_projections_give_can_be_put_into_json(book: Ledger) -> None:
    book.advance(ORDERS, to=4)
    book.reset(ORDERS, to=2, reason="x", metadata={"ticket": "7"})
    book.advance(ORDERS, to=4)
    plain = unstructure(next(projections.resets(book)))
    assert (plain["actor"], plain["reason"], plain["key"]["consumer_id"]) == (
        "tester",
        "x",
        "webhooks",
    )
    assert (plain["previous_sequence"], plain["sequence"]) == (4, 2)
    assert (plain["delivered_again"], plain["passed_over"]) == ({"first": 3, "last": 4}, None)
    assert plain["recorded_at"].endswith("Z")
    told = unstructure(projections.explain(book.history(ORDERS), 3))
    assert (told["verdict"], told["deliveries"]) == ("passed", 0)
    assert attrs.asdict(next(projections.repeats(book.history(ORDERS))))["first"] == 3
