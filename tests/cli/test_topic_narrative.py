"""A topic of twelve partitions whose consumers run, while the group is reset by one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

import ledger
from ledger import CursorAdvanced, CursorKey, CursorReset, Ledger
from support.depth import thorough
from support.preloaded import COMMAND

STORES = "every"

pytestmark = pytest.mark.timeout(120)

PARTITIONS = 12
RECORDS = 60
UNTIL_S = 60
KEYS = [CursorKey("mailer", "orders", str(partition)) for partition in range(PARTITIONS)]


@attrs.frozen
class Record:
    """A record of Kafka: its offset counts from 0, its sequence from 1."""

    offset: int

    @property
    def sequence(self) -> int:
        return self.offset + 1

    @property
    def delivery_id(self) -> str:
        return f"offset-{self.offset}"


class Group:
    """The consumers of a group: one loop for each partition, each in a thread."""

    def __init__(self, book: Ledger, *, pause_s: float) -> None:
        self._book = book
        self._pause_s = pause_s
        self._stop = threading.Event()
        self.delivered: dict[CursorKey, list[int]] = {key: [] for key in KEYS}
        self.failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._consume, args=[key]) for key in KEYS]

    def _consume(self, key: CursorKey) -> None:
        def deliver(record: Record, _: ledger.Delivery) -> None:
            self._stop.wait(self._pause_s)
            self.delivered[key].append(record.offset)

        try:
            with self._book.consumer(key, in_flight=2) as consumer:
                # The next offset to read is the sequence that was confirmed.
                consumer.run(
                    lambda position: map(Record, range(position, RECORDS)),
                    deliver,
                    stop=self._stop,
                    poll_s=0.5,
                )
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failures.append(error)

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        assert self.failures == []


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + UNTIL_S
    while not condition():
        assert time.monotonic() < until, "it got stuck"
        time.sleep(0.02)


def at_end(book: Ledger) -> bool:
    return [cursor.last_sequence for cursor in book.cursors()] == [RECORDS] * PARTITIONS


def command(target: str, *arguments: object) -> Any:
    done = subprocess.run(
        [COMMAND, "--db", target, "--actor", "ines", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def offsets(path: Path) -> tuple[Path, dict[CursorKey, int]]:
    """Return a file as Kafka's tool exports it, and its offset for each partition."""
    wanted = {key: 5 * partition for partition, key in enumerate(KEYS)}
    file = path.with_name("offsets.csv")
    lines = [f"orders,{key.subject_id},{offset}\n" for key, offset in wanted.items()]
    file.write_text("".join(lines))
    return file, wanted


GROUP = ("--consumer", "mailer", "--stream", "orders")
NOW = ("--reason", "mails bounced", "--execute", "--yes")


def test_an_idle_group_is_rewound_by_one_command_and_nobody_undoes_it(
    target: str, offsets: tuple[Path, dict[CursorKey, int]]
) -> None:
    file, wanted = offsets
    with ledger.open(target, actor="mailer@web-1") as book:
        group = Group(book, pause_s=0)
        with group.running():
            wait_for(lambda: at_end(book))
            before = {key: len(delivered) for key, delivered in group.delivered.items()}
            done = command(target, "reset", "--consumer", "mailer", "--targets", file, *NOW)
            assert [cursor["last_sequence"] for cursor in done] == list(wanted.values())
            wait_for(
                lambda: (
                    all(
                        len(group.delivered[key]) == before[key] + RECORDS - wanted[key]
                        for key in KEYS
                    )
                    and at_end(book)
                )
            )
        for key, offset in wanted.items():
            # All of the topic in any order of two in flight, then from the offset to the end.
            again = group.delivered[key][before[key] :]
            assert sorted(again) == list(range(offset, RECORDS))
            assert book.get(key).epoch == 1
            went_back(book, key, offset)
        [told] = command(target, "resets", "--groups")
        assert (told["resets"], told["back"], told["rewound"]) == (12, 12, 12)
        assert book.verify().ok


def test_a_busy_group_is_reset_by_one_command_as_often_as_wanted(
    target: str, offsets: tuple[Path, dict[CursorKey, int]]
) -> None:
    """The consumers are in the middle of it: their cursors move while the command plans."""
    file, wanted = offsets
    times = thorough(5, 2)
    with ledger.open(target, actor="mailer@web-1") as book:
        group = Group(book, pause_s=0.01)
        with group.running():
            for _ in range(times):
                wait_for(lambda: all(book.find(key) is not None for key in KEYS))
                command(target, "reset", "--consumer", "mailer", "--targets", file, *NOW)
            wait_for(lambda: at_end(book))
        for key, offset in wanted.items():
            # A partition that was not there yet was reset forward.
            assert set(group.delivered[key]) >= set(range(offset, RECORDS))
            assert book.get(key).epoch == times
            went_back(book, key, offset)
        assert len(command(target, "resets", "--groups")) == times
        assert book.verify().ok


def test_a_group_is_reset_and_that_is_undone_while_it_runs(target: str) -> None:
    with ledger.open(target, actor="mailer@web-1") as book:
        group = Group(book, pause_s=0)
        with group.running():
            wait_for(lambda: at_end(book))
            command(target, "reset", *GROUP, "--to", 10 * RECORDS, *NOW)
            [made] = command(target, "resets", "--groups")
            undo = ("reset", "--undo", "--group", made["position"], "--execute", "--yes")
            done = command(target, *undo)
            assert {cursor["last_sequence"] for cursor in done} == {RECORDS}
            wait_for(lambda: at_end(book))
        # What came before the skip is not delivered again, and nothing is missing.
        assert all(sorted(each) == list(range(RECORDS)) for each in group.delivered.values())


def went_back(book: Ledger, key: CursorKey, offset: int) -> None:
    """See that what follows each reset begins there, in its epoch."""
    entries = list(book.history(key))
    for number, entry in enumerate(entries):
        if isinstance(entry.event, CursorReset):
            assert entry.event.sequence == offset
            for later in entries[number + 1 :]:
                assert later.epoch >= entry.epoch
        elif isinstance(entry.event, CursorAdvanced):
            assert entry.event.sequence > entry.event.previous_sequence


LOOP = """
import sys, ledger
from ledger import CursorKey
class Record:
    def __init__(self, sequence):
        self.sequence = sequence
with ledger.open(sys.argv[1], actor="mailer@web-1") as book:
    with book.consumer(CursorKey("mailer", "orders", "0")) as consumer:
        consumer.run(
            lambda position: [Record(n) for n in range(position + 1, 6)],
            lambda record, delivery: print(record.sequence, flush=True),
            poll_s=30,
        )
"""


def test_an_idle_loop_in_another_process_begins_again_at_once(target: str) -> None:
    """It would ask for new records only after half a minute."""
    ledger.open(target).close()
    with subprocess.Popen(
        [sys.executable, "-c", LOOP, target], stdout=subprocess.PIPE, text=True
    ) as loop:
        assert loop.stdout is not None
        try:
            assert [next(loop.stdout).strip() for _ in range(5)] == list("12345")
            with ledger.open(target) as book:
                wait_for(lambda: book.get(CursorKey("mailer", "orders", "0")).last_sequence == 5)
            for _ in range(2):
                command(target, "reset", "mailer", "orders", "--to", "0=3", *NOW)
                begun = time.monotonic()
                assert [next(loop.stdout).strip() for _ in range(2)] == list("45")
                # Far less than it polls, however busy the machine is.
                assert time.monotonic() - begun < 20
        finally:
            loop.kill()
