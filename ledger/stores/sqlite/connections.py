"""Who holds a connection, and for how long: a pool of our own, or one lent by a caller.

A session is in the hands of one thread at a time, and is never carried into a forked process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from ledger.errors import InvalidCursorError, LedgerBusyError, SchemaVersionError, StorageError
from ledger.fields import kind
from ledger.stores.sqlite import file, migrations
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.session import SQLiteSession

__all__ = ["Borrowed", "Connections", "Pool"]

T = TypeVar("T")

# Versions in which a checkpoint beside another connection's commit can corrupt the file:
# https://sqlite.org/wal.html#the_wal_reset_bug
_WAL_RESET_RACE = (
    (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3)
    and not (3, 50, 7) <= sqlite3.sqlite_version_info < (3, 51, 0)
    and not (3, 44, 6) <= sqlite3.sqlite_version_info < (3, 45, 0)
)

# As SQLite does by itself elsewhere, the log is copied into the database every 1,000 pages or so:
# a commit takes about 3 pages, and a page about 12 rows more.
_WAL_PAGES_MAX = 1_000
_WAL_PAGES_AGAIN = 100
_DRAIN_S = 0.005
_DRAIN_ROUNDS_MAX = 20
_PAGES_A_COMMIT = 3
_ROWS_A_PAGE = 12
_PAGE_BYTES = 4_096


class Connections(Protocol):
    """Lends sessions for a piece of work."""

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which only reads."""

    def write(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work` in one transaction; if it raises, nothing has happened."""

    def hold(self) -> AbstractContextManager[SQLiteSession]:
        """Lend one session that sees one moment."""

    def borrow(self, connection: object) -> Connections:
        """Lend the caller's own connection instead."""

    def close(self) -> None:
        """Lend no more."""


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
        self._wal_pages = 0
        # Connections are opened later, too, perhaps when the process has gone to another folder.
        self._file = path
        if path != file.MEMORY:
            self._file = os.path.abspath(path)  # noqa: PTH100 - links are left as they are
            file.prepare(path)
            with suppress(OSError):
                self._wal_pages = Path(self._file + "-wal").stat().st_size // _PAGE_BYTES
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
        if _WAL_RESET_RACE and self._path != file.MEMORY:
            changes = connection.total_changes - changes
            self._wal_pages += _PAGES_A_COMMIT + changes // _ROWS_A_PAGE
            if self._wal_pages >= _WAL_PAGES_MAX:
                self._checkpoint(connection)
        return result

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Copy the write-ahead log into the database while nobody can commit.

        One connection holds the writer's lock, so that no commit can fall beside the checkpoint
        that another makes; unlike a checkpoint in mode FULL, it waits for no reader.
        """
        # A log that was copied is begun anew by the next commit, unless somebody still reads in it.
        # Whether that happened, the next look shows; it comes soon, lest readers put it off.
        self._wal_pages = _WAL_PAGES_MAX - _WAL_PAGES_AGAIN
        # The commit before this has succeeded, and is safe in the log: nothing that fails in here
        # may make its caller think otherwise. The next checkpoint finds the log as it is.
        with suppress(sqlite3.Error, StorageError):
            other = self._take()
            try:
                connection.execute("BEGIN IMMEDIATE")
                pages = _copy_log(other.connection)
                self._wal_pages = min(pages, self._wal_pages)
            finally:
                self._give(other)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

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
            if _WAL_RESET_RACE:
                connection.execute("PRAGMA wal_autocheckpoint = 0")
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, self._path) from error
        return SQLiteSession(connection)


class Borrowed:
    """A caller's connection: everything happens in the transaction that it is in."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        if connection.text_factory is not str:
            raise InvalidCursorError(
                "the connection has a text_factory of its own, through which the ledger cannot "
                "read; lend one without."
            )
        self._session = SQLiteSession(connection)
        self._path = path
        self.read(self._check)

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which sees what the caller's transaction has done so far."""
        try:
            return work(self._session)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def write(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work` in the caller's transaction; if it raises, only `work` is undone."""
        return self.read(lambda session: self._transact(session, work))

    @contextmanager
    def hold(self) -> Iterator[SQLiteSession]:
        """Lend the session; the caller's transaction holds the moment still, or one of ours."""
        connection = self._session.connection
        begun = not connection.in_transaction
        try:
            if begun:
                connection.execute("BEGIN")
            yield self._session
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            if begun and connection.in_transaction:
                connection.execute("ROLLBACK")

    def borrow(self, connection: object) -> Connections:  # noqa: ARG002 - of the protocol
        """Refuse: this one is lent already."""
        raise InvalidCursorError("this ledger is lent a connection already; use the one it is of.")

    def close(self) -> None:
        """Leave the connection to its owner."""

    def _check(self, session: SQLiteSession) -> None:
        same = False
        files = {row[1]: row[2] for row in session.select("PRAGMA database_list")}
        main = files.get("main", "")
        with suppress(OSError):
            same = bool(main) and Path(main).samefile(self._path)
        if not same:
            raise InvalidCursorError(
                f"the connection is to {main or 'a database in memory'}, but this ledger is in "
                f"{self._path}; lend it a connection to the same file."
            )
        if migrations.pending(session.connection):
            raise SchemaVersionError(f"{self._path} has no ledger in it any more; open it anew.")

    def _transact(self, session: SQLiteSession, work: Callable[[SQLiteSession], T]) -> T:
        connection = session.connection
        begun = False
        if not connection.in_transaction:
            if connection.isolation_level is None or _autocommits(connection):
                raise StorageError(
                    "the connection is in autocommit mode and in no transaction, so there is "
                    'nothing to be part of. Begin one: connection.execute("BEGIN IMMEDIATE").'
                )
            # As sqlite3 itself begins one before an INSERT; but at once as a writer, for what is
            # read in here must still hold when it is written upon. It is the caller's to end.
            connection.execute("BEGIN IMMEDIATE")
            begun = True
        connection.execute("SAVEPOINT cursor_ledger")
        try:
            connection.execute(_BECOME_WRITER)
            result = work(session)
            connection.execute("RELEASE cursor_ledger")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK TO cursor_ledger")
                connection.execute("RELEASE cursor_ledger")
                if begun:
                    connection.execute("ROLLBACK")
            raise
        return result


# Takes the writer's lock, and fails if others have written since this transaction first read;
# without it that would show only after the law had judged by what is no longer true.
_BECOME_WRITER = "UPDATE ledger_cursors SET id = id WHERE 0"


def _copy_log(connection: sqlite3.Connection) -> int:
    """Copy the write-ahead log into the database, as far as its readers let; give its pages.

    The caller sees to it that nobody commits in the meantime.
    """
    pages, drained = 0, False
    for _ in range(_DRAIN_ROUNDS_MAX):
        _, pages, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if pages <= 2 * _WAL_PAGES_MAX or drained:
            break
        # Its readers have put it off for long. Those in the log go in a moment; those who come
        # after all of it is copied read the database itself.
        drained = copied == pages
        time.sleep(_DRAIN_S)
    return int(pages)


def _autocommits(connection: sqlite3.Connection) -> bool:
    # Python 3.12 and later.
    return getattr(connection, "autocommit", False) is True
