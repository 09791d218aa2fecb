"""What SQLite reports, in the ledger's words. This is the edge: no sqlite3 error goes past it."""

from __future__ import annotations

import sqlite3

from ledger.errors import LedgerBusyError, StorageError, no_ledger
from ledger.stores.sqlite.holders import OWN_PROCESS, disk_is_full, writer_of

__all__ = ["check_kept", "is_busy", "translated"]

_FULL = "has no room to grow: the disk is full. Nothing was appended; make room and try again"
# What SQLite makes of a disk without room, depending on which of its files had to grow.
_FOR_WANT_OF_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_SENTENCES = {
    sqlite3.SQLITE_READONLY: "cannot be written to by this user; nothing was appended. Give it "
    "permission, or copy the ledger to a place where it has it",
    sqlite3.SQLITE_FULL: "has no room to grow: a quota or another limit is reached. Nothing was "
    "appended; make room and try again",
    sqlite3.SQLITE_CORRUPT: "is damaged. Restore it from a backup, or rescue what can be read with "
    "the sqlite3 command's .recover",
    sqlite3.SQLITE_NOTADB: "is not a SQLite database; it was left as it is",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Look whether its folder exists, and whether this "
    "user may read and write there",
    sqlite3.SQLITE_IOERR: "could not be read or written by the operating system. Look at its log, "
    "and at the disk",
    sqlite3.SQLITE_PERM: "cannot be opened: this user has no permission",
}

_OWN = "If a transaction of yours holds it, append in that: book.using(connection)."

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


def is_busy(error: object) -> bool:
    """Return whether `error` is one of SQLite's which says that others were in the way."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return isinstance(error, sqlite3.Error) and code & 0xFF in _BUSY


def translated(error: sqlite3.Error, place: str) -> StorageError:
    """Return the error of ours for one of SQLite's at `place`, which names the database."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Raised by the driver itself: a closed connection, or one used in another thread.
        return StorageError(f"{place} could not be used: {str(error).rstrip('.')}.")
    primary = code & 0xFF
    if primary in _BUSY:
        return _busy(code, place)
    if primary == sqlite3.SQLITE_ERROR and "no such table" in str(error):
        return no_ledger(place, error)
    said = _SENTENCES.get(primary, "refused")
    if primary in _FOR_WANT_OF_ROOM and disk_is_full(place):
        said = _FULL
    return StorageError(f"{place} {said} ({error}).")


def _busy(code: int, place: str) -> LedgerBusyError:
    if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return LedgerBusyError(
            f"{place} was written to by others since this transaction first read it. "
            "Roll it back and run it again, begun with BEGIN IMMEDIATE."
        )
    who = writer_of(place) or "another writer"
    return LedgerBusyError(
        f"{place} has been held by {who} for longer than the busy time-out. Nothing was appended; "
        "try again." + (f" {_OWN}" if who == OWN_PROCESS else "")
    )


def check_kept(kept: int, given: int, table: str) -> None:
    """Refuse to go on if a table has not kept each row that it was given.

    Raises StorageError.
    """
    if kept != given:
        # RAISE(IGNORE) makes a row disappear without an error.
        raise StorageError(
            f"{table} kept {kept} of {given} rows that were to be stored: a trigger that is not "
            "the ledger's swallowed the rest, or somebody deleted a cursor. Nothing was appended. "
            f"See the triggers: {_TRIGGERS}."
        )
