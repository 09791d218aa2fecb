"""What PostgreSQL reports, in the ledger's words. At this edge all psycopg errors end."""

from __future__ import annotations

import psycopg
from psycopg import errors

from ledger.errors import LedgerBusyError, StorageError, no_ledger
from ledger.law import fields

__all__ = ["is_busy", "is_late", "is_lost", "is_of_row", "is_race", "swallowed", "translated"]

# What ledger_swallowed raises.
SWALLOWED = "CL001"

# Where a transaction sees only what was there when it began, a cursor that another has made since
# is there for the index alone, however often it is tried.
_BUSY = (
    errors.LockNotAvailable,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.UniqueViolation,
)
_SENTENCES: tuple[tuple[tuple[type[psycopg.Error], ...], str], ...] = (
    (
        (errors.DiskFull,),
        "is full: the server's disk has no room left. Nothing was appended; make room, try again",
    ),
    (
        (errors.InsufficientPrivilege,),
        "refused, because this user may not do that; docs/postgresql.md says which role may",
    ),
    (
        (errors.ReadOnlySqlTransaction,),
        "can only be read from, because it is a standby, or set so; see target_session_attrs",
    ),
    ((errors.TooManyConnections,), "has no connection left; lower pool_max_size, or try again"),
    ((errors.QueryCanceled,), "cancelled the statement; nothing was appended"),
    (
        (errors.InvalidSqlStatementName, errors.DuplicatePreparedStatement),
        (
            "has forgotten a prepared statement, so there seems to be a pooler in between that "
            "gives each transaction another session. The ledger needs a session to itself: "
            "pool_mode = session in PgBouncer"
        ),
    ),
)
# The server was stopped, has crashed, or is about to be ready.
_GONE = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)


def is_busy(error: object) -> bool:
    """Return whether `error` is one of psycopg's which says that others were in the way."""
    return isinstance(error, _BUSY) and not _is_taken(error)


def is_lost(error: psycopg.Error, connection: psycopg.Connection[object] | None) -> bool:
    """Return whether the connection is gone, and with it perhaps the answer to what was sent."""
    if isinstance(error, _GONE) or (connection is not None and connection.closed):
        return True
    return isinstance(error, psycopg.OperationalError) and error.sqlstate is None


def is_race(error: psycopg.Error) -> bool:
    """Return whether the same again may succeed: others made the cursor, or went the other way."""
    kinds = errors.UniqueViolation | errors.DeadlockDetected | errors.SerializationFailure
    return isinstance(error, kinds) and not _is_taken(error)


def is_late(error: psycopg.Error) -> bool:
    """Return whether a wait for others was given up."""
    return isinstance(error, errors.LockNotAvailable)


def is_of_row(error: psycopg.Error) -> bool:
    """Return whether a wait was for a row that somebody has changed; a server says which row."""
    return bool(error.diag.context)


def _is_taken(error: psycopg.Error) -> bool:
    """Return whether there is an entry already where the next one of a cursor belongs.

    Nobody is in the way then: who appends holds the row of the cursor, which is made first.
    """
    table = error.diag.table_name or ""
    return isinstance(error, errors.UniqueViolation) and table.startswith("ledger_events")


def translated(error: psycopg.Error, place: str, held_by: str = "") -> StorageError:
    """Return the error of ours for one of PostgreSQL's at `place`, which names the database.

    `held_by` says who has what was waited for, where that is known.
    """
    message = _message(error)
    if _is_taken(error):
        return StorageError(
            f"{place} has an entry where the next one belongs, of which the stored cursor does not "
            f"know ({message}). Nothing was appended; verify the ledger to see which."
        )
    if isinstance(error, _BUSY):
        return LedgerBusyError(
            f"{place} has been held by another transaction for longer than the busy time-out, or "
            f"was changed by it ({message}). {held_by}{held_by and ' '}Nothing was appended; try "
            "again, in a transaction of your own after rolling it back."
        )
    if error.sqlstate == SWALLOWED:
        return StorageError(
            f"{place}: {message}, so a trigger on it keeps rows away. Nothing was appended; drop "
            "that trigger, then verify the ledger."
        )
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
        return no_ledger(place, message)
    for kinds, sentence in _SENTENCES:
        if isinstance(error, kinds):
            return StorageError(f"{place} {sentence} ({message}).")
    return StorageError(f"{place} could not run the statement: {message}.")


def _message(error: psycopg.Error) -> str:
    """Return what the server said, on one line; a URL in it loses its password."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    lines = [" ".join(line.split()) for line in said.splitlines()]
    return fields.message("; ".join(filter(None, lines)), "message").rstrip(".?")


def swallowed(table: str, stored: int, wanted: int) -> StorageError:
    """Return what is raised where a table has not stored every row; nothing is kept then."""
    return StorageError(
        f"{table} has stored {stored} of {wanted} rows, so a trigger on it keeps rows away. "
        "Nothing was appended; drop that trigger, then verify the ledger."
    )
