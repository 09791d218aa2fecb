"""How a file is opened: so that reading it changes nothing, also where nothing may be changed."""

from __future__ import annotations

import os
import sqlite3

from ledger.errors import StorageError
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.file import MEMORY, holds_a_ledger

__all__ = ["IMMUTABLE", "READ_WRITE", "connect", "connect_to_read", "may_write"]

READ_WRITE = "mode=rw"
READ_ONLY = "mode=ro"
IMMUTABLE = "mode=ro&immutable=1"
"""Without locks and without a log, as one reads a file that nobody writes to."""

_NOT_THIS_WAY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says where a file could be opened in another way."""


def connect(file: str, way: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the database in `file`, an absolute path, which is not made if it is not there."""
    if file == MEMORY:
        return sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    quoted = file.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(
        f"file://{quoted}?{way}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )


def connect_to_read(
    file: str, path: str, busy_timeout_s: float
) -> tuple[sqlite3.Connection, str, bool]:
    """Open `file`, which is there, without changing it.

    Returns the connection, the way in which it is opened, and whether there is a ledger in it.

    Raises StorageError, SchemaVersionError.
    """
    *first, last = _ways_to_read(file)
    for way in first:
        try:
            return _connected(file, path, way, busy_timeout_s)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF not in _NOT_THIS_WAY:
                raise translated(error, path) from error
    try:
        return _connected(file, path, last, busy_timeout_s)
    except sqlite3.Error as error:
        _refuse_unread_log(file, path, error)
        raise translated(error, path) from error


def may_write(file: str) -> bool:
    """Return whether this user may write to `file`, and to what SQLite keeps beside it."""
    return os.access(file, os.W_OK) and os.access(os.path.dirname(file), os.W_OK)


def _ways_to_read(file: str) -> tuple[str, ...]:
    """Return the ways to open `file` without changing it, in the order in which they are tried.

    The last connection that may write copies the write-ahead log into the database when it is
    closed, and removes it; so where there is a log, one that may not write is opened. That one
    would leave a log behind where there is none.
    """
    log = os.path.exists(file + "-wal")
    if may_write(file):
        # A log or a journal that a crash has left may have to be written back before it is read.
        return (READ_ONLY, READ_WRITE) if log else (READ_WRITE,)
    # To read in a log, SQLite needs an index of it beside it, which it makes if it is not there.
    if _unread(file):
        return (READ_ONLY,)
    if not log and os.access(os.path.dirname(file), os.W_OK):
        return (IMMUTABLE,)
    return (READ_ONLY, IMMUTABLE)


def _connected(
    file: str, path: str, way: str, busy_timeout_s: float
) -> tuple[sqlite3.Connection, str, bool]:
    connection = connect(file, way, busy_timeout_s)
    try:
        return connection, way, holds_a_ledger(connection, path)
    except BaseException:
        connection.close()
        raise


def _refuse_unread_log(file: str, path: str, error: sqlite3.Error) -> None:
    if not may_write(file) and (log := _unread(file)):
        raise StorageError(
            f"{path} cannot be read without {log}, which holds what was written last, and to read "
            f"that, SQLite would have to write beside it ({error}). Copy both files to a folder "
            "that this user may write to, and open the copy."
        ) from error


def _unread(file: str) -> str:
    """Return the log or journal of `file` that has something in it; "" if there is none."""
    return next((file + end for end in ("-wal", "-journal") if _holds(file + end)), "")


def _holds(file: str) -> bool:
    try:
        return os.stat(file).st_size > 0
    except OSError:
        return False
