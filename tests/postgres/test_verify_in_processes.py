"""Processes that verify a log on a server, while the server keeps them waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger
from ledger.evidence import crew
from ledger.stores.postgres import elsewhere
from support.servers import connect

STORES = "newest postgres"

CALLER = """
import sys, time
import ledger, ledger.service
from ledger.evidence import crew
from ledger.evidence.source import EVERY
ledger.service.proving.SHARED_ENTRIES_MIN = 1
begin = crew.Crew.begin
def begun(self, snapshot=""):
    begin(self, snapshot)
    print(*(worker.process.pid for worker in self._workers), flush=True)
    sys.stdin.readline()
    self.share_out([EVERY])
    print("shared out", flush=True)
    time.sleep(60)
crew.Crew.begin = begun
with ledger.open(sys.argv[1]) as book:
    book.verify(processes=2)
"""


def test_a_process_that_waits_for_the_server_ends_with_its_caller(
    book: Ledger, target: str
) -> None:
    book.advance(CursorKey("mailer", "jobs"), to=1)
    with (
        subprocess.Popen(
            [sys.executable, "-c", CALLER, target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        ) as caller,
        connect(target) as raw,
        raw.transaction(),
    ):
        assert caller.stdin is not None
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        raw.execute("LOCK TABLE ledger_events IN ACCESS EXCLUSIVE MODE")
        caller.stdin.write("go on\n")
        caller.stdin.flush()
        assert caller.stdout.readline() == "shared out\n"
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while raw.execute(waiting).fetchone() == (0,):
            time.sleep(0.02)
        caller.kill()
        caller.wait()
        until = time.monotonic() + 20
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.kill(pid, 0)
                time.sleep(0.02)
            pytest.fail(f"process {pid} is still there")


@pytest.mark.slow("it verifies a log in several processes, again and again")
def test_a_snapshot_of_another_server_is_not_used(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.service.proving.SHARED_ENTRIES_MIN", 1)
    book.append([AdvanceCursor(CursorKey(f"consumer-{n}", "orders"), 1) for n in range(9)])
    exported, together = elsewhere.exported, []
    close = crew.Crew.close

    def closed(self: crew.Crew) -> None:
        together.append(bool(self))
        close(self)

    monkeypatch.setattr(crew.Crew, "close", closed)
    assert book.verify(processes=2).ok
    # There may be one of the same name there; its server process is another one.
    monkeypatch.setattr(
        "ledger.stores.postgres.connections.exported", lambda session: exported(session) + "1"
    )
    assert book.verify(processes=2).ok
    assert together == [True, False]


def test_the_password_is_not_in_the_arguments_of_a_process(
    book: Ledger, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.service.proving.SHARED_ENTRIES_MIN", 1)
    book.append([AdvanceCursor(CursorKey(f"consumer-{n}", "orders"), 1) for n in range(9)])
    started = crew._started
    seen: list[str] = []

    def start(tickets: int) -> crew._Worker:
        worker = started(tickets)
        seen.extend(map(str, list(worker.process.args)))  # type: ignore[arg-type]
        return worker

    monkeypatch.setattr(crew, "_started", start)
    with ledger.open(target) as other:
        assert other.verify(processes=2).ok
    assert seen
    assert not [argument for argument in seen if "postgresql" in argument or "host" in argument]
