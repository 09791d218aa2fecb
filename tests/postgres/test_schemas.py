"""What the database itself has to do: schemas, roles, keys, and many who come at once."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg import sql

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    EntryQuery,
    FaultKind,
    Ledger,
    LedgerBusyError,
    NonMonotonicCursorError,
    SchemaVersionError,
    StorageError,
)
from ledger.aio import AsyncLedger
from ledger.stores.deadline import Deadline
from ledger.stores.postgres.keys import cursor_id
from ledger.writing.committer import Committer
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.definitions import KEPT, fresh_definitions
from support.falsified_databases import FALSIFICATIONS
from support.servers import connect, server, with_schema
from support.spawned import processes_of_their_own


def test_two_transactions_that_make_the_same_cursor_do_so_once(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(ORDERS, to=1)
        waiting = threading.Thread(target=lambda: book.advance(ORDERS, to=2))
        waiting.start()
        time.sleep(0.2)
        caller.commit()
        waiting.join(10)
    assert [entry.version for entry in book.history(ORDERS)] == [1, 2]


def test_what_was_skipped_behind_a_lost_race_is_not_taken_for_prepared(target: str) -> None:
    with (
        ledger.open(target, actor="tester") as book,
        connect(target, autocommit=False) as caller,
    ):
        for n in range(1, 13):
            key = CursorKey(f"c{n}", "orders")
            book.using(caller).advance(key, to=1)
            # It waits behind the caller, who has made the cursor, and finds that out in the middle
            # of all that it has sent.
            racing = book.submit(AdvanceCursor(key, 2))
            time.sleep(0.05)
            caller.commit()
            assert racing.result(5).version == 2


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


REPLACE = """
    INSERT INTO ledger_events SELECT * FROM ledger_events
    ON CONFLICT (cursor_id, version) DO UPDATE SET actor = 'me'
