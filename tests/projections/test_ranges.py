"""Gaps and repeats, against the plainest way to find the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import projections
from ledger import (
    CursorAdvanced,
    CursorReset,
    CursorStarted,
    ErrorRecorded,
    Ledger,
)
from projections.ranges import RangeMap
from support.cursors import ORDERS
from support.depth import thorough
from support.histories import SEQUENCES, histories, written


def expanded(ranges: list[Any]) -> set[int]:
    found = [n for each in ranges for n in range(each.first, each.last + 1)]
    assert len(found) == len(set(found)), "ranges overlap"
    assert all(a.last < b.first for a, b in pairwise(ranges))
    return set(found)


@settings(max_examples=thorough(200, 13))
@given(asked=histories())
def test_gaps_are_what_the_last_word_jumped_over(asked: Any) -> None:
    with written(asked) as book:
        entries = list(book.history(ORDERS))
        word: dict[int, int] = {}
        for entry in entries:
            event = entry.event
            if isinstance(event, ErrorRecorded | CursorStarted):
                continue
            if event.sequence == event.previous_sequence and isinstance(event, CursorAdvanced):
                word[event.sequence] = 0
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


@settings(max_examples=thorough(300, 20))
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


@settings(max_examples=thorough(300, 20))
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
