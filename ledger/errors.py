"""The errors. Every one that leaves this package is a LedgerError.

A refusal carries its facts as attributes; its message says them, and the next step. All of them
survive pickling and copying, so that a worker process can hand one back. Where only the message
comes back, as out of Celery's JSON, the error can be made of it; its attributes are None then.
"""

from __future__ import annotations

__all__ = [
    "BrokenChainError",
    "DivergedError",
    "InvalidCursorError",
    "LedgerBusyError",
    "LedgerError",
    "SchemaVersionError",
    "StorageError",
    "UnknownOutcomeError",
]


class LedgerError(Exception):
    """Anything that this package refuses or cannot do.

    >>> import ledger
    >>> try:
    ...     ledger.CursorKey("", "orders")
    ... except ledger.LedgerError as error:
    ...     print(type(error).__name__)
    InvalidCursorError
    """

    def __repr__(self) -> str:
        """Show the message, cut: in a log it may stand beside many."""
        name, said = type(self).__name__, repr(str(self))
        return f"{name}({said if len(said) <= SHOWN_MAX else said[:SHOWN_MAX] + '…'})"


class InvalidCursorError(LedgerError, ValueError):
    """A value that no cursor, request or query can have; nothing was looked up or changed.

    >>> import ledger
    >>> try:
    ...     ledger.AdvanceCursor(ledger.CursorKey("webhooks", "orders"), -1)
    ... except ledger.InvalidCursorError as error:
    ...     print(error)
    last_sequence must be from 1 to 9223372036854775807, not -1.
    """


class BrokenChainError(LedgerError):
    """The log contradicts itself: it was damaged, or edited behind the ledger's back.

    `place` names the cursor or the row, and `fault` what is wrong there.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     first, second = book.history(key)
    ...     try:
    ...         ledger.fold([second])
    ...     except ledger.BrokenChainError as error:
    ...         print(error.fault)
    its version is 2, but 1 comes next
    """

    place: str | None = None
    fault: str | None = None

    def __init__(self, place: str, fault: str | None = None) -> None:
        if fault is None:
            super().__init__(place)
            return
        super().__init__(f"{place}: {fault}. Run verify() to see every fault.")
        self.place = place
        self.fault = fault


class DivergedError(LedgerError):
    """Two logs that should be the same are not, so that one cannot be brought on to the other.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book, ledger.open(":memory:") as archive:
    ...     cursors = book.advance(key, to=41), archive.advance(key, to=7)
    ...     try:
    ...         book.copy_to(archive)
    ...     except ledger.DivergedError:
    ...         print("the archive is no copy of this ledger")
    the archive is no copy of this ledger
    """


class StorageError(LedgerError):
    """The database could not do it; what was asked for has not happened unless it says so.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         ledger.open(folder)
    ...     except ledger.StorageError:
    ...         print("a folder is no database")
    a folder is no database
    """


class LedgerBusyError(StorageError):
    """Others held the database for longer than the busy time-out; try again.

    >>> import contextlib, ledger, sqlite3, tempfile
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/cursors.db"
    ...     with ledger.open(path, busy_timeout_s=0.01) as book:
    ...         cursor = book.advance(key, to=41)
    ...         with contextlib.closing(sqlite3.connect(path)) as other:
    ...             at = other.execute("BEGIN IMMEDIATE")
    ...             try:
    ...                 book.advance(key, to=44)
    ...             except ledger.LedgerBusyError:
    ...                 print("busy; try again")
    busy; try again
    """


class SchemaVersionError(StorageError):
    """The tables were made by a newer version of this package, or are not there at all.

    >>> import contextlib, ledger, sqlite3, tempfile
    >>> newer = "UPDATE _sqlite_migrations SET name = '9999_newer' WHERE name = '0002_cursors_stay'"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/cursors.db"
    ...     with ledger.open(path) as book:
    ...         cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
    ...         changed = other.execute(newer)
    ...     try:
    ...         ledger.open(path)
    ...     except ledger.SchemaVersionError:
    ...         print("upgrade cursor-ledger")
    upgrade cursor-ledger
    """


class UnknownOutcomeError(StorageError):
    """A commit was cut off, or failed half-way: the entry was appended, or it was not.

    >>> import ledger
    >>> def advance_once(book: ledger.Ledger, key: ledger.CursorKey, to: int) -> ledger.Cursor:
    ...     try:
    ...         return book.advance(key, to=to)
    ...     except ledger.UnknownOutcomeError:
    ...         cursor = book.get(key)  # It tells whether the entry was appended.
    ...         return cursor if cursor.last_sequence == to else book.advance(key, to=to)
    >>> with ledger.open(":memory:") as book:
    ...     advance_once(book, ledger.CursorKey("webhooks", "orders"), 41).version
    1
    """


SHOWN_MAX = 160
