"""A file copied page by page beside writers that go on; and a file that nobody else has open."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from ledger.errors import LedgerBusyError, StorageError
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import connecting, structure
from ledger.stores.sqlite.elsewhere import begin_to_read
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.holders import users_of
from ledger.stores.sqlite.line import file_is_locked

__all__ = ["Last", "alone", "copy_pages", "last_entry", "other_tables"]

# After so many pages, 4 MiB, Ctrl-C is heard, and progress told.
STEP_PAGES = 1_024
LOOK_AGAIN_S = 0.02

Last = tuple[int, bytes]
"""The position and the digest of the last entry."""

_LAST = "SELECT position, digest FROM main.ledger_events ORDER BY position DESC LIMIT 1"
_OTHERS = "SELECT name FROM main.sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
_OURS = {*structure.TABLES, "ledger_log", "_sqlite_migrations"}


def copy_pages(
    source: str,
    into: str,
    *,
    busy_timeout_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Copy the database that has the ledger at `source` into the empty file `into`, as of now.

    It is read in one transaction, so a writer neither waits for the copy nor makes it begin again.
    The copy needs no file beside it. `progress` is told how many pages of how many are copied.

    Raises StorageError, SchemaVersionError, LedgerBusyError.
    """
    origin, _, found = connecting.connect_to_read(os.path.realpath(source), source, busy_timeout_s)
    with closing(origin):
        if not found:
            raise StorageError(f"{source} holds no ledger; it was left as it is.")

        def step(_: int, left: int, pages: int) -> None:
            if progress is not None:
                progress(pages - left, pages)

        place = source
        try:
            begin_to_read(origin)
            place = into
            with closing(connecting.connect(into, connecting.READ_WRITE, 0)) as copy:
                # What does not come to its end is thrown away; what does is flushed by the caller.
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")
                origin.backup(copy, pages=STEP_PAGES, progress=step, sleep=0)
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise translated(error, place) from error


@contextmanager
def alone(file: str, path: str, deadline: Deadline) -> Iterator[sqlite3.Connection]:
    """Keep all others out of `file`, whose write-ahead log is copied into it and gone by then.

    Raises LedgerBusyError if somebody else has it open, StorageError.
    """
    with closing(connecting.connect(file, connecting.READ_WRITE, 0)) as connection:
        try:
            while not _is_alone(connection):
                if deadline.is_over:
                    users = " and ".join(users_of(file)) or "another program"
                    raise LedgerBusyError(
                        f"{path} is open in {users}. Stop all programs that use it, and run the "
                        "same command again. Nothing was changed."
                    )
                time.sleep(LOOK_AGAIN_S)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        yield connection


def _is_alone(connection: sqlite3.Connection) -> bool:
    """Try to hold the whole file; who has it open with a write-ahead log is in the way."""
    try:
        # Everybody who has the file open holds it with its log; the last one may leave it.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if not file_is_locked(error):
            raise
        return False
    # In between somebody may have begun a log anew.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
        return True
    connection.execute("ROLLBACK")
    return False


def last_entry(connection: sqlite3.Connection, path: str) -> Last | None:
    """Return the last entry of the ledger at `path`; None if it has none.

    Raises StorageError.
    """
    try:
        found: Last | None = connection.execute(_LAST).fetchone()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return found


def other_tables(path: str, busy_timeout_s: float) -> list[str]:
    """Return the tables and views in the file at `path` that are not the ledger's.

    Raises StorageError, SchemaVersionError.
    """
    connection, *_ = connecting.connect_to_read(os.path.realpath(path), path, busy_timeout_s)
    with closing(connection):
        try:
            names = [str(name) for (name,) in connection.execute(_OTHERS)]
        except sqlite3.Error as error:
            raise translated(error, path) from error
    return [name for name in names if name not in _OURS and not name.startswith("sqlite_")]
