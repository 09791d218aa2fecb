"""What cannot be lent is refused by its name, with what can; nothing was begun or appended."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

import ledger
import ledger.aio
from ledger import InvalidCursorError, Ledger, StorageError
from support.coroutines import asynchronous
from support.cursors import ORDERS
from support.lending import engine_url


@pytest.fixture
def engine(target: str) -> Any:
    url, options = engine_url(target, asynchronous=False)
    made = sqlalchemy.create_engine(url, **options)
    yield made
    made.dispose()


def test_a_session_on_another_database_is_refused_by_its_name(
    book: Ledger, target: str, tmp_path: Path
) -> None:
    elsewhere = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    said = (
        "bound to a database of sqlite" if target.startswith("postgresql") else "connection is to"
    )
    with elsewhere.connect() as connection, pytest.raises(InvalidCursorError, match=said):
        book.using(connection)
    elsewhere.dispose()


def test_a_session_whose_driver_is_another_is_refused_with_the_one_to_take() -> None:
    from ledger.stores.lending import Wanted
    from ledger.stores.lending_sqlalchemy import _strange

    wanted = Wanted(psycopg.Connection, "psycopg.Connection", "postgresql+psycopg://…", "")
    for url, said in (
        ("mysql+pymysql://localhost/x", "database of mysql by pymysql"),
        ("postgresql+asyncpg://localhost/x", "Lend the AsyncSession"),
    ):
        dialect = sqlalchemy.make_url(url).get_dialect()()
        assert said in str(_strange(orm.Session(), dialect, wanted, "here"))


def test_a_session_on_mysql_is_refused_before_it_connects(book: Ledger) -> None:
    pytest.importorskip("pymysql", reason="PyMySQL is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        engine = sqlalchemy.create_engine(
            f"mysql+pymysql://root@127.0.0.1:{server.getsockname()[1]}/x",
            connect_args={"connect_timeout": 1},
        )
        sessions: list[Any] = [orm.Session(engine), orm.scoped_session(orm.sessionmaker(engine))]
        for session in sessions:
            with pytest.raises(InvalidCursorError, match="database of mysql by pymysql"):
                book.using(session)
            session.close()
        with pytest.raises(BlockingIOError):
            server.accept()
        engine.dispose()


def test_a_session_without_a_connection_is_refused_with_the_next_step(
    book: Ledger, engine: sqlalchemy.Engine
) -> None:
    closed = orm.Session(engine, close_resets_only=False)
    closed.close()
    with pytest.raises(StorageError, match=r"Session has no connection to lend: .*closed"):
        book.using(closed)
    with engine.connect() as connection:
        pass
    with pytest.raises(StorageError, match=r"Connection has no connection to lend.*is open"):
        book.using(connection)
    with pytest.raises(StorageError, match=r"bind_arguments"):
        book.using(orm.Session())
    unbegun = orm.Session(engine, autobegin=False)
    with pytest.raises(StorageError, match=r"session\.begin\(\)"):
        book.using(unbegun)
    with unbegun.begin():
        lent = book.using(unbegun)
        assert lent.advance(ORDERS, to=1).version == 1
    with pytest.raises(StorageError, match=r"session\.begin\(\)"):
        lent.advance(ORDERS, to=2)
    assert book.get(ORDERS).version == 1


def test_a_transaction_that_has_failed_is_said_to_have(
    book: Ledger, engine: sqlalchemy.Engine
) -> None:
    class Base(orm.DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "lent_rows"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)

    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        lent = book.using(session)
        session.add(Row(id=1))
        session.commit()
        lent.advance(ORDERS, to=1)
        session.add(Row(id=1))
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            session.flush()
        with pytest.raises(StorageError, match="roll it back"):
            lent.advance(ORDERS, to=2)
        session.rollback()
        lent.advance(ORDERS, to=3)
        session.commit()
    Base.metadata.drop_all(engine)
    assert [entry.version for entry in book.history(ORDERS)] == [1]
    assert book.get(ORDERS).last_sequence == 3


def test_autocommit_is_refused_with_how_to_take_it_off(
    book: Ledger, engine: sqlalchemy.Engine
) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        lent = book.using(connection)
        with pytest.raises(StorageError, match=r"Take AUTOCOMMIT off"):
            lent.advance(ORDERS, to=1)
    assert book.find(ORDERS) is None


def test_threads_with_a_scoped_session_each_lend_their_own(
    book: Ledger, engine: sqlalchemy.Engine
) -> None:
    session = orm.scoped_session(orm.sessionmaker(engine))
    lent = book.using(session)
    session.remove()
    failures: list[Exception] = []

    def work(name: str) -> None:
        try:
            for to in range(1, 11):
                lent.advance(ledger.CursorKey(name, "orders"), to=to)
                (session.commit if to % 2 else session.rollback)()
        except Exception as error:  # noqa: BLE001 - looked at below
            failures.append(error)
        finally:
            session.remove()

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [cursor.version for cursor in book.cursors()] == [5] * 4
    assert book.verify().ok


@asynchronous
async def test_a_closed_connection_that_is_awaited_is_refused(target: str, book: Ledger) -> None:
    connection: Any
    if target.startswith("postgresql://"):
        from ledger.stores.postgres.address import Address

        connection = await psycopg.AsyncConnection.connect(Address.parse(target).conninfo)
    else:
        connection = await aiosqlite.connect(target)
    async with ledger.aio.open(target) as own:
        lent = own.using(connection)
        await connection.close()
        with pytest.raises(StorageError, match="closed"):
            await lent.advance(ORDERS, to=1)
    assert book.find(ORDERS) is None


def test_a_session_that_gets_another_connection_lends_that_one(
    book: Ledger, engine: sqlalchemy.Engine
) -> None:
    with orm.Session(engine) as session:
        lent = book.using(session)
        lent.advance(ORDERS, to=1)
        first = session.connection().connection.driver_connection
        session.commit()
        with engine.connect() as other:
            # It has what the session had, and a transaction of its own.
            assert other.connection.driver_connection is first
            other.execute(sqlalchemy.text("SELECT 1"))
            lent.advance(ORDERS, to=2)
            assert session.connection().connection.driver_connection is not first
            other.rollback()
            session.commit()
    assert book.get(ORDERS).version == 2


@asynchronous
async def test_an_asynchronous_session_that_gets_another_connection_lends_that_one(
    target: str, book: Ledger
) -> None:
    url, options = engine_url(target, asynchronous=True)
    engine = create_async_engine(url, **options)
    async with ledger.aio.open(target) as own, AsyncSession(engine) as session:
        lent = own.using(session)
        await lent.advance(ORDERS, to=1)
        await session.commit()
        async with engine.connect() as other:
            await other.execute(sqlalchemy.text("SELECT 1"))
            await lent.advance(ORDERS, to=2)
            await other.rollback()
            await session.commit()
    await engine.dispose()
    assert book.get(ORDERS).version == 2
