"""What only coroutines can do to a lent connection: be cancelled, and come in between."""

from __future__ import annotations

import asyncio

import pytest

from ledger import AdvanceCursor, CursorKey, Ledger
from support.coroutines import asynchronous
from support.cursors import ORDERS
from support.lending import awaited, lending

ASYNC_KINDS = ["async driver", "AsyncSession", "AsyncConnection"]

pytestmark = pytest.mark.parametrize("lent_kind", ASYNC_KINDS)


@asynchronous
async def test_tasks_that_append_over_one_connection_continue_one_chain(
    lent_kind: str, target: str, book: Ledger
) -> None:
    book.advance(ORDERS, to=1)
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        await own.call("get", ORDERS)
        # SQLAlchemy refuses tasks that ask one session for its connection at the same time.
        lents = [own.lent] if lent_kind == "async driver" else []
        answers = await asyncio.gather(
            *(
                lent.advance(ORDERS, to=2, metadata={"n": str(n)})
                for lent in lents
                for n in range(9)
            )
        )
        await awaited(own.commit())
    assert sorted(answer.version for answer in answers) == [*range(2, 2 + len(answers))]
    assert book.verify().ok


@pytest.mark.slow("it cancels a call at each of its steps")
@asynchronous
@pytest.mark.parametrize("many", [1, 40], ids=["few", "many"])
async def test_wherever_a_call_is_cancelled_all_of_it_is_there_or_nothing(
    lent_kind: str, many: int, target: str, book: Ledger
) -> None:
    # Later and later, and over and over, as some frameworks do; then the rest is committed.
    book.advance(ORDERS, to=1)
    outcomes = set()
    async with lending(lent_kind, target) as own:
        for steps in (*range(60), *range(60, 400, 40)):
            await awaited(own.begin())
            await own.call("get", ORDERS)
            before = book.get(ORDERS).version
            new = [AdvanceCursor(CursorKey("new", str(steps)), n + 1) for n in range(many)]
            requests = [AdvanceCursor(ORDERS, 2), *new]
            task = asyncio.ensure_future(own.call("append", requests))
            for _ in range(steps):
                await asyncio.sleep(0)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)
            outcomes.add(task.cancelled())
            await awaited(own.commit())
            grown = book.get(ORDERS).version - before
            found = book.find(CursorKey("new", str(steps)))
            assert (grown, found is not None) in {(0, False), (1, True)}, steps
            if not task.cancelled():
                assert grown == 1
    assert True in outcomes
    assert book.verify().ok
