"""Callers in 64 threads, failures and kills: nobody is told too early, and nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ledger
import ledger.writing.group_commit
from ledger import AdvanceCursor, Cursor, CursorKey, Ledger, LedgerError, StorageError
from ledger.opening import utc_now
from ledger.writing.committer import Committer
from ledger.writing.group_commit import Writer
from support.cursors import JOBS
from support.depth import thorough
from support.gated import THREADS, Gated, run_threads

ROUNDS = int(os.environ.get("CURSOR_LEDGER_TEST_ROUNDS", thorough(300, 30)))
KILLS = thorough(50, 5)


LOOK_UP = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    found = connection.execute(
        "SELECT count(*) FROM ledger_log WHERE delivery_id = ?", (line.strip(),)
    ).fetchone()
    print(found[0], flush=True)
"""


def test_an_answered_append_can_be_read_from_another_process(path: Path) -> None:
    with ledger.open(path) as book:
        book.record_error(JOBS, "makes the file")
        command = [sys.executable, "-c", LOOK_UP, str(path)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as reader:
            assert reader.stdin
            assert reader.stdout
            assert reader.stdout.readline() == "ready\n"
            asking = threading.Lock()
            found = []

            def work(nth: int) -> None:
                for to in range(1, 16):
                    book.advance(
                        CursorKey(f"consumer-{nth}", "orders"), to=to, delivery_id=f"{nth}-{to}"
                    )
                    with asking:
                        reader.stdin.write(f"{nth}-{to}\n")  # type: ignore[union-attr]
                        found.append(reader.stdout.readline())  # type: ignore[union-attr]

            run_threads(work)
            reader.stdin.close()
        assert found == ["1\n"] * (THREADS * 15)


class Storm:
    """A ledger that is closed and opened again, and a store that fails now and then."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)
        self.reopening = threading.Lock()
        self.book = self.opened()

    def opened(self) -> Ledger:
        store = Gated(self.path, "normal")
        store.failure = self.failure
        committer = Committer(store, "tester", utc_now)
        return Ledger(committer, Writer(committer, busy_timeout_s=60, batch_size_max=100))

    def failure(self) -> Exception | None:
        drawn = self.chance.random()
        if drawn < 0.01:
            return StorageError("the disk is full")
        return RuntimeError("a bug") if drawn < 0.02 else None

    def reopen(self) -> None:
        with self.reopening:
            before, self.book = self.book, self.opened()
        before.close()


class Consumer:
    """One thread of the storm: what it was told, by the name that it gave each entry."""

    def __init__(self, storm: Storm, nth: int, seed: int) -> None:
        self.storm = storm
        self.nth = nth
        self.chance = random.Random(seed)
        self.own = CursorKey(f"consumer-{nth}", "orders")
        self.asked = 0
        self.appended: list[str] = []
        self.refused: list[str] = []

    def request(self, key: CursorKey, to: int, **more: Any) -> AdvanceCursor:
        self.asked += 1
        name = f"{self.nth}-{self.asked}"
        return AdvanceCursor(key, to, delivery_id=name, **more)

    def next_request(self) -> AdvanceCursor:
        """Ask for a place that is fine, long passed, or fought for with all others."""
        drawn = self.chance.random()
        if drawn < 0.6:
            return self.request(self.own, self.asked + 1)
        if drawn < 0.7:
            return self.request(self.own, 1)
        if drawn < 0.8:
            return self.request(self.own, self.asked + 1, epoch=7)
        return self.request(JOBS, self.chance.randrange(1, 10**6))

    def tell(self, requests: list[AdvanceCursor], work: Callable[[], list[Any]]) -> None:
        try:
            answers = work()
        except (LedgerError, RuntimeError, CancelledError) as error:
            answers = [error] * len(requests)
        for request, answer in zip(requests, answers, strict=True):
            told = self.appended if isinstance(answer, Cursor) else self.refused
            told.append(request.delivery_id)

    def step(self) -> None:
        book = self.storm.book
        drawn = self.chance.random()
        several = [self.next_request() for _ in range(self.chance.randrange(1, 5))]
        one = several[:1]
        if drawn < 0.5:
            self.tell(one, lambda: book.append(one))
        elif drawn < 0.65:
            self.tell(several, lambda: book.append(several))
        elif drawn < 0.8:
            self.tell(several, lambda: book.append_each(several))
        elif drawn < 0.9:
            self.tell(one, lambda: [book.submit(one[0]).result()])
        elif drawn < 0.99:
            self.tell(one, lambda: [cancelled(book.submit(one[0]))])
        elif drawn < 0.999:
            self.storm.reopen()


def cancelled(future: Future[Cursor]) -> Cursor:
    future.cancel()
    return future.result()


def test_a_storm_of_refusals_failures_and_closes_loses_and_doubles_nothing(path: Path) -> None:
    storm = Storm(path, seed=7)
    consumers = [Consumer(storm, nth, seed=1_000 + nth) for nth in range(THREADS)]

    def work(nth: int) -> None:
        for _ in range(ROUNDS):
            consumers[nth].step()

    run_threads(work, timeout_s=60 + ROUNDS)
    storm.book.close()
    with ledger.open(path) as book:
        found = Counter(
            entry.event.delivery_id
            for entry in book.entries()
            if isinstance(entry.event, ledger.CursorAdvanced)
        )
        assert book.verify().ok
    appended = [name for consumer in consumers for name in consumer.appended]
    refused = [name for consumer in consumers for name in consumer.refused]
    assert found == Counter(appended)
    assert not found.keys() & set(refused)
    assert len(appended) > ROUNDS
    assert len(refused) > ROUNDS


def deliver_in_64_threads(path: str, said: Connection) -> None:
    book = ledger.open(path, actor="victim")

    def work(nth: int) -> None:
        key = CursorKey(f"consumer-{nth}", "orders")
        try:
            to = book.get(key).last_sequence
        except ledger.CursorNotFoundError:
            to = 0
        while True:
            to += 1
            book.advance(key, to=to)
            said.send_bytes(f"{nth} {to}".encode())

    for nth in range(THREADS):
        threading.Thread(target=work, args=(nth,)).start()
    time.sleep(600)


def test_a_process_killed_under_load_has_lost_nothing_that_it_acknowledged(path: Path) -> None:
    # A server forks the victims, so that they need not import everything first.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ledger.writing.group_commit", "concurrent.futures"])
    chance = random.Random(50)
    acknowledged: dict[int, int] = {}
    for _ in range(KILLS):
        heard, said = context.Pipe(duplex=False)
        victim = context.Process(target=deliver_in_64_threads, args=(str(path), said))
        victim.start()
        said.close()

        def hear(heard: Connection = heard) -> None:
            nth, to = map(int, heard.recv_bytes().split())
            acknowledged[nth] = to

        # The first lives until most of its threads were answered, others for a while after a word.
        heard.poll(60)
        while len(acknowledged) <= THREADS / 2:
            hear()
        time.sleep(chance.uniform(0, 0.1))
        victim.kill()
        victim.join()
        with heard, suppress(EOFError):
            while True:
                hear()
        with ledger.open(path) as book:
            for nth, to in acknowledged.items():
                assert book.get(CursorKey(f"consumer-{nth}", "orders")).last_sequence >= to
    with ledger.open(path) as book:
        assert book.verify().ok
        for nth in acknowledged:
            entries = book.history(CursorKey(f"consumer-{nth}", "orders"))
            # Every place once: nothing that was acknowledged was lost, and nothing doubled.
            assert all(
                entry.version == entry.event.sequence  # type: ignore[union-attr]
                for entry in entries
            )
