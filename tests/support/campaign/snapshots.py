"""A snapshot that somebody holds open while others write."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from itertools import count
from pathlib import Path

import attrs

import ledger
from ledger import CursorKey, Ledger, LedgerError
from support.campaign.results import Result

__all__ = ["held_snapshot"]

THREADS = 4
SHARE_MIN = 1 / 3
TIMES_BEGUN = slice(12, 16)  # In the header of the log: how often it was begun anew.
BEGUN_ANEW_S = 30


@attrs.define
class Count:
    """Advances that were done, and what refused others."""

    done: int = 0
    refused: list[str] = attrs.field(factory=list)


def held_snapshot(folder: Path, seconds: float) -> Result:
    """Advance for so long without a snapshot, then as long with one."""
    result = Result("a snapshot that is held", times=1)
    path = folder / "cursors.db"
    # Normal durability: the log is to outgrow its bounds on a slow disk, too.
    with ledger.open(path, actor="campaign", durability="normal", busy_timeout_s=2) as book:
        book.advance(CursorKey("reader", "stream"), to=1)
        free = _advances(book, seconds)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM ledger_events").fetchone()
            held = _advances(book, seconds)
            reader.execute("ROLLBACK")
        if not _is_begun_anew(book, path):
            result.breaks("when the reader has gone", "the log is not begun anew")
        size = _log(path).stat().st_size
        _advances(book, seconds / 10)
        if _log(path).stat().st_size > size:
            result.breaks("when the log was begun anew", "it grows all the same")
        for fault in book.verify().faults[:5]:
            result.breaks("verify", fault)
    for refusal in free.refused + held.refused:
        result.breaks("an advance was refused", refusal)
    if held.done < free.done * SHARE_MIN:
        result.breaks("advances", f"{held.done} with a snapshot, {free.done} without")
    result.note = f"{free.done / seconds:,.0f} advances/s without, {held.done / seconds:,.0f} with"
    return result


def _advances(book: Ledger, seconds: float) -> Count:
    counted = Count()
    lock = threading.Lock()
    until = time.monotonic() + seconds

    def work(name: int) -> None:
        key = CursorKey("thread", "stream", f"{name}-{until}")
        for n in count(1):
            if time.monotonic() > until:
                return
            try:
                book.advance(key, to=n)
            except LedgerError as error:
                with lock:
                    counted.refused.append(repr(error))
            else:
                with lock:
                    counted.done += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counted


def _is_begun_anew(book: Ledger, path: Path) -> bool:
    """Advance until the log is begun anew; if it never is, say so."""
    until = time.monotonic() + BEGUN_ANEW_S
    before = _times_begun(path)
    for n in count(1):
        book.advance(CursorKey("after", "stream"), to=n)
        if _times_begun(path) != before:
            return True
        if time.monotonic() > until:
            break
    return False


def _times_begun(path: Path) -> bytes:
    # Of the log alone: a handle of the database that is closed would drop our own locks.
    with _log(path).open("rb") as log:
        return log.read(32)[TIMES_BEGUN]


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
