"""Coroutines that lend a connection of aiosqlite, which has a thread of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiosqlite
import pytest

import ledger.aio
from support.coroutines import asynchronous
from support.cursors import ORDERS

SLOW = """
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
    SELECT count(*) FROM n
"""


@asynchronous
async def test_a_call_whose_turn_has_not_come_is_withdrawn_when_it_is_cancelled(
    path: Path,
) -> None:
    async with ledger.aio.open(path) as book, aiosqlite.connect(path) as connection:
        lent = book.using(connection)
        await lent.advance(ORDERS, to=1)
        busy = asyncio.ensure_future(connection.execute(SLOW))
        await asyncio.sleep(0)
        call = asyncio.ensure_future(lent.advance(ORDERS, to=2))
        await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await busy
        assert (await lent.get(ORDERS)).version == 1
        await connection.commit()
        assert (await book.get(ORDERS)).version == 1


@asynchronous
async def test_a_connection_is_used_whatever_it_makes_of_rows_and_text(path: Path) -> None:
    async with ledger.aio.open(path) as book, aiosqlite.connect(path) as connection:
        connection.row_factory = aiosqlite.Row
        connection.text_factory = bytes
        await book.using(connection).advance(ORDERS, to=1, delivery_id="é")
        assert (await book.using(connection).get(ORDERS)).last_delivery_id == "é"
        await connection.commit()
        assert (connection.row_factory, connection.text_factory) == (aiosqlite.Row, bytes)
        with suppress(ledger.StorageError):
            await connection.execute("SELECT 1")
    async with ledger.aio.open(path) as book:
        assert (await book.verify()).ok
