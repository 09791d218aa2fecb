"""One trial of the dispatcher: it is killed, its cursors are reset, and it gets to the end."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import attrs

import ledger
from ledger import Cursor, CursorKey, Ledger
from projections import resets
from support.dispatching.findings import Arrival, arrivals, by_subject, findings
from support.preloaded import COMMAND

__all__ = ["Plan", "Trial"]

HERE = Path(__file__).parent
UNTIL_S = 240


@attrs.frozen
class Plan:
    """How large a trial is, and how often it is disturbed."""

    events: int
    subjects: int
    kills: int
    resets: int
    answers_within_s: float
    seed: int


class Trial:
    """A table, a receiver, and a dispatcher on a ledger."""

    def __init__(self, plan: Plan, way: str, target: str, folder: Path) -> None:
        self._plan, self._way, self._target = plan, way, target
        self._chance = random.Random(plan.seed)
        self._table = folder / "events.db"
        self._log = folder / "received.jsonl"
        self._told = folder / "dispatcher.txt"
        self._held = folder / "received.jsonl.held"
        self._streams = self._make_table()
        self._dispatcher: subprocess.Popen[str] | None = None
        self._port = 0
        self._killed = self._reset = 0

    def run(self) -> list[Arrival]:
        """Dispatch everything; return what the receiver wrote down. Fails if anything is wrong."""
        with ledger.open(self._target, actor="examiner") as book, self._receiver():
            try:
                self._disturb(book)
                self._finish(book)
            finally:
                if self._dispatcher is not None:
                    self._dispatcher.kill()
                    self._dispatcher.wait()
            came = arrivals(self._log)
            self._examine(book, came)
        return came

    # --- what happens ---

    def _disturb(self, book: Ledger) -> None:
        """Kill and reset at random moments; the last reset comes when there is nothing to do."""
        kills = [(self._chance.uniform(0.05, 0.9), "kill") for _ in range(self._plan.kills)]
        early = [(self._chance.uniform(0, 0.6), "reset") for _ in range(self._plan.resets - 1)]
        self._start()
        for moment, what in sorted(kills + early):
            self._wait_for(partial(self._has_received, moment * self._plan.events))
            time.sleep(self._chance.uniform(0, 0.05))
            if what == "kill":
                self._kill()
                self._start()
            else:
                self._wait_for(lambda: self._moved(book))
                with self._answers_held():
                    self._rewind(book)
        self._wait_for(lambda: self._done(book))
        self._rewind(book)

    def _finish(self, book: Ledger) -> None:
        self._wait_for(lambda: self._done(book))
        assert self._dispatcher is not None
        self._dispatcher.terminate()
        assert self._dispatcher.wait(30) == 0, self._told.read_text()

    def _start(self) -> None:
        arguments = [self._way, self._target, str(self._table), str(self._port)]
        with self._told.open("a") as told:
            self._dispatcher = subprocess.Popen(
                [sys.executable, str(HERE / "dispatcher.py"), *arguments],
                text=True,
                stdout=told,
                stderr=told,
                env={**os.environ, "PYTHONWARNINGS": "error"},
            )

    def _kill(self) -> None:
        assert self._dispatcher is not None
        self._dispatcher.send_signal(signal.SIGKILL)
        assert self._dispatcher.wait() == -signal.SIGKILL, self._told.read_text()
        self._killed += 1

    def _rewind(self, book: Ledger) -> None:
        """Reset a cursor by the command, one with work to do if any has; again if it moved."""
        self._wait_for(lambda: self._moved(book))
        moved = sorted(self._moved(book), key=lambda each: each.key)
        at_work = [each for each in moved if each.last_sequence < self._last_of(each.key)]
        cursor = self._chance.choice(at_work or moved)
        to = int(cursor.last_sequence * self._chance.uniform(0.2, 0.8))
        name = (cursor.key.consumer_id, cursor.key.stream_name, cursor.key.subject_id)
        how = ("--to", to, "--reason", "the receiver lost some", "--actor", "ines")
        command = [COMMAND, "--db", self._target, "reset", *name, *how, "--execute", "--yes"]
        # Refused with 3 if the cursor moved since the command looked at it.
        while (done := _run(command)).returncode == 3:
            pass
        assert done.returncode == 0, done.stderr
        self._reset += 1

    @contextmanager
    def _answers_held(self) -> Iterator[None]:
        """Have deliveries in flight all the while: they are answered once the block is over."""
        self._held.touch()
        try:
            # Some that are not answered yet, so that none of them was confirmed.
            time.sleep(2 * self._plan.answers_within_s)
            yield
        finally:
            self._held.unlink()

    # --- what is seen ---

    def _wait_for(self, condition: Callable[[], object]) -> None:
        until = time.monotonic() + UNTIL_S
        while not condition():
            assert self._dispatcher is not None
            assert self._dispatcher.poll() is None, self._told.read_text()
            assert time.monotonic() < until, "it got stuck"
            time.sleep(0.02)

    def _has_received(self, count: float) -> bool:
        return self._log.exists() and self._log.read_bytes().count(b"\n") >= count

    def _moved(self, book: Ledger) -> list[Cursor]:
        return [cursor for cursor in book.cursors() if cursor.last_sequence]

    def _last_of(self, key: CursorKey) -> int:
        return self._streams[key.subject_id][-1]

    def _done(self, book: Ledger) -> bool:
        done = [each for each in book.cursors() if each.last_sequence == self._last_of(each.key)]
        return len(done) == len(self._streams)

    def _examine(self, book: Ledger, came: list[Arrival]) -> None:
        wrong: list[str] = []
        sorted_out = by_subject(came)
        for subject, stream in self._streams.items():
            key = CursorKey("dispatcher", "events", subject)
            wrong += findings(book, key, stream, sorted_out[subject])
        assert not wrong, "\n".join([f"{len(wrong)} findings", *wrong[:5]])
        assert book.verify().ok
        assert sum(1 for _ in resets(book)) == self._reset == self._plan.resets
        assert self._killed == self._plan.kills

    # --- what is there ---

    def _make_table(self) -> dict[str, list[int]]:
        """Make the table; return the sequences of each subject, which have holes."""
        streams: dict[str, list[int]] = defaultdict(list)
        rows = []
        for sequence in range(1, self._plan.events + 1):
            subject = f"customer-{self._chance.randrange(self._plan.subjects)}"
            streams[subject].append(sequence)
            rows.append((subject, sequence, f"evt-{sequence}"))
        connection = sqlite3.connect(self._table)
        connection.execute("CREATE TABLE events (subject TEXT, sequence INTEGER, id TEXT)")
        connection.execute("CREATE UNIQUE INDEX events_of ON events (subject, sequence)")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        connection.commit()
        connection.close()
        return streams

    @contextmanager
    def _receiver(self) -> Iterator[None]:
        plan = self._plan
        arguments = [HERE / "receiver.py", self._log, plan.seed, plan.answers_within_s]
        command = [sys.executable, *map(str, arguments)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout is not None
            self._port = int(receiver.stdout.readline())
            try:
                yield
            finally:
                receiver.terminate()


def _run(command: Sequence[object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
