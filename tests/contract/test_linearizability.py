"""Clients in threads and processes: what each was told is as if all had come one by one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
from ledger import AdvanceCursor, Cursor, CursorKey, Ledger, LedgerError, ResetCursor
from ledger.opening import utc_now
from ledger.stores import Transaction, sqlite
from ledger.stores.deadline import Deadline
from ledger.writing.committer import Committer
from support.depth import thorough
from support.linearizability import NOT_FOUND, UNKNOWN, Call, linearizable, step
from support.spawned import processes_of_their_own

T = TypeVar("T")

KEYS = [CursorKey("webhooks", "orders"), CursorKey("webhooks", "jobs"), CursorKey("mailer", "jobs")]
NOW = datetime(2026, 5, 5, tzinfo=UTC)
OPERATIONS = 40


def asked(chance: random.Random) -> dict[str, Any] | None:
    """Return what a client asks: mostly an advance, sometimes with an epoch or a version."""
    drawn = chance.random()
    if drawn < 0.3:
        return None
    version = chance.choice([None, None, chance.randrange(30)])
    if drawn < 0.4:
        to = chance.randrange(12)
        return {"op": "reset", "to": to, "id": "", "seen": None, "now": NOW, "version": version}
    return {
        "op": "advance",
        "to": chance.randrange(1, 25),
        "id": chance.choice(["", "a", "b"]),
        "seen": None,
        "now": NOW,
        "version": version,
        "epoch": chance.choice([None, None, chance.randrange(4)]),
    }


def request(key: CursorKey, ask: dict[str, Any]) -> ledger.Request:
    more = {"now": ask["now"], "expected_version": ask["version"]}
    if ask["op"] == "reset":
        return ResetCursor(key, ask["to"], "because", actor="ines", **more)
    return AdvanceCursor(key, ask["to"], delivery_id=ask["id"], epoch=ask["epoch"], **more)


def told(work: Callable[[], Cursor]) -> Any:
    try:
        cursor = work()
    except LedgerError as error:
        return type(error).__name__
    return (cursor.last_sequence, cursor.epoch, cursor.version)


Line = tuple[int, int, dict[str, Any] | None, int, int, Any]
"""Number of the call, number of its cursor, what was asked, and when it began, ended, and how."""


def client(
    book: Ledger,
    seed: int,
    say: Callable[[Line], object],
    allowed: Callable[[], object] = lambda: True,
) -> None:
    """Ask one thing after the other, each when it is allowed to; say so before and after."""
    chance = random.Random(seed)
    for number in range(OPERATIONS):
        allowed()
        which = chance.randrange(len(KEYS))
        key, ask = KEYS[which], asked(chance)
        began = time.monotonic_ns()
        say((number, which, ask, began, 0, UNKNOWN))
        if ask is None:
            answer = told(lambda key=key: book.get(key))  # type: ignore[misc]
        elif chance.random() < 0.3:
            answer = told(book.submit(request(key, ask)).result)
        else:
            answer = told(lambda key=key, ask=ask: book.append([request(key, ask)])[0])  # type: ignore[misc]
        say((number, which, ask, began, time.monotonic_ns(), answer))


def client_in_process(
    target: str, seed: int, said: Connection, permits: Semaphore | None = None
) -> None:
    with ledger.open(target, actor="tester", durability="normal") as book:
        if permits is None:
            client(book, seed, said.send)
        else:
            client(book, seed, said.send, permits.acquire)
    said.close()


def heard(connection: Connection) -> list[Line]:
    lines: list[Line] = []
    with suppress(EOFError, OSError):
        while True:
            lines.append(connection.recv())
    return lines


def histories(clients: Sequence[Sequence[Line]]) -> list[list[Call]]:
    """Return the calls of each cursor; a call has no answer if its end is unknown."""
    found: list[list[Call]] = [[] for _ in KEYS]
    for lines in clients:
        for number, which, ask, began, ended, answer in {line[0]: line for line in lines}.values():
            del number
            if answer == UNKNOWN:
                found[which].append(Call(ask, began))
            else:
                found[which].append(Call(ask, began, ended, answer))
    return found


def run(books: Sequence[Ledger], seed: int) -> list[list[Line]]:
    """Run a client on each of `books`, at the same time."""
    said: list[list[Line]] = [[] for _ in books]
    threads = [
        threading.Thread(target=client, args=(book, 100 * seed + nth, said[nth].append))
        for nth, book in enumerate(books)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


@pytest.mark.parametrize("seed", range(5))
def test_threads_of_several_ledgers_are_answered_as_if_one_by_one(target: str, seed: int) -> None:
    with (
        ledger.open(target, actor="tester", durability="normal") as one,
        ledger.open(target, actor="tester", durability="normal") as other,
    ):
        said = run([one, one, one, other, other], seed)
        for calls in histories(said):
            assert linearizable(calls)
        assert one.verify().ok


def test_processes_are_and_one_that_is_killed_did_or_did_not(target: str) -> None:
    context = processes_of_their_own()
    with ledger.open(target, actor="tester", durability="normal") as book:
        # The first is killed in its 12th call, a reset, before which it waits to be allowed to.
        permits = context.Semaphore(11)
        clients = []
        for nth in range(3):
            ear, mouth = context.Pipe(duplex=False)
            process = context.Process(
                target=client_in_process,
                args=(target, nth, mouth, permits if nth == 0 else None),
            )
            process.start()
            mouth.close()
            clients.append((process, ear))
        victim, ear = clients[0]
        first = [ear.recv() for _ in range(2 * 11)]
        permits.release()
        first.append(ear.recv())
        victim.kill()
        assert first[-1][2] is not None
        assert first[-1][2]["op"] == "reset"
        said = [first + heard(ear), *(heard(ear) for _, ear in clients[1:])]
        said += run([book, book], 77)
        for process, _ in clients:
            process.join()
        assert len(said[0]) in {23, 24}
        for calls in histories(said):
            assert linearizable(calls)
        assert book.verify().ok


# --- a check that cannot fail is none ---


class Broken:
    """A SQLite store that does one thing wrong, now and then."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.store = sqlite.open_store(str(path), durability="normal")
        self.chance = chance
        self.read: dict[CursorKey, Cursor | None] = {}

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        return self.store.write(work, deadline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class ReadsWhatWas(Broken):
    def cursor(self, key: CursorKey) -> Cursor | None:
        before, self.read[key] = self.read.get(key), self.store.cursor(key)
        return before if self.chance.random() < 0.5 else self.read[key]


class ForgetsWhatItAcknowledged(Broken):
    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        done: list[T] = []

        def undone(transaction: Transaction) -> T:
            done.append(work(transaction))
            if self.chance.random() < 0.1:
                raise ZeroDivisionError
            return done[0]

        with suppress(ZeroDivisionError):
            return self.store.write(undone, deadline)
        return done[0]


class WritesTwice(Broken):
    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        first = self.store.write(work, deadline)
        if self.chance.random() < 0.1:
            with suppress(LedgerError):
                self.store.write(work, deadline)
        return first


@pytest.mark.parametrize("broken", [ReadsWhatWas, ForgetsWhatItAcknowledged, WritesTwice])
def test_a_store_that_is_broken_does_not_pass(path: Path, broken: type[Broken]) -> None:
    store = broken(path, random.Random(1))
    committer = Committer(store, "tester", utc_now)
    with Ledger(committer) as book:
        said: list[Line] = []
        # One client is enough, without `submit`, which needs a thread.
        chance = random.Random(1)
        for number in range(3 * OPERATIONS):
            ask = asked(chance)
            began = time.monotonic_ns()
            if ask is None:
                answer = told(lambda: book.get(KEYS[0]))
            else:
                wanted = request(KEYS[0], ask)
                answer = told(lambda wanted=wanted: book.append([wanted])[0])  # type: ignore[misc]
            said.append((number, 0, ask, began, time.monotonic_ns(), answer))
        assert not linearizable(histories([said])[0])


def advance(to: int, **more: Any) -> dict[str, Any]:
    return {"op": "advance", "to": to, "id": "", "seen": None, "now": NOW, **more}


def test_histories_whose_answer_is_known() -> None:
    first = Call(advance(5), 0, 1, (5, 0, 1))
    assert linearizable([])
    assert linearizable([first, Call(None, 2, 3, (5, 0, 1))])
    # Read after it was acknowledged, but not seen.
    assert not linearizable([first, Call(None, 2, 3, NOT_FOUND)])
    # Read at the same time: either will do.
    assert linearizable([first, Call(None, 0.5, 3, NOT_FOUND)])
    assert linearizable([first, Call(None, 0.5, 3, (5, 0, 1))])
    # Two that follow each other in time cannot be told the other way round.
    assert not linearizable([Call(advance(3), 2, 3, (3, 0, 1)), Call(advance(5), 0, 1, (5, 0, 2))])
    # One that was never answered has happened, as a later one has seen it; or never.
    lost = Call(advance(7), 0)
    assert linearizable([lost, Call(None, 5, 6, (7, 0, 1))])
    assert linearizable([lost, Call(None, 5, 6, NOT_FOUND)])
    assert not linearizable([lost, Call(None, 5, 6, (7, 0, 1)), Call(None, 7, 8, NOT_FOUND)])
    # But not before it was asked.
    assert not linearizable([Call(advance(7), 9), Call(None, 5, 6, (7, 0, 1))])


@given(seed=st.integers(0, 10**6), width=st.integers(0, 4))
@settings(max_examples=thorough(50, 8))
def test_what_did_come_one_by_one_passes_and_an_invented_answer_does_not(
    seed: int, width: int
) -> None:
    chance = random.Random(seed)
    state = None
    calls = []
    for n in range(30):
        ask = asked(chance)
        state, answer = step(state, ask)
        calls.append(
            Call(ask, n - chance.random() * width, n + chance.random() * width + 0.1, answer)
        )
    assert linearizable(calls)
    last = calls[-1]
    assert not linearizable(
        [*calls, Call(None, last.responded + 9, last.responded + 10, (999, 0, 1))]
    )
