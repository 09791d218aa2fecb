"""A ledger that is not open yet is lent a connection, in this process and in its children."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker, create_async_engine

import ledger
import ledger.aio
from ledger import CursorKey, InvalidCursorError, Ledger, StorageError
from ledger.aio.lent import AsyncLent
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.forked import in_child, watched
from support.lending import KINDS, awaited, engine_url, lending

# The ledger has made its tables, because in a transaction none can be made on SQLite.
pytestmark = pytest.mark.usefixtures("book")

every_kind = pytest.mark.parametrize("lent_kind", KINDS)
ASYNC_KINDS = [kind for kind in KINDS if "sync" in kind]


@pytest.fixture
def rows(target: str, book: Ledger) -> Iterator[None]:  # noqa: ARG001 - it makes the schema
    """A table of the program's own, in the schema that the ledger has made."""
    url, options = engine_url(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **options)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE mine (n INTEGER)"))
        yield
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DROP TABLE mine"))
    finally:
        engine.dispose()


def lazy(lent_kind: str, target: str) -> Any:
    return (ledger.aio.lazy if "sync" in lent_kind else ledger.lazy)(target, actor="web")


async def write(lent_kind: str, target: str, book: Any, number: int) -> list[int]:
    """Write three rows, each with an entry, and take the second one back; return what is there."""
    key = CursorKey(f"c-{number}", "orders")
    async with lending(lent_kind, target, book) as own:
        for to in (1, 2, 3):
            await awaited(own.begin())
            await awaited(own.run(f"INSERT INTO mine VALUES ({10 * number + to})"))
            await own.call("advance", key, to=to)
            await awaited(own.rollback() if to == 2 else own.commit())
        await awaited(own.begin())
        found = [n % 10 for n in await own.numbers() if n // 10 == number]
        moved = [entry.event.sequence for entry in await own.all("history", key)]
        await awaited(own.rollback())
        assert moved == found
        return found


@every_kind
@pytest.mark.usefixtures("rows")
def test_rows_and_cursor_stay_or_go_together_with_a_ledger_that_is_opened_by_it(
    lent_kind: str, target: str, book: Ledger
) -> None:
    own = lazy(lent_kind, target)
    assert asyncio.run(write(lent_kind, target, own, 1)) == [1, 3]
    assert {entry.actor for entry in book.entries()} == {"web"}
    closed = own.close()
    if closed is not None:
        asyncio.run(closed)
    with pytest.raises(StorageError, match="closed"):
        asyncio.run(write(lent_kind, target, own, 2))
    assert book.verify().entries == 2


@pytest.mark.slow("it starts many processes")
@every_kind
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.usefixtures("rows")
def test_each_child_lends_connections_of_its_own(
    lent_kind: str, used: bool, target: str, book: Ledger
) -> None:
    own = lazy(lent_kind, target)
    if used:
        asyncio.run(write(lent_kind, target, own, 1))

    def child(number: int) -> list[int]:
        return asyncio.run(write(lent_kind, target, own, number))

    assert [in_child(partial(child, number)) for number in (2, 3)] == ["[1, 3]"] * 2
    assert asyncio.run(write(lent_kind, target, own, 4)) == [1, 3]
    assert [cursor.version for cursor in book.cursors()] == [2] * (4 if used else 3)
    assert book.verify().ok
    if (closed := own.close()) is not None:
        asyncio.run(closed)


@pytest.mark.parametrize("used", [False, True])
def test_what_using_returned_in_the_parent_goes_on_in_a_child(
    used: bool, target: str, book: Ledger
) -> None:
    url, options = engine_url(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **options)
    session = orm.scoped_session(orm.sessionmaker(engine))
    with ledger.lazy(target, actor="web") as own:
        lent = own.using(session)
        if used:
            lent.advance(JOBS, to=1)
            session.commit()
        session.remove()

        def child(to: int) -> int:
            engine.dispose(close=False)  # As SQLAlchemy asks for after a fork.
            lent.advance(ORDERS, to=to)
            session.commit()
            session.remove()
            return lent.get(ORDERS).version

        assert [in_child(partial(child, to)) for to in (1, 2)] == ["1", "2"]
        assert lent.advance(ORDERS, to=3).version == 3
        session.commit()
        session.remove()
    engine.dispose()
    assert book.verify().ok


@pytest.mark.parametrize("used", [False, True])
def test_what_using_returned_to_coroutines_goes_on_in_a_child(
    used: bool, target: str, book: Ledger
) -> None:
    url, options = engine_url(target, asynchronous=True)
    engine = create_async_engine(url, poolclass=sqlalchemy.NullPool, **options)
    session = async_scoped_session(async_sessionmaker(engine), scopefunc=lambda: 0)
    own = ledger.aio.lazy(target, actor="web")
    lent = own.using(session)

    async def move(to: int) -> int:
        moved = await lent.advance(ORDERS, to=to)
        await session.commit()
        await session.remove()
        return moved.version

    if used:
        assert asyncio.run(move(1)) == 1
    begun = int(used)
    assert in_child(lambda: asyncio.run(move(2))) == str(begun + 1)
    assert asyncio.run(move(3)) == begun + 2
    asyncio.run(own.close())
    assert book.verify().ok


@pytest.mark.parametrize("lent_kind", ASYNC_KINDS)
@pytest.mark.parametrize(
    "first", ["advance", "find", "history", "delivering", "append_each", "horizon"]
)
@asynchronous
async def test_the_event_loop_is_not_what_opens_it(lent_kind: str, first: str, target: str) -> None:
    own = lazy(lent_kind, target)
    threads: list[threading.Thread] = []
    watched(own, lambda: threads.append(threading.current_thread()))
    async with lending(lent_kind, target, own) as program:
        await awaited(program.begin())
        match first:
            case "advance":
                await program.call("advance", ORDERS, to=1)
            case "append_each":
                await program.call("append_each", [ledger.AdvanceCursor(ORDERS, 1)])
            case "history":
                assert await program.all("history", ORDERS) == []
            case "delivering":
                async with program.lent.delivering(ORDERS, to=1):
                    pass
            case "find":
                assert await program.call("find", ORDERS) is None
            case _:
                assert (await program.call("horizon")).last == 0
        await awaited(program.rollback())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    await own.close()


@asynchronous
async def test_what_cannot_be_lent_is_refused_by_the_first_call_or_at_once(target: str) -> None:
    nothing: Any = None
    own = ledger.aio.lazy(target, actor="web")
    lent = own.using(nothing)
    for _ in range(2):
        with pytest.raises(InvalidCursorError, match="AsyncSession or AsyncConnection"):
            await lent.find(ORDERS)
    with pytest.raises(InvalidCursorError, match="AsyncSession or AsyncConnection"):
        own.using(nothing)
    await own.close()
    with pytest.raises(StorageError, match="closed"):
        own.using(nothing)
    with pytest.raises(StorageError, match="closed"):
        await lent.find(ORDERS)


def test_every_method_opens_it_first() -> None:
    lent = type(ledger.aio.lazy(":memory:").using(None))  # type: ignore[arg-type]
    theirs = {name for name in vars(AsyncLent) if not name.startswith("_")}
    # `get` finds, and `now` is no coroutine.
    assert theirs - set(vars(lent)) == {"get", "now"}


@asynchronous
async def test_coroutines_that_lend_it_at_once_open_it_once(target: str) -> None:
    own = ledger.aio.lazy(target, actor="web")
    opened: list[None] = []
    watched(own, lambda: opened.append(None))

    async def work(number: int) -> int:
        async with lending("AsyncSession", target, own) as program:
            await awaited(program.begin())
            found = await program.call("find", CursorKey(f"c-{number}", "orders"))
            await awaited(program.rollback())
        return 0 if found is None else 1

    assert sum(await asyncio.gather(*map(work, range(6)))) == 0
    assert len(opened) == 1
    await own.close()
