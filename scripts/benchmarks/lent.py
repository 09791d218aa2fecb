"""What `using` costs on PostgreSQL: against a bare transaction of the same statements."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
from bare import ACTOR
from calls import KEY
from cases import Sizes
from measure import Result, compared
from psycopg.types.numeric import Int8Dumper
from server import BareServer

import ledger
import ledger.aio
from ledger import CursorKey

__all__ = ["lent", "lent_to_coroutines"]

ROW = b"INSERT INTO bench_rows VALUES (%s)"


class BareTransaction(BareServer):
    """A row of its own and an advance in one transaction: the statements that the ledger sends."""

    def statements(self, sequence: int) -> list[tuple[bytes, list[Any]]]:
        hold = (self.sql.hold_one, [self.id])
        _, _, version, _, digest = self.head
        state, event = self._next(sequence)
        return [
            (ROW, [sequence]),
            (b"SAVEPOINT cursor_ledger", []),
            hold,
            (self.sql.move, [*state, self.id, version, digest, *event]),
            (b"RELEASE cursor_ledger", []),
        ]

    def transact(self, sequence: int) -> None:
        for statement, values in self.statements(sequence):
            cursor = self.connection.execute(statement, values)
            if cursor.description:
                cursor.fetchall()
        self.connection.commit()

    async def transact_async(self, connection: psycopg.AsyncConnection[Any], sequence: int) -> None:
        for statement, values in self.statements(sequence):
            cursor = await connection.execute(statement, values)
            if cursor.description:
                await cursor.fetchall()
        await connection.commit()


def _url(target: str) -> str:
    return target.rpartition("schema=")[0][:-1]


def _rows_for(target: str) -> None:
    with psycopg.connect(_url(target), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench_rows (n bigint)")


def lent(target: str, sizes: Sizes) -> Iterator[Result]:
    """Measure it where each transaction lends the connection anew, as programs do."""
    _rows_for(target)
    bare = BareTransaction(target, CursorKey("bare", "orders"))
    bare.connection.autocommit = False
    with (
        ledger.open(target, actor=ACTOR) as book,
        psycopg.connect(_url(target)) as connection,
    ):
        connection.adapters.register_dumper(int, Int8Dumper)
        to = book.advance(KEY, to=1).last_sequence
        other = 1

        def ours() -> int:
            nonlocal to
            for _ in range(sizes.calls):
                to += 1
                connection.execute(ROW, [to])
                book.using(connection).advance(KEY, to=to, delivery_id=f"msg-{to}")
                connection.commit()
            return sizes.calls

        def baseline() -> int:
            nonlocal other
            for _ in range(sizes.calls):
                other += 1
                bare.transact(other)
            return sizes.calls

        yield compared(
            "using on PostgreSQL: a row and an advance",
            ours=ours,
            baseline=baseline,
            against="a psycopg transaction of these",
            goal=0.70,
            rounds=sizes.rounds,
        )
    bare.close()


def lent_to_coroutines(target: str, sizes: Sizes) -> Iterator[Result]:
    """Measure the same where everything is awaited."""
    _rows_for(target)
    bare = BareTransaction(target, CursorKey("bare", "orders"))
    with asyncio.Runner() as runner:
        book = runner.run(_opened(target))
        own = runner.run(_connected(target))
        its = runner.run(_connected(target))
        to = runner.run(book.advance(KEY, to=1)).last_sequence
        other = 1

        async def ours() -> int:
            nonlocal to
            for _ in range(sizes.calls):
                to += 1
                await own.execute(ROW, [to])
                await book.using(own).advance(KEY, to=to, delivery_id=f"msg-{to}")
                await own.commit()
            return sizes.calls

        async def baseline() -> int:
            nonlocal other
            for _ in range(sizes.calls):
                other += 1
                await bare.transact_async(its, other)
            return sizes.calls

        yield compared(
            "using on PostgreSQL, awaited",
            ours=lambda: runner.run(ours()),
            baseline=lambda: runner.run(baseline()),
            against="a psycopg transaction of these, awaited",
            goal=0.70,
            rounds=sizes.rounds,
        )
        runner.run(own.close())
        runner.run(its.close())
        runner.run(book.close())
    bare.close()


async def _opened(target: str) -> ledger.aio.AsyncLedger:
    return await ledger.aio.open(target, actor=ACTOR)


async def _connected(target: str) -> psycopg.AsyncConnection[Any]:
    connection = await psycopg.AsyncConnection.connect(_url(target))
    connection.adapters.register_dumper(int, Int8Dumper)
    return connection
