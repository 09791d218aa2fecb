"""Connections of our own. A session is in the hands of one thread at a time, and of one process."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TypeVar

from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.fields import kind
from ledger.stores.sqlite import file
from ledger.stores.sqlite.borrowed import Borrowed
from ledger.stores.sqlite.connections import Connections
from ledger.stores.sqlite.errors import translated
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
        self._pid = os.getpid()
        self._closed = False
        self._idle: deque[SQLiteSession] = deque()
        # Writers of this process queue here rather than poll the lock of the file. What is in
        # memory has one connection, which readers queue for as well.
        self._writer = threading.Lock()
        # Connections are opened later, too, perhaps when the process has gone to another folder.
        self._file = path
        if path != file.MEMORY:
            self._file = os.path.abspath(path)
            file.prepare(path)
        self._log = WriteAheadLog(self._file)
        session = self._connect()
        try:
            file.bring_up_to_date(session.connection, path, busy_timeout_s)
        except BaseException:
            session.connection.close()
            raise
        self._idle.append(session)

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which only reads."""
        if self._path == file.MEMORY:
            with self._turn():
                return self._run(work)
        return self._run(work)

    def write(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        with self._turn():
            return self._run(lambda session: self._transact(session, work))

    @contextmanager
    def hold(self) -> Iterator[SQLiteSession]:
        """Lend one session that sees one moment."""
        with self._turn() if self._path == file.MEMORY else nullcontext():
            session = self._take()
            try:
                session.connection.execute("BEGIN")
                yield session
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            finally:
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
        if self._pid != os.getpid():
            return  # A child must not close what its parent uses.
        # Another thread may take the last one in between.
        with suppress(IndexError):
            while True:
                self._idle.pop().connection.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._refuse_fork()
        if not self._writer.acquire(timeout=self._busy_timeout_s):
            raise LedgerBusyError(
                f"{self._path} is being written to by another thread, longer than the busy "
                "time-out. Nothing was appended; try again."
            )
        try:
            yield
        finally:
            self._writer.release()

    def _run(self, work: Callable[[SQLiteSession], T]) -> T:
        session = self._take()
        try:
            return work(session)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            self._give(session)

    def _transact(self, session: SQLiteSession, work: Callable[[SQLiteSession], T]) -> T:
        connection = session.connection
        changes = connection.total_changes
        # Immediate: what is read in here must still hold when it is written upon. If anything
        # fails, the session is rolled back as it is given back.
        connection.execute("BEGIN IMMEDIATE")
        result = work(session)
        connection.execute("COMMIT")
        if self._log.grew(connection.total_changes - changes):
            self._checkpoint(connection)
        return result

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        # The commit before this has succeeded, and is safe in the log: nothing that fails in here
        # may make its caller think otherwise. The next checkpoint finds the log as it is.
        with suppress(sqlite3.Error, StorageError):
            other = self._take()
            try:
                self._log.checkpoint(connection, other.connection)
            finally:
                self._give(other)

    def _take(self) -> SQLiteSession:
        self._refuse_fork()
        if self._closed:
            raise StorageError(f"The ledger on {self._path} is closed; open it again.")
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _give(self, session: SQLiteSession) -> None:
        # Some failures, a full disk among them, have rolled back already.
        if session.connection.in_transaction:
            try:
                session.connection.rollback()
            except sqlite3.Error:
                session.connection.close()  # It cannot be trusted again; this rolls back as well.
                return
        self._idle.append(session)
        if self._closed:
            self.close()

    def _refuse_fork(self) -> None:
        if self._pid != os.getpid():
            raise StorageError(
                f"The ledger on {self._path} was opened before this process was forked; "
                "open it again in the child."
            )

    def _connect(self) -> SQLiteSession:
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
        return SQLiteSession(connection)
