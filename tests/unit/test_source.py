"""Cursors and entries are paired in the order that SQLite gives ids of any type."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ledger.evidence.source import EVERY, Ids, paired

IDS = [None, -1, 0, 2, 2.5, 10, "", "10", "a", "ä", "\U0001f600", b"", b"\0", b"a"]


class Listed:
    """What a verifier reads: stored cursors and entries of which only the ids matter."""

    def __init__(self, heads: list[Any], rows: list[Any]) -> None:
        self._heads, self._rows = in_order(heads), in_order(rows)

    def heads(self, ids: Ids = EVERY) -> Iterator[Any]:
        assert ids is EVERY
        return ((cursor_id, "head") for cursor_id in self._heads)

    def rows(self, ids: Ids = EVERY) -> Iterator[Any]:
        assert ids is EVERY
        return ((cursor_id, "row") for cursor_id in self._rows)

    def leaves(self) -> Iterator[tuple[int, bytes, Any]]:
        return iter(())

    def settled(self) -> int:
        return 0


def in_order(ids: list[Any]) -> list[Any]:
    """Return `ids` as SQLite orders them."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id)")
        connection.executemany("INSERT INTO t VALUES (?)", [(each,) for each in ids])
        return [each for (each,) in connection.execute("SELECT id FROM t ORDER BY id")]


@pytest.mark.parametrize("seed", range(20))
def test_each_stored_cursor_has_its_entries_and_all_others_have_none(seed: int) -> None:
    chance = random.Random(seed)
    stored = chance.sample(IDS[1:], 7)
    entered = [each for each in chance.sample(IDS, 7) for _ in range(chance.randrange(1, 3))]
    found = [
        (None if head is None else head[0], [row for (row,) in rows])
        for head, rows in paired(Listed(stored, entered))
    ]
    with_head = [(head, rows) for head, rows in found if head is not None]
    assert with_head == [(each, ["row"] * entered.count(each)) for each in in_order(stored)]
    orphans = [len(rows) for head, rows in found if head is None]
    lost = [each for each in dict.fromkeys(in_order(entered)) if each not in stored]
    assert orphans == [entered.count(each) for each in lost]
