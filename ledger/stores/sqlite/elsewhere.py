"""How another process opens the same file, to read the log as of the same moment."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import attrs

from ledger.errors import StorageError
from ledger.evidence.source import Log
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import connecting
from ledger.stores.sqlite.line import Line
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.whole_log import SQLiteLog

if TYPE_CHECKING:
    from ledger.evidence.sharing import Companions
    from ledger.stores.sqlite.sessions import Sessions

__all__ = ["SQLiteOpening", "begin_to_read", "begin_together"]

BUSY_TIMEOUT_S = 1.0


def begin_together(
    session: SQLiteSession, companions: Companions, sessions: Sessions, line: Line, waits_s: float
) -> None:
    """Begin to read, and let `companions` begin to, at a moment when nobody can write.

    A writer is waited for `waits_s` seconds, in `line`; after that the companions are sent home.
    """
    # Its own connection, because the one that reads may not be able to write. It is closed
    # before that one, so it is not the last, which would copy the log into the file.
    try:
        lock = sessions.connect(connecting.READ_WRITE)
    except StorageError as error:
        companions.send_home(str(error))
        return
    try:
        with _writers_kept_out(lock.connection, line, Deadline.after(waits_s)):
            begin_to_read(session.connection)
            companions.begin()
    except sqlite3.OperationalError as error:
        companions.send_home(str(error))
    finally:
        lock.close()


@contextmanager
def _writers_kept_out(
    connection: sqlite3.Connection, line: Line, deadline: Deadline
) -> Iterator[None]:
    """Hold the lock of writers over `connection`, which is then closed.

    All that begins to read meanwhile reads as of one moment, so it must not take long.

    Raises sqlite3.OperationalError if another has it until the deadline.
    """

    def attempt() -> None:
        connection.execute("BEGIN IMMEDIATE")

    connection.execute("PRAGMA busy_timeout = 0")
    try:
        line.begin(attempt, deadline)
        yield
    finally:
        connection.close()
        line.close()


def begin_to_read(connection: sqlite3.Connection) -> None:
    """Begin a transaction that reads, as of now and not as of its first look at the log."""
    if not connection.in_transaction:
        connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()


@attrs.frozen(kw_only=True)
class SQLiteOpening:
    """The file, and which one it is, because another may be put in its place."""

    file: str
    device: int
    inode: int

    @classmethod
    def of(cls, file: str) -> SQLiteOpening:
        """Return how the file of that name, as it is now, is opened."""
        found = os.stat(file)
        return cls(file=file, device=found.st_dev, inode=found.st_ino)

    @contextmanager
    def open(self) -> Iterator[SQLiteElsewhere]:
        """Open it so that it cannot be written to, and be ready to begin at once.

        Raises StorageError if it is another file by now.
        """
        connection = connecting.connect(self.file, connecting.READ_ONLY, BUSY_TIMEOUT_S)
        with closing(connection):
            connection.execute("SELECT 1 FROM main.ledger_events LIMIT 1").fetchall()
            if self.of(self.file) != self:
                raise StorageError(f"{self.file} is another file by now")
            yield SQLiteElsewhere(connection)


@attrs.frozen
class SQLiteElsewhere:
    """A connection to the file, over which nothing was read yet."""

    connection: sqlite3.Connection

    def begin(self, snapshot: str) -> Log:  # noqa: ARG002 - a file has no names for its moments
        """Begin to read as of now."""
        begin_to_read(self.connection)
        return SQLiteLog(SQLiteSession(self.connection, reads_only=True))
