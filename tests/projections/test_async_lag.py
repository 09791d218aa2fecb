"""Lag through an `AsyncLedger` is that through a `Ledger`."""

from __future__ import annotations

from typing import Any

import ledger
import ledger.aio
from ledger import AdvanceCursor, CursorKey, CursorQuery
from projections import group_lag, lag
from support.coroutines import asynchronous

STORES = "every"


@asynchronous
async def test_lag_and_its_sums_are_the_same(target: str) -> None:
    with ledger.open(target, actor="tester") as book:
        for subject in range(30):
            book.heads.record("orders", f"{subject}", 50)
        keys = [CursorKey(f"c-{n % 3}", "orders", f"{n}") for n in range(40)]
        book.append([AdvanceCursor(key, 20 + n) for n, key in enumerate(keys)])
        now = book.now()
        async with ledger.aio.open(target) as abook:
            more: dict[str, Any]
            for more in ({}, {"query": CursorQuery(consumer_id="c-1")}, {"stream_heads": True}):
                found = [each async for each in lag(abook, now=now, **more)]
                assert found == list(lag(book, now=now, **more))
            sums = [each async for each in group_lag(lag(abook, now=now))]
            assert sums == list(group_lag(lag(book, now=now)))
            assert len(sums) == 3
