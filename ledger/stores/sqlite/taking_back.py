"""A commit that failed must not come back: what it left in the write-ahead log is written over."""

from __future__ import annotations

import sqlite3

from ledger.errors import UnknownOutcomeError

__all__ = ["take_back"]

# What makes a commit valid is in the last frame that it writes. If a write failed, that one is not
# there, and it does not matter if there is no room to write over the others.
_BEFORE_ITS_END = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


def take_back(
    connection: sqlite3.Connection, path: str, failure: sqlite3.Error, busy_timeout_s: float
) -> None:
    """See to it that the commit which ended in `failure` stays undone.

    All that it stored may be whole in the write-ahead log, with only the flush missing. SQLite
    forgets it in memory, but whoever next recovers the log would take it for committed.

    Raises UnknownOutcomeError if that cannot be done.
    """
    if failure.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
        return  # Nothing is written yet.
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        connection.execute("PRAGMA synchronous = FULL")
        _commit_nothing(connection, busy_timeout_s)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    except sqlite3.Error as error:
        if failure.sqlite_errorcode in _BEFORE_ITS_END:
            return
        raise UnknownOutcomeError(
            f"{path}: the commit failed ({failure}), and so did writing over what it left in the "
            f"write-ahead log ({error}). Whether the entry was appended shows only when the next "
            "append succeeds or the file is opened again. Mend what is wrong, open the ledger "
            "again, and look at the cursor before asking again."
        ) from failure


def _commit_nothing(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Commit a page as it is, in the log's place where the failed commit begins."""
    # Another process may have begun in between.
    connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1_000)}")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA busy_timeout = 0")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    # The same number again: the page counts as changed, and nothing that anybody reads is.
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
