"""Several processes verify one log as of one moment, and report what one process reports."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, InvalidCursorError, Ledger
from ledger.evidence import crew
from ledger.evidence.chains import CheckedChains
from ledger.evidence.sharing import Opening
from ledger.evidence.source import Ids
from support.clock import Clock
from support.depth import thorough
from support.servers import connect

CURSORS, ENTRIES = 12, 9

Tamper = Callable[[str], None]


class Crews(list["subprocess.Popen[bytes]"]):
    """The processes that were started; and how many checks were made together."""

    checks = 0


@pytest.fixture
def crews(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crews]:
    """Let short logs be verified in processes as well, and see whether they are."""
    crews = Crews()
    started, check_chains = crew._started, crew.Crew.check_chains

    def start(tickets: int) -> crew._Worker:
        worker = started(tickets)
        crews.append(worker.process)
        return worker

    def check(self: crew.Crew, *arguments: object) -> CheckedChains | None:
        found = check_chains(self, *arguments)  # type: ignore[arg-type]
        crews.checks += found is not None
        return found

    monkeypatch.setattr(crew, "_started", start)
    monkeypatch.setattr(crew.Crew, "check_chains", check)
    monkeypatch.setattr("ledger.service.proving.SHARED_ENTRIES_MIN", 1)
    yield crews
    assert all(process.poll() is not None for process in crews), "a process was left behind"


@pytest.fixture
def full(book: Ledger, clock: Clock) -> Ledger:
    for sequence in range(1, ENTRIES):
        book.append([AdvanceCursor(key(n), sequence) for n in range(CURSORS)])
        clock.tick()
    book.reset(key(3), to=2, reason="again")
    book.record_error(key(4), "HTTP 503")
    return book


@pytest.fixture
def tamper(full: Ledger, target: str, kind: str) -> Tamper:
    """Run SQL as the owner of the database can, with the triggers out of the way meanwhile."""
    assert full.verify().ok

    def in_file(statement: str) -> None:
        with closing(sqlite3.connect(target, isolation_level=None)) as raw:
            triggers = raw.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in triggers:
                raw.execute(f"DROP TRIGGER {name}")
            raw.execute(statement)
            for _, sql in triggers:
                raw.execute(sql)

    def on_server(statement: str) -> None:
        with connect(target) as raw:
            raw.execute("SET session_replication_role = replica")
            raw.execute(statement.encode())

    return in_file if kind == "sqlite" else on_server


def key(n: int) -> CursorKey:
    return CursorKey(f"consumer-{n}", "orders")


def of(n: int) -> str:
    return f"(SELECT id FROM ledger_cursors WHERE consumer_id = 'consumer-{n}')"


# One after the other, on one ledger: so most reports have several faults, in several ranges.
DEEDS = [
    "UPDATE ledger_events SET actor = 'nobody' WHERE position IN (20, 61)",
    "UPDATE ledger_events SET outcome = 'lost' WHERE position = 30",
    "UPDATE ledger_events SET metadata = '{' WHERE position = 31",
    f"DELETE FROM ledger_events WHERE cursor_id = {of(7)} AND version = 4",
    f"DELETE FROM ledger_events WHERE cursor_id = {of(8)} AND version = 8",
    f"DELETE FROM ledger_events WHERE cursor_id = {of(9)}",
    "UPDATE ledger_cursors SET last_sequence = 99 WHERE consumer_id = 'consumer-0'",
    f"UPDATE ledger_events SET recorded_at = 1 WHERE cursor_id = {of(2)} AND version > 5",
    "DELETE FROM ledger_cursors WHERE consumer_id IN ('consumer-1', 'consumer-6')",
]


@pytest.mark.slow("it verifies a log in several processes, again and again")
def test_a_falsified_log_has_the_report_of_one_process(
    full: Ledger, tamper: Tamper, crews: Crews
) -> None:
    processes = thorough(3, 2)
    kept = [full.checkpoint(), ledger.Checkpoint(entries=5, position=5, root=bytes(32))]
    assert full.verify(processes=processes) == full.verify()
    assert full.verify(processes=processes).ok
    together = thorough(1, 5)
    for nth, done in enumerate(range(0, len(DEEDS), together), start=3):
        for deed in DEEDS[done : done + together]:
            tamper(deed)
        alone = full.verify(kept)
        assert repr(full.verify(kept, processes=processes)) == repr(alone)
        assert len(alone.faults) > done
        # The processes did check it, and no single process did it instead.
        assert crews.checks == nth
    assert len(crews) == crews.checks * (processes - 1)


@pytest.mark.slow("it verifies a log in several processes, again and again")
def test_faults_past_the_bound_are_the_same(full: Ledger, tamper: Tamper, crews: Crews) -> None:
    full.append([AdvanceCursor(key(n % 50), 100 + n) for n in range(10_500)])
    tamper("UPDATE ledger_events SET actor = 'nobody'")
    alone = full.verify()
    assert alone.faults[-1].kind == "more"
    assert full.verify(processes=3) == alone
    assert crews.checks == 1


def test_tables_that_are_not_as_they_were_made_are_checked_by_one_process(
    full: Ledger, tamper: Tamper, crews: Crews
) -> None:
    tamper("UPDATE ledger_tags SET tag = 'x' WHERE id = 1")
    alone = full.verify()
    assert alone.faults[0].kind == "tag"
    assert full.verify(processes=2) == alone
    assert not crews.checks


@pytest.mark.slow("it verifies a log in several processes, again and again")
def test_all_read_as_of_one_moment_while_others_write(
    full: Ledger, target: str, crews: Crews
) -> None:
    rounds = thorough(4, 2)
    stop = threading.Event()

    def append() -> None:
        with ledger.open(target, actor="writer") as other:
            sequence = 1_000
            while not stop.is_set():
                sequence += 1
                other.append([AdvanceCursor(key(n), sequence) for n in range(CURSORS)])

    writer = threading.Thread(target=append)
    writer.start()
    try:
        seen = []
        for _ in range(rounds):
            found = full.verify(processes=3)
            # Had one of them begun later, it would have found more entries than the tree has.
            assert found.ok, found.faults
            seen.append(found.entries)
    finally:
        stop.set()
        writer.join()
    assert crews.checks == rounds
    assert len(set(seen)) > 1, "nobody has written meanwhile"


# --- what can go wrong with a process ---


@pytest.fixture
def stopped(crews: Crews, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the processes when they have begun to read, so that none ends by itself."""
    share_out = crew.Crew.share_out

    def shared(self: crew.Crew, ranges: Sequence[Ids]) -> None:
        for process in crews:
            process.send_signal(signal.SIGSTOP)
        share_out(self, ranges)

    monkeypatch.setattr(crew.Crew, "share_out", shared)


