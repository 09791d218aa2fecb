"""SQLAlchemy's tables of the ledger, Alembic beside them, and how transactions begin on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ledger
import ledger.aio
from ledger import AdvanceCursor, CursorKey, InvalidCursorError, Ledger
from support.cursors import JOBS, ORDERS
from support.lending import engine_url

sqlalchemy = pytest.importorskip("sqlalchemy")
alembic = pytest.importorskip("alembic")

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, event, orm, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from ledger.integrations.sqlalchemy import begin_immediate, include_object, tables

STORES = "every"

AT = datetime(2026, 5, 5, 16, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def engine(target: str) -> Iterator[Any]:
    url, options = engine_url(target, asynchronous=False)
    made = sqlalchemy.create_engine(url, **options)
    yield made
    made.dispose()


def test_the_tables_are_joined_with_ones_own(book: Ledger, engine: Any) -> None:
    book.append([AdvanceCursor(ORDERS, 41, delivery_id="msg-41", now=AT), AdvanceCursor(JOBS, 7)])
    book.reset(ORDERS, to=3, reason="lost", actor="ines")
    own = MetaData()
    owners = Table(
        "owners",
        own,
        sqlalchemy.Column("consumer", sqlalchemy.Text, primary_key=True),
        sqlalchemy.Column("team", sqlalchemy.Text),
    )
    own.create_all(engine)
    mine = tables()
    with engine.begin() as connection:
        connection.execute(owners.insert(), {"consumer": ORDERS.consumer_id, "team": "mail"})
        by_team = (
            select(owners.c.team, mine.cursors.c.last_sequence, mine.cursors.c.stream_name)
            .join(mine.cursors, mine.cursors.c.consumer_id == owners.c.consumer)
            .where(mine.cursors.c.stream_name == ORDERS.stream_name)
        )
        assert connection.execute(by_team).all() == [("mail", 3, ORDERS.stream_name)]
        advanced = (
            select(mine.events.c.sequence, mine.events.c.occurred_at, mine.events.c.digest)
            .join(mine.tags, mine.tags.c.id == mine.events.c.tag_id)
            .where(mine.tags.c.tag == "cursor.advanced.v1")
            .where(mine.events.c.occurred_at == AT)
        )
        [[sequence, occurred_at, digest]] = connection.execute(advanced).all()
        assert (sequence, occurred_at) == (41, AT)
        assert bytes(digest) == next(book.history(ORDERS)).digest
        [[none]] = connection.execute(
            select(mine.cursors.c.last_delivered_at).where(mine.cursors.c.last_sequence == 3)
        ).all()
        assert none is None
        with pytest.raises(sqlalchemy.exc.StatementError, match="must be aware"):
            connection.execute(advanced.where(mine.events.c.delivered_at > datetime(2026, 1, 1)))  # noqa: DTZ001
    own.drop_all(engine)


@pytest.mark.makes_ledgers
def test_alembic_leaves_the_tables_of_the_ledger_alone(target: str) -> None:
    url, options = engine_url(target, asynchronous=False)
    engine = sqlalchemy.create_engine(url, **options)
    own = MetaData()
    Table("ledger_accounts", own, sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))
    with ledger.open(target) as book:
        book.advance(ORDERS, to=1)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE stale (n INTEGER)"))
        told: dict[bool, set[str]] = {}
        for spared in (False, True):
            with engine.connect() as connection:
                context = MigrationContext.configure(
                    connection, opts={"include_object": include_object} if spared else {}
                )
                changes = compare_metadata(context, own)
            told[spared] = {
                f"{change[0]} {change[1].name}" for change in changes if "table" in change[0]
            }
        # A table that only has a similar name is not the ledger's.
        assert told[True] == {"remove_table stale", "add_table ledger_accounts"}
        assert {"remove_table ledger_cursors", "remove_table ledger_events"} < told[False]
        assert book.verify().ok
    engine.dispose()


@pytest.fixture
def file(path: Path) -> str:
    ledger.open(path).close()
    return str(path)


def test_a_savepoint_that_comes_first_does_not_commit(file: str) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    begin_immediate(engine)
    begun: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: begun.append(given[2]))
    with ledger.open(file) as book:
        with orm.Session(engine) as session:
            with session.begin_nested():
                book.using(session).advance(ORDERS, to=1)
            session.rollback()
        assert book.find(ORDERS) is None
    engine.dispose()
    assert begun[:1] == ["BEGIN IMMEDIATE"]


def test_a_transaction_that_reads_before_it_writes_is_never_refused(file: str) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
    begin_immediate(engine)
    reading = engine.execution_options(sqlite_begin="DEFERRED")
    with ledger.open(file, busy_timeout_s=0) as book, orm.Session(engine) as session:
        book.using(session).find(ORDERS)
        with pytest.raises(ledger.LedgerBusyError):
            book.advance(ORDERS, to=1)
        book.using(session).advance(ORDERS, to=2)
        session.commit()
        with orm.Session(reading) as reader:
            assert book.using(reader).get(ORDERS).last_sequence == 2
            assert book.advance(ORDERS, to=3).version == 2
    engine.dispose()


def test_the_same_holds_for_coroutines(file: str) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}")
    begin_immediate(engine)

    async def main() -> None:
        async with ledger.aio.open(file) as book, AsyncSession(engine) as session:
            async with session.begin_nested():
                await book.using(session).advance(ORDERS, to=1)
            await session.rollback()
            assert await book.find(ORDERS) is None
        await engine.dispose()

    asyncio.run(main())


def test_an_engine_to_something_else_is_refused(engine: Any) -> None:
    if engine.dialect.name != "sqlite":
        with pytest.raises(InvalidCursorError, match="must be an engine to SQLite, not postgresql"):
            begin_immediate(engine)
    with pytest.raises(InvalidCursorError, match="not str"):
        begin_immediate("sqlite://")  # type: ignore[arg-type]
    own = sqlalchemy.create_engine("sqlite://").execution_options(sqlite_begin="NEVER")
    begin_immediate(own)
    with pytest.raises(InvalidCursorError, match="sqlite_begin"), own.begin():
        pass


def test_a_key_of_many_scripts_is_found_through_the_tables(book: Ledger, engine: Any) -> None:
    key = CursorKey("Жук", "日本/100%", "a:b'c")
    book.advance(key, to=1)
    mine = tables()
    with engine.connect() as connection:
        found = connection.execute(
            select(mine.cursors.c.subject_id).where(mine.cursors.c.stream_name == key.stream_name)
        ).all()
    assert found == [(key.subject_id,)]


@pytest.mark.parametrize("schema", [None, "elsewhere"])
def test_tables_that_are_asked_for_twice_are_the_same_in_one_query(schema: str | None) -> None:
    for known in (None, MetaData(), MetaData(schema="by_default")):
        first, second = tables(known, schema=schema), tables(known, schema=schema)
        joined = select(first.cursors.c.id).where(second.cursors.c.last_sequence > 1)
        assert joined.get_final_froms() == [first.cursors]
        assert first == second
        assert first.cursors is not tables(known, schema="a_third").cursors
    assert tables(MetaData()).events is not tables().events


def test_a_table_that_was_reflected_is_not_taken_for_one_of_these() -> None:
    known = MetaData()
    Table("ledger_cursors", known, sqlalchemy.Column("updated_at", sqlalchemy.BigInteger))
    with pytest.raises(sqlalchemy.exc.InvalidRequestError, match="already defined"):
        tables(known)
