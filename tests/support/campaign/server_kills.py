"""A PostgreSQL server whose processes are killed under load."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import psycopg

import ledger
from ledger import CursorKey, Ledger, LedgerError, UnknownOutcomeError
from support.campaign.results import Result
from support.servers import Server, wheel_binaries

__all__ = ["killed_servers"]

THREADS = 4


def killed_servers(times: int, seed: int) -> Result:
    """Kill a process of the server, or all of it, while 4 threads advance."""
    result = Result("kill -9 of PostgreSQL's processes under load")
    chance = random.Random(seed)
    server = Server(wheel_binaries(), settings=["max_connections=50", "fsync=off"])
    try:
        server.make()
        with ledger.open(server.url, actor="campaign", busy_timeout_s=20) as book:
            load = Load(book)
            try:
                for n in range(times):
                    time.sleep(0.2 + chance.random() * 0.2)
                    if n % 3 == 2:
                        server.kill()
                    else:
                        _kill_one(server, chance)
                    _bring_back(server)
                    result.times += 1
            finally:
                load.end(result)
    finally:
        server.remove()
    return result


class Load:
    """Threads that advance cursors of their own, and note what they were told."""

    def __init__(self, book: Ledger) -> None:
        self.book = book
        self._told: dict[str, str] = {}
        self._strange: list[BaseException] = []
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, name: int) -> None:
        key = CursorKey("thread", "stream", str(name))
        for n in count(1):
            if self._ended.is_set():
                return
            token = f"{name}-{n}"
            try:
                self.book.advance(key, to=n, metadata={"token": token})
                self._told[token] = "acknowledged"
            except UnknownOutcomeError:
                self._told[token] = "unknown"
            except LedgerError:
                self._told[token] = "raised"
            except Exception as error:  # noqa: BLE001 - any other one breaks a promise
                self._strange.append(error)

    def end(self, result: Result) -> None:
        """Stop, and hold what is there against what was told."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                result.breaks("a thread", "hangs")
        there = Counter(entry.metadata["token"] for entry in self.book.entries())
        for token, told in self._told.items():
            if told == "acknowledged" and not there[token]:
                result.lost += 1
                result.breaks(token, "was acknowledged, and is not there")
            if there[token] > 1 or (told == "raised" and there[token]):
                result.breaks(token, f"{told}, and there {there[token]} times")
        for error in self._strange:
            result.breaks("a call", repr(error))
        for fault in self.book.verify().faults[:5]:
            result.breaks("verify", fault)
        counted = Counter(self._told.values())
        result.note = ", ".join(f"{n:,} {what}" for what, n in sorted(counted.items()))


def _kill_one(server: Server, chance: random.Random) -> None:
    """Kill a process of the server that serves one of our connections: all others end, too."""
    postmaster = (server.data / "postmaster.pid").read_text().split()[0]
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    ours = []
    for child in children:
        with suppress(OSError):
            if b"postgres postgres" in Path(f"/proc/{child}/cmdline").read_bytes():
                ours.append(int(child))
    os.kill(chance.choice(ours or [int(child) for child in children]), signal.SIGKILL)


def _bring_back(server: Server) -> None:
    """Wait until it has recovered; if all of it was killed, start it when its children are gone."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(psycopg.Error):
            server.query("SELECT 1")
            return
        if not _is_running(server):
            with suppress(subprocess.CalledProcessError):
                server.start()
        time.sleep(0.05)
    raise AssertionError("the server does not come back")


def _is_running(server: Server) -> bool:
    postmaster = (server.data / "postmaster.pid").read_text().split()[0]
    return Path(f"/proc/{postmaster}").exists()
