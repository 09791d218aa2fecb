"""Processes that write to one SQLite file at the same time: how much, how fairly, how soon."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import traceback
from array import array
from collections.abc import Callable, Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import attrs
from bare import Bare
from peer import Peer

import ledger
from ledger import CursorKey

__all__ = ["GOALS", "SIDES", "SIZES", "Crowd", "Goal", "crowds"]

SIZES = (1, 2, 8, 32)

BUSY_TIMEOUT_S = 60.0
"""Longer than any window, so that waiting is measured and nobody gives up."""


@attrs.frozen(kw_only=True)
class Crowd:
    """What so many processes did in one window; all times are of single calls."""

    side: str
    processes: int
    calls_per_s: float
    share: float
    """The calls of the least served process by those of the most served one."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    worst_ms: float


@attrs.frozen
class Goal:
    """What is wanted of the ledger at one number of processes."""

    processes: int
    share_min: float | None
    worst_ms_max: float

    def holds(self, crowd: Crowd) -> bool:
        is_fair = self.share_min is None or crowd.share >= self.share_min
        return is_fair and crowd.worst_ms <= self.worst_ms_max


GOALS = (Goal(8, 0.5, 500), Goal(32, None, 2_000))

Advance = Callable[[int], object]


def crowds(window_s: float) -> Iterator[Crowd]:
    """Measure every side at every size; the sides take turns, so that a busy moment hits all."""
    for processes in SIZES:
        for side in SIDES:
            with tempfile.TemporaryDirectory(prefix="cursor-ledger-bench-") as folder:
                path = Path(folder) / "shared.db"
                yield _measured(side, path, processes, window_s)


# --- the sides: each gives, for one process, a function that advances its cursor ---


def _ledger(path: Path, name: str) -> Advance:
    book = ledger.open(path, actor="bench@here", busy_timeout_s=BUSY_TIMEOUT_S)
    key = CursorKey(name, "orders")
    return lambda to: book.advance(key, to=to, delivery_id=f"msg-{to}")


def _bare(path: Path, name: str) -> Advance:
    bare = Bare(path, "full")
    bare.connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1_000)}")
    return lambda to: bare.advance((name, "orders", ""), to, f"msg-{to}")


def _peer(path: Path, name: str) -> Advance:
    peer = Peer(path, lock_timeout_s=BUSY_TIMEOUT_S)
    cursor = peer.start()
    return lambda to: peer.advance(cursor, to, f"msg-{to}")


SIDES: dict[str, Callable[[Path, str], Advance]] = {
    "cursor-ledger": _ledger,
    "bare sqlite3": _bare,
    "eventsourcing": _peer,
}


# --- a window, in processes of its own: what is open there belongs to them, and goes with them ---


@attrs.frozen
class Worker:
    """One of the processes."""

    side: str
    path: Path
    name: str

    def prepare(self) -> None:
        """Make the file, and end."""
        SIDES[self.side](self.path, self.name)(1)
        os._exit(0)

    def work(self, window_s: float, start: Barrier, told: SimpleQueue[bytes]) -> None:
        """Advance for so long, once all are there, and tell how long each call took."""
        waits = array("d")
        try:
            advance = SIDES[self.side](self.path, self.name)
            advance(1)
            start.wait(BUSY_TIMEOUT_S)
            now = time.perf_counter()
            end, to = now + window_s, 1
            while now < end:
                to += 1
                advance(to)
                before, now = now, time.perf_counter()
                waits.append(now - before)
        except BaseException:  # noqa: BLE001 - the process ends here, and says why
            traceback.print_exc()
            start.abort()
            waits = array("d")
        finally:
            told.put(waits.tobytes())
            os._exit(0)


def _measured(side: str, path: Path, processes: int, window_s: float) -> Crowd:
    # Forked, because 32 interpreters that import everything would take longer than the window.
    context = multiprocessing.get_context("fork")
    first = context.Process(target=Worker(side, path, "nobody").prepare)
    first.start()
    first.join()
    start = context.Barrier(processes)
    told: SimpleQueue[bytes] = context.SimpleQueue()
    crowd = [Worker(side, path, f"consumer-{name}") for name in range(processes)]
    workers = [context.Process(target=each.work, args=(window_s, start, told)) for each in crowd]
    for worker in workers:
        worker.start()
    waits = [array("d", told.get()) for _ in workers]
    for worker in workers:
        worker.join()
    calls = [len(each) for each in waits]
    if not all(calls):
        raise RuntimeError(f"a process of {side} did not come to its end; it says why above")
    in_order = sorted(wait_s * 1_000 for each in waits for wait_s in each)

    def at(part: float) -> float:
        return float(in_order[min(len(in_order) - 1, int(len(in_order) * part))])

    return Crowd(
        side=side,
        processes=processes,
        calls_per_s=sum(calls) / window_s,
        share=min(calls) / max(calls),
        p50_ms=at(0.5),
        p99_ms=at(0.99),
        p999_ms=at(0.999),
        worst_ms=at(1),
    )
