"""Each process that writes to a file has its share, and goes on for a moment before the next."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import line
from ledger.stores.sqlite.connecting import READ_WRITE, connect
from ledger.stores.sqlite.line import Line
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.transaction import SQLiteTransaction
from support.spawned import processes_of_their_own

PROCESSES = 8
SECONDS = 3.0


def write_for_a_while(path: str, name: int, start: Any, told: Any) -> None:
    key = CursorKey(f"consumer-{name}", "orders")
    with ledger.open(path, busy_timeout_s=60) as book:
        book.advance(key, to=1)
        start.wait()
        worst, calls = 0.0, 1
        now = time.monotonic()
        end = now + SECONDS
        while now < end:
            calls += 1
            book.advance(key, to=calls)
            before, now = now, time.monotonic()
            worst = max(worst, now - before)
    told.put((calls, worst))


def test_each_of_eight_processes_has_its_share(path: Path) -> None:
    ledger.open(path).close()
    context = processes_of_their_own()
    start, told = context.Barrier(PROCESSES), context.Queue()
    workers = [
        context.Process(target=write_for_a_while, args=(str(path), name, start, told))
        for name in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    calls, waits = zip(*(told.get(timeout=60) for _ in workers), strict=True)
    for worker in workers:
        worker.join()
    # Without the line the least served has some hundredth, and waits for most of the time.
    assert min(calls) > max(calls) / 4, calls
    assert max(waits) < SECONDS / 2, waits
    assert not path.with_name(path.name + line.SUFFIX).exists()
    with ledger.open(path) as book:
        assert book.verify().ok
        assert sum(cursor.version for cursor in book.cursors()) == sum(calls)


def test_a_program_that_knows_nothing_of_the_line_gets_in(path: Path) -> None:
    stop = threading.Event()
    with ledger.open(path, busy_timeout_s=60) as one, ledger.open(path, busy_timeout_s=60) as two:

        def write(book: ledger.Ledger, consumer: str) -> None:
            to = 0
            while not stop.is_set():
                to += 1
                book.advance(CursorKey(consumer, "orders"), to=to)

        writers = [
            threading.Thread(target=write, args=(book, name))
            for book, name in ((one, "a"), (two, "b"))
        ]
        for writer in writers:
            writer.start()
        try:
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as other:
                other.execute("CREATE TABLE mine (n INTEGER)")
                for n in range(20):
                    other.execute("INSERT INTO mine VALUES (?)", (n,))
        finally:
            stop.set()
            for writer in writers:
                writer.join()


def test_the_first_lets_another_go_on_until_its_time_is_over(path: Path) -> None:
    path.touch()
    tried_at: list[float] = []
    mine = Line(str(path))
    began = time.monotonic()
    # Others wait, so it lines up; another commits between all of its looks.
    mine._begin_in_line(lambda: tried_at.append(time.monotonic()), Deadline.after(10), lambda: True)
    assert line.GOES_ON_S <= tried_at[0] - began < line.PATIENCE_S
    mine.close()


@pytest.mark.parametrize("commits", [0, 3])
def test_the_first_begins_once_another_has_stopped(path: Path, commits: int) -> None:
    path.touch()
    left = [commits]
    slept: list[float] = []

    def another_wrote() -> bool:
        left[0] -= 1
        return left[0] >= 0

    def attempt() -> None:
        assert left[0] < 0

    mine = Line(str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "sleep", slept.append)
        mine._begin_in_line(attempt, Deadline.after(10), another_wrote)
    assert slept == [line.GAP_S] * commits
    mine.close()


def test_a_process_that_has_paused_looks_whether_others_wait(path: Path) -> None:
    path.touch()
    mine, other = Line(str(path)), Line(str(path))
    looks: list[bool] = []

    def another_wrote() -> bool:
        looks.append(True)
        return False

    others: list[bool] = []

    def begin() -> None:
        others.clear()
        mine.begin(lambda: others.append(mine._others_wait()), Deadline.after(10), another_wrote)

    begin()
    begin()
    assert other._join() == 1
    begin()
    assert others == [True], "it goes on without a look"
    releasing = threading.Timer(0.1, other.abandon)
    releasing.start()
    time.sleep(line.PAUSE_S)
    begin()
    assert (others, looks) == ([False], [True]), "it has lined up behind the other"
    releasing.join()
    mine.close()


def test_what_another_connection_commits_is_noticed_once(path: Path) -> None:
    ledger.open(path).close()
    with (
        closing(connect(str(path), READ_WRITE, 1.0)) as mine,
        closing(sqlite3.connect(path)) as its,
    ):
        transaction = SQLiteTransaction(SQLiteSession(mine, reads_only=False))
        transaction.another_wrote()
        transaction.begin()
        mine.execute("CREATE TABLE mine (n INTEGER)")
        transaction.commit()
        assert not transaction.another_wrote()
        its.execute("CREATE TABLE its (n INTEGER)")
        assert transaction.another_wrote()
        assert not transaction.another_wrote()
