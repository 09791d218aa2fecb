"""Many threads, many processes, and processes that are killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, EntryQuery, Ledger, NonMonotonicCursorError
from ledger.stores.sqlite import write_ahead_log
from support.cursors import JOBS
from support.depth import thorough
from support.preloaded import programs
from support.spawned import processes_of_their_own

PROCESSES, ADVANCES, CURSORS = 8, thorough(2_000, 100), 10
KEYS = [CursorKey("consumer", "stream", str(n)) for n in range(CURSORS)]


def report(path: str, name: int, start: Any, acknowledged: Any) -> None:
    try:
        acknowledged.put((name, advance_many(path, name, start)))
    except BaseException as error:
        acknowledged.put((name, repr(error)))
        raise


def advance_many(path: str, name: int, start: Any) -> list[tuple[int, int]]:
    """Make many advances on cursors that all others move too; give (cursor, sequence) of each."""
    own: list[tuple[int, int]] = []
    with ledger.open(path, actor=str(name), busy_timeout_s=300) as book:
        start.wait()
        while len(own) < ADVANCES:
            which = (name + len(own)) % CURSORS
            try:
                to = book.get(KEYS[which]).last_sequence + 1
            except ledger.CursorNotFoundError:
                to = 1
            try:
                book.advance(KEYS[which], to=to, delivery_id=f"{name}-{len(own)}")
            except NonMonotonicCursorError:
                continue
            own.append((which, to))
    return own


def test_eight_processes_on_ten_cursors_lose_nothing(path: Path) -> None:
    context = processes_of_their_own()
    start, acknowledged = context.Barrier(PROCESSES), context.Queue()
    workers = [
        context.Process(target=report, args=(str(path), name, start, acknowledged))
        for name in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    told = dict(acknowledged.get(timeout=600) for _ in workers)
    assert [own for own in told.values() if isinstance(own, str)] == []
    for worker in workers:
        worker.join()
    with ledger.open(path) as book:
        assert book.verify().ok
        written: dict[str, list[tuple[int, int]]] = {}
        for which, key in enumerate(KEYS):
            entries = list(book.history(key))
            # Nobody skips: every sequence was confirmed once, and versions have no holes.
            assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
            for entry in entries:
                event: Any = entry.event
                assert event.sequence == entry.version
                written.setdefault(entry.actor, []).append((which, event.sequence))
    for name, own in told.items():
        assert Counter(written[str(name)]) == Counter(own)
    assert sum(map(len, written.values())) == PROCESSES * ADVANCES


def test_threads_share_one_ledger(book: Ledger) -> None:
    def work(name: int) -> int:
        done = 0
        for n in range(50):
            key = KEYS[n % CURSORS]
            book.record_error(key, f"{name}-{n}")
            done += book.get(key).version > 0
            if n % 10 == 0:
                book.append_each([AdvanceCursor(key, n + 1), AdvanceCursor(key, 10**6 + n)])
                assert list(book.entries(EntryQuery(key=key, limit=3)))
        return done

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 16 * 50
    errors = [entry for entry in book.entries() if isinstance(entry.event, ledger.ErrorRecorded)]
    assert len({entry.event.message for entry in errors}) == 16 * 50  # type: ignore[union-attr]
    assert book.verify().ok


def test_closing_while_others_work_refuses_them_and_loses_nothing(path: Path) -> None:
    for _ in range(thorough(20, 5)):
        book = ledger.open(path, durability="normal")
        done: list[int] = []
        begun = threading.Event()

        def work(
            book: Ledger = book, done: list[int] = done, begun: threading.Event = begun
        ) -> None:
            try:
                while True:
                    done.append(book.record_error(JOBS, "x").version)
                    begun.set()
                    next(book.history(JOBS))
            except ledger.StorageError as error:
                assert "closed" in str(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait()
        book.close()
        for thread in threads:
            thread.join()
        with ledger.open(path) as again:
            assert again.get(JOBS).version == max(done)


DELIVER = """
import sys, ledger
key = ledger.CursorKey("mailer", "jobs")
with ledger.open(sys.argv[1], actor="victim") as book:
    try:
        at = book.get(key).last_sequence
    except ledger.CursorNotFoundError:
        at = 0
    while True:
        if at % 3:
            at = book.advance(key, to=at + 1).last_sequence
        else:
            batch = [ledger.AdvanceCursor(key, at + n) for n in range(1, 41)]
            at = book.append(batch)[-1].last_sequence
        print(at, flush=True)
"""


@pytest.mark.parametrize("acknowledgements", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
def test_a_killed_process_loses_nothing_that_it_acknowledged(
    path: Path, acknowledgements: int
) -> None:
    last = 0
    for _ in range(2):
        with subprocess.Popen(
            [programs() / "python", "-c", DELIVER, path], stdout=subprocess.PIPE, text=True
        ) as victim:
            assert victim.stdout is not None
            for _ in range(acknowledgements):
                last = int(victim.stdout.readline())
            victim.send_signal(signal.SIGKILL)
            for line in victim.stdout:
                last = int(line) if line.endswith("\n") else last
        with ledger.open(path) as book:
            cursor = book.get(JOBS)
            # At most the one call that was under way is there besides: all of it, or nothing.
            assert cursor.last_sequence - last in {0, 1, 40}
            assert book.verify().ok
            assert [e.version for e in book.history(JOBS)] == list(range(1, cursor.version + 1))


@pytest.mark.slow("it starts many processes")
def test_the_write_ahead_log_is_copied_away_beside_readers(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    stop = threading.Event()
    largest = 0
    with ledger.open(path, durability="normal") as book:

        def read() -> None:
            while not stop.is_set():
                assert list(book.entries(EntryQuery(limit=300)))

        book.record_error(JOBS, "x")
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for n in range(4_000):
            book.record_error(CursorKey("c", "s", str(n % 50)), "x" * 100)
            if n % 100 == 0:
                largest = max(largest, log.stat().st_size)
        stop.set()
        for reader in readers:
            reader.join()
        book.record_error(JOBS, "x")
        book.append([AdvanceCursor(JOBS, n) for n in range(1, 20_000)])
        size = log.stat().st_size
        for n in range(3_000):
            book.record_error(JOBS, str(n))
        # What it had is in the database by now, and its room is used again.
        assert log.stat().st_size <= max(size, 8_000_000)
    # Without checkpoints it would have grown by some 13 kB a commit.
    assert largest < 16_000_000
    assert not log.exists()


def test_a_long_write_ahead_log_is_begun_anew_soon_after_its_readers_have_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = path.with_name(path.name + "-wal")
    with (
        ledger.open(path, durability="normal") as book,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
    ):

        def leave() -> None:
            if reader.in_transaction:
                reader.execute("ROLLBACK")

        def copied_beside_a_reader(connection: sqlite3.Connection) -> tuple[int, bool]:
            # He reads at the end of the log: all of it can be copied, and it cannot be begun anew.
            leave()
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return copied(connection)

        copied = write_ahead_log._copied
        monkeypatch.setattr(write_ahead_log, "_copied", copied_beside_a_reader)
        # In between two checkpoints of every 1,000 pages.
        for _ in range(1_050):
            book.record_error(JOBS, "x" * 100)
        monkeypatch.undo()
        leave()
        size = log.stat().st_size
        for _ in range(200):
            book.record_error(JOBS, "x" * 100)
        assert log.stat().st_size - size < 1_000_000
