"""What keeps up with the log: nothing is missed, nothing comes twice, also when it is killed."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Entry, EntryQuery, InvalidCursorError, Ledger
from projections import Projector, follow
from support.cursors import JOBS, ORDERS


@pytest.fixture
def connection(book: Ledger, path: Path) -> Iterator[sqlite3.Connection]:
    del book  # It has made the file.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY)")
        yield connection


def projector(book: Ledger, connection: sqlite3.Connection, **more: Any) -> Projector:
    def see(entry: Entry) -> None:
        connection.execute("INSERT INTO seen VALUES (?)", (entry.position,))

    return Projector(book=book, name="seen", connection=connection, **{"apply": see, **more})


def seen(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT position FROM seen ORDER BY position")]


def positions(book: Ledger) -> list[int]:
    return [e.position for e in book.entries() if e.key.stream_name != "cursor-ledger/log"]


@pytest.mark.parametrize("batch_entries", [1, 3, 500])
def test_a_view_is_caught_up_from_its_checkpoint(
    book: Ledger, connection: sqlite3.Connection, batch_entries: int
) -> None:
    view = projector(book, connection, batch_entries=batch_entries)
    assert (view.catch_up(), view.position) == (0, 0)
    book.append([AdvanceCursor(ORDERS, n) for n in range(1, 8)])
    assert view.catch_up() == 7
    assert seen(connection) == positions(book)
    assert view.catch_up() == 0
    book.record_error(JOBS, "HTTP 503")
    assert view.catch_up() == 1
    assert seen(connection) == positions(book)
    assert book.get(view.key).last_sequence == view.position == positions(book)[-1]
    assert book.verify().ok


def test_an_entry_that_cannot_be_applied_rolls_its_batch_back(
    book: Ledger, connection: sqlite3.Connection
) -> None:
    book.append([AdvanceCursor(ORDERS, n) for n in range(1, 6)])

    def fail_at_four(entry: Entry) -> None:
        connection.execute("INSERT INTO seen VALUES (?)", (entry.position,))
        if entry.position == 4:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        projector(book, connection, apply=fail_at_four, batch_entries=3).catch_up()
    assert seen(connection) == [1, 2, 3]
    assert not connection.in_transaction
    assert projector(book, connection).catch_up() == 2


def test_two_projectors_of_one_name_do_not_repeat(
    book: Ledger, connection: sqlite3.Connection, path: Path
) -> None:
    book.append([AdvanceCursor(ORDERS, n) for n in range(1, 301)])

    def work() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as own:
            projector(book, own, batch_entries=7).catch_up()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen(connection) == positions(book)


def test_a_projector_follows_until_it_is_stopped(book: Ledger, path: Path) -> None:
    stop = threading.Event()
    applied: list[int] = []

    def work() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as own:
            view = Projector(
                book=book, name="live", connection=own, apply=lambda e: applied.append(e.position)
            )
            for _ in view.follow(poll_s=0.002, stop=stop):
                pass

    thread = threading.Thread(target=work)
    thread.start()
    for n in range(1, 30):
        book.advance(ORDERS, to=n)
    deadline = time.monotonic() + 30
    while len(applied) < 29 and time.monotonic() < deadline:
        time.sleep(0.002)
    stop.set()
    thread.join(30)
    assert applied == positions(book)


def test_a_projector_refuses_what_it_cannot_work_with(
    book: Ledger, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    wrong: list[dict[str, Any]] = [
        {"name": " "},
        {"name": 7},
        {"apply": None},
        {"batch_entries": 0},
        {"batch_entries": 100_001},
    ]
    for each in wrong:
        with pytest.raises(InvalidCursorError):
            attrs.evolve(projector(book, connection), **each)
    with (
        closing(sqlite3.connect(tmp_path / "other.db")) as other,
        pytest.raises(InvalidCursorError, match="same file"),
    ):
        projector(book, other)
    book.advance(ORDERS, to=1)
    connection.execute("BEGIN")
    with pytest.raises(ledger.StorageError, match="in a transaction already"):
        projector(book, connection).catch_up()
    connection.execute("ROLLBACK")


def test_a_busy_database_is_said_to_be_busy(book: Ledger, path: Path) -> None:
    with (
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as own,
        closing(sqlite3.connect(path, isolation_level=None)) as holder,
    ):
        view = Projector(book=book, name="x", connection=own, apply=lambda _: None)
        book.advance(ORDERS, to=1)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(ledger.LedgerBusyError, match=r"is locked .* Catch up again"):
            view.catch_up()
        holder.execute("ROLLBACK")
        assert view.catch_up() == 1


def test_what_the_driver_reports_is_a_storage_error_with_its_cause(
    book: Ledger, connection: sqlite3.Connection
) -> None:
    book.advance(ORDERS, to=1)
    view = projector(book, connection)
    denied = sqlite3.SQLITE_TRANSACTION

    def allow(action: int, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == denied else sqlite3.SQLITE_OK

    connection.set_authorizer(allow)
    with pytest.raises(ledger.StorageError, match=r"not authorized.* Catch up again") as failed:
        view.catch_up()
    assert not isinstance(failed.value, ledger.LedgerBusyError)
    assert isinstance(failed.value.__cause__, sqlite3.DatabaseError)
    connection.set_authorizer(None)
    assert view.catch_up() == 1


CHILD = """
import sqlite3, sys
import ledger
from projections import Projector

connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
with ledger.open(sys.argv[1]) as book:
    view = Projector(
        book=book,
        name="killed",
        connection=connection,
        apply=lambda e: connection.execute(
            "INSERT INTO seen (position, what) VALUES (?, ?)", (e.position, e.version)
        ),
        batch_entries=5,
    )
    for applied in view.follow(poll_s=0.001):
        print(applied, flush=True)
"""


@pytest.mark.slow("it interrupts or kills commands at many moments")
def test_a_projector_that_is_killed_goes_on_without_missing_or_repeating(path: Path) -> None:
    with ledger.open(path, actor="tester", durability="normal") as book:
        book.append([AdvanceCursor(ORDERS, n) for n in range(1, 2_001)])
        with closing(sqlite3.connect(path)) as raw:
            # Without a primary key: a repeat would be there to be seen.
            raw.execute("CREATE TABLE seen (position INTEGER, what INTEGER)")
            raw.commit()
        for round_ in range(12):
            with subprocess.Popen(
                [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
            ) as child:
                assert child.stdout is not None
                child.stdout.readline()
                time.sleep(random.uniform(0, 0.05))
                child.send_signal(signal.SIGKILL)
            book.advance(ORDERS, to=2_001 + round_)
        with closing(sqlite3.connect(path, isolation_level=None)) as own:
            Projector(
                book=book,
                name="killed",
                connection=own,
                apply=lambda e: own.execute("INSERT INTO seen VALUES (?, ?)", (e.position, 0)),
            ).catch_up()
            assert seen(own) == positions(book)
        assert book.verify().ok


# --- entries as they come ---


def test_following_gives_what_is_there_and_then_what_comes(book: Ledger) -> None:
    book.append([AdvanceCursor(ORDERS, n) for n in (1, 2, 3)])
    stop = threading.Event()
    entries = follow(book, EntryQuery(stream_name="orders"), after=1, poll_s=0.001, stop=stop)
    assert [next(entries).position for _ in range(2)] == [2, 3]
    threading.Timer(0.02, lambda: book.advance(JOBS, to=1)).start()
    threading.Timer(0.04, lambda: book.advance(ORDERS, to=4)).start()
    assert next(entries).event == list(book.history(ORDERS))[-1].event
    stop.set()
    assert list(entries) == []


def test_following_ends_at_the_bounds_of_its_query(book: Ledger) -> None:
    book.append([AdvanceCursor(ORDERS, n) for n in range(1, 9)])
    stop = threading.Event()
    query = EntryQuery(position_from=3, position_until=5, newest_first=True, limit=1)
    entries = follow(book, query, poll_s=0.001, stop=stop)
    assert [next(entries).position for _ in range(3)] == [3, 4, 5]
    stop.set()
    assert list(entries) == []
    assert book.get(CursorKey("webhooks", "orders", "customer-7")).last_sequence == 8


@pytest.mark.parametrize("by", ["itself", "another"])
def test_followers_are_woken_by_what_is_appended(book: Ledger, path: Path, by: str) -> None:
    """Each would look for itself only after an hour."""
    stop, found = threading.Event(), list[int]()
    with closing(sqlite3.connect(path, check_same_thread=False)) as db:
        view = Projector(book=book, name="view", connection=db, apply=lambda _: None)

        def follow_all() -> None:
            for entry in follow(book, EntryQuery(stream_name="orders"), poll_s=3_600, stop=stop):
                found.append(entry.position)

        def keep_up() -> None:
            for _ in view.follow(poll_s=3_600, stop=stop):
                pass

        threads = [threading.Thread(target=each) for each in (follow_all, keep_up)]
        for thread in threads:
            thread.start()
        with ledger.open(path) as other:
            for n in range(1, 6):
                time.sleep(0.05)
                (book if by == "itself" else other).advance(ORDERS, to=n)
                end = time.monotonic() + 20
                while len(found) < n or view.position < found[-1]:
                    assert time.monotonic() < end
                    time.sleep(0.002)
        stop.set()
        began = time.monotonic()
        for thread in threads:
            thread.join(20)
        assert time.monotonic() - began < 5
    assert len(found) == 5


def test_a_view_that_would_have_to_be_awaited_is_not_taken_for_made(
    book: Ledger, connection: sqlite3.Connection
) -> None:
    async def apply(entry: Entry) -> None:
        connection.execute("INSERT INTO seen VALUES (?)", (entry.position,))

    book.advance(ORDERS, to=1)
    with pytest.raises(InvalidCursorError, match="apply is an `async def`"):
        Projector(book=book, name="seen", connection=connection, apply=apply)

    def applied(entry: Entry) -> object:
        return apply(entry)

    view = Projector(book=book, name="seen", connection=connection, apply=applied)
    with pytest.raises(InvalidCursorError, match="apply returned a coroutine"):
        view.catch_up()
    assert view.position == 0
