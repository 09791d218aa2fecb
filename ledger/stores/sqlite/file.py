"""The database file: looked at before it is touched, made private, and brought up to date."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import LedgerBusyError, StorageError
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import migrations, structure
from ledger.stores.sqlite.errors import translated

__all__ = ["MEMORY", "bring_up_to_date", "holds_a_ledger", "prepare", "sync_folder"]

MEMORY = ":memory:"

# After so many steps of SQLite's machine, some milliseconds, the time is looked at.
PROGRESS_STEPS = 100_000

# Closing any handle of a file drops all locks that this process has on it (fcntl(2)), so no other
# thread may open the new file before its first handle, which makes it private, is closed.
_creating = threading.Lock()

# As the parts of databases are called.
_ENDS = ("-wal", "-shm", "-journal", "-queue")


def prepare(path: str) -> bool:
    """See that `path` can hold a ledger; if it is not there, make it, readable by this user only.

    Returns whether it was made.

    Raises StorageError, InvalidCursorError, and leaves what is there as it is.
    """
    # The line of a database is an empty file; a ledger that was put there is opened as what it is.
    is_ledger = path.endswith("-queue") and os.path.isfile(path) and os.path.getsize(path) > 0
    if path.endswith(_ENDS) and not is_ledger:
        # Imported here, because hardly any database is called so.
        from ledger.files import refuse_part

        refuse_part(path)
    try:
        with _creating:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                return True
            except FileExistsError:
                if os.path.isdir(path):
                    inside = os.path.join(path, "cursors.db")
                    raise StorageError(
                        f"{path} is a folder; name a file in it, such as {inside}."
                    ) from None
                if not stat.S_ISREG(os.stat(path).st_mode):
                    raise StorageError(f"{path} is not a regular file.") from None
                return False
    except FileNotFoundError:
        folder = os.path.dirname(path)
        raise StorageError(
            f"{path} cannot be made: the folder {folder} does not exist. Make it first."
        ) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be made: {error.strerror or error}.") from error


def bring_up_to_date(connection: sqlite3.Connection, path: str, deadline: Deadline) -> None:
    """Make the tables if they are not there, and begin a write-ahead log.

    Raises SchemaVersionError before anything is changed, StorageError, LedgerBusyError.
    """
    fresh: list[str] = []
    try:
        with _within_time(connection):
            structure.refuse_strange(connection, path)
            fresh = migrations.pending(connection)
            if path != MEMORY:
                _write_ahead(connection, path, deadline)
            if fresh:
                migrations.migrate(connection)
            # From the first look at a table on, the log and its index are there.
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        said = translated(error, path)
        if fresh and isinstance(said, LedgerBusyError):
            said = LedgerBusyError(
                f"{said} The ledger's tables are yet to be made there, or brought up to date, "
                "which no other transaction may be open for: use the ledger once, as by "
                "book.find(key), before you begin yours."
            )
        raise said from error


def holds_a_ledger(connection: sqlite3.Connection, path: str) -> bool:
    """Return whether there is a ledger to read, and change nothing.

    Raises SchemaVersionError, StorageError if it is one that must not be read, sqlite3.Error.
    """
    with _within_time(connection):
        structure.refuse_strange(connection, path)
        return migrations.holds_a_ledger(connection)


@contextmanager
def _within_time(connection: sqlite3.Connection) -> Iterator[None]:
    until = time.monotonic() + structure.TIME_MAX_S
    connection.set_progress_handler(lambda: time.monotonic() > until, PROGRESS_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def _write_ahead(connection: sqlite3.Connection, path: str, deadline: Deadline) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    mode = ""
    while not mode:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            # This one does not wait for the busy time-out by itself.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or deadline.is_over:
                raise
            time.sleep(0.005)
    if mode != "wal":
        raise StorageError(
            f"{path} lies where SQLite cannot keep a write-ahead log (a network share, perhaps), "
            "so what it acknowledges would not be safe. Put it on a local disk."
        )


def sync_folder(file: str, path: str) -> None:
    """See to it that the names of the database and its log survive a power loss.

    SQLite asks for that as well, but goes on if it fails.

    Raises StorageError.
    """
    folder = os.path.dirname(file)
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"{path} would not be safe from a power loss, because its folder {folder} cannot be "
            f"flushed to the disk: {error.strerror or error}. Give this user permission to read "
            'the folder, or open the ledger with durability="normal".'
        ) from error


def _renew_lock() -> None:
    """Begin anew in a child, because a thread that it does not have may hold the lock."""
    global _creating  # noqa: PLW0603 - it is of all files
    _creating = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
