"""Rows and cursor together, or not at all: the same stories on each kind of connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

import ledger
from ledger import AdvanceCursor, Ledger, NonMonotonicCursorError, StorageError
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.lending import KINDS, Program, awaited, lending

pytestmark = pytest.mark.parametrize("lent_kind", KINDS)


def sequences(book: Ledger) -> list[int | None]:
    return [getattr(entry.event, "sequence", None) for entry in book.history(ORDERS)]


@asynccontextmanager
async def program(lent_kind: str, target: str) -> AsyncIterator[Program]:
    """Return a program that has made a table of its own, in no transaction."""
    async with lending(lent_kind, target) as own:
        await awaited(own.begin())
        await awaited(own.run("CREATE TABLE mine (n INTEGER)"))
        await awaited(own.commit())
        yield own
        await awaited(own.rollback())
        await awaited(own.begin())
        await awaited(own.run("DROP TABLE mine"))
        await awaited(own.commit())


@asynchronous
async def test_rows_and_cursor_stay_or_go_together(
    lent_kind: str, target: str, book: Ledger
) -> None:
    async with program(lent_kind, target) as own:
        await awaited(own.begin())
        await awaited(own.run("INSERT INTO mine VALUES (1)"))
        assert (await own.call("advance", ORDERS, to=5, delivery_id="100% 'é'")).version == 1
        assert (await own.call("get", ORDERS)).last_sequence == 5
        assert book.find(ORDERS) is None
        await awaited(own.commit())
        assert book.get(ORDERS).last_sequence == 5
        # The same lent ledger goes on in the next transaction, perhaps over another connection.
        await awaited(own.begin())
        await awaited(own.run("INSERT INTO mine VALUES (2)"))
        await own.call("advance", ORDERS, to=6)
        await own.call("reset", ORDERS, to=2, reason="r", actor="ines")
        await awaited(own.rollback())
        await awaited(own.begin())
        await awaited(own.run("INSERT INTO mine VALUES (3)"))
        assert (await own.call("advance", ORDERS, to=7)).version == 2
        await own.call("start", JOBS, at=4, reason="moved", actor="ines")
        await awaited(own.commit())
        await awaited(own.begin())
        assert await own.numbers() == [1, 3]
        await awaited(own.commit())
    assert sequences(book) == [5, 7]
    assert book.get(JOBS).last_sequence == 4
    assert book.verify().ok


@asynchronous
async def test_a_refusal_undoes_its_own_and_the_transaction_goes_on(
    lent_kind: str, target: str, book: Ledger
) -> None:
    async with program(lent_kind, target) as own:
        await awaited(own.begin())
        await awaited(own.run("INSERT INTO mine VALUES (1)"))
        await own.call("advance", JOBS, to=3)
        with pytest.raises(NonMonotonicCursorError):
            await own.call("append", [AdvanceCursor(ORDERS, 9), AdvanceCursor(JOBS, 2)])
        with pytest.raises(ledger.InvalidCursorError):
            await own.call("advance", ORDERS, to=True)
        with pytest.raises(ledger.CursorNotFoundError):
            await own.call("get", ORDERS)
        each = await own.call("append_each", [AdvanceCursor(JOBS, 1), AdvanceCursor(JOBS, 4)])
        assert [type(answer).__name__ for answer in each] == ["NonMonotonicCursorError", "Cursor"]
        await awaited(own.run("INSERT INTO mine VALUES (2)"))
        await awaited(own.commit())
        await awaited(own.begin())
        assert await own.numbers() == [1, 2]
        await awaited(own.commit())
    assert (book.get(JOBS).version, book.find(ORDERS)) == (2, None)
    assert book.verify().ok


@asynchronous
async def test_savepoints_are_followed(lent_kind: str, target: str, book: Ledger) -> None:
    async with program(lent_kind, target) as own:
        await awaited(own.begin())
        await own.call("advance", ORDERS, to=1)
        with suppress(ZeroDivisionError):
            async with nested(own):
                await awaited(own.run("INSERT INTO mine VALUES (1)"))
                await own.call("advance", ORDERS, to=2)
                await own.call("append", [AdvanceCursor(JOBS, n) for n in range(1, 60)])
                raise ZeroDivisionError
        async with nested(own):
            await awaited(own.run("INSERT INTO mine VALUES (2)"))
            assert (await own.call("advance", ORDERS, to=3)).version == 2
        await awaited(own.commit())
        await awaited(own.begin())
        assert await own.numbers() == [2]
        await own.call("advance", ORDERS, to=4)
        async with nested(own):
            await own.call("advance", ORDERS, to=5)
        # What a savepoint has kept goes with the transaction around it.
        await awaited(own.rollback())
    assert sequences(book) == [1, 3]
    assert book.find(JOBS) is None
    assert book.verify().ok


@asynccontextmanager
async def nested(own: Program) -> AsyncIterator[None]:
    """Run a savepoint as the framework has it, or by hand where it has none."""
    begin_nested: Callable[[], object] | None = getattr(own.given, "begin_nested", None)
    if begin_nested is None:
        await awaited(own.run("SAVEPOINT own"))
        try:
            yield
            await awaited(own.run("RELEASE own"))
        except BaseException:
            await awaited(own.run("ROLLBACK TO own"))
            raise
    else:
        savepoint = begin_nested()
        if isinstance(savepoint, Awaitable):
            async with savepoint:  # type: ignore[attr-defined]
                yield
        else:
            with savepoint:  # type: ignore[attr-defined]
                yield


@asynchronous
async def test_what_is_read_sees_what_the_transaction_has_done(
    lent_kind: str, target: str, book: Ledger
) -> None:
    book.append([AdvanceCursor(ORDERS, n) for n in range(1, 101)])
    async with program(lent_kind, target) as own:
        await awaited(own.begin())
        await own.call("append", [AdvanceCursor(JOBS, n) for n in range(1, 301)])
        await own.call("record_error", JOBS, "HTTP 503")
        assert len(await own.all("entries")) == 401
        assert [entry.version for entry in await own.all("history", JOBS)] == [*range(1, 302)]
        assert {cursor.key for cursor in await own.all("cursors")} == {ORDERS, JOBS}
        [move, none] = await own.call("moves", [(JOBS, 301), (ORDERS, 0)])
        assert (move.sequence, none) == (300, None)
        assert (await own.call("horizon")).last >= 401
        assert own.lent.now().tzinfo is not None
        await awaited(own.rollback())
    assert len(list(book.entries())) == 100


@asynchronous
async def test_a_failure_half_way_undoes_its_own_and_the_transaction_goes_on(
    lent_kind: str, target: str, book: Ledger
) -> None:
    book.advance(ORDERS, to=1)
    async with program(lent_kind, target) as own:
        await awaited(own.begin())
        await awaited(own.run("INSERT INTO mine VALUES (1)"))
        if target.startswith("postgresql://"):
            await awaited(own.run("ALTER TABLE ledger_events ADD CHECK (sequence < 8)"))
        else:
            await awaited(
                own.run(
                    "CREATE TEMP TRIGGER full BEFORE INSERT ON main.ledger_events"
                    " WHEN NEW.sequence > 7 BEGIN SELECT RAISE(ABORT, 'full'); END"
                )
            )
        for many in (2, 50):
            requests = [
                AdvanceCursor(ORDERS, 6),
                *(AdvanceCursor(JOBS, n + 7) for n in range(many)),
            ]
            with pytest.raises(StorageError):
                await own.call("append", requests)
            assert (await own.call("get", ORDERS)).version == 1
        await own.call("advance", ORDERS, to=7)
        if target.startswith("postgresql://"):
            await awaited(
                own.run("ALTER TABLE ledger_events DROP CONSTRAINT ledger_events_sequence_check")
            )
        await awaited(own.commit())
        await awaited(own.begin())
        assert await own.numbers() == [1]
    assert sequences(book) == [1, 7]
    assert book.find(JOBS) is None
    assert book.verify().ok


@asynchronous
async def test_delivering_goes_with_the_transaction(
    lent_kind: str, target: str, book: Ledger
) -> None:
    async with program(lent_kind, target) as own:
        await awaited(own.begin())
        for to in (1, 2):
            with suppress(ZeroDivisionError):
                delivery = own.lent.delivering(ORDERS, to=to)
                if hasattr(delivery, "__aenter__"):
                    async with delivery:
                        await awaited(own.run(f"INSERT INTO mine VALUES ({1 // (2 - to)})"))
                else:
                    with delivery:
                        own.run(f"INSERT INTO mine VALUES ({1 // (2 - to)})")
        await awaited(own.commit())
        await awaited(own.begin())
        assert await own.numbers() == [1]
        await awaited(own.rollback())
    assert [type(entry.event).__name__ for entry in book.history(ORDERS)] == [
        "CursorAdvanced",
        "ErrorRecorded",
    ]
    assert book.get(ORDERS).last_error.startswith("ZeroDivisionError")


@asynchronous
async def test_a_transaction_that_nobody_has_begun_is_begun_as_the_framework_does(
    lent_kind: str, target: str, book: Ledger
) -> None:
    async with program(lent_kind, target) as own:
        if "driver" in lent_kind and not target.startswith("postgresql://"):
            with pytest.raises(StorageError, match="BEGIN IMMEDIATE"):
                await own.call("advance", ORDERS, to=1)
            return
        await own.call("advance", ORDERS, to=1)
        assert book.find(ORDERS) is None
        await awaited(own.commit())
        assert book.get(ORDERS).last_sequence == 1
        await own.call("advance", ORDERS, to=2)
        await awaited(own.rollback())
        assert await own.call("find", JOBS) is None
        await awaited(own.commit())
    assert book.get(ORDERS).version == 1
