"""The sessions of one file that are open: who reads takes one, and gives it back.

A session is in the hands of one thread at a time. There are as many as are in use at once.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from ledger.errors import StorageError
from ledger.stores.forks import ForkGuard
from ledger.stores.sqlite import connecting
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.watching import Watch
from ledger.stores.sqlite.write_ahead_log import WriteAheadLog

if TYPE_CHECKING:
    from ledger.stores.sqlite.listening import FileListener

__all__ = ["Sessions", "rolled_back"]


class Sessions:
    """The sessions that are open, and how others are opened.

    `path` is the file as its user names it, `file` what that leads to.
    """

    def __init__(
        self,
        path: str,
        file: str,
        watch: Watch,
        log: WriteAheadLog,
        *,
        durability: str,
        busy_timeout_s: float,
    ) -> None:
        self._path = path
        self._file = file
        self._watch = watch
        self._log = log
        self._durability = durability
        self._busy_timeout_s = busy_timeout_s
        self.guard = ForkGuard()
        self.closed = False
        self.idle: deque[SQLiteSession] = deque()
        # All sessions that are open, so that none is taken along by a fork. One is opened under the
        # lock: SQLite has locks of its own then, which a child would find locked for good.
        self._open: weakref.WeakSet[SQLiteSession] = weakref.WeakSet()
        self.opening = threading.RLock()
        self.listeners: weakref.WeakSet[FileListener] = weakref.WeakSet()
        # Events are written in Python, and an interrupt can leave their lock with nobody: so this
        # one is not looked at but during a fork.
        self.forking = False
        self.not_forking = threading.Event()
        # How to open those that read. As long as nothing is written, nothing is changed either.
        self.way = connecting.READ_WRITE

    # --- those that read ---

    def find_ledger(self) -> bool:
        """Open one in the way that changes nothing; return whether there is a ledger to read."""
        with self.opening:
            connection, self.way, found = connecting.connect_to_read(
                self._file, self._path, self._busy_timeout_s
            )
            self._watch.rely_on_no_change(rely=self.way == connecting.IMMUTABLE)
            self.idle.append(self._session(connection, self.way))
        return found

    def take(self) -> SQLiteSession:
        """Return a session that reads; `give` it back.

        Raises StorageError if the ledger is closed, was forked, or its file was replaced.
        """
        self.guard.check()
        if self.closed:
            self.refuse_closed()
        if self.forking:
            self.not_forking.wait()
        self._watch.check_now_and_then()
        try:
            return self.idle.pop()
        except IndexError:
            return self.connect(self.way)

    def to_keep(self) -> SQLiteSession:
        """Return a session that reads, for longer than a call; whoever keeps it closes it."""
        self.guard.check()
        self.refuse_closed()
        if self.forking:
            self.not_forking.wait()
        return self.connect(self.way)

    def check_kept(self) -> None:
        """Refuse to go on with a session that is kept.

        Raises StorageError if the ledger is closed, or its file was replaced.
        """
        self.refuse_closed()
        self._watch.check_now_and_then()

    def give(self, session: SQLiteSession) -> bool:
        """Take `session` back, and return whether the ledger was closed in the meantime."""
        if session.reads_only and self.way == connecting.READ_WRITE:
            session.close()  # It was opened before the first write.
        elif not session.connection.in_transaction or rolled_back(session):
            self.idle.append(session)
        return self.closed

    def explained(self, error: sqlite3.Error) -> StorageError:
        """Return the error of ours for one of SQLite's: first of all, whether the file is gone."""
        try:
            self._watch.check_at_once()
        except StorageError as gone:
            return gone
        return translated(error, self._path)

    def refuse_closed(self) -> None:
        """Refuse to go on once the ledger is closed.

        Raises StorageError.
        """
        if self.closed:
            raise StorageError(f"The ledger on {self._path} is closed; open it again.")

    def for_writing(self) -> SQLiteSession:
        """Return a session that may write, and open only such ones from now on."""
        if self.way == connecting.READ_WRITE:
            with suppress(IndexError):
                return self.idle.pop()
        writer = self.connect(connecting.READ_WRITE)
        if self.way != connecting.READ_WRITE:
            self.way = connecting.READ_WRITE
            self._watch.rely_on_no_change(rely=False)
            self.close_idle()
        return writer

    def close_idle(self) -> None:
        """Close those that nobody uses."""
        # Another thread may take the last one in between.
        with suppress(IndexError):
            while True:
                self.idle.pop().close()
        for listener in list(self.listeners):
            listener.let_go()

    @property
    def in_use(self) -> bool:
        """Whether any is open still."""
        return any(not session.closed for session in self._open)

    # --- opening ---

    def connect(self, way: str) -> SQLiteSession:
        """Open a session in the way `way`: see `connecting`.

        Raises StorageError.
        """
        with self.opening:
            try:
                connection = connecting.connect(self._file, way, self._busy_timeout_s)
            except sqlite3.Error as error:
                raise self.explained(error) from error
            return self._session(connection, way)

    def _session(self, connection: sqlite3.Connection, way: str) -> SQLiteSession:
        try:
            full = self._durability == "full"
            connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            # On macOS a plain fsync leaves the data in the disk's own cache.
            connection.execute(f"PRAGMA fullfsync = {int(full)}")
            connection.execute(f"PRAGMA checkpoint_fullfsync = {int(full)}")
            connection.execute("PRAGMA recursive_triggers = ON")
            self._log.configure(connection)
            # It was opened by its name; by now that may be another file's.
            self._watch.check_at_once()
            session = SQLiteSession(connection, reads_only=way != connecting.READ_WRITE)
            self._open.add(session)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self.explained(error) from error
            raise
        return session


def rolled_back(session: SQLiteSession) -> bool:
    """Roll back what was not committed; return whether the session can be used again."""
    # Some failures, a full disk among them, have rolled back already.
    if session.connection.in_transaction:
        try:
            session.connection.rollback()
        except sqlite3.Error:
            session.close()  # This rolls back as well.
            return False
    return True
