"""What became of every sequence, told in plain sentences."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import projections
from ledger import (
    AdvanceCursor,
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    Ledger,
    Outcome,
)
from projections import How, explain, gaps
from support.clock import Clock
from support.cursors import ORDERS
from support.depth import thorough
from support.histories import SEQUENCES, histories, request_for, written

# --- one sequence ---

IN_FLIGHT = "It may have arrived if it was in flight when a consumer ended; it is delivered again."


def plainly(entries: list[Entry], sequence: int) -> tuple[str, int]:
    """Return the verdict and the deliveries, found by a walk over every entry."""
    deliveries, word, passed, skipped, before = 0, "", False, False, False
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
        elif isinstance(event, CursorStarted):
            before = sequence <= event.sequence
    if deliveries:
        return "delivered", deliveries
    if word:
        return word, 0
    if passed or skipped:
        return ("passed" if passed else "skipped"), 0
    return ("before" if before else "not_yet"), 0


@settings(max_examples=thorough(200, 13))
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
                if isinstance(entry.event, CursorReset | CursorStarted)
                or (
                    isinstance(entry.event, CursorAdvanced)
                    and entry.event.previous_sequence != entry.event.sequence
                )
            ]
            assert told.since == (last_move[-1] if last_move else None)
            assert str(told).startswith(f"{sequence}: ")


@settings(max_examples=thorough(300, 24))
@given(asked=histories(), takeovers=st.sets(st.integers(0, 40)))
def test_gaps_and_explain_never_contradict_each_other(asked: Any, takeovers: set[int]) -> None:
    with written([]) as book:
        for turn, (request, _) in enumerate(asked):
            if turn in takeovers:
                book.consumer(ORDERS, take_over="deploy")
            book.append_each([request_for(book, request)])
        entries = list(book.history(ORDERS))
        listed = {
            n: gap for gap in gaps(entries, dense=True) for n in range(gap.first, gap.last + 1)
        }
        for sequence in SEQUENCES:
            told = explain(entries, sequence)
            words = str(told).split("\n")[0]
            assert told.is_gap is (sequence in listed)
            assert ("jumped over it" in words) is (told.verdict == "passed" or told.is_gap)
            if sequence in listed:
                jumps = [s.entry.position for s in told.steps if s.how is How.JUMPED]
                assert jumps[-1] == listed[sequence].position
                # Of what it tells as confirmed, it tells as well that it was jumped over since.
                since = [s.how for s in told.steps if s.entry.position >= jumps[-1]]
                assert set(since) <= {How.JUMPED, How.REWOUND}


def test_what_is_confirmed_where_a_reset_led_is_no_gap(book: Ledger) -> None:
    for to in (41, 44):
        book.advance(ORDERS, to=to)
    book.reset(ORDERS, to=42, reason="after 42")
    assert [(gap.first, gap.last) for gap in gaps(book.history(ORDERS))] == [(1, 40), (42, 43)]
    book.advance(ORDERS, to=42)
    assert [(gap.first, gap.last) for gap in gaps(book.history(ORDERS))] == [(1, 40), (43, 43)]
    story = explain(book.history(ORDERS), 42)
    assert (story.verdict, story.deliveries, story.is_gap) == ("delivered", 1, False)


def test_what_was_delivered_and_jumped_over_since_says_both(book: Ledger) -> None:
    book.advance(ORDERS, to=42)
    book.reset(ORDERS, to=41, reason="receiver lost 42")
    book.advance(ORDERS, to=44)
    story = explain(book.history(ORDERS), 42)
    assert story.is_gap
    assert str(story).startswith("42: delivered once. The last time, the cursor jumped over it.\n")
    book.reset(ORDERS, to=41, reason="again")
    assert str(explain(book.history(ORDERS), 42)).startswith(
        "42: delivered once. The last time, the cursor jumped over it. It is pending again, "
    )


def test_what_is_skipped_where_a_reset_led_was_skipped_by_the_consumer(book: Ledger) -> None:
    book.reset(ORDERS, to=42, reason="begin here")
    book.advance(ORDERS, to=42, outcome=Outcome.SKIPPED)
    assert str(explain(book.history(ORDERS), 42)).startswith(
        "42: NOT DELIVERED: the consumer skipped it."
    )


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
            "2026-05-05T16:04:00Z, position 5: jumped over by an advance from 40 to 44; "
            "44 delivered as msg-44, by web-1"
        ),
        (
            "2026-05-05T16:05:00Z, position 6: reset back from 44 to 41, by ines: "
            "receiver lost 42 and 43"
        ),
        "2026-05-05T16:06:00Z, position 7: delivered as msg-42, by web-2",
        "2026-05-05T16:06:00Z, position 8: confirmed again, delivered as msg-42, by web-2",
    ]
    verdicts = {n: str(projections.explain(history, n)).splitlines() for n in (41, 43, 44, 46)}
    assert verdicts[41][0] == "41: NOT DELIVERED: the cursor jumped over it."
    assert verdicts[43][0] == "43: NOT DELIVERED: the cursor jumped over it."
    assert verdicts[44][0] == (
        "44: delivered once. It is pending again, because the cursor was reset."
    )
    assert verdicts[46] == [
        "46: not confirmed yet: the cursor has not reached it.",
        "The cursor is at 43, 3 before it, since 2026-05-05T16:06:00Z.",
        IN_FLIGHT,
    ]
    book.record_error(ORDERS, "HTTP 503")
    assert str(projections.explain(book.history(ORDERS), 46)).splitlines()[-1] == (
        "2026-05-05T16:06:00Z, position 10: failed: HTTP 503"
    )
    fresh = projections.explain([], 3)
    assert (fresh.key, fresh.verdict) == (None, "not_yet")
    assert str(fresh).splitlines() == [
        "3: not confirmed yet: the cursor has not reached it.",
        "The cursor has confirmed nothing yet.",
        IN_FLIGHT,
    ]


def test_a_takeover_hides_no_error_that_holds_a_sequence_up(book: Ledger, clock: Clock) -> None:
    book.advance(ORDERS, to=40)
    for _ in range(48):
        clock.tick(60)
        book.record_error(ORDERS, "HTTP 503")
    before = list(projections.explain(book.history(ORDERS), 41).sentences())
    clock.tick(60)
    book.consumer(ORDERS, take_over="deploy 1.4.2")
    told = projections.explain(book.history(ORDERS), 41)
    assert list(told.sentences()) == before
    assert told.errors is not None
    assert told.errors.count == 48


def test_what_was_in_flight_at_a_crash_is_said_to_come_again(book: Ledger) -> None:
    crashed = book.consumer(ORDERS, in_flight=3)
    deliveries = [crashed.delivering(sequence) for sequence in (1, 2, 3)]
    for delivered in (deliveries[0], deliveries[2]):
        with delivered:
            pass
    # 2 is in the way, so 3 is delivered, but not confirmed; here the process ends.
    told = projections.explain(book.history(ORDERS), 3)
    assert (told.verdict, told.pending) == ("not_yet", True)
    assert list(told.sentences())[-1] == IN_FLIGHT
    with book.consumer(ORDERS, in_flight=3) as again:
        for sequence in (2, 3):
            with again.delivering(sequence):
                pass
    assert projections.explain(book.history(ORDERS), 3).deliveries == 1


def test_a_long_story_keeps_its_beginning_and_its_end(book: Ledger) -> None:
    book.append([AdvanceCursor(ORDERS, 7, delivery_id="d") for _ in range(1_500)])
    told = projections.explain(book.history(ORDERS), 7)
    assert (told.deliveries, len(told.steps), told.omitted) == (1, 1_000, 500)
    assert [step.entry.version for step in told.steps] == [*range(1, 501), *range(1001, 1501)]
    assert "… and 500 more …" in list(told.sentences())
