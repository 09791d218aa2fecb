"""A ledger in the application's own database in memory, over its one connection."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

import ledger
from ledger import (
    AdvanceCursor,
    CursorNotFoundError,
    InvalidCursorError,
    Ledger,
    LedgerBusyError,
    NonMonotonicCursorError,
    StorageError,
)
from ledger.conformance import check
from ledger.stores import sqlite
from ledger.testing import in_memory
from support.cursors import JOBS, ORDERS


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as db:
        db.execute("CREATE TABLE sent (id TEXT PRIMARY KEY)")
        yield db


@pytest.fixture
def book(db: sqlite3.Connection) -> Iterator[Ledger]:
    with in_memory(db, actor="tester") as book:
        yield book


def sent(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT id FROM sent ORDER BY id")]


def test_it_keeps_the_rules_for_stores() -> None:
    connections = []

    def open_store(_: str) -> ledger.stores.Store:
        connections.append(sqlite3.connect(":memory:", check_same_thread=False))
        return sqlite.open_shared(connections[-1])

    check(open_store, opens_again=False)
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("isolation", ["", None, "IMMEDIATE"])
def test_rows_and_cursor_are_committed_together_or_not_at_all(
    db: sqlite3.Connection, book: Ledger, isolation: str | None
) -> None:
    db.isolation_level = isolation  # type: ignore[assignment]
    with db:
        db.execute("BEGIN")
        db.execute("INSERT INTO sent VALUES ('msg-41')")
        book.using(db).advance(ORDERS, to=41)
    with suppress(RuntimeError), db:
        db.execute("BEGIN")
        db.execute("INSERT INTO sent VALUES ('msg-42')")
        book.using(db).advance(ORDERS, to=42)
        raise RuntimeError
    assert (book.get(ORDERS).last_sequence, sent(db)) == (41, ["msg-41"])
    assert book.verify().ok


def test_what_it_would_have_to_wait_for_is_refused_at_once(
    db: sqlite3.Connection, book: Ledger
) -> None:
    """In a file, the ledger's own connection would wait for the transaction of the application."""
    db.execute("INSERT INTO sent VALUES ('msg-41')")
    with pytest.raises(LedgerBusyError, match=r"Commit it first, or append in it: book\.using"):
        book.advance(ORDERS, to=41)
    # The application's transaction is as it was.
    assert db.in_transaction
    db.rollback()
    assert sent(db) == []
    assert book.advance(ORDERS, to=41).version == 1


def test_a_read_sees_what_an_open_transaction_has_done(
    db: sqlite3.Connection, book: Ledger
) -> None:
    book.using(db).advance(ORDERS, to=41)
    assert book.get(ORDERS).last_sequence == 41
    assert [entry.version for entry in book.history(ORDERS)] == [1]
    assert book.verify().entries == 1
    db.rollback()
    with pytest.raises(CursorNotFoundError):
        book.get(ORDERS)


@pytest.mark.parametrize("isolation", ["", None])
def test_a_refusal_undoes_the_call_and_nothing_else(
    db: sqlite3.Connection, book: Ledger, isolation: str | None
) -> None:
    db.isolation_level = isolation  # type: ignore[assignment]
    book.advance(ORDERS, to=41)
    with pytest.raises(NonMonotonicCursorError):
        book.append([AdvanceCursor(JOBS, 1), AdvanceCursor(ORDERS, 40)])
    assert not db.in_transaction
    assert book.find(JOBS) is None
    db.execute("BEGIN")
    db.execute("INSERT INTO sent VALUES ('msg-41')")
    with pytest.raises(NonMonotonicCursorError):
        book.using(db).advance(ORDERS, to=40)
    db.commit()
    assert sent(db) == ["msg-41"]


def test_it_stays_open_when_the_ledger_is_closed(db: sqlite3.Connection) -> None:
    with in_memory(db, actor="tester") as book:
        book.advance(ORDERS, to=41)
    for call in (
        lambda: book.find(ORDERS),
        lambda: list(book.history(ORDERS)),
        lambda: book.advance(ORDERS, to=42),
        lambda: book.using(db),
        book.verify,
    ):
        with pytest.raises(StorageError, match="closed"):
            call()
    assert sent(db) == []
    with in_memory(db) as again:
        assert again.get(ORDERS).last_sequence == 41


def test_the_connection_may_make_of_rows_what_it_likes(
    db: sqlite3.Connection, book: Ledger
) -> None:
    db.row_factory = sqlite3.Row
    book.advance(ORDERS, to=41)
    book.using(db).advance(ORDERS, to=42)
    db.commit()
    assert book.get(ORDERS).last_sequence == 42
    assert book.rebuild().cursors == 1


def as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def refusing(*_: object) -> Any:
    raise ZeroDivisionError