"""


def open_and_advance(target: str, nth: int) -> None:
    with ledger.open(target, actor=f"process-{nth}") as book:
        book.advance(CursorKey(f"p{nth}", "orders"), to=1)


@pytest.mark.slow("it starts ten processes")
def test_ten_processes_open_an_empty_database_at_once(target: str) -> None:
    context = processes_of_their_own()
    processes = [context.Process(target=open_and_advance, args=(target, n)) for n in range(10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 10
    with ledger.open(target) as book:
        assert len(list(book.cursors())) == 10


@pytest.mark.parametrize(
    "schema", ["Ünïcode ß", 'quo"te', "per%cent", "{brace}", "sel'ect", "a&b?", "e", "s", "c"]
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
        raw.execute("ALTER TABLE ledger_cursors DISABLE TRIGGER USER")
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


def test_what_is_submitted_to_a_cursor_that_is_held_holds_up_no_other(
    target: str, book: Ledger
) -> None:
    for key in (ORDERS, JOBS):
        book.advance(key, to=1)
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(ORDERS, to=2)
        # More than a transaction takes.
        waiting = [book.submit(AdvanceCursor(ORDERS, to)) for to in range(3, 603)]
        others = [book.submit(AdvanceCursor(JOBS, to)) for to in range(2, 102)]
        assert [future.result(5).version for future in others] == list(range(2, 102))
        # Others who wait for their answer go on as well.
        assert book.advance(JOBS, to=103).version == 102
        assert not any(future.done() for future in waiting)
        caller.commit()
        assert [future.result(5).version for future in waiting] == list(range(3, 603))
    assert book.verify().ok


def test_what_is_submitted_to_a_cursor_that_stays_held_is_busy_in_the_end(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    append_free = Committer.append_free

    def counted(committer: Committer, calls: Any, deadline: Deadline) -> Any:
        tries.append(calls)
        return append_free(committer, calls, deadline)

    monkeypatch.setattr(Committer, "append_free", counted)
    with (
        ledger.open(target, actor="tester", busy_timeout_s=0.5) as book,
        connect(target, autocommit=False) as caller,
    ):
        for key in (ORDERS, JOBS):
            book.advance(key, to=1)
        book.using(caller).advance(ORDERS, to=2)
        # One alone, whose head is remembered; and a few.
        alone = book.submit(AdvanceCursor(ORDERS, 3))
        with pytest.raises(LedgerBusyError, match="held by another transaction"):
            alone.result(5)
        # Now and then, and not all the time.
        assert 2 <= len(tries) <= 60
        few = [book.submit(AdvanceCursor(ORDERS, to)) for to in range(4, 8)]
        assert book.submit(AdvanceCursor(JOBS, 2)).result(5).version == 2
        late = book.submit(AdvanceCursor(ORDERS, 9))
        book.close()
        for future in (*few, late):
            assert isinstance(future.exception(0), LedgerBusyError)
    with ledger.open(target) as book:
        assert book.get(ORDERS).last_sequence == 2


def test_a_call_that_waits_for_one_of_its_cursors_keeps_its_place_at_the_others(
    target: str,
) -> None:
    async def everything() -> None:
        async with ledger.aio.open(target, actor="tester") as book:
            for key in (ORDERS, JOBS):
                await book.advance(key, to=1)
            with connect(target, autocommit=False) as caller, ledger.open(target) as other:
                other.using(caller).advance(ORDERS, to=2)
                both = asyncio.create_task(
                    book.append([AdvanceCursor(ORDERS, 3), AdvanceCursor(JOBS, 3)])
                )
                await asyncio.sleep(0.1)
                behind = asyncio.create_task(book.advance(JOBS, to=4))
                free = await book.advance(CursorKey("free", "orders"), to=1)
                assert free.version == 1
                await asyncio.sleep(0.1)
                assert not both.done()
                assert not behind.done()
                caller.commit()
            assert [cursor.version for cursor in await both] == [3, 2]
            assert (await behind).version == 3

    asyncio.run(everything())


def test_a_callback_that_asks_for_more_stands_behind_those_that_were_put_off(
    target: str, book: Ledger
) -> None:
    for key in (ORDERS, JOBS):
        book.advance(key, to=1)
    with connect(target, autocommit=False) as caller:
        book.using(caller).advance(ORDERS, to=2)
        waiting = [book.submit(AdvanceCursor(ORDERS, 3))]
        told = book.submit(AdvanceCursor(JOBS, 2))
        asked = threading.Event()

        def ask(_: object) -> None:
            waiting.append(book.submit(AdvanceCursor(ORDERS, 4)))
            asked.set()

        told.add_done_callback(ask)
        assert asked.wait(5)
        caller.commit()
        assert [future.result(5).version for future in waiting] == [3, 4]


def test_coroutines_share_transactions_on_a_server_too(target: str) -> None:
    async def confirm(book: AsyncLedger, nth: int) -> int:
        cursor = await book.advance(CursorKey(f"c{nth % 10}", "orders"), to=nth + 1)
        return cursor.last_sequence

    async def everything() -> None:
        async with ledger.aio.open(target, actor="tester") as book:
            reached = await asyncio.gather(*(confirm(book, nth) for nth in range(300)))
            assert reached == list(range(1, 301))
            with pytest.raises(NonMonotonicCursorError):
                await book.advance(CursorKey("c9", "orders"), to=1)
            with pytest.raises(ConnectionError):
                async with book.delivering(JOBS, to=1):
                    raise ConnectionError("smtp is away")
            assert (await book.get(JOBS)).last_error == "ConnectionError: smtp is away"
            assert [e.position async for e in book.entries()] == list(range(1, 302))
            assert (await book.horizon()).waiting == ()
            assert (await book.verify()).ok

    asyncio.run(everything(), debug=True)


def test_the_definitions_are_those_that_the_migrations_make(kind: str) -> None:
    assert fresh_definitions(kind) == json.loads(KEPT.read_text("utf-8")), (
        "a migration has changed the tables: run scripts/definitions"
    )


def test_amcheck_compares_each_index_with_its_table(book: Ledger, target: str) -> None:
    with connect(target) as connection:
        there = connection.execute(
            "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'"
        ).fetchone()
        if not there:
            pytest.skip("this server has no amcheck")
        connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA public")
    for number in range(1, 5):
        book.reset(JOBS, to=number, reason="again")
    assert book.verify().ok
    deed, _, _ = FALSIFICATIONS["the index of resets with a gap"]
    with connect(target) as connection:
        deed(connection)
    faults = [fault for fault in book.verify().faults if fault.detail.startswith("amcheck: ")]
    assert [fault.kind for fault in faults] == [FaultKind.INDEX]
    assert re.fullmatch("index ledger_events_._position_idx1", faults[0].place)


def test_a_ledger_whose_tables_are_gone_says_where_it_was(target: str) -> None:
    with ledger.open(target, actor="x") as book, connect(target) as raw:
        book.advance(ORDERS, to=1)
        raw.execute("DROP TABLE ledger_events, ledger_cursors CASCADE")
        with pytest.raises(SchemaVersionError, match="has no ledger in it") as caught:
            list(book.cursors())
    assert str(caught.value).startswith(str(caught.value.place))
    assert str(caught.value.place).startswith("postgresql://")
