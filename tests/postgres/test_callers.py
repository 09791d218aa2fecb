"""The ledger inside a caller's transaction on PostgreSQL."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import psycopg_pool
import pytest
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.adapt import Loader

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    InvalidCursorError,
    Ledger,
    RecordError,
    SchemaVersionError,
    StorageError,
)
from ledger.stores.postgres.address import Address
from support.cursors import JOBS, ORDERS
from support.servers import connect, own_database


def test_what_is_appended_in_a_callers_transaction_stays_or_goes_with_it(
    target: str, book: Ledger
) -> None:
    with connect(target, autocommit=False) as caller:
        caller.execute("CREATE TABLE mine (n integer)")
        lent = book.using(caller)
        lent.advance(ORDERS, to=5)
        caller.execute("INSERT INTO mine VALUES (1)")
        assert lent.get(ORDERS).last_sequence == 5
        assert list(book.cursors()) == []
        caller.commit()
        assert book.get(ORDERS).last_sequence == 5
        with pytest.raises(ledger.NonMonotonicCursorError):
            lent.advance(ORDERS, to=3)
        # A refusal is undone by itself; the transaction goes on.
        caller.execute("INSERT INTO mine VALUES (2)")
        lent.append([AdvanceCursor(ORDERS, 6), AdvanceCursor(JOBS, 1)])
        caller.rollback()
        assert caller.execute("SELECT count(*) FROM mine").fetchone() == (1,)
        assert book.get(ORDERS).version == 1
        assert [cursor.key for cursor in book.cursors()] == [ORDERS]


def test_nothing_is_committed_for_the_caller(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        lent = book.using(caller)
        assert caller.info.transaction_status.name == "IDLE"
        lent.advance(ORDERS, to=1)
        assert caller.info.transaction_status.name == "INTRANS"
        lent.append([AdvanceCursor(ORDERS, n) for n in range(2, 100)])
        assert lent.append_each([AdvanceCursor(ORDERS, 1)])[0].__class__.__name__ == (
            "NonMonotonicCursorError"
        )
        assert caller.info.transaction_status.name == "INTRANS"
        caller.rollback()
    assert list(book.cursors()) == []


def test_a_caller_whose_new_cursor_was_made_by_another_goes_on_in_its_transaction(
    target: str, book: Ledger
) -> None:
    with connect(target, autocommit=False) as first, connect(target, autocommit=False) as second:
        second.execute("CREATE TABLE mine (n integer)")
        second.commit()
        second.execute("INSERT INTO mine VALUES (1)")
        book.using(first).advance(ORDERS, to=1)
        versions: list[int] = []
        lent = book.using(second)
        waiting = threading.Thread(
            target=lambda: versions.append(lent.advance(ORDERS, to=2).version)
        )
        waiting.start()
        time.sleep(0.2)
        first.commit()
        waiting.join(10)
        assert versions == [2]
        assert second.execute("SELECT count(*) FROM mine").fetchone() == (1,)
        second.commit()
    assert book.verify().ok


def test_connections_that_cannot_be_lent_are_refused_with_what_to_do(
    target: str, book: Ledger, path: Path
) -> None:
    with connect(target) as caller:
        with pytest.raises(StorageError, match="autocommit mode"):
            book.using(caller).advance(ORDERS, to=1)
        with caller.transaction():
            book.using(caller).advance(ORDERS, to=1)
            with pytest.raises(InvalidCursorError, match="lent a connection already"):
                book.using(caller).using(caller)
        with caller.transaction(), pytest.raises(InvalidCursorError, match="moment of their own"):
            book.using(caller).verify()
        assert book.get(ORDERS).version == 1
    with pytest.raises(StorageError):
        book.using(caller).get(ORDERS)
    with pytest.raises(InvalidCursorError, match=r"psycopg\.Connection"):
        book.using(path)  # type: ignore[arg-type]
    stranger = type("connection", (), {"__module__": "psycopg2.extensions"})()
    with pytest.raises(InvalidCursorError, match=r"psycopg2\.extensions.*postgresql\+psycopg://"):
        book.using(stranger)
    elsewhere = target + "_other"
    with ledger.open(elsewhere) as other, connect(target) as caller:
        own = other.using(caller)
        with caller.transaction():
            own.advance(JOBS, to=1)
        assert [cursor.key for cursor in other.cursors()] == [JOBS]
        assert [cursor.key for cursor in book.cursors()] == [ORDERS]
        caller.execute(
            sql.SQL("DROP SCHEMA {} CASCADE").format(
                sql.Identifier(Address.parse(elsewhere).schema)
            )
        )
        with pytest.raises(SchemaVersionError):
            other.using(caller)


async def _asynchronous(target: str) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(Address.parse(target).conninfo)


def test_an_asynchronous_connection_is_refused_with_what_to_do(target: str, book: Ledger) -> None:
    import asyncio

    async def lend() -> None:
        connection = await _asynchronous(target)
        with pytest.raises(InvalidCursorError, match="in a thread"):
            book.using(connection)  # type: ignore[arg-type]
        await connection.close()

    asyncio.run(lend())


def test_a_transaction_that_has_failed_is_said_to_have(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        lent = book.using(caller)
        with pytest.raises(psycopg.Error):
            caller.execute("SELECT nonsense")
        with pytest.raises(StorageError, match="failed before"):
            lent.advance(ORDERS, to=1)
        caller.rollback()
        assert lent.advance(ORDERS, to=1).version == 1


def test_a_pooler_that_gives_each_transaction_another_session_is_named(
    target: str, book: Ledger
) -> None:
    with connect(target, autocommit=False) as caller:
        lent = book.using(caller)
        for to in range(1, 11):
            lent.advance(ORDERS, to=to)
        # As it looks from another session: what this one has prepared is not there.
        caller.execute("DO 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'")
        with pytest.raises(StorageError, match="pool_mode = session"):
            lent.advance(ORDERS, to=11)


def test_a_connection_in_pipeline_mode_is_refused(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        lent = book.using(caller)
        with caller.pipeline():
            with pytest.raises(StorageError, match="pipeline"):
                book.using(caller)
            with pytest.raises(StorageError, match="pipeline"):
                lent.advance(ORDERS, to=1)
            with pytest.raises(StorageError, match="pipeline"):
                list(lent.entries())
        lent.advance(ORDERS, to=1)
        caller.commit()
    assert book.get(ORDERS).version == 1


class Shouting(Loader):
    """Reads whatever it is as something else."""

    def load(self, data: Buffer) -> str:
        return f"{bytes(data)!r}!"


def test_a_connection_is_used_whatever_it_makes_of_cursors_and_types(
    target: str, book: Ledger
) -> None:
    with connect(target, autocommit=False) as caller:
        caller.row_factory = psycopg.rows.dict_row
        for name in ("int8", "text", "bytea"):
            caller.adapters.register_loader(name, Shouting)
        for factory in (psycopg.ClientCursor, psycopg.RawCursor, psycopg.Cursor):
            caller.cursor_factory = factory
            lent = book.using(caller)
            at = lent.advance(ORDERS, to=1000 if book.verify().entries == 0 else 2000).version
            more = [AdvanceCursor(JOBS, 50 * at + n, delivery_id=r"a\'b%s") for n in range(50)]
            lent.append(more)
            lent.record_error(ORDERS, r"100%% \ of 'them'")
            assert lent.get(ORDERS).version == at + 1
            assert len(list(lent.entries())) == len(list(lent.history(JOBS))) + at + 1
            caller.commit()
        assert (caller.row_factory, caller.cursor_factory) == (psycopg.rows.dict_row, factory)
    assert book.verify().ok
    assert book.verify().entries == 3 * 52


def test_settings_under_which_values_would_arrive_changed_are_refused(
    target: str, book: Ledger
) -> None:
    with connect(target, autocommit=False) as caller:
        lent = book.using(caller)
        for setting in ("standard_conforming_strings = off", "client_encoding = 'LATIN1'"):
            caller.execute(f"SET {setting}".encode())
            said = f"SET {setting.split()[0]} = '"
            with pytest.raises(StorageError, match=said):
                lent.advance(ORDERS, to=1)
            with pytest.raises(StorageError, match=said):
                lent.get(ORDERS)
            with pytest.raises(StorageError, match=said):
                book.using(caller)
            caller.rollback()
        caller.execute("SET array_nulls = off")
        with pytest.raises(StorageError, match="SET array_nulls = 'on'"):
            book.using(caller)
        caller.rollback()
        lent.append([AdvanceCursor(ORDERS, 1), RecordError(ORDERS, "refused")])
        caller.commit()
    assert book.verify().ok


def test_a_database_that_is_set_for_programs_of_long_ago_makes_no_difference(kind: str) -> None:
    with own_database(kind) as url:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in (
                "standard_conforming_strings = off",
                "array_nulls = off",
                "client_encoding = 'LATIN1'",
                "bytea_output = 'escape'",
                "default_transaction_isolation = 'serializable'",
                "search_path = ''",
            ):
                connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
        with ledger.open(url, actor="Ж") as book:
            key = CursorKey("日本", r"a\'b")
            book.advance(key, to=1, delivery_id=r"\x41", metadata={"a": r"\b"})
            book.record_error(key, r"NULL \ {}")
            book.append([AdvanceCursor(key, n) for n in range(2, 9)])
            book.append([AdvanceCursor(key, n, delivery_id=r"\N") for n in range(10, 90)])
            assert book.verify().ok
            assert [entry.version for entry in book.history(key)] == list(range(1, 90))


@pytest.mark.parametrize(
    "setting",
    [
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'iso_8601'",
        "quote_all_identifiers = on",
    ],
)
def test_a_log_is_sound_however_a_database_shows_times_and_names(kind: str, setting: str) -> None:
    with own_database(kind) as url:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
        with ledger.open(url) as book:
            checkpoint = book.checkpoint()
            book.advance(ORDERS, to=1)
            assert list(book.verify().faults) == []
            assert list(book.verify(since=checkpoint).faults) == []
        # It is shown so again to whoever has the connection next.
        with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1) as pool:
            with ledger.open(pool) as book:
                assert book.verify().ok
            with pool.connection() as connection:
                shown = connection.execute(b"SHOW " + setting.partition(" ")[0].encode())
                assert str(shown.fetchall()[0][0]) in setting.replace(" = ", "")


@pytest.mark.parametrize("level", ["READ UNCOMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_log_is_read_in_a_transaction_that_sees_what_commits_late(
    level: str, target: str, book: Ledger
) -> None:
    book.advance(ORDERS, to=1)
    with connect(target, autocommit=False) as caller:
        caller.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
        lent = book.using(caller)
        if level == "READ UNCOMMITTED":  # That is how PostgreSQL calls its READ COMMITTED, too.
            assert [entry.version for entry in lent.entries()] == [1]
            return
        with pytest.raises(InvalidCursorError, match=f"at {level}, where entries that commit late"):
            list(lent.entries())


def test_an_advance_in_a_transaction_takes_five_round_trips(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller, tempfile.TemporaryFile("w+") as trace:
        for to in range(1, 10):
            book.using(caller).advance(ORDERS, to=to)
            caller.commit()
        caller.execute("SELECT 1")
        caller.pgconn.trace(trace.fileno())
        book.using(caller).advance(ORDERS, to=10)
        caller.pgconn.untrace()
        trace.seek(0)
        sent = [line.rstrip().split("\t") for line in trace]
        # The connection looked at, a savepoint, the cursor held, the entry stored, the release.
        assert sum("F" in line and not {"Query", "Sync"}.isdisjoint(line) for line in sent) == 5
        caller.commit()
