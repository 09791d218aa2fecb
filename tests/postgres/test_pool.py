"""How many sessions a ledger on PostgreSQL uses: as few as do, because they have warm caches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import ledger
from ledger import CursorKey
from support.cursors import ORDERS
from support.servers import connect

NAME = "cursor-ledger-pool"
THREADS = 8


def sessions(target: str) -> dict[int, object]:
    """Return when each session of the ledger began its last statement."""
    with connect(target) as owner:
        found = owner.execute(
            "SELECT pid, query_start FROM pg_stat_activity WHERE application_name = %s", (NAME,)
        )
        return dict(found.fetchall())


@pytest.mark.parametrize("pool_min_size", [0, 1, 3])
def test_a_lone_caller_has_no_session_opened_that_it_does_not_need(
    target: str, pool_min_size: int
) -> None:
    url = f"{target}&application_name={NAME}&pool_min_size={pool_min_size}"
    with ledger.open(url, actor="tester") as book:
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
            book.get(ORDERS)
        assert 1 <= len(sessions(target)) <= max(pool_min_size, 1)


def test_a_lone_caller_keeps_to_one_session_of_many(target: str) -> None:
    together = Barrier(THREADS)

    with ledger.open(f"{target}&application_name={NAME}", actor="tester") as book:

        def work(nth: int) -> None:
            together.wait()
            for to in range(1, 20):
                book.advance(CursorKey(f"c{nth}", "orders"), to=to)

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(work, range(THREADS)))
        before = sessions(target)
        assert len(before) > 2
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
        after = sessions(target)
    assert len([pid for pid in after if after[pid] != before.get(pid)]) == 1
