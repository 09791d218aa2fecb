"""How far cursors are behind their heads, against a model that reads the whole history."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorQuery,
    InvalidCursorError,
    Ledger,
    RecordError,
    Request,
    ResetCursor,
    StartCursor,
)
from ledger.law.reserved import HEAD, POSITIONS
from ledger.law.takeovers import takeover
from projections import Lag, LagState, lag
from projections.overview import overview
from projections.passing import Search, look_up
from support.clock import Clock
from support.depth import thorough
from support.naive_lag import naive_lag, naive_moves

STORES = "every"

PLACES = [("orders", ""), ("orders", "eu"), ("parcels", "")]
KEYS = [CursorKey(name, *place) for place in PLACES for name in (HEAD, "a", "mailer", "webhooks")]
MAILER, WEBHOOKS = CursorKey("mailer", "orders"), CursorKey("webhooks", "orders")
MINUTE = timedelta(minutes=1)

requests = st.one_of(
    st.builds(AdvanceCursor, st.sampled_from(KEYS), st.integers(1, 15)),
    st.builds(AdvanceCursor, st.sampled_from(KEYS[::4]), st.integers(1, 15)),
    st.builds(
        ResetCursor,
        st.sampled_from(KEYS),
        st.integers(0, 15),
        st.just("because"),
        actor=st.just("ines"),
    ),
    st.builds(
        StartCursor,
        st.sampled_from(KEYS),
        st.integers(0, 15),
        st.just("moved"),
        actor=st.just("ines"),
    ),
    st.builds(RecordError, st.sampled_from(KEYS), st.sampled_from(["HTTP 503", "HTTP 504"])),
    st.sampled_from(KEYS),  # A takeover of this cursor.
)
# Now and then somebody sets the clock back.
steps = st.integers(-200, 400)


def test_it_says_how_far_each_cursor_is_behind_and_since_when(book: Ledger, clock: Clock) -> None:
    book.advance(MAILER, to=42)
    for sequence in range(40, 45):
        clock.tick(60)
        book.heads.record("orders", "", sequence)
    book.advance(WEBHOOKS, to=44)
    passed = clock.now - MINUTE  # 43 was recorded a minute before 44.
    clock.tick(30.5)
    mailer, webhooks = lag(book)
    assert mailer == Lag(
        key=MAILER,
        last_sequence=42,
        head=44,
        behind=2,
        since=passed,
        age_s=90,
        state=LagState.BEHIND,
        errors=0,
        last_error="",
        ahead=0,
    )
    assert (webhooks.behind, webhooks.since, webhooks.age_s) == (0, None, None)
    assert webhooks.state is LagState.OK


def test_each_state_is_told(book: Ledger, clock: Clock) -> None:
    book.append(
        [AdvanceCursor(CursorKey(name, "orders"), 5) for name in ("behind", "failing", "stalled")]
    )
    book.append(
        [AdvanceCursor(CursorKey("ahead", "orders"), 12), AdvanceCursor(CursorKey("x", "faxes"), 5)]
    )
    book.heads.record("orders", "", 11)
    clock.tick(15 * 60)
    book.append(
        [
            AdvanceCursor(CursorKey("ok", "orders"), 11),
            AdvanceCursor(CursorKey("behind", "orders"), 6),
            # To confirm the same place again is no progress.
            AdvanceCursor(CursorKey("stalled", "orders"), 5),
            RecordError(CursorKey("failing", "orders"), "HTTP 503"),
            RecordError(CursorKey("failing", "orders"), "HTTP 504"),
            RecordError(CursorKey("new", "orders"), "HTTP 500"),
        ]
    )
    found = {each.key.consumer_id: (each.state.value, each.errors) for each in lag(book)}
    assert found == {
        "ahead": ("ahead", 0),
        "behind": ("behind", 0),
        "failing": ("failing", 2),
        "new": ("failing", 1),
        "ok": ("ok", 0),
        "stalled": ("stalled", 0),
        "x": ("no-head", 0),
    }
    [behind] = (each.behind for each in lag(book) if each.key.consumer_id == "ahead")
    assert behind == 0


def test_a_reset_is_a_new_start_for_who_stood_still(book: Ledger, clock: Clock) -> None:
    book.append([AdvanceCursor(MAILER, 5)])
    book.heads.record("orders", "", 11)
    clock.tick(20 * 60)
    assert [each.state for each in lag(book)] == [LagState.STALLED]
    book.reset(MAILER, to=5, reason="the receiver is there again")
    assert [each.state for each in lag(book)] == [LagState.BEHIND]


def test_a_takeover_does_not_hide_that_a_cursor_stands_still(book: Ledger, clock: Clock) -> None:
    book.append([AdvanceCursor(MAILER, 5)])
    book.heads.record("orders", "", 11)
    for deploy in range(3):
        clock.tick(10 * 60)
        book.consumer(MAILER, take_over=f"deploy {deploy}")
        expected = LagState.STALLED if deploy else LagState.BEHIND
        assert [each.state for each in lag(book)] == [expected]
    book.advance(MAILER, to=6)
    assert [each.state for each in lag(book)] == [LagState.BEHIND]


def test_a_takeover_hides_no_error_and_an_advance_ends_the_streak(book: Ledger) -> None:
    book.advance(MAILER, to=5)
    for deploy in range(3):
        book.append([RecordError(MAILER, f"HTTP {503 + deploy}")] * 2)
        book.consumer(MAILER, take_over=f"deploy {deploy}")
    book.consumer(MAILER, take_over="deploy 3")
    [each] = lag(book)
    assert (each.state, each.errors, each.last_error) == (LagState.FAILING, 6, "HTTP 505")
    book.record_error(MAILER, "HTTP 500")
    [each] = lag(book)
    assert (each.errors, each.last_error) == (7, "HTTP 500")
    # A reset to the same place is somebody's word that it is mended.
    book.reset(MAILER, to=5, reason="the receiver is there again")
    assert [(each.errors, each.last_error) for each in lag(book)] == [(0, "")]
    book.record_error(MAILER, "HTTP 500")
    book.consumer(MAILER, take_over="deploy 4")
    assert [each.errors for each in lag(book)] == [1]
    book.advance(MAILER, to=6)
    assert [each.errors for each in lag(book)] == [0]


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        (5, "must be a map of (stream, subject) to int, not a int"),
        ([], "must be a map"),
        ({"orders": 5}, "must have pairs (stream, subject) for keys, not 'orders'"),
        ({"ab": 5}, "not 'ab'"),
        ({("orders",): 5}, "not ('orders',)"),
        ({3: 5}, "not 3"),
        ({("orders", None): 5}, "must be text, not nothing"),
        ({("orders", ""): "5"}, "must be an integer, not a str"),
        ({("orders", ""): -1}, "must be from 0"),
        ({("orders", ""): 5, (" orders", ""): 6}, "have ('orders', '') twice"),
    ],
)
def test_heads_that_are_none_are_refused(book: Ledger, heads: Any, said: str) -> None:
    with pytest.raises(InvalidCursorError, match=re.escape(said)):
        lag(book, heads=heads)


def test_a_span_before_all_time_is_never_over(book: Ledger, clock: Clock) -> None:
    book.append([AdvanceCursor(MAILER, 5)])
    book.heads.record("orders", "", 11)
    clock.tick(20 * 60)
    for after in (timedelta(days=999_999), timedelta.max):
        assert [each.state for each in lag(book, stalled_after=after)] == [LagState.BEHIND]
    first = datetime(1, 1, 1, tzinfo=UTC)
    assert [(each.state, each.age_s) for each in lag(book, now=first)] == [(LagState.BEHIND, 0)]


def test_a_head_that_was_reset_counts_from_when_it_came_past_last(
    book: Ledger, clock: Clock
) -> None:
    book.advance(MAILER, to=50)
    times = {}
    for sequence in (10, 60):
        times[sequence] = clock.tick(60)
        book.heads.record("orders", "", sequence)
    book.advance(WEBHOOKS, to=57)
    clock.tick(60)
    book.reset(book.heads.get("orders").key, to=55, reason="the last five were rolled back")
    times[70] = clock.tick(60)
    book.heads.record("orders", "", 70)
    assert [each.since for each in lag(book)] == [times[60], times[70]]


@settings(max_examples=thorough(400, 24))
@given(
    asked=st.lists(st.tuples(requests, steps), max_size=60),
    stream_heads=st.booleans(),
    pause=st.integers(0, 600),
    later=st.integers(-300, 900),
)
@example(asked=[], stream_heads=False, pause=0, later=0)
def test_it_finds_what_reading_everything_finds(
    asked: Any, stream_heads: bool, pause: int, later: int
) -> None:
    clock = Clock()
    with ledger.open(":memory:", actor="tester", clock=clock) as book:
        for request, step in asked:
            clock.tick(step)
            is_takeover = isinstance(request, CursorKey)
            asked_for = takeover(request, book.find(request), "deploy") if is_takeover else request
            book.append_each([asked_for])
        now, after = clock.tick(later), timedelta(seconds=pause)
        found = list(lag(book, stream_heads=stream_heads, stalled_after=after))
        assert found == naive_lag(book, now, after, stream_heads=stream_heads)
        rows = list(overview(book, stalled_after=after))
        assert [row.lag for row in rows] == naive_lag(book, now, after)
        moves = naive_moves(book)
        assert [row.moved_at for row in rows] == [moves[row.key] for row in rows]


@pytest.mark.slow("a group of many thousands of records or cursors")
def test_it_finds_the_same_over_many_cursors_with_long_histories(
    book: Ledger, clock: Clock
) -> None:
    rng = random.Random(16)
    places = [(f"stream-{n % 5}", f"s{n}" if n % 3 else "") for n in range(15)]
    keys = [CursorKey(name, *place) for place in places for name in ("a", "mailer", "x", "z")]
    heads = [CursorKey(HEAD, *place) for place in places if place[1] != "s7"]
    for _ in range(40):
        clock.tick(rng.randrange(-50, 200))
        book.append_each(
            AdvanceCursor(key, rng.randrange(1, 2_000)) for key in rng.choices(heads, k=30)
        )
        for key in rng.choices(keys + heads, k=20):
            kinds: list[Request] = [
                AdvanceCursor(key, rng.randrange(1, 2_000)),
                RecordError(key, "HTTP 503"),
                ResetCursor(key, rng.randrange(1, 500), "because", actor="ines"),
            ]
            book.append_each([rng.choice(kinds)])
    for pause in (timedelta(0), timedelta(minutes=30)):
        for stream_heads in (False, True):
            found = list(lag(book, stream_heads=stream_heads, stalled_after=pause))
            assert found == naive_lag(book, clock.now, pause, stream_heads=stream_heads)


def test_a_query_chooses_cursors_and_their_heads_are_found_all_the_same(book: Ledger) -> None:
    for place in PLACES:
        book.heads.record(*place, 9)
        for name in ("mailer", "webhooks", POSITIONS):
            book.advance(CursorKey(name, *place), to=5)
    for query, expected in (
        (CursorQuery(), 6),
        (CursorQuery(consumer_id="mailer"), 3),
        (CursorQuery(stream_name="orders"), 4),
        (CursorQuery(subject_id="eu"), 2),
        (CursorQuery(limit=5), 5),
    ):
        found = list(lag(book, query))
        assert [each.behind for each in found] == [4] * expected


def test_heads_that_are_given_stand_in_for_those_of_the_ledger(book: Ledger) -> None:
    book.heads.record("orders", "", 9)
    book.append([AdvanceCursor(CursorKey("mailer", *place), 5) for place in PLACES])
    given = {("orders", "eu"): 7, ("parcels ", ""): 4, ("faxes", ""): 1}
    found = [
        (each.head, each.behind, each.since is None, each.state) for each in lag(book, heads=given)
    ]
    assert found == [
        (9, 4, False, LagState.BEHIND),
        (7, 2, True, LagState.BEHIND),
        (4, 0, True, LagState.AHEAD),
    ]
    [instead] = (each.head for each in lag(book, heads={("orders", ""): 30}) if each.head)
    assert instead == 30


def test_a_head_that_was_read_too_soon_is_read_again(book: Ledger) -> None:
    book.heads.record("orders", "", 5)
    book.advance(MAILER, to=5)
    found = lag(book)  # The heads are read when this begins, and the cursor later.
    book.heads.record("orders", "", 6)
    book.advance(MAILER, to=6)
    assert [each.state for each in found] == [LagState.OK]


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": "orders"},
        {"stalled_after": 900},
        {"stalled_after": timedelta(-1)},
        {"now": "2026-05-05"},
        {"heads": {("orders", ""): -1}},
        {"heads": {("orders", ""): "44"}},
        {"heads": {("", ""): 44}},
        {"heads": {("orders", ""): 2**63}},
    ],
)
def test_wrong_arguments_are_refused_at_once(book: Ledger, wrong: Any) -> None:
    with pytest.raises(InvalidCursorError):
        lag(book, **wrong)


# --- the search ---

GROWTHS: dict[str, Callable[[int], int]] = {
    "one by one": lambda n: n,
    "in jumps": lambda n: n + n // 100 * 10**12,
    "faster and faster": lambda n: n**5,
    "at the very end": lambda n: n if n < 5_000 else 2**63 - 5_001 + n,
}


@pytest.mark.parametrize("growth", GROWTHS)
def test_a_search_takes_few_looks_however_sequences_grow(growth: str) -> None:
    sequence, versions = GROWTHS[growth], 5_000
    key = CursorKey(HEAD, "orders")
    with ledger.open(":memory:", actor="tester") as book:
        book.append(AdvanceCursor(key, sequence(n)) for n in range(1, versions + 1))
        for version in (1, 2, 99, 100, 101, 2_500, versions - 1, versions):
            sought = sequence(version)
            search = Search(
                key,
                0,
                versions,
                lambda move, sought=sought: move.sequence >= sought,  # type: ignore[misc]
                sought=sought,
                high_sequence=sequence(versions),
            )
            look_up(book, [search])
            assert search.found is not None
            assert search.found.version == version
            assert search.guesses <= 5 * versions.bit_length()
