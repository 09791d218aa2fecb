"""The resets of one cursor are found by its epochs, without reading those of all others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import attrs
import pytest
from hypothesis import given, settings

import ledger
from ledger import Cursor, CursorReset, Entry, EntryQuery, Ledger
from projections import ResetPlan, resets
from projections.resets.epochs import resets_of
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.histories import histories, written


class Counting:
    """A ledger that counts the entries that are read from it, and keeps what was asked."""

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self.read = 0
        self.asked: list[EntryQuery] = []

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        self.asked.append(query)
        for entry in self._book.entries(query):
            self.read += 1
            yield entry


def found(book: Any, cursor: Cursor, after: int = 0) -> list[Entry]:
    pairs = list(resets_of(cast("Ledger", book), cursor, after=after))
    assert all(entry.event is event for entry, event in pairs)
    return [entry for entry, _ in pairs]


@settings(max_examples=thorough(150, 16))
@given(asked=histories([ORDERS, JOBS]))
def test_they_are_those_of_its_history(asked: Any) -> None:
    with written(asked) as book:
        for cursor in book.cursors():
            history = list(book.history(cursor.key))
            made = [entry for entry in history[::-1] if isinstance(entry.event, CursorReset)]
            for after in range(cursor.version + 1):
                counting = Counting(book)
                assert found(counting, cursor, after) == [e for e in made if e.version > after]
                # The index of all resets is not asked.
                assert not any(query.kinds for query in counting.asked)


@pytest.mark.parametrize("at", [1, 2, 3, 500, 998, 999, 1_000])
def test_one_among_a_thousand_is_found_in_a_few_steps(at: int) -> None:
    with ledger.open(":memory:", actor="ines") as book:
        requests: list[ledger.Request] = [ledger.AdvanceCursor(ORDERS, n) for n in range(1, 1_000)]
        requests.insert(at - 1, ledger.ResetCursor(ORDERS, at, "x"))
        cursor = [*book.append(requests)][-1]
        counting = Counting(book)
        [entry] = found(counting, cursor)
        assert entry.version == at
        assert counting.read <= 22
        if at > 997:
            assert counting.read <= 5


def test_where_the_epochs_do_not_fit_all_are_searched() -> None:
    with ledger.open(":memory:", actor="ines") as book:
        for to in (4, 2, 3):
            book.reset(ORDERS, to=to, reason="x")
            book.advance(ORDERS, to=to)
        cursor = book.get(ORDERS)
        made = [reset.version for reset in resets(book)][::-1]
        for wrong in (
            attrs.evolve(cursor, epoch=7),
            attrs.evolve(cursor, epoch=2),
            attrs.evolve(cursor, version=9),
        ):
            assert [entry.version for entry in found(book, wrong)] == made


def test_a_group_does_not_read_the_resets_of_all_for_each_of_its_cursors() -> None:
    """The work for twice as many cursors is twice as much."""

    def read(cursors: int) -> int:
        with ledger.open(":memory:", actor="ines") as book:
            keys = [attrs.evolve(ORDERS, subject_id=str(n)) for n in range(cursors)]
            book.append([ledger.AdvanceCursor(key, 9) for key in keys])
            ResetPlan.make(book, keys, to=1, reason="x").apply(book)
            counting = Counting(book)
            for cursor in book.cursors():
                found(counting, cursor)
            return counting.read

    assert read(40) == 2 * read(20)
