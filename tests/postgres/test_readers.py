"""Readers on PostgreSQL, and those who commit late: nothing is skipped, and nothing read twice."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    LedgerBusyError,
    StorageError,
)
from ledger.cli.shown.waiting import waited_for
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.reading import PostgresSession, settle_types
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.transaction import Held, Remembered
from ledger.writing.commit import commit
from projections import Projector
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.servers import connect


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


@pytest.mark.parametrize("requests", [1, 3])
def test_one_round_trip_holds_the_gate_as_well(target: str, book: Ledger, requests: int) -> None:
    book.advance(ORDERS, to=1)
    known = book._store.connections._known  # type: ignore[attr-defined]
    with connect(target, autocommit=False) as late:
        settle_types(late)
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


@pytest.mark.slow("it looks for a race, at random")
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
                # A transaction of one call, in between.
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


def test_a_projector_reports_a_lock_that_it_did_not_get_and_goes_on_later(
    book: Ledger, target: str
) -> None:
    book.advance(JOBS, to=1)
    with connect(target) as own, connect(target) as other:
        own.execute("SET lock_timeout = '50ms'")
        view = Projector(book=book, name="view", connection=own, apply=lambda _: None)
        with other.transaction():
            other.execute(
                "SELECT pg_advisory_xact_lock("
                "hashtext('cursor-ledger projector'), hashtext('view'))"
            )
            with pytest.raises(LedgerBusyError, match=r"is locked .* Catch up again") as busy:
                view.catch_up()
        assert isinstance(busy.value.__cause__, psycopg.errors.LockNotAvailable)
        assert view.catch_up() == 1


def test_a_projector_reports_what_its_server_refuses(book: Ledger, target: str) -> None:
    book.advance(JOBS, to=1)
    with connect(target) as own:
        view = Projector(
            book=book,
            name="view",
            connection=own,
            apply=lambda _: own.execute("SELECT 1 FROM nowhere.at_all"),
        )
        with pytest.raises(StorageError, match=r"nowhere\.at_all.* Catch up again") as failed:
            view.catch_up()
        assert not isinstance(failed.value, LedgerBusyError)
