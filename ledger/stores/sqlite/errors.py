"""What SQLite reports, in the ledger's words. This is the edge: no sqlite3 error goes past it."""

from __future__ import annotations

import sqlite3

from ledger.errors import LedgerBusyError, SchemaVersionError, StorageError

__all__ = ["translated"]

_BUSY = "is held by another writer, longer than the busy time-out. Nothing was appended; try again"
_SENTENCES = {
    sqlite3.SQLITE_READONLY: "cannot be written to by this user; nothing was appended. Give it "
    "permission, or copy the ledger to a place where it has it",
    sqlite3.SQLITE_FULL: "has no room to grow: the disk is full, or a limit is reached. Nothing "
    "was appended; make room and try again",
    sqlite3.SQLITE_CORRUPT: "is damaged. Restore it from a backup, or rescue what can be read with "
    "the sqlite3 command's .recover",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; it was left as it is",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Look whether its folder exists, and whether this "
    "user may read and write there",
    sqlite3.SQLITE_IOERR: "could not be read or written by the operating system",
    sqlite3.SQLITE_PERM: "cannot be opened: this user has no permission",
}


def translated(error: sqlite3.Error, place: str) -> StorageError:
    """Give the error of ours for one of SQLite's at `place`, which names the database."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Raised by the driver itself: a closed connection, or one used in another thread.
        return StorageError(f"{place} could not be used: {error}.")
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
            return LedgerBusyError(
                f"{place} was written to by others since this transaction first read it. "
                "Roll it back and run it again, begun with BEGIN IMMEDIATE."
            )
        return LedgerBusyError(f"{place} {_BUSY}.")
    if primary == sqlite3.SQLITE_ERROR and "no such table" in str(error):
        return SchemaVersionError(
            f"{place} has no ledger in it ({error}). Open it once with ledger.open(…) to make one."
        )
    if primary in _SENTENCES:
        return StorageError(f"{place} {_SENTENCES[primary]} ({error}).")
    return StorageError(f"{place} refused: {error}.")