@pytest.mark.slow("it verifies a log in several processes, again and again")
@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("when", ["begin", "share_out", "check_chains"])
def test_without_a_process_that_was_killed_the_report_is_the_same(
    full: Ledger, tamper: Tamper, crews: Crews, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    tamper(DEEDS[0])
    step = getattr(crew.Crew, when)

    def killed(*arguments: object) -> object:
        crews[0].kill()
        crews[0].wait()
        return step(*arguments)

    monkeypatch.setattr(crew.Crew, when, killed)
    assert full.verify(processes=3) == full.verify()
    assert len(crews) == 2
    assert crews.checks == 0


def test_a_process_that_does_not_begin_holds_nobody_up(
    full: Ledger, crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "BEGIN_S_MAX", 0.05)
    begin = crew.Crew.begin

    def begun(self: crew.Crew, snapshot: str = "") -> None:
        crews[0].send_signal(signal.SIGSTOP)
        begin(self, snapshot)

    monkeypatch.setattr(crew.Crew, "begin", begun)
    assert full.verify(processes=2).ok
    assert not crews.checks
    assert full.advance(key(0), to=50).last_sequence == 50


def test_an_interpreter_that_does_not_start_is_done_without(
    full: Ledger, crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    for executable in ("", "/nowhere/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        assert full.verify(processes=2).ok
    assert not crews.checks


@pytest.mark.slow("it verifies a log in several processes, again and again")
@pytest.mark.usefixtures("stopped")
def test_an_interrupt_ends_all_processes(full: Ledger, crews: Crews) -> None:
    full.append([AdvanceCursor(key(n % 50), 100 + n) for n in range(12_000)])

    running: list[subprocess.Popen[bytes]] = []

    def interrupt(_: int) -> None:
        # On a machine that has much to do, one may have ended by now.
        running.extend(process for process in crews if process.poll() is None)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        full.verify(processes=3, progress=interrupt)
    assert len(crews) == 2
    assert running, "none was interrupted in the middle"
    assert all(process.returncode is not None for process in crews)
    assert all(process.returncode == -signal.SIGKILL for process in running)


def test_what_the_callback_raises_is_no_failure_of_a_process(full: Ledger, crews: Crews) -> None:

    def fail(_: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        full.verify(processes=2, progress=fail)
    assert crews


def test_progress_counts_the_entries_of_all_and_comes_from_this_thread(
    full: Ledger, crews: Crews
) -> None:
    full.append([AdvanceCursor(key(n % 50), 100 + n) for n in range(12_000)])
    told = []

    def tell(entries: int) -> None:
        told.append((threading.get_ident(), entries))

    found = full.verify(processes=2, progress=tell)
    assert {thread for thread, _ in told} == {threading.get_ident()}
    counts = [entries for _, entries in told]
    assert counts == sorted(counts)
    assert 10_000 <= counts[-1] <= found.entries
    assert crews.checks == 1


CALLER = """
import os, sys, time
import ledger, ledger.service
from ledger.evidence import crew
ledger.service.proving.SHARED_ENTRIES_MIN = 1
begin = crew.Crew.begin
def begun(self, snapshot=""):
    begin(self, snapshot)
    print(*(worker.process.pid for worker in self._workers), flush=True)
    if sys.argv[2] == "sleeps":
        time.sleep(60)
crew.Crew.begin = begun
with ledger.open(sys.argv[1]) as book:
    try:
        print(book.verify(processes=3).ok, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.usefixtures("full")
def test_processes_end_with_a_caller_that_is_killed(target: str) -> None:
    with calling(target, "sleeps") as caller:
        pids = begun(caller)
        caller.kill()
        caller.wait()
    wait_for_the_end_of(pids)


@pytest.mark.slow("it verifies a log in several processes, again and again")
@pytest.mark.usefixtures("full")
def test_a_ctrl_c_on_the_terminal_ends_all_processes(target: str) -> None:
    with calling(target, "sleeps") as caller:
        pids = begun(caller)
        # As a terminal does: to all processes of the group.
        os.killpg(caller.pid, signal.SIGINT)
        assert caller.stdout is not None
        assert caller.stdout.readline() == "interrupted\n"
    wait_for_the_end_of(pids)


@pytest.mark.slow("it verifies a log in several processes, again and again")
@pytest.mark.usefixtures("full")
def test_nothing_of_the_current_folder_is_imported(target: str, tmp_path: Path) -> None:
    for name in ("json", "threading", "pickle", "hashlib"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'seen')!r}, 'w')")
    with calling(target, "goes on", cwd=tmp_path) as caller:
        assert len(begun(caller)) == 2
        assert caller.stdout is not None
        assert caller.stdout.readline() == "True\n"
    assert not (tmp_path / "seen").exists()


def calling(target: str, how: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", CALLER, target, how],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
    )


def begun(caller: subprocess.Popen[str]) -> list[int]:
    assert caller.stdout is not None
    pids = [int(pid) for pid in caller.stdout.readline().split()]
    assert len(pids) == 2
    return pids


def wait_for_the_end_of(pids: list[int]) -> None:
    until = time.monotonic() + 20
    for pid in pids:
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.kill(pid, 0)
                time.sleep(0.02)
            pytest.fail(f"process {pid} is still there")


# --- when it is worth it, and how much ---


def test_a_short_log_starts_no_process(
    full: Ledger, crews: Crews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert full.verify(processes=8).ok
    assert not crews


@pytest.mark.parametrize("processes", [0, -1, 65, True, 1.0, "2", None])
def test_a_number_of_processes_that_cannot_be_is_refused(full: Ledger, processes: object) -> None:
    with pytest.raises(InvalidCursorError, match="processes must be from 1 to 64"):
        full.verify(processes=processes)  # type: ignore[arg-type]


def test_the_opening_has_no_password_to_show(full: Ledger) -> None:
    opening: Opening | None = full._store.opening()
    assert opening is not None
    assert "postgresql://" not in repr(opening)