ROWS: list[Any] = [None, sqlite3.Row, as_dict, refusing]
TEXTS: list[Any] = [str, bytes, lambda text: text.decode()[::-1], refusing]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("texts", TEXTS)
def test_a_connection_is_used_whatever_it_makes_of_rows_and_text_and_left_as_it_was(
    db: sqlite3.Connection, rows: Any, texts: Any
) -> None:
    db.row_factory, db.text_factory = rows, texts

    def are_as_they_were() -> bool:
        return (db.row_factory, db.text_factory) == (rows, texts)

    for to in (10, 20):  # The tables are made, and found made.
        with in_memory(db, actor="tester") as book:
            assert are_as_they_were()
            assert book.advance(ORDERS, to=to, metadata={"a": "b"}).last_sequence == to
            assert book.heads.record("orders", "", to).last_sequence == to
            assert book.submit(AdvanceCursor(JOBS, to)).result().key == JOBS
            with pytest.raises(NonMonotonicCursorError):
                book.advance(ORDERS, to=to - 1)
            assert are_as_they_were()
            with db:
                assert book.using(db).record_error(ORDERS, "refused").last_error == "refused"
            assert {entry.key for entry in book.history(ORDERS)} == {ORDERS}
            assert book.get(ORDERS).last_sequence == to
            assert book.rebuild().cursors == 3
            assert book.verify().ok
            assert are_as_they_were()
            assert book.reset(ORDERS, to=1, reason="again").last_sequence == 1
            assert are_as_they_were()


@pytest.mark.parametrize("texts", TEXTS)
def test_a_connection_that_is_refused_is_left_as_it_was(
    db: sqlite3.Connection, path: Path, texts: Any
) -> None:
    db.row_factory, db.text_factory = as_dict, texts
    db.execute("CREATE TABLE ledger_cursors (id INTEGER)")
    with pytest.raises(StorageError):
        in_memory(db)
    with closing(sqlite3.connect(path)) as other:
        other.row_factory, other.text_factory = as_dict, texts
        with pytest.raises(InvalidCursorError, match=r"is to the file .*cursors\.db"):
            in_memory(other)
        for connection in (db, other):
            assert connection.row_factory is as_dict
            assert connection.text_factory is texts


def test_an_engine_of_sqlalchemy_has_one_connection_to_memory() -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    with in_memory(engine.raw_connection().driver_connection) as book:  # type: ignore[arg-type]
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE sent (id TEXT)"))
        with suppress(RuntimeError), engine.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO sent VALUES ('msg-41')"))
            book.using(connection).advance(ORDERS, to=41)
            raise RuntimeError
        assert book.find(ORDERS) is None
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO sent VALUES ('msg-42')"))
            book.using(connection).advance(ORDERS, to=42)
        assert book.get(ORDERS).last_sequence == 42
        with engine.begin() as connection:
            rows = connection.execute(sqlalchemy.text("SELECT id FROM sent")).all()
        assert rows == [("msg-42",)]
    engine.dispose()


def test_other_connections_are_refused(book: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as other:
        with pytest.raises(InvalidCursorError, match="the connection that it was made with"):
            book.using(other)
        with ledger.open(path) as in_a_file, pytest.raises(InvalidCursorError):
            in_a_file.using(other)
        with (
            ledger.open(":memory:") as alone,
            pytest.raises(InvalidCursorError, match=r"with ledger\.testing\.in_memory"),
        ):
            alone.using(other)
    with pytest.raises(InvalidCursorError, match=r"must be a sqlite3\.Connection"):
        book.using("sqlite://")  # type: ignore[arg-type]


def test_a_connection_to_a_file_or_in_a_transaction_is_refused(
    db: sqlite3.Connection, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as other:
        with pytest.raises(InvalidCursorError, match=r"is to the file .*cursors\.db"):
            in_memory(other)
        assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    db.execute("INSERT INTO sent VALUES ('msg-41')")
    with pytest.raises(InvalidCursorError, match="has a transaction open"):
        in_memory(db)
    assert db.in_transaction
    db.close()
    with pytest.raises(StorageError, match="closed"):
        in_memory(db)
    with pytest.raises(InvalidCursorError, match=r"must be a sqlite3\.Connection"):
        in_memory(":memory:")  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the attribute came with Python 3.12")
def test_a_connection_that_is_always_in_a_transaction_is_refused() -> None:
    with (
        closing(sqlite3.connect(":memory:", autocommit=False)) as other,  # type: ignore[call-overload,unused-ignore]
        pytest.raises(InvalidCursorError, match="autocommit=False"),
    ):
        in_memory(other)


def test_many_threads_take_turns(book: Ledger) -> None:
    def work(number: int) -> None:
        key = ledger.CursorKey("mailer", "orders", str(number))
        for sequence in range(1, 41):
            book.advance(key, to=sequence)
            assert book.get(key).last_sequence >= sequence

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [cursor.version for cursor in book.cursors()] == [40] * 8
    assert book.submit(AdvanceCursor(ORDERS, 1)).result().version == 1
    assert book.verify().ok


def test_a_connection_of_one_thread_says_so_in_another() -> None:
    with closing(sqlite3.connect(":memory:")) as db, in_memory(db) as book:
        assert book.advance(ORDERS, to=1).version == 1
        with pytest.raises(StorageError, match="same thread"):
            asyncio.run(asyncio.to_thread(book.advance, ORDERS, to=2))


@pytest.mark.parametrize("wrong", [{"clock": 7}, {"actor": 7}, {"require_epoch": 1}])
def test_wrong_arguments_are_refused_before_a_table_is_made(
    db: sqlite3.Connection, wrong: dict[str, object]
) -> None:
    with pytest.raises(InvalidCursorError):
        in_memory(db, **wrong)  # type: ignore[arg-type]
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("sent",)]
