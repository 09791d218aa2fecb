"""Any part of any history can be checked alone, and what it begins with is the fold of the rest."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given

from ledger.evidence.chains import CursorCheck
from ledger.evidence.source import Partible, paired
from ledger.evidence.spans import begun, check_heads, check_span
from support.histories import KEYS, histories, written


@given(histories(KEYS, takeovers=True))
def test_where_a_cursor_stands_is_known_by_three_of_its_entries(asked: list[Any]) -> None:
    with written(asked) as book, book._store.snapshot() as log:
        assert isinstance(log, Partible)
        cursors = 0
        for head, rows in paired(log):
            assert head is not None
            cursors += 1
            check, before = CursorCheck(place=head[1]), None
            for row in rows:
                assert not check.follow(row)
                found = begun(log, (head[0], *row, before))
                assert attrs.evolve(found, place=head[1]) == check
                before = row[-1]
        assert check_heads(log, log.share(0, 1)) == cursors


@given(histories(KEYS))
def test_each_part_of_a_history_can_be_checked_alone(asked: list[Any]) -> None:
    with written(asked) as book, book._store.snapshot() as log:
        assert isinstance(log, Partible)
        last = log.settled()
        for after in range(last + 1):
            assert check_span(log, after)[0] == last - after
            assert check_span(log, last // 2, after)[0] == max(0, after - last // 2)
