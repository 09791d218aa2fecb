"""Long logs: memory that does not grow, and answers that do not read what they do not need.

With CURSOR_LEDGER_TEST_ENTRIES=1000000 the same holds over a million entries.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ledger
import projections
from ledger import AdvanceCursor, CursorKey, Ledger, Request
from support.clock import Clock

pytestmark = [pytest.mark.slow("long logs"), pytest.mark.xdist_group("scale")]

COMMAND = Path(sys.executable).with_name("cursor-ledger")
ENTRIES = int(os.environ.get("CURSOR_LEDGER_TEST_ENTRIES", "30000"))
BATCH = 3_000

DENSE = CursorKey("webhooks", "orders")
SPARSE = CursorKey("search", "documents")
FEW = CursorKey("mailer", "orders")
OTHERS = [CursorKey(f"consumer-{n}", "jobs") for n in range(50)]


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two long cursors, one of them sparse; fifty short ones; one of eight entries; resets."""
    path = tmp_path_factory.mktemp("long") / "cursors.db"
    clock = Clock()
    dense = sparse = job = 0
    with ledger.open(
        path, actor="tester", clock=lambda: clock.tick(1), durability="normal"
    ) as book:
        book.append([AdvanceCursor(FEW, n) for n in range(1, 6)])
        for start in range(0, ENTRIES, BATCH):
            batch: list[Request] = []
            for n in range(BATCH // 10):
                for _ in range(4):
                    dense, sparse = dense + 1, sparse + 7
                    batch.append(AdvanceCursor(DENSE, dense))
                    batch.append(AdvanceCursor(SPARSE, sparse))
                job += 1
                key = OTHERS[n % 50]
                batch += [AdvanceCursor(key, job), ledger.RecordError(key, "HTTP 503")]
            book.append(batch)
            if start % (ENTRIES // 10) == 0:
                dense -= 50
                book.reset(DENSE, to=dense, reason=f"again at {start}")
        book.record_error(FEW, "HTTP 503")
        book.reset(FEW, to=3, reason="lost")
        book.advance(FEW, to=4)
    return path


# On Linux a process that is started takes over the peak of the one that starts it, so that of the
# tests must not stand in between.
MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1), file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def memory_kb(path: Path, *arguments: str) -> int:
    """Run a command; give the most memory that it ever had."""
    command = [sys.executable, "-S", "-c", MEASURE, str(COMMAND), "--db", str(path), *arguments]
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    return int(done.stderr.split()[-1])


@pytest.fixture(scope="module")
def idle_kb(long_log: Path) -> int:
    return memory_kb(long_log, "show", "mailer", "orders")


@pytest.mark.parametrize(
    "command",
    [
        "resets",
        "explain webhooks orders 5000",
        "gaps webhooks orders",
        "gaps search documents",
        "repeats",
        "stalls",
        "as-of 9000",
        "diff 5000 25000",
        "tail -n 50",
        "timeline webhooks orders",
        "entries",
        "verify",
        "verify --repair",
    ],
)
def test_memory_stays_within_30_mb_of_idle(long_log: Path, idle_kb: int, command: str) -> None:
    assert memory_kb(long_log, *command.split()) <= idle_kb + 30_000


def steps(book: Ledger, work: Callable[[], object]) -> int:
    """Return how many steps SQLite takes for `work`, in hundreds: to read a row takes several."""
    # This opens a connection that reads, beside the one that writes.
    list(book.cursors(ledger.CursorQuery(limit=1)))
    pool = book._store.connections  # type: ignore[attr-defined]
    sessions = [session for session in (*pool._sessions.idle, pool._writer) if session is not None]
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    for session in sessions:
        session.connection.set_progress_handler(count, 100)
    work()
    for session in sessions:
        session.connection.set_progress_handler(None, 0)
    return taken * 100


def test_short_cursors_and_resets_are_answered_without_reading_the_log(long_log: Path) -> None:
    with ledger.open(long_log) as book:
        for work in (
            lambda: projections.explain(book.history(FEW), 4),
            lambda: projections.as_of(book, FEW, ENTRIES // 2),
            lambda: projections.as_of(book, FEW, Clock().now),
            lambda: list(projections.resets(book, ledger.EntryQuery(key=FEW))),
            lambda: list(projections.gaps(book.history(FEW))),
            lambda: projections.ResetPlan.undo(book, [FEW], reason="x"),
        ):
            assert steps(book, work) < 5_000
        for work in (
            lambda: book.get(FEW),
            lambda: book.record_error(FEW, "x"),
        ):
            assert steps(book, work) < 1_000
        # Ten and one resets, and what came of each.
        assert len(list(projections.resets(book))) == 11
        assert steps(book, lambda: list(projections.resets(book))) < 50_000
        # That this counts at all:
        assert steps(book, lambda: sum(1 for _ in book.entries())) > ENTRIES
