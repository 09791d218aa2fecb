"""What only PostgreSQL has: late commits, lost answers, schemas, and many who open at once."""

from __future__ import annotations

import multiprocessing
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import JOBS, ORDERS, Clock
from psycopg import sql
from servers import ELSEWHERE, Server, drop, kinds, server, wheel_binaries, with_schema

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    LedgerBusyError,
    SchemaVersionError,
    StorageError,
    UnknownOutcomeError,
)
from ledger.cli.output import waited_for
from ledger.commit import commit
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.pool import Pool
from ledger.stores.postgres.session import (
    PostgresSession,
    cursor_id,
    send_all_numbers_alike,
)
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.transactions import Held, Remembered
from projections import Projector


@pytest.fixture(scope="module", params=[kind for kind in kinds() if kind != "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def connect(target: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect by other means to the database of `target`, with its schema in the path."""
    address = Address.parse(target)
    return psycopg.connect(
        address.conninfo,
        options=f"-c search_path={address.schema}",
        **{"autocommit": True, **options},
    )


# --- readers, and those who commit late ---


def test_a_reader_does_not_pass_a_transaction_that_commits_late(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as early, connect(target, autocommit=False) as late:
        book.advance(ORDERS, to=1)
        # The one whose transaction is older draws the later position, and commits first.
        early.execute("SELECT pg_current_xact_id()")
        lent = book.using(late)
        lent.advance(JOBS, to=1)
        book.using(early).advance(CursorKey("early", "orders"), to=1)
        early.commit()
        assert [entry.position for entry in book.entries()] == [1]
        waiting = book.horizon()
        assert (waiting.position, waiting.last) == (1, 3)
        assert [each.process for each in waiting.waiting] == [late.info.backend_pid]
        # Of one cursor nothing can come in between: whoever appended to it sees it at once.
        assert [entry.position for entry in book.history(CursorKey("early", "orders"))] == [3]
        assert book.advance(ORDERS, to=2).version == 2
        assert [entry.version for entry in book.history(ORDERS)] == [1, 2]
        before = book.checkpoint()
        late.commit()
        assert [entry.position for entry in book.entries()] == [1, 2, 3, 4]
        assert book.horizon().waiting == ()
        assert book.verify(before).ok


def test_a_position_that_was_rolled_back_is_no_reason_to_wait(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(JOBS, to=1)
        caller.rollback()
    book.advance(ORDERS, to=1)
    assert [entry.position for entry in book.entries()] == [2]


def test_a_savepoint_that_is_rolled_back_takes_no_lock_along(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        lent = book.using(caller)
        with caller.transaction(force_rollback=True):
            lent.advance(JOBS, to=1)
        caller.execute("SAVEPOINT mine")
        lent.advance(JOBS, to=2)
        caller.execute("ROLLBACK TO mine")
        lent.advance(JOBS, to=3)
        book.advance(ORDERS, to=1)
        assert list(book.entries()) == []
        caller.commit()
    assert [entry.key for entry in book.entries()] == [JOBS, ORDERS]


def test_a_caller_sees_in_the_log_what_it_has_appended(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller, connect(target, autocommit=False) as other:
        lent = book.using(caller)
        lent.advance(ORDERS, to=1)
        book.advance(JOBS, to=1)
        lent.advance(ORDERS, to=2)
        assert [entry.position for entry in lent.entries()] == [1, 2, 3]
        assert lent.horizon().waiting == ()
        # But no more than others if others may yet come in between.
        book.using(other).advance(CursorKey("other", "orders"), to=1)
        lent.advance(ORDERS, to=3)
        assert [entry.position for entry in lent.entries()] == [1, 2, 3]
        assert list(book.entries()) == []


def test_a_caller_who_appends_many_times_takes_one_lock(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        for turn in range(2):
            lent = book.using(caller)
            for to in range(1, 101):
                lent.advance(ORDERS, to=turn * 100 + to)
            held = caller.execute(
                "SELECT count(*) FROM pg_locks"
                " WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            ).fetchone()
            assert held == (1,)
            assert len(book.horizon().waiting) == 1
            caller.commit()
    assert book.get(ORDERS).version == 200


def test_a_prepared_transaction_is_waited_for_as_well(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        if caller.execute("SHOW max_prepared_transactions").fetchone() == ("0",):
            pytest.skip("the server has prepared transactions switched off")
        name = f"cursor-ledger {Address.parse(target).schema}"
        book.using(caller).advance(JOBS, to=1)
        caller.execute(f"PREPARE TRANSACTION '{name}'")
    try:
        book.advance(ORDERS, to=1)
        assert list(book.entries()) == []
        [waiting] = book.horizon().waiting
        assert (waiting.process, waiting.since) == (None, None)
        assert waited_for(waiting) == "a prepared transaction"
    finally:
        with connect(target) as caller:
            caller.execute(f"COMMIT PREPARED '{name}'")
    assert [entry.key for entry in book.entries()] == [JOBS, ORDERS]


@pytest.mark.parametrize("seed", range(4))
def test_random_interleavings_skip_nothing_and_give_nothing_twice(target: str, seed: int) -> None:
    chance = random.Random(seed)
    with ledger.open(target, actor="tester", durability="normal") as book:
        callers = [connect(target, autocommit=False) for _ in range(5)]
        lent = [book.using(caller) for caller in callers]
        seen: list[int] = []
        done = 0
        for step in range(600):
            nth = chance.randrange(6)
            if nth == 5:
                # Whoever commits alone, in between.
                book.advance(CursorKey("alone", "orders"), to=step + 1)
            elif chance.random() < 0.5:
                lent[nth].advance(CursorKey(f"caller-{nth}", "orders"), to=step + 1)
            elif chance.random() < 0.8:
                callers[nth].commit()
            else:
                callers[nth].rollback()
            if chance.random() < 0.7:
                last = seen[-1] if seen else 0
                seen += [e.position for e in book.entries(EntryQuery(position_from=last + 1))]
                done += 1
        for caller in callers:
            caller.commit()
            caller.close()
        last = seen[-1] if seen else 0
        seen += [entry.position for entry in book.entries(EntryQuery(position_from=last + 1))]
        with connect(target) as raw:
            there = raw.execute("SELECT position FROM ledger_events ORDER BY position").fetchall()
        assert seen == [row[0] for row in there]
        assert done > 300
        assert book.verify().ok


def test_a_reader_beside_many_writers_sees_each_entry_once(target: str) -> None:
    with ledger.open(target, actor="tester", durability="normal") as book:
        stop = threading.Event()
        chance = random.Random(7)

        def write(nth: int) -> None:
            with connect(target, autocommit=False) as caller:
                lent = book.using(caller)
                for to in range(1, 61):
                    lent.advance(CursorKey(f"w{nth}", "orders"), to=to)
                    if chance.random() < 0.3:
                        time.sleep(chance.random() * 0.005)
                    caller.commit() if chance.random() < 0.9 else caller.rollback()
                    book.advance(CursorKey(f"own-{nth}", "orders"), to=to)

        seen: list[int] = []

        def read() -> None:
            while True:
                over = stop.is_set()
                last = seen[-1] if seen else 0
                seen.extend(e.position for e in book.entries(EntryQuery(position_from=last + 1)))
                if over:
                    return

        reading = threading.Thread(target=read)
        writing = [threading.Thread(target=write, args=(nth,)) for nth in range(6)]
        for thread in (reading, *writing):
            thread.start()
        for thread in writing:
            thread.join()
        stop.set()
        reading.join()
        with connect(target) as raw:
            there = raw.execute("SELECT position FROM ledger_events ORDER BY position").fetchall()
        assert seen == [row[0] for row in there]


# --- a caller's transaction ---


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
        book.using(path)
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
            book.using(connection)
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


def test_a_log_is_not_read_at_a_level_that_would_miss_something(target: str, book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    with connect(target, autocommit=False) as caller:
        caller.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        lent = book.using(caller)
        assert lent.get(ORDERS).version == 1
        book.advance(ORDERS, to=2)
        with pytest.raises(LedgerBusyError):
            lent.advance(ORDERS, to=3)
        with pytest.raises(InvalidCursorError, match="READ COMMITTED"):
            list(lent.entries())


def test_two_transactions_that_make_the_same_cursor_do_so_once(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(ORDERS, to=1)
        waiting = threading.Thread(target=lambda: book.advance(ORDERS, to=2))
        waiting.start()
        time.sleep(0.2)
        caller.commit()
        waiting.join(10)
    assert [entry.version for entry in book.history(ORDERS)] == [1, 2]


def test_batches_of_many_that_want_the_same_cursors_do_not_block_each_other(target: str) -> None:
    keys = [CursorKey(f"c{n}", "orders") for n in range(40)]
    with ledger.open(target, actor="tester", durability="normal") as book:
        failures: list[BaseException] = []

        def work(nth: int) -> None:
            chance = random.Random(nth)
            try:
                for _ in range(20):
                    chosen = chance.sample(keys, 15)
                    book.append([ledger.RecordError(key, "boom") for key in chosen])
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
                failures.append(error)

        threads = [threading.Thread(target=work, args=(nth,)) for nth in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sum(cursor.version for cursor in book.cursors()) == 8 * 20 * 15
        assert book.verify().ok


# --- the database itself ---

REPLACE = """
    INSERT INTO ledger_events SELECT * FROM ledger_events
    ON CONFLICT (cursor_id, version) DO UPDATE SET actor = 'me'
"""


def open_and_advance(target: str, nth: int) -> None:
    with ledger.open(target, actor=f"process-{nth}") as book:
        book.advance(CursorKey(f"p{nth}", "orders"), to=1)


def test_ten_processes_open_an_empty_database_at_once(target: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=open_and_advance, args=(target, n)) for n in range(10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 10
    with ledger.open(target) as book:
        assert len(list(book.cursors())) == 10


@pytest.mark.parametrize(
    "schema", ["Ünïcode ß", 'quo"te', "per%cent", "{brace}", "sel'ect", "a&b?"]
)
def test_any_schema_will_do(kind: str, schema: str, clock: Clock) -> None:
    base = server(kind)
    target = with_schema(base, schema)
    try:
        with ledger.open(target, actor="tester", clock=clock) as book:
            book.append([AdvanceCursor(CursorKey(f"c{n}", "orders"), 1) for n in range(60)])
            book.reset(ORDERS, to=3, reason="x")
            assert book.verify().ok
            assert len(list(book.cursors())) == 61
            assert len(list(book.entries(EntryQuery(newest_first=True)))) == 61
            with connect(base) as caller, caller.transaction():
                book.using(caller).advance(ORDERS, to=4)
    finally:
        with connect(base) as raw:
            raw.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_events SET actor = 'me'",
        "DELETE FROM ledger_events",
        "TRUNCATE ledger_events",
        "TRUNCATE ledger_events_3",
        "DELETE FROM ledger_cursors",
        "TRUNCATE ledger_cursors",
        REPLACE,
    ],
)
def test_the_database_itself_refuses_to_change_an_entry(
    target: str, book: Ledger, statement: str
) -> None:
    book.advance(ORDERS, to=1)
    with connect(target) as raw, pytest.raises(psycopg.errors.InsufficientPrivilege, match="only"):
        raw.execute(statement.encode())
    assert book.verify().ok


def test_long_keys_are_kept_and_listed_in_order(book: Ledger) -> None:
    long = [CursorKey(letter * 512, letter * 512, letter * 512) for letter in "aé😀"]
    keys = [*long, ORDERS, JOBS, CursorKey("b", "a" * 511), CursorKey("b", "zz")]
    for key in keys:
        book.advance(key, to=1)
    order = sorted(keys, key=lambda key: (key.stream_name, key.subject_id, key.consumer_id))
    assert [cursor.key for cursor in book.cursors()] == order
    assert book.verify().ok


def test_a_key_whose_number_is_anothers_is_refused(target: str, book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    with connect(target) as raw:
        raw.execute(
            "UPDATE ledger_cursors SET id = %s", (cursor_id(JOBS),)
        )  # As if their digests began alike.
    with pytest.raises(StorageError, match="begin alike"):
        book.advance(JOBS, to=1)
    with pytest.raises(StorageError, match="begin alike"):
        book.get(JOBS)


def test_a_newer_schema_is_refused_and_left_as_it_is(target: str) -> None:
    ledger.open(target).close()
    with connect(target) as raw:
        raw.execute("INSERT INTO ledger_migrations (name) VALUES ('0099_future')")
    with pytest.raises(SchemaVersionError, match="0099_future"):
        ledger.open(target)


def test_a_busy_cursor_is_said_to_be_and_the_others_go_on(target: str) -> None:
    with ledger.open(target, actor="tester", busy_timeout_s=0.3) as book:
        book.advance(ORDERS, to=1)
        with connect(target, autocommit=False) as caller:
            book.using(caller).advance(ORDERS, to=2)
            with pytest.raises(LedgerBusyError, match="try again"):
                book.advance(ORDERS, to=3)
            assert book.advance(JOBS, to=1).version == 1
            caller.rollback()
        assert book.advance(ORDERS, to=2).version == 2


# --- URLs ---


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:geheim@nowhere.invalid:bad/x", "nowhere.invalid"),
        ("postgresql://me:geheim@h/x?nonsense=1", "cannot be read"),
        ("postgresql://me:ge@heim@127.0.0.1:1/x", "cannot be read"),
        ("postgresql://me:ge/heim@127.0.0.1:1/x", "cannot be read"),
        ("postgresql://me:ge?heim@127.0.0.1:1/x", "Connection refused"),
        ("postgresql://me:ge?heim@127.0.0.1:1/x?schema=s", "cannot be read"),
        ("postgresql://me:geheim@h/x?schema=", "schema must have"),
        (f"postgresql://me:geheim@h/x?schema={'s' * 64}", "schema must have"),
        ("postgresql://me:geheim@h/x?schema=%00", "NUL"),
        ("postgresql://me:geheim@h/x?pool_max_size=1", "pool_max_size must be from 2"),
        ("postgresql://me:geheim@h/x?pool_min_size=-1", "pool_min_size"),
        ("postgresql://me:geheim@h/x?pool_min_size=many", "pool_min_size"),
        ("postgresql://me:geheim@127.0.0.1:1/x", "Connection refused"),
        ("postgresql://me:geheim@nowhere.invalid/x", "nowhere.invalid"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, said: str) -> None:
    with pytest.raises((InvalidCursorError, StorageError), match=said) as caught:
        ledger.open(url)
    for shown in (str(caught.value), repr(caught.value)):
        assert "geheim" not in shown
        assert "heim" not in shown


def test_the_place_is_shown_without_user_and_password() -> None:
    address = Address.parse("postgresql://me:geheim@a:5,b:6/x?schema=s&target_session_attrs=any")
    assert address.place == "postgresql://a:5,b:6/x?schema=s"
    assert "geheim" not in repr(address)
    assert "schema" not in address.conninfo
    assert "target_session_attrs=any" in address.conninfo


def test_sessions_are_named_and_bounded(target: str) -> None:
    with (
        ledger.open(target + "&pool_min_size=1&pool_max_size=3", actor="tester") as book,
        connect(target) as raw,
    ):
        threads = [
            threading.Thread(target=lambda: [book.record_error(ORDERS, "x") for _ in range(20)])
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            [count] = raw.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cursor-ledger'"
            ).fetchone()  # type: ignore[misc]
            most = max(most, count)
        assert book.get(ORDERS).version == 240
        assert 1 <= most <= 3


# --- servers that go ---


@pytest.fixture
def own_server() -> Iterator[Server]:
    if ELSEWHERE:
        pytest.skip("a server of somebody else is not stopped")
    own = Server(wheel_binaries()).make()
    yield own
    own.remove()


def test_it_goes_on_after_the_server_was_restarted(own_server: Server) -> None:
    with ledger.open(own_server.url, actor="tester") as book:
        for to in range(1, 5):
            book.advance(ORDERS, to=to)
        own_server.stop("immediate")
        own_server.start()
        assert book.get(ORDERS).version == 4
        assert book.advance(ORDERS, to=5).version == 5
        own_server.stop()
        restarting = threading.Timer(1, own_server.start)
        restarting.start()
        assert book.advance(ORDERS, to=6).version == 6
        restarting.join()
        assert book.verify().ok


def test_a_server_that_does_not_come_back_is_said_to_be_gone(own_server: Server) -> None:
    with ledger.open(own_server.url, actor="tester", busy_timeout_s=0.5) as book:
        book.advance(ORDERS, to=1)
        own_server.stop("immediate")
        with pytest.raises(StorageError):
            book.get(ORDERS)
        for _ in range(6):
            with pytest.raises(StorageError):
                book.advance(ORDERS, to=2)
        # And when it is back, the next call finds it, however long it was gone.
        own_server.start()
        assert book.advance(ORDERS, to=2).version == 2


def test_a_loss_that_is_noticed_late_is_still_made_good(target: str) -> None:
    with (
        ledger.open(target + "&application_name=late", actor="tester", busy_timeout_s=1) as book,
        connect(target) as raw,
    ):
        book.advance(ORDERS, to=1)
        raw.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NEW; END'"
        )
        raw.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON ledger_events"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        # By then the call has been on its way for longer than its time-out.
        killing = threading.Timer(
            1.2,
            lambda: raw.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'late'"
            ),
        )
        killing.start()
        began = time.monotonic()
        assert book.advance(ORDERS, to=2).version == 2
        assert time.monotonic() - began > 2.5
        killing.join()
        assert [entry.version for entry in book.history(ORDERS)] == [1, 2]


class Cut:
    """Cuts the connection behind the commit, or before it, when the next transaction is sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, before: bool) -> None:
        self.left = 1
        execute = psycopg.Cursor.execute
        cut = self

        def executed(cursor: psycopg.Cursor[Any], statement: Any, *args: Any, **more: Any) -> Any:
            last = isinstance(statement, bytes) and (
                statement == b"COMMIT" or b"), moved AS" in statement or b"WITH moved" in statement
            )
            if not (last and cut.left):
                return execute(cursor, statement, *args, **more)
            cut.left -= 1
            if not before:
                execute(cursor, statement, *args, **more)
                if cursor.connection.info.pipeline_status:
                    cursor.connection._pipeline.sync()  # type: ignore[union-attr]
            cursor.connection.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")

        monkeypatch.setattr(psycopg.Cursor, "execute", executed)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("requests", [1, 2, 100])
@pytest.mark.parametrize("known", [True, False])
def test_a_commit_whose_answer_was_lost_is_applied_once(
    target: str, monkeypatch: pytest.MonkeyPatch, requests: int, before: bool, known: bool
) -> None:
    with ledger.open(target, actor="tester") as book:
        start = 0
        if known:
            start = 1
            book.advance(ORDERS, to=1)
        with monkeypatch.context() as patched:
            cut = Cut(patched, before=before)
            cursors = book.append(
                [AdvanceCursor(ORDERS, start + n) for n in range(1, requests + 1)]
            )
            assert cut.left == 0
        assert cursors[-1].version == start + requests
        assert [entry.version for entry in book.history(ORDERS)] == list(
            range(1, start + requests + 1)
        )
        assert book.get(ORDERS) == cursors[-1]
        assert book.verify().ok


def test_an_outcome_that_cannot_be_found_out_is_said_to_be_unknown(
    own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(own_server.url, actor="tester", busy_timeout_s=1) as book:
        book.advance(ORDERS, to=1)
        with monkeypatch.context() as patched:
            Cut(patched, before=False)
            stopping = threading.Thread(target=own_server.stop, args=("immediate",))
            lend = Pool._lend

            def lend_once_more(pool: Pool, *args: Any) -> Any:
                if stopping.ident is None:
                    patched.setattr(Pool, "_go_on_or_raise", gone)
                return lend(pool, *args)

            going = Pool._go_on_or_raise

            def gone(*args: Any) -> None:
                stopping.start()
                stopping.join()
                patched.setattr(Pool, "_go_on_or_raise", going)
                going(*args)

            patched.setattr(Pool, "_lend", lend_once_more)
            with pytest.raises(UnknownOutcomeError, match="not known"):
                book.advance(ORDERS, to=2)
        own_server.start()
        assert book.get(ORDERS).version == 2


# --- a view in the same database ---


def test_a_projector_applies_each_entry_once_beside_those_who_commit_late(target: str) -> None:
    with (
        ledger.open(target, actor="tester", durability="normal") as book,
        connect(target) as own,
        connect(target) as second,
    ):
        own.execute("CREATE TABLE view (position bigint PRIMARY KEY, sequence bigint)")

        def applying(connection: psycopg.Connection[Any]) -> Projector:
            def apply(entry: ledger.Entry) -> None:
                connection.execute(
                    "INSERT INTO view VALUES (%s, %s)", (entry.position, entry.version)
                )

            return Projector(
                book=book, name="view", connection=connection, apply=apply, batch_entries=7
            )

        projectors = [applying(own), applying(second)]
        chance = random.Random(3)
        callers = [connect(target, autocommit=False) for _ in range(4)]
        lent = [book.using(caller) for caller in callers]
        for step in range(300):
            nth = chance.randrange(4)
            if chance.random() < 0.6:
                lent[nth].advance(CursorKey(f"caller-{nth}", "orders"), to=step + 1)
            else:
                callers[nth].commit() if chance.random() < 0.8 else callers[nth].rollback()
            if step % 10 == 0:
                both = [threading.Thread(target=projector.catch_up) for projector in projectors]
                for thread in both:
                    thread.start()
                for thread in both:
                    thread.join()
        for caller in callers:
            caller.commit()
            caller.close()
        projectors[0].catch_up()
        there = own.execute(
            "SELECT e.position FROM ledger_events e JOIN ledger_cursors c ON c.id = e.cursor_id"
            " WHERE c.stream_name = 'orders' ORDER BY 1"
        ).fetchall()
        assert own.execute("SELECT position FROM view ORDER BY 1").fetchall() == there
        assert len(there) > 100
        book.advance(JOBS, to=1)
        with own.transaction(), pytest.raises(StorageError, match="in a transaction already"):
            projectors[0].catch_up()


def test_the_documented_role_may_append_and_read_and_no_more(kind: str) -> None:
    if ELSEWHERE:
        pytest.skip("no role is made on a server of somebody else")
    page = (Path(__file__).parents[1] / "docs/postgresql.md").read_text("utf-8")
    [granting] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    schema, role = "deliveries", "dispatcher"
    base = server(kind)
    owned = with_schema(base, schema)
    as_role = owned.replace("postgres@", f"{role}@", 1)
    try:
        with ledger.open(owned, actor="owner") as book:
            book.advance(ORDERS, to=1)
        with connect(base) as raw:
            raw.execute(granting.encode())
        with ledger.open(as_role, actor="dispatcher") as book:
            book.advance(ORDERS, to=2)
            book.append([AdvanceCursor(CursorKey(f"c{n}", "orders"), 1) for n in range(50)])
            book.reset(JOBS, to=3, reason="x")
            assert book.record_error(JOBS, "boom").version == 2
            assert book.verify().ok
            assert len(list(book.entries())) == 54
            assert book.horizon().waiting == ()
            with pytest.raises(StorageError, match="may not do that"):
                book.rebuild()
        forbidden = [
            "UPDATE ledger_events SET actor = 'me'",
            "DELETE FROM ledger_events",
            "DELETE FROM ledger_events_0",
            "UPDATE ledger_events_0 SET actor = 'me'",
            "TRUNCATE ledger_events",
            "DELETE FROM ledger_cursors",
            "UPDATE ledger_cursors SET consumer_id = 'me'",
            "UPDATE ledger_cursors SET id = 1",
            "TRUNCATE ledger_cursors",
            "DROP TABLE ledger_events",
            "ALTER TABLE ledger_events DISABLE TRIGGER ALL",
            "SET session_replication_role = replica",
            "DROP TRIGGER ledger_events_refuse_change ON ledger_events",
            "SELECT setval('ledger_positions', 1)",
            "ALTER SEQUENCE ledger_positions RESTART",
            "INSERT INTO ledger_tags VALUES (4, 'mine')",
            "INSERT INTO ledger_migrations (name) VALUES ('mine')",
            "CREATE TABLE mine (n integer)",
            "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS ''",
            "DROP SCHEMA deliveries CASCADE",
        ]
        with connect(as_role) as raw:
            for statement in forbidden:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    raw.execute(statement.encode())
    finally:
        with connect(base) as raw:
            raw.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
            raw.execute(f"DROP ROLE IF EXISTS {role}".encode())


def test_an_outcome_that_somebody_keeps_locked_is_unknown_too(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(target, actor="tester", busy_timeout_s=0.3) as book:
        book.advance(ORDERS, to=1)
        with connect(target, autocommit=False) as holder, monkeypatch.context() as patched:
            Cut(patched, before=True)
            going = Pool._go_on_or_raise

            def hold(*args: Any) -> None:
                # As the lost one may hold it still.
                holder.execute("SELECT 1 FROM ledger_cursors FOR UPDATE")
                patched.setattr(Pool, "_go_on_or_raise", going)
                going(*args)

            patched.setattr(Pool, "_go_on_or_raise", hold)
            with pytest.raises(UnknownOutcomeError, match="look at webhooks/orders"):
                book.advance(ORDERS, to=2)
        assert book.advance(ORDERS, to=2).version == 2


@pytest.mark.parametrize("requests", [1, 3])
def test_one_round_trip_holds_the_gate_as_well(target: str, book: Ledger, requests: int) -> None:
    book.advance(ORDERS, to=1)
    known = book._store.connections._known  # type: ignore[attr-defined]
    with connect(target, autocommit=False) as late:
        send_all_numbers_alike(late)
        transaction = Remembered(known)
        groups = [[AdvanceCursor(ORDERS, 1 + n)] for n in range(1, requests + 1)]
        commit(transaction, groups, actor="late", clock=Clock())
        transaction.send(PostgresSession(late, statements(Address.parse(target).schema)))
        book.advance(JOBS, to=1)
        assert list(book.entries(EntryQuery(stream_name=JOBS.stream_name))) == []
        assert book.horizon().position == 1
        late.commit()
    assert [entry.position for entry in book.entries()] == list(range(1, requests + 3))
    assert book.verify().ok


def test_the_very_first_entry_may_be_the_one_that_is_late(target: str, book: Ledger) -> None:
    assert (book.horizon().position, book.horizon().last) == (0, 0)
    with connect(target, autocommit=False) as late:
        book.using(late).advance(JOBS, to=1)
        book.advance(ORDERS, to=1)
        assert list(book.entries()) == []
        late.commit()
    assert [entry.key for entry in book.entries()] == [JOBS, ORDERS]


def test_a_server_that_never_answers_is_not_waited_for_for_ever() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        with pytest.raises(StorageError, match="timeout"):
            ledger.open(url + "?connect_timeout=2")
        assert time.monotonic() - began < 8
        assert Address.parse(url).options["connect_timeout"] == 10
        assert "connect_timeout" not in Address.parse(url + "?connect_timeout=2").options


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


def test_nothing_counts_as_settled_before_a_copy_is_committed(
    book: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    send = Held.send

    def look_in_between(transaction: Held) -> None:
        send(transaction)
        seen.append(book.horizon())

    monkeypatch.setattr(Held, "send", look_in_between)
    with ledger.open(tmp_path / "source.db", actor="tester") as source:
        source.append([AdvanceCursor(ORDERS, to) for to in range(1, 11)])
        source.copy_to(book)
    [horizon] = seen
    assert (horizon.position, horizon.last) == (0, 10)
    assert book.horizon().position == 10


def test_a_copy_keeps_the_positions_that_were_left_out(
    target: str, book: Ledger, tmp_path: Path
) -> None:
    for to in range(1, 6):
        book.advance(ORDERS, to=to)
        with connect(target, autocommit=False) as caller:
            book.using(caller).advance(JOBS, to=1)
            caller.rollback()
    positions = [entry.position for entry in book.entries()]
    assert positions == [1, 3, 5, 7, 9]
    with (
        ledger.open(tmp_path / "copy.db", actor="tester") as file,
        ledger.open(target + "_again", actor="tester") as again,
    ):
        book.copy_to(file)
        file.copy_to(again)
        assert [entry.position for entry in file.entries()] == positions
        assert list(again.entries()) == list(book.entries())
        assert again.checkpoint() == file.checkpoint() == book.checkpoint()
        # What comes next, comes behind.
        again.advance(JOBS, to=1)
        file.advance(JOBS, to=1)
        assert [next(x.entries(EntryQuery(newest_first=True))).position for x in (again, file)] == [
            10,
            10,
        ]
    drop(Address.parse(target).conninfo, Address.parse(target).schema + "_again")
