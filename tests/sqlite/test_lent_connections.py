"""`using`: the ledger inside a transaction of the caller's, in every mode that Python has."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    InvalidCursorError,
    Ledger,
    LedgerBusyError,
    NonMonotonicCursorError,
    StorageError,
)
from support.cursors import JOBS, ORDERS

MODES: list[dict[str, Any]] = [
    {"isolation_level": mode} for mode in (None, "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")
]
if sys.version_info >= (3, 12):
    MODES += [{"autocommit": mode} for mode in (True, False)]


def commits_by_itself(mode: dict[str, Any]) -> bool:
    return mode.get("isolation_level", "") is None or mode.get("autocommit") is True


Connect = Callable[..., sqlite3.Connection]


@pytest.fixture
def connect(book: Ledger, path: Path) -> Iterator[Connect]:
    book.advance(ORDERS, to=1)
    made: list[sqlite3.Connection] = []

    def connect(**mode: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(path, timeout=0, **mode)
        made.append(connection)
        return connection

    with closing(connect()) as first:
        first.execute("CREATE TABLE mine (n INTEGER)")
        first.commit()
    yield connect
    for connection in made:
        connection.close()


def mine(connection: sqlite3.Connection) -> int:
    [[count]] = connection.execute("SELECT count(*) FROM mine").fetchall()
    return int(count)


def begin(connection: sqlite3.Connection, mode: dict[str, Any]) -> None:
    if mode.get("autocommit") is not False:
        connection.execute("BEGIN IMMEDIATE")


def end(connection: sqlite3.Connection, mode: dict[str, Any], *, commit: bool) -> None:
    if commits_by_itself(mode):
        connection.execute("COMMIT" if commit else "ROLLBACK")
    elif commit:
        connection.commit()
    else:
        connection.rollback()


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("commit", [True, False])
def test_what_is_appended_shares_the_fate_of_the_callers_own_rows(
    book: Ledger, connect: Connect, mode: dict[str, Any], commit: bool
) -> None:
    connection = connect(**mode)
    begin(connection, mode)
    connection.execute("INSERT INTO mine VALUES (1)")
    lent = book.using(connection)
    assert lent.advance(ORDERS, to=5).version == 2
    lent.append([AdvanceCursor(ORDERS, 6), AdvanceCursor(JOBS, 1)])
    lent.reset(ORDERS, to=2, reason="x")
    assert connection.in_transaction
    assert lent.get(ORDERS).version == 4
    assert [entry.version for entry in lent.history(ORDERS)] == [1, 2, 3, 4]
    assert len(list(lent.cursors())) == 2
    assert lent.verify().ok
    assert book.get(ORDERS).version == 1
    end(connection, mode, commit=commit)
    assert book.get(ORDERS).version == (4 if commit else 1)
    assert mine(connect()) == int(commit)
    assert book.verify().entries == (5 if commit else 1)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_refusal_undoes_its_own_and_leaves_the_callers(
    book: Ledger, connect: Connect, mode: dict[str, Any]
) -> None:
    connection = connect(**mode)
    begin(connection, mode)
    connection.execute("INSERT INTO mine VALUES (1)")
    lent = book.using(connection)
    lent.advance(JOBS, to=3)
    with pytest.raises(ledger.NonMonotonicCursorError):
        lent.append([AdvanceCursor(ORDERS, 9), AdvanceCursor(JOBS, 2)])
    assert connection.in_transaction
    assert lent.get(ORDERS).version == 1
    end(connection, mode, commit=True)
    assert (book.get(JOBS).version, book.get(ORDERS).version) == (1, 1)
    assert mine(connect()) == 1


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_without_a_transaction_one_is_begun_as_the_driver_would_or_it_is_refused(
    book: Ledger, connect: Connect, mode: dict[str, Any]
) -> None:
    connection = connect(**mode)
    lent = book.using(connection)
    if commits_by_itself(mode):
        with pytest.raises(StorageError, match="Begin one"):
            lent.advance(ORDERS, to=5)
        assert not connection.in_transaction
        return
    with pytest.raises(ledger.NonMonotonicCursorError):
        lent.advance(ORDERS, to=1, delivery_id="other")
    if mode.get("autocommit") is not False:
        assert not connection.in_transaction
    connection.rollback()
    lent.advance(ORDERS, to=5)
    assert connection.in_transaction
    assert book.get(ORDERS).last_sequence == 1
    connection.commit()
    assert book.get(ORDERS).last_sequence == 5


def test_a_transaction_that_read_before_others_wrote_must_begin_again(
    book: Ledger, connect: Connect
) -> None:
    connection = connect(isolation_level=None)
    connection.execute("BEGIN")
    assert mine(connection) == 0
    book.advance(ORDERS, to=5)
    lent = book.using(connection)
    assert lent.get(ORDERS).last_sequence == 1
    with pytest.raises(LedgerBusyError, match="BEGIN IMMEDIATE"):
        lent.advance(ORDERS, to=6)
    # Nor is anything refused by a law that judges what is no longer true.
    with pytest.raises(LedgerBusyError, match="BEGIN IMMEDIATE"):
        lent.advance(ORDERS, to=1, delivery_id="of the past")
    connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    assert lent.advance(ORDERS, to=6).version == 3
    connection.execute("COMMIT")


def test_a_failure_half_way_undoes_its_own_and_leaves_the_callers(
    book: Ledger, connect: Connect
) -> None:
    connection = connect(isolation_level=None)
    connection.execute(
        "CREATE TEMP TRIGGER full BEFORE INSERT ON main.ledger_events WHEN NEW.version = 3"
        " BEGIN SELECT RAISE(ABORT, 'no room for a third'); END"
    )
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO mine VALUES (1)")
    with pytest.raises(StorageError, match="no room for a third"):
        book.using(connection).append([AdvanceCursor(ORDERS, n) for n in (2, 3, 4)])
    connection.execute("COMMIT")
    assert mine(connection) == 1
    assert book.get(ORDERS).version == 1
    assert book.verify().entries == 1


def test_a_connection_is_used_whatever_its_rows_look_like_and_left_as_it_was(
    book: Ledger, connect: Connect
) -> None:
    factories: list[Any] = [sqlite3.Row, lambda _, row: {"row": row}]
    for to, factory in enumerate(factories, 2):
        connection = connect()
        connection.row_factory = factory
        connection.execute("PRAGMA recursive_triggers = OFF")
        with connection:
            assert book.using(connection).advance(ORDERS, to=to).last_sequence == to
        assert book.using(connection).verify().ok
        assert (connection.row_factory, connection.text_factory) == (factory, str)
        assert not connection.in_transaction


def backwards(text: bytes) -> str:
    return text.decode()[::-1]


@pytest.mark.parametrize("factory", [bytes, backwards])
def test_a_connection_is_used_whatever_it_makes_of_text_and_left_as_it_was(
    book: Ledger, connect: Connect, factory: Any
) -> None:
    connection = connect()
    connection.text_factory = factory
    for to in (2, 3):
        with connection:
            lent = book.using(connection)
            assert lent.advance(ORDERS, to=to, metadata={"a": "b"}).last_sequence == to
            assert lent.get(ORDERS).key == ORDERS
            with pytest.raises(NonMonotonicCursorError):
                lent.append([AdvanceCursor(JOBS, 1), AdvanceCursor(ORDERS, 1)])
            assert connection.text_factory is factory
            for entry in lent.entries():
                assert entry.key == ORDERS
                assert connection.text_factory is factory
            assert lent.verify().ok
            assert connection.text_factory is factory
        assert connection.execute("SELECT 'ab'").fetchone() == (factory(b"ab"),)
    assert book.verify().ok
    assert book.using(connection).checkpoint() == book.checkpoint()


def test_a_connection_is_used_whatever_it_converts(
    book: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for declared in ("INTEGER", "TEXT", "BLOB"):
        monkeypatch.setitem(sqlite3.converters, declared, lambda value: b"!" + value)
    kinds = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES
    with closing(sqlite3.connect(path, detect_types=kinds)) as connection:
        read = connection.execute("SELECT name FROM _sqlite_migrations").fetchone()
        assert read == (b"!0001_ledger",)
        for _ in range(2):
            with connection:
                lent = book.using(connection)
                at = lent.advance(ORDERS, to=book.verify().entries + 1, delivery_id="msg").version
                lent.record_error(ORDERS, "refused")
                lent.reset(ORDERS, to=0, reason="again", actor="ines", metadata={"a": "b"})
                lent.append([AdvanceCursor(JOBS, 9 * at + n) for n in range(9)])
            assert lent.get(ORDERS) == book.get(ORDERS)
            assert list(lent.entries()) == list(book.entries())
            assert list(lent.cursors()) == list(book.cursors())
            assert lent.verify() == book.verify()
            assert lent.checkpoint() == book.checkpoint()
    assert book.verify().ok
    assert book.verify().entries == 2 * 12


def test_what_cannot_be_lent_is_refused(book: Ledger, connect: Connect, tmp_path: Path) -> None:
    elsewhere = sqlite3.connect(tmp_path / "other.db")
    nowhere = sqlite3.connect(":memory:")
    gone = connect()
    gone.close()
    refused: list[tuple[object, type[Exception], str]] = [
        (None, InvalidCursorError, "sqlite3.Connection"),
        ("cursors.db", InvalidCursorError, "sqlite3.Connection"),
        (elsewhere, InvalidCursorError, "same file"),
        (nowhere, InvalidCursorError, "a database in memory"),
        (gone, StorageError, "closed"),
    ]
    for connection, kind, said in refused:
        with pytest.raises(kind, match=said):
            book.using(connection)  # type: ignore[arg-type]
    with pytest.raises(InvalidCursorError, match="lent a connection already"):
        book.using(connect()).using(connect())
    with ledger.open(":memory:") as memory, pytest.raises(InvalidCursorError, match="memory"):
        memory.using(nowhere)
    for connection in (elsewhere, nowhere):
        connection.close()


def test_a_connection_of_another_thread_is_refused(book: Ledger, connect: Connect) -> None:
    lent = book.using(connect())
    said: list[str] = []

    def use() -> None:
        with suppress(InvalidCursorError):
            try:
                lent.advance(ORDERS, to=5)
            except StorageError as error:
                said.append(str(error))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "thread" in said[0]
    assert book.get(ORDERS).version == 1


def test_delivering_inside_a_transaction_goes_with_it(book: Ledger, connect: Connect) -> None:
    connection = connect()
    lent = book.using(connection)
    with connection, lent.delivering(ORDERS, to=5):
        connection.execute("INSERT INTO mine VALUES (1)")
    assert (book.get(ORDERS).last_sequence, mine(connection)) == (5, 1)

    def fail() -> None:
        with connection, lent.delivering(ORDERS, to=6):
            connection.execute("INSERT INTO mine VALUES (2)")
            raise ValueError("bad row")

    with pytest.raises(ValueError, match="bad row"):
        fail()
    assert (book.get(ORDERS).last_error, mine(connection)) == ("", 1)


def test_closing_a_lent_ledger_leaves_the_connection_to_its_owner(
    book: Ledger, connect: Connect
) -> None:
    connection = connect()
    with book.using(connection) as lent:
        lent.advance(ORDERS, to=5)
    connection.commit()
    assert book.get(ORDERS).last_sequence == 5


def test_a_lent_connection_requires_an_epoch_if_the_ledger_does(path: Path) -> None:
    with (
        ledger.open(path, require_epoch=True) as book,
        closing(sqlite3.connect(path)) as db,
        db,
        pytest.raises(ledger.EpochRequiredError),
    ):
        book.using(db).advance(ORDERS, to=5)
