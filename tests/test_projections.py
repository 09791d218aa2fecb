"""What the projections say of random histories, against the plainest way to find the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import attrs
import pytest
from conftest import JOBS, ORDERS, Clock
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
import projections
from ledger import (
    AdvanceCursor,
    Cursor,
    CursorAdvanced,
    CursorKey,
    CursorReset,
    Entry,
    EntryQuery,
    ErrorRecorded,
    InvalidCursorError,
    Ledger,
    RecordError,
    Request,
    ResetCursor,
)
from ledger.log.json import unstructure
from projections.ranges import RangeMap

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


# --- one sequence ---


def plainly(entries: list[Entry], sequence: int) -> tuple[str, int]:
    """Give the verdict and the deliveries by walking every entry in every way it may matter."""
    deliveries, word, passed, skipped = 0, "", False, False
    for entry in entries:
        event = entry.event
        if isinstance(event, CursorAdvanced):
            inside = range(event.previous_sequence + 1, event.sequence)
            repeated = event.previous_sequence == event.sequence
            if event.sequence == sequence and not (repeated and deliveries):
                word = event.outcome.value
                deliveries += word == "delivered"
            passed |= sequence in inside
        elif isinstance(event, CursorReset):
            skipped |= sequence in range(event.previous_sequence + 1, event.sequence + 1)
    if deliveries:
        return "delivered", deliveries
    if word:
        return word, 0
    return ("passed" if passed else "skipped" if skipped else "not_yet"), 0


@settings(max_examples=200)
@given(asked=histories())
def test_the_story_of_every_sequence_is_what_a_walk_finds(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.history(ORDERS))
        at = book.get(ORDERS).last_sequence if entries else 0
        for sequence in SEQUENCES:
            told = projections.explain(entries, sequence)
            assert (told.verdict.value, told.deliveries) == plainly(entries, sequence)
            assert (told.pending, told.distance) == (at < sequence, max(sequence - at, 0))
            covering = EntryQuery(key=ORDERS, covering=sequence)
            assert [step.entry for step in told.steps] == list(book.entries(covering))
            last_move = [
                entry.recorded_at
                for entry in entries
                if isinstance(entry.event, CursorReset)
                or (
                    isinstance(entry.event, CursorAdvanced)
                    and entry.event.previous_sequence != entry.event.sequence
                )
            ]
            assert told.since == (last_move[-1] if last_move else None)
            assert str(told).startswith(f"{sequence}: ")


# --- ranges ---


def expanded(ranges: list[Any]) -> set[int]:
    found = [n for each in ranges for n in range(each.first, each.last + 1)]
    assert len(found) == len(set(found)), "ranges overlap"
    assert all(a.last < b.first for a, b in pairwise(ranges))
    return set(found)


@settings(max_examples=200)
@given(asked=histories())
def test_gaps_are_what_the_last_word_jumped_over(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.history(ORDERS))
        word: dict[int, int] = {}
        for entry in entries:
            event = entry.event
            if isinstance(event, ErrorRecorded):
                continue
            for n in range(event.previous_sequence + 1, event.sequence + 1):
                jumped = isinstance(event, CursorAdvanced) and n != event.sequence
                word[n] = entry.position if jumped else 0
        found = list(projections.gaps(book.history(ORDERS)))
        assert expanded(found) == {n for n, position in word.items() if position}
        for gap in found:
            assert {word[n] for n in range(gap.first, gap.last + 1)} == {gap.position}
            assert (gap.key, gap.certain) == (ORDERS, False)
            start = next(e.event for e in entries if e.position == gap.position)
            assert isinstance(start, CursorAdvanced)
            if gap.initial:
                assert start.previous_sequence == 0
        assert all(gap.certain for gap in projections.gaps(entries, dense=True))


@settings(max_examples=300)
@given(asked=histories())
def test_repeats_are_what_was_delivered_more_than_once(asked: Any) -> None:
    with written(asked) as book:
        landed, jumped = dict.fromkeys(SEQUENCES, 0), dict.fromkeys(SEQUENCES, 0)
        rewound: dict[int, int] = {}
        again: list[tuple[int, int, int]] = []
        entries = list(book.history(ORDERS))
        for entry in entries:
            event = entry.event
            if isinstance(event, CursorReset):
                for n in range(event.sequence + 1, event.previous_sequence + 1):
                    rewound[n] = entry.position
            elif isinstance(event, CursorAdvanced) and event.outcome == "delivered":
                here, there = event.previous_sequence, event.sequence
                for n in range(here + 1, there):
                    jumped[n] += not landed[n]
                    if jumped[n] > 1 and not landed[n]:
                        again.append((n, jumped[n], rewound[n]))
                if here < there or not landed[there]:
                    landed[there] += 1
                    if landed[there] > 1:
                        again.append((there, landed[there], rewound[there]))
        found = [
            (n, repeat.deliveries, repeat.reset.position)
            for repeat in projections.repeats(entries)
            for n in range(repeat.first, repeat.last + 1)
        ]
        assert found == again
        assert all(str(repeat) for repeat in projections.repeats(book.history(ORDERS)))
        # It is what explain counts, of whatever was landed on.
        for n in SEQUENCES:
            assert projections.explain(entries, n).deliveries == landed[n]


def test_a_jump_over_what_was_delivered_twice_does_not_make_it_less(book: Ledger) -> None:
    for to in (2, 3, 4, None, 3, 4, None, 4, None, 3):
        if to is None:
            book.reset(ORDERS, to=2, reason="again")
        else:
            book.advance(ORDERS, to=to)
    found = [(r.first, r.last, r.deliveries) for r in projections.repeats(book.history(ORDERS))]
    assert found == [(3, 4, 2), (4, 4, 3), (3, 3, 3)]
    assert projections.explain(book.history(ORDERS), 3).deliveries == 3


@settings(max_examples=300)
@given(
    puts=st.lists(
        st.tuples(st.integers(1, 15), st.integers(0, 6), st.none() | st.integers(0, 2)), max_size=25
    ),
    first=st.integers(1, 20),
    size=st.integers(0, 20),
)
def test_a_map_of_ranges_is_a_map_of_numbers(puts: Any, first: int, size: int) -> None:
    ranges, plain = RangeMap(), dict[int, int]()
    for start, more, value in puts:
        ranges.put(start, start + more, value)
        for n in range(start, start + more + 1):
            plain.pop(n, None)
            if value is not None:
                plain[n] = value
    assert {n: v for f, e, v in ranges for n in range(f, e + 1)} == plain
    assert all(a[1] < b[0] and (a[1] + 1, a[2]) != (b[0], b[2]) for a, b in pairwise(ranges))
    within = {n: v for f, e, v in ranges.within(first, first + size) for n in range(f, e + 1)}
    assert within == {n: v for n, v in plain.items() if first <= n <= first + size}


def test_the_largest_sequence_there_is_can_be_jumped_to() -> None:
    with written([]) as book:
        book.advance(ORDERS, to=2**63 - 1)
        [gap] = projections.gaps(book.history(ORDERS))
        assert (gap.first, gap.last, gap.initial) == (1, 2**63 - 2, True)
        book.reset(ORDERS, to=5, reason="x", actor="ines")
        book.advance(ORDERS, to=2**63 - 1)
        [repeat] = projections.repeats(book.history(ORDERS))
        assert (repeat.first, repeat.last) == (6, 2**63 - 1)


# --- moments ---


@settings(max_examples=100)
@given(asked=histories(KEYS))
def test_as_of_every_moment_is_the_fold_of_what_was_there(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.entries())
        moments: list[Any] = [*range(len(entries) + 2), *{e.recorded_at for e in entries}]

        def there(entry: Entry, moment: Any) -> bool:
            if isinstance(moment, datetime):
                return entry.recorded_at <= moment
            return bool(entry.position <= moment)

        def folded(key: CursorKey, moment: Any) -> Cursor | None:
            return ledger.fold(e for e in entries if e.key == key and there(e, moment))

        for moment in moments:
            for key in KEYS:
                assert projections.as_of(book, key, moment) == folded(key, moment)
            every = [folded(cursor.key, moment) for cursor in book.cursors()]
            assert list(projections.cursors_as_of(book, moment)) == [c for c in every if c]


@settings(max_examples=60)
@given(asked=histories(KEYS), moments=st.lists(st.integers(0, 42), min_size=2, max_size=2))
def test_a_diff_is_what_differs_between_two_moments(asked: Any, moments: list[int]) -> None:
    earlier, later = sorted(moments)
    with written(asked) as book:
        before = {c.key: c for c in projections.cursors_as_of(book, earlier)}
        after = {c.key: c for c in projections.cursors_as_of(book, later)}
        changes = {change.key: change for change in projections.diff(book, earlier, later)}
        assert changes.keys() == {k for k in after if after[k] != before.get(k)}
        for key, change in changes.items():
            assert (change.before, change.after) == (before.get(key), after[key])
            old = before.get(key)
            assert change.entries == after[key].version - (old.version if old else 0)
            assert change.moved == after[key].last_sequence - (old.last_sequence if old else 0)


@pytest.mark.parametrize("moment", ["now", 1.5, True, None, -1, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_what_is_no_moment_is_refused(book: Ledger, moment: Any) -> None:
    with pytest.raises(InvalidCursorError):
        projections.as_of(book, ORDERS, moment)
    with pytest.raises(InvalidCursorError):
        projections.cursors_as_of(book, moment)
    with pytest.raises(InvalidCursorError):
        projections.diff(book, moment, 3)


def test_moments_in_the_wrong_order_are_refused(book: Ledger, clock: Clock) -> None:
    with pytest.raises(InvalidCursorError, match="later than"):
        projections.diff(book, 3, 2)
    with pytest.raises(InvalidCursorError, match="later than"):
        projections.diff(book, clock.now, clock.now - timedelta(seconds=1))


# --- resets, stalls, errors ---


@settings(max_examples=150)
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
    """Give (consumer, since, until) by looking, for each pause, at what all others did in it."""
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


@settings(max_examples=200)
@given(asked=histories(KEYS), after=steps)
def test_stalls_are_pauses_in_which_others_went_on(asked: Any, after: timedelta) -> None:
    with written(asked) as book:
        entries = list(book.entries())
        found = [(s.key, s.since, s.until) for s in projections.stalls(entries, after=after)]
        assert sorted(found, key=repr) == sorted(naive_stalls(entries, after), key=repr)


@settings(max_examples=100)
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


# --- the words ---


def test_the_story_is_told_in_plain_sentences(book: Ledger, clock: Clock) -> None:
    book.advance(ORDERS, to=40, delivery_id="msg-40", actor="web-1")
    for n in range(3):
        clock.tick(60)
        book.record_error(ORDERS, f"HTTP 50{n}", actor="web-1")
    clock.tick(60)
    book.advance(ORDERS, to=44, delivery_id="msg-44", actor="web-1")
    clock.tick(60)
    book.reset(ORDERS, to=41, reason="receiver lost 42 and 43", actor="ines")
    clock.tick(60)
    book.advance(ORDERS, to=42, delivery_id="msg-42", actor="web-2")
    book.advance(ORDERS, to=42, delivery_id="msg-42", actor="web-2")
    book.reset(ORDERS, to=43, reason="refunded", actor="omar")
    history = list(book.history(ORDERS))
    assert str(projections.explain(history, 42)).splitlines() == [
        "42: delivered once.",
        (
            "2026-05-05T16:01:00Z, position 2: failed 3 times at 40, until 2026-05-05T16:03:00Z, "
            "first: HTTP 500; last: HTTP 502"
        ),
        (
            "2026-05-05T16:04:00Z, position 5: passed inside a jump of 4, from 40 to 44; "
            "44 delivered as msg-44, by web-1"
        ),
        "2026-05-05T16:05:00Z, position 6: rewound from 44 to 41, by ines: receiver lost 42 and 43",
        "2026-05-05T16:06:00Z, position 7: delivered as msg-42, by web-2",
        "2026-05-05T16:06:00Z, position 8: confirmed again, delivered as msg-42, by web-2",
    ]
    verdicts = {n: str(projections.explain(history, n)).splitlines() for n in (41, 43, 44, 46)}
    assert verdicts[41][0] == "41: passed without a word of its own."
    assert verdicts[43][0] == "43: passed without a word of its own."
    assert verdicts[44][0] == "44: delivered once, and to come again."
    assert verdicts[46] == [
        "46: not yet.",
        "The cursor stands at 43, 3 short of it, since 2026-05-05T16:06:00Z.",
    ]
    book.record_error(ORDERS, "HTTP 503")
    assert str(projections.explain(book.history(ORDERS), 46)).splitlines()[-1] == (
        "2026-05-05T16:06:00Z, position 10: failed: HTTP 503"
    )
    fresh = projections.explain([], 3)
    assert (fresh.key, fresh.verdict) == (None, "not_yet")
    assert str(fresh).splitlines() == ["3: not yet.", "Nothing was ever confirmed here."]


def test_a_long_story_keeps_its_beginning_and_its_end(book: Ledger) -> None:
    book.append([AdvanceCursor(ORDERS, 7, delivery_id="d") for _ in range(1_500)])
    told = projections.explain(book.history(ORDERS), 7)
    assert (told.deliveries, len(told.steps), told.omitted) == (1, 1_000, 500)
    assert [step.entry.version for step in told.steps] == [*range(1, 501), *range(1001, 1501)]
    assert "… and 500 more …" in list(told.sentences())


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
