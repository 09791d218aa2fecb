"""Connections of our own. A session is in the hands of one thread at a time, and of one process.

One of them writes, in turns; of those that read there are as many as are in use at once.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.fields import kind
from ledger.forks import ForkGuard
from ledger.stores.sqlite import file
from ledger.stores.sqlite.borrowed import Borrowed
from ledger.stores.sqlite.connections import Connections
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.heads import Heads
from ledger.stores.sqlite.session import SQLiteSession
from ledger.stores.sqlite.write_ahead_log import WriteAheadLog

__all__ = ["Pool"]

T = TypeVar("T")


class Pool:
    """Connections of our own to one file, as many as are in use at once; one to memory."""

    def __init__(self, path: str, *, durability: str, busy_timeout_s: float) -> None:
        self._path = path
        self._durability = durability
        self._busy_timeout_s = busy_timeout_s
        self._guard = ForkGuard()
        self._closed = False
        self._idle: deque[SQLiteSession] = deque()
        # Writers of this process queue here rather than poll the lock of the file. What is in
        # memory has one connection, which readers queue for as well.
        self._turn = threading.Lock()
        # Connections are opened later, too, perhaps when the process has gone to another folder.
        self._file = path
        if path != file.MEMORY:
            self._file = os.path.abspath(path)
            file.prepare(path)
        self._log = WriteAheadLog(self._file)
        self._writer: SQLiteSession | None = None
        writer = self._open_writer()
        try:
            file.bring_up_to_date(writer.connection, path, busy_timeout_s)
        except BaseException:
            writer.connection.close()
            raise

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which only reads."""
        if self._path == file.MEMORY:
            return self._run_in_turn(work)
        session = self._take()
        try:
            return work(session)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            self._give(session)

    def write(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        return self._run_in_turn(work, transact=True)

    @contextmanager
    def hold(self) -> Iterator[SQLiteSession]:
        """Lend one session that sees one moment."""
        memory = self._path == file.MEMORY
        session = self._take_turn() if memory else self._take()
        try:
            session.connection.execute("BEGIN")
            yield session
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            if memory:
                self._end_turn(session)
            else:
                self._give(session)

    def borrow(self, connection: object) -> Connections:
        """Lend the caller's own connection to the same file instead."""
        if not isinstance(connection, sqlite3.Connection):
            raise InvalidCursorError(
                f"connection must be a sqlite3.Connection to {self._path}, not {kind(connection)}."
            )
        return Borrowed(connection, self._file)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self._closed = True
        if self._guard.forked():
            return  # A child must not close what its parent uses.
        # Another thread may take the last one in between.
        with suppress(IndexError):
            while True:
                self._idle.pop().connection.close()
        if self._turn.acquire(blocking=False):
            if self._writer is not None:
                self._writer.connection.close()
                self._writer = None
            self._turn.release()

    # --- the session that writes ---

    def _take_turn(self) -> SQLiteSession:
        self._guard.check()
        if not self._turn.acquire(timeout=self._busy_timeout_s):
            raise LedgerBusyError(
                f"{self._path} is being written to by another thread, longer than the busy "
                "time-out. Nothing was appended; try again."
            )
        try:
            self._refuse_closed()
            return self._writer or self._open_writer()
        except BaseException:
            self._turn.release()
            raise

    def _open_writer(self) -> SQLiteSession:
        self._heads = Heads()
        self._writer = self._connect(self._heads)
        return self._writer

    def _end_turn(self, session: SQLiteSession) -> None:
        if not _rolled_back(session):
            self._writer = None
        self._turn.release()
        if self._closed:
            self.close()

    def _run_in_turn(self, work: Callable[[SQLiteSession], T], *, transact: bool = False) -> T:
        session = self._take_turn()
        try:
            if not transact:
                return work(session)
            # If anything fails, the session is rolled back at the end of its turn.
            self._heads.begin(session.begin())
            result = work(session)
            rows = session.commit()
            self._heads.committed()
            if self._log.grew(rows):
                self._checkpoint(session.connection)
            return result
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            self._end_turn(session)

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        # The commit before this has succeeded, and is safe in the log: nothing that fails in here
        # may make its caller think otherwise. The next checkpoint finds the log as it is.
        with suppress(sqlite3.Error, StorageError):
            other = self._take()
            try:
                self._log.checkpoint(connection, other.connection)
            finally:
                self._give(other)

    # --- those that read ---

    def _take(self) -> SQLiteSession:
        self._guard.check()
        self._refuse_closed()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give(self, session: SQLiteSession) -> None:
        if _rolled_back(session):
            self._idle.append(session)
        if self._closed:
            self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError(f"The ledger on {self._path} is closed; open it again.")

    def _connect(self, heads: Heads | None = None) -> SQLiteSession:
        try:
            connection = sqlite3.connect(
                self._file,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        try:
            full = self._durability == "full"
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            # On macOS a plain fsync leaves the data in the disk's own cache.
            connection.execute(f"PRAGMA fullfsync = {int(full)}")
            connection.execute(f"PRAGMA checkpoint_fullfsync = {int(full)}")
            connection.execute("PRAGMA recursive_triggers = ON")
            self._log.configure(connection)
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, self._path) from error
        return SQLiteSession(connection, heads)


def _rolled_back(session: SQLiteSession) -> bool:
    """Roll back what was not committed; say whether the session can be trusted with more."""
    # Some failures, a full disk among them, have rolled back already.
    if session.connection.in_transaction:
        try:
            session.connection.rollback()
        except sqlite3.Error:
            session.connection.close()  # This rolls back as well.
            return False
    return True
