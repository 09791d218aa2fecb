"""How many sessions a ledger on PostgreSQL uses: as few as do, because they have warm caches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest

import ledger
from ledger import CursorKey
from support.cursors import ORDERS
from support.servers import connect

THREADS = 8


@pytest.fixture
def name() -> str:
    """A name for the sessions of one test, because others on the server go only after a while."""
    return f"cursor-ledger-{uuid4().hex}"


def sessions(target: str, name: str) -> dict[int, object]:
    """Return when each session of that name began its last statement."""
    with connect(target) as owner:
        found = owner.execute(
            "SELECT pid, query_start FROM pg_stat_activity WHERE application_name = %s", (name,)
        )
        return dict(found.fetchall())


@pytest.mark.parametrize("pool_min_size", [0, 1, 3])
def test_a_lone_caller_has_no_session_opened_that_it_does_not_need(
    target: str, name: str, pool_min_size: int
) -> None:
    url = f"{target}&application_name={name}&pool_min_size={pool_min_size}"
    with ledger.open(url, actor="tester") as book:
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
            book.get(ORDERS)
        assert 1 <= len(sessions(target, name)) <= max(pool_min_size, 1)


def test_a_lone_caller_keeps_to_one_session_of_many(target: str, name: str) -> None:
    together = Barrier(THREADS)

    with ledger.open(f"{target}&application_name={name}", actor="tester") as book:

        def work(nth: int) -> None:
            together.wait()
            for to in range(1, 20):
                book.advance(CursorKey(f"c{nth}", "orders"), to=to)

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(work, range(THREADS)))
        before = sessions(target, name)
        assert len(before) > 2
        for to in range(1, 20):
            book.advance(ORDERS, to=to)
        after = sessions(target, name)
    assert len([pid for pid in after if after[pid] != before.get(pid)]) == 1
