"""Loads that are killed, or stopped and let go on: many threads, in several processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from ledger import CursorKey, Ledger, LedgerBusyError
from support.campaign.workloads import KEYS, advance, child, in_threads, opened, told

__all__ = ["LOADS"]

THREADS = 8


def killed(folder: Path, delay_s: float, processes: int, *, all_die: bool) -> None:
    """Load the ledger from several processes, kill one or all of them, let the others end."""
    children = [
        child(lambda name=name: load(folder, name, delay_s * 1.5))  # type: ignore[misc]
        for name in range(processes)
    ]
    time.sleep(delay_s)
    for each in children if all_die else children[:1]:
        os.kill(each, signal.SIGKILL)
    ends = [os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children]
    assert set(ends) <= {0, -signal.SIGKILL}, ends


def load(folder: Path, name: int, duration_s: float) -> None:
    until = time.monotonic() + duration_s
    with opened(folder, "full", busy_timeout_s=30) as book:

        def work(thread: int) -> None:
            own = CursorKey("thread", "stream", f"{name}-{thread}")
            for n in count(1):
                if time.monotonic() > until:
                    break
                advance(book, own, n, f"own-{name}-{thread}-{n}")
                noted(book, KEYS[n % 3], f"shared-{name}-{thread}-{n}")

        in_threads(work, THREADS)


def killed_in_creation(folder: Path, share: float) -> None:
    """Kill a process when it has made so much of a ledger; another one makes it, or goes on."""

    def create(where: Path) -> None:
        with opened(where, "full") as book:
            if where == folder:
                advance(book, KEYS[0], 1, "created")

    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    begun = time.monotonic()
    os.waitpid(child(lambda: create(elsewhere)), 0)
    duration_s = time.monotonic() - begun
    first = child(lambda: create(folder))
    time.sleep(share * duration_s)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    with opened(folder, "full") as book:
        noted(book, KEYS[0], "second")


def stopped(folder: Path, delay_s: float, stop_s: float) -> None:
    """Stop a process for a while, as a machine that stalls does; others write; it goes on."""

    def work(name: str, rounds: int) -> None:
        with patiently_opened(folder) as book:
            for n in range(1, rounds + 1):
                # Both move the same cursor, so one of them is often refused.
                advance(book, KEYS[0], n, f"{name}-advance-{n}")
                noted(book, KEYS[1], f"{name}-error-{n}")

    zombie = child(lambda: work("zombie", 100))
    time.sleep(delay_s)
    os.kill(zombie, signal.SIGSTOP)
    other = child(lambda: work("other", 15))
    time.sleep(stop_s)
    os.kill(zombie, signal.SIGCONT)
    for each in (zombie, other):
        assert os.waitpid(each, 0)[1] == 0


def patiently_opened(folder: Path) -> Ledger:
    while True:
        # A process that was stopped may hold the file.
        with suppress(LedgerBusyError):
            return opened(folder, "full", busy_timeout_s=0.1)


def noted(book: Ledger, key: CursorKey, token: str) -> None:
    told([token], lambda: book.record_error(key, "failed", metadata={"token": token}))


LOADS: dict[str, Callable[..., None]] = {
    "killed": killed,
    "killed_in_creation": killed_in_creation,
    "stopped": stopped,
}
