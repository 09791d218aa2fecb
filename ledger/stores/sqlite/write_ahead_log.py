"""How the write-ahead log is kept small, also on versions of SQLite where that takes care."""

from __future__ import annotations

import math
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress

from ledger.stores.deadline import Deadline
from ledger.stores.sqlite.file import MEMORY
from ledger.stores.sqlite.line import file_is_locked

__all__ = ["WriteAheadLog"]

# Versions in which a checkpoint beside another connection's commit can corrupt the file:
# https://sqlite.org/wal.html#the_wal_reset_bug
RESET_RACE = (
    (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3)
    and not (3, 50, 7) <= sqlite3.sqlite_version_info < (3, 51, 0)
    and not (3, 44, 6) <= sqlite3.sqlite_version_info < (3, 45, 0)
)

# As SQLite does by itself elsewhere, the log is copied into the database every 1,000 pages or so:
# a commit takes about 3 pages, and a page about 12 rows more.
PAGES_MAX = 1_000
PAGES_AGAIN = 100
PAGES_LONG = 2 * PAGES_MAX
PAGES_A_COMMIT = 3
ROWS_A_PAGE = 12
PAGE_BYTES = 4_096

HOLDER_WAITS_S = 0.1
HOLDER_TRIES_S = 0.001
DRAIN_S = 0.005
DRAIN_ROUNDS_MAX = 20
# A drain that a held snapshot made fruitless is tried again after so many times as long as it took;
# each one that is fruitless again doubles that, so often at most.
DRAIN_PAUSES = 10
DRAIN_DOUBLINGS_MAX = 4


class WriteAheadLog:
    """The log of one file: how much is in it, and how it gets back into the database.

    Where SQLite has the race, its own checkpoints are off, and ours are made by one connection
    while another holds the writer's lock, so that no commit can fall beside them. Unlike in the
    modes FULL, RESTART and TRUNCATE, no reader is waited for while it reads on and on.
    """

    def __init__(
        self, path: str, busy_timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place = path
        self._busy_timeout_s = busy_timeout_s
        self._ours = RESET_RACE and path != MEMORY
        self._clock = clock
        self._fruitless = 0
        self._drain_again_at = -math.inf
        self._pause_s = 0.0
        self._pages = 0
        # What others left in it counts too, or many short-lived processes would never copy it.
        with suppress(OSError):
            self._pages = os.stat(path + "-wal").st_size // PAGE_BYTES

    def configure(self, connection: sqlite3.Connection) -> None:
        """Leave the checkpoints of a new connection to SQLite, or take them over."""
        if self._ours:
            connection.execute("PRAGMA wal_autocheckpoint = 0")

    def grew(self, rows: int) -> bool:
        """Count a commit of so many rows; return whether it is time for a checkpoint."""
        self._pages += PAGES_A_COMMIT + rows // ROWS_A_PAGE
        return self._ours and self._pages >= PAGES_MAX

    def checkpoint(self, holder: sqlite3.Connection, copier: sqlite3.Connection) -> None:
        """Copy the log into the database by `copier`, while `holder` keeps all writers out."""
        soon = PAGES_MAX - PAGES_AGAIN
        again = soon
        try:
            # The caller's own commit is done, so it need not wait long for this.
            _begin(holder, min(self._busy_timeout_s, HOLDER_WAITS_S))
            pages, whole = _copied(copier)
            drained = pages > PAGES_LONG and self._clock() >= self._drain_again_at
            if drained:
                whole = self._drain(copier, whole=whole)
            # After a log is copied whole, the next commit begins it anew, unless somebody reads in
            # it. Of a long log that is likely, so we look again soon; also if it is not whole.
            again = 0 if whole and pages <= PAGES_LONG else min(pages, soon)
        finally:
            self._pages = again
            if holder.in_transaction:
                holder.execute("ROLLBACK")
        # Imported here, because most commands only read.
        from ledger import notices

        notices.WAL_CHECKPOINTED.report(place=self._place, pages=pages, complete=whole)
        if drained and not whole:
            wait_s = math.ceil(self._pause_s)
            notices.WAL_HELD_UP.report(place=self._place, pages=pages, wait_s=wait_s)

    def _drain(self, copier: sqlite3.Connection, *, whole: bool) -> bool:
        """Copy again and again, for a moment, until no reader is in the log.

        Returns whether all of it is copied.

        Most readers end in a moment, and readers that begin after all of it is copied read the
        database itself. A reader may also hold a snapshot for long, and nobody can write while
        this waits.
        """
        began = self._clock()
        for _ in range(DRAIN_ROUNDS_MAX - 1):
            time.sleep(DRAIN_S)
            drained, (_, whole) = whole, _copied(copier)
            if drained:
                break
        if whole:
            self._fruitless = 0
        else:
            now = self._clock()
            pause = DRAIN_PAUSES * (now - began) * 2 ** min(self._fruitless, DRAIN_DOUBLINGS_MAX)
            self._fruitless += 1
            self._pause_s, self._drain_again_at = pause, now + pause
        return whole


def _begin(connection: sqlite3.Connection, timeout_s: float) -> None:
    deadline = Deadline.after(timeout_s)
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if not file_is_locked(error) or deadline.is_over:
                raise
        time.sleep(HOLDER_TRIES_S)


def _copied(connection: sqlite3.Connection) -> tuple[int, bool]:
    """Copy the write-ahead log into the database, as far as its readers allow.

    Returns how many pages the log has, and whether all of them are copied. The caller makes sure
    that nobody commits in the meantime.
    """
    _, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return pages, copied == pages
