"""Connections of our own. A session is in the hands of one thread at a time, and of one process.

One of them writes, in turns; of those that read there are as many as are in use at once.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar

from ledger.errors import LedgerBusyError, StorageError
from ledger.evidence.sharing import Companions
from ledger.stores import Listening, Snapshot
from ledger.stores.deadline import Deadline
from ledger.stores.forks import ForkGuard
from ledger.stores.head_cache import HeadCache
from ledger.stores.lending import not_to_be_lent
from ledger.stores.sqlite import connecting, file, forking
from ledger.stores.sqlite.elsewhere import SQLiteOpening, begin_to_read, writers_kept_out
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.lent import Borrowed
from ledger.stores.sqlite.line import Line
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.taking_back import take_back
from ledger.stores.sqlite.transaction import SQLiteTransaction
from ledger.stores.sqlite.turn import Turn
from ledger.stores.sqlite.watching import Watch
from ledger.stores.sqlite.whole_log import whole_log
from ledger.stores.sqlite.write_ahead_log import WriteAheadLog

if TYPE_CHECKING:
    from ledger.stores.sqlite.listening import FileListener

__all__ = ["Pool"]

T = TypeVar("T")
W = TypeVar("W")

# How long a fork waits, at most twice, for other threads to end what they do here.
FORK_WAITS_S = 1.0

# How long a check waits for a writer, so that other processes can begin to read with it.
TOGETHER_S_MAX = 3.0


class Pool:
    """Connections of our own to one file, as many as are in use at once; one to memory."""

    identity = ""  # A file is told by its place.

    def __init__(self, path: str, *, durability: str, busy_timeout_s: float) -> None:
        self._path = path
        self._durability = durability
        self._busy_timeout_s = busy_timeout_s
        self._guard = ForkGuard()
        self._closed = False
        self._idle: deque[SQLiteSession] = deque()
        # All sessions that are open, so that none is taken along by a fork. One is opened under the
        # lock: SQLite has locks of its own then, which a child would find locked for good.
        self._open: weakref.WeakSet[SQLiteSession] = weakref.WeakSet()
        self._opening = threading.RLock()
        self._listeners: weakref.WeakSet[FileListener] = weakref.WeakSet()
        # Events are written in Python, and an interrupt can leave their lock with nobody: so this
        # one is not looked at but during a fork.
        self._forking = False
        self._not_forking = threading.Event()
        self._stopped_for_fork = self._opens_none = False
        # What is in memory has one connection, which readers need as well.
        self._turn = Turn(path)
        # Connections are opened later, too, perhaps when the process has gone to another folder.
        self.file = path
        made = True
        if path != file.MEMORY:
            # SQLite keeps the log beside what a link leads to.
            self.file = os.path.realpath(path)
            made = file.prepare(path)
            forking.refuse_inherited(self.file)
            forking.watch(self)
        self._watch = Watch(os.path.abspath(path), self.file, path)
        self._line = Line(self.file)
        self._log = WriteAheadLog(self.file, busy_timeout_s)
        self._writer: SQLiteSession | None = None
        # How to open those that read. As long as nothing is written, nothing is changed either.
        self._way = connecting.READ_WRITE
        try:
            if made or not self._holds_a_ledger():
                self._writer = self._open_writer(Deadline.after(busy_timeout_s))
        except BaseException:
            self._close_idle(writer=True)
            raise

    @property
    def immutable(self) -> bool:
        """Say whether the file is read as one that nobody writes to."""
        return self._way == connecting.IMMUTABLE

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which only reads."""
        if self._path == file.MEMORY:
            return self._in_turn(self._read_in_turn, work, None)
        session = self._take()
        try:
            return work(session)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            self._give(session)

    def write(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        return self._in_turn(self._transact, work, deadline)

    def opening(self) -> SQLiteOpening | None:
        """Return how another process opens the file; None where writers cannot be kept out."""
        if self._path == file.MEMORY or self.immutable or not connecting.may_write(self.file):
            return None
        return SQLiteOpening.of(self.file)

    @contextmanager
    def hold(self, companions: Companions | None = None) -> Iterator[Snapshot]:
        """Lend the whole log as of one moment, and let `companions` begin to read then."""
        with self._turn_of_memory() if self._path == file.MEMORY else self._lent() as session:
            try:
                session.connection.execute("BEGIN")
                if companions:
                    self._begin_together(session, companions)
                with whole_log(session) as log:
                    yield log
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            self._watch.check_now_and_then()

    def _begin_together(self, session: SQLiteSession, companions: Companions) -> None:
        """Begin to read, and let `companions` begin to, at a moment when nobody can write."""
        # Its own connection, because the one that reads may not be able to write. It is closed
        # before that one, so it is not the last, which would copy the log into the file.
        try:
            lock = self._connect(connecting.READ_WRITE)
        except StorageError as error:
            companions.send_home(str(error))
            return
        waits_s = min(self._busy_timeout_s, TOGETHER_S_MAX)
        try:
            with writers_kept_out(lock.connection, Line(self.file), Deadline.after(waits_s)):
                begin_to_read(session.connection)
                companions.begin()
        except sqlite3.OperationalError as error:
            companions.send_home(str(error))
        finally:
            lock.close()

    def listen(self) -> Listening:
        """Return what hears that cursors move: by others as well, unless it is in memory."""
        # Imported here, because most programs never wait.
        from ledger.stores.sqlite.listening import FileListener, MemoryListener

        if self._path == file.MEMORY:
            return MemoryListener(self.read, shared=False)
        listener = FileListener(self._session_to_keep, self._check_kept, self._path)
        self._listeners.add(listener)
        return listener

    def borrow(self, connection: object) -> Borrowed:
        """Lend the caller's own connection to the same file instead."""
        if not isinstance(connection, sqlite3.Connection):
            raise not_to_be_lent(connection, "sqlite3.Connection", self._path)
        return Borrowed(connection, self.file, self._watch)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self._closed = True
        if self._guard.forked():
            return  # A child must not close what its parent uses.
        if self._turn.owner == get_ident():
            self._close_idle(writer=False)  # In the middle of it; it ends in a moment.
            return
        try:
            self._turn.run(lambda _, __: self._close_idle(writer=True), None, Deadline.after(0))
        except LedgerBusyError:
            self._close_idle(writer=False)  # The thread that writes closes the rest.

    # --- the session that writes ---

    def _in_turn(self, step: Callable[[W, Deadline], T], work: W, deadline: Deadline | None) -> T:
        self._guard.check()
        until = deadline or Deadline.after(self._busy_timeout_s)
        if self._forking:
            # Or one who writes without a pause would have the turn again before the fork has it.
            self._not_forking.wait(until.left_s)
        try:
            return self._turn.run(step, work, until)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def _read_in_turn(self, work: Callable[[SQLiteSession], T], deadline: Deadline) -> T:
        try:
            return work(self._writing(deadline))
        finally:
            self._tidy_up()

    @contextmanager
    def _turn_of_memory(self) -> Iterator[SQLiteSession]:
        deadline = Deadline.after(self._busy_timeout_s)
        self._turn.take(deadline)
        try:
            yield self._writing(deadline)
        finally:
            self._turn.give_back()

    def _writing(self, deadline: Deadline) -> SQLiteSession:
        """Return the session that writes, with no transaction open."""
        self._refuse_closed()
        if self._writer is not None and not _rolled_back(self._writer):
            self._let_go_of_writer()
        if self._writer is None:
            self._writer = self._open_writer(deadline)
        return self._writer

    def _tidy_up(self) -> None:
        """Leave no transaction open; what this is kept from doing, the next turn begins with."""
        if self._writer is not None and not _rolled_back(self._writer):
            self._let_go_of_writer()
        if self._closed:
            self._close_idle(writer=True)

    def _transact(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline) -> T:
        try:
            session = self._writer
            if session is None or self._closed or session.connection.in_transaction:
                session = self._writing(deadline)
            transaction = self._transaction
            self._line.begin(transaction.begin, deadline)
            # Nobody writes but this one, so what is there now is what it will be appended to.
            self._watch.check()
            result = work(transaction)
            try:
                rows = transaction.commit()
            except sqlite3.Error as error:
                take_back(session.connection, self._path, error, self._busy_timeout_s)
                raise
            if self._log.grew(rows):
                self._checkpoint(session.connection)
        except BaseException:
            self._tidy_up()
            raise
        if self._closed:
            self._tidy_up()
        return result

    def _open_writer(self, deadline: Deadline) -> SQLiteSession:
        if self._path != file.MEMORY and not connecting.may_write(self.file):
            raise StorageError(
                f"{self._path}, or the folder that it is in, cannot be written to by this user; "
                "nothing was appended. Give it permission, or copy the ledger to a place where it "
                "has it."
            )
        writer = self._for_writing()
        try:
            writer.connection.execute("PRAGMA busy_timeout = 0")
            self._transaction = SQLiteTransaction(writer, HeadCache())
            synced = self._path != file.MEMORY and self._durability == "full"
            if synced:
                # Before the tables are made as well: a half-made file would be all that is left.
                file.sync_folder(self.file, self._path)
            with _waiting(writer.connection, deadline.left_s):
                file.bring_up_to_date(writer.connection, self._path, deadline)
            if self._path != file.MEMORY:
                if synced:
                    file.sync_folder(self.file, self._path)
                self._watch.know_companions()
        except BaseException:
            writer.close()
            raise
        return writer

    def _for_writing(self) -> SQLiteSession:
        """Return a session that may write, and open only such ones from now on."""
        if self._way == connecting.READ_WRITE:
            with suppress(IndexError):
                return self._idle.pop()
        writer = self._connect(connecting.READ_WRITE)
        if self._way != connecting.READ_WRITE:
            self._way = connecting.READ_WRITE
            self._watch.rely_on_no_change(rely=False)
            self._close_idle(writer=False)
        return writer

    def _let_go_of_writer(self) -> None:
        self._watch.forget_companions()
        self._writer = None

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

    def _holds_a_ledger(self) -> bool:
        """Open one in the way that changes nothing, and say whether there is a ledger to read."""
        with self._opening:
            connection, self._way, found = connecting.connect_to_read(
                self.file, self._path, self._busy_timeout_s
            )
            self._watch.rely_on_no_change(rely=self.immutable)
            self._idle.append(self._session(connection, self._way))
        return found

    @contextmanager
    def _lent(self) -> Iterator[SQLiteSession]:
        session = self._take()
        try:
            yield session
        finally:
            self._give(session)

    def _take(self) -> SQLiteSession:
        self._guard.check()
        if self._closed:
            self._refuse_closed()
        if self._forking:
            self._not_forking.wait()
        self._watch.check_now_and_then()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect(self._way)

    def _session_to_keep(self) -> SQLiteSession:
        """Return a session that reads, for longer than a call."""
        self._guard.check()
        self._refuse_closed()
        if self._forking:
            self._not_forking.wait()
        return self._connect(self._way)

    def _check_kept(self) -> None:
        self._refuse_closed()
        self._watch.check_now_and_then()

    def _give(self, session: SQLiteSession) -> None:
        if session.reads_only and self._way == connecting.READ_WRITE:
            session.close()  # It was opened before the first write.
        elif not session.connection.in_transaction or _rolled_back(session):
            self._idle.append(session)
        if self._closed:
            self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError(f"The ledger on {self._path} is closed; open it again.")

    # --- around a fork, in the thread that forks ---

    def before_fork(self) -> bool:
        """Close all connections, and open none until `after_fork`; say whether none is open."""
        self._not_forking.clear()
        self._forking = True
        if self._turn.owner != get_ident():
            with suppress(LedgerBusyError):
                self._turn.take(Deadline.after(FORK_WAITS_S))
                self._stopped_for_fork = True
        self._opens_none = self._opening.acquire(timeout=FORK_WAITS_S)
        until = time.monotonic() + FORK_WAITS_S
        while self._opens_none:
            self._close_idle(writer=self._stopped_for_fork)
            in_use = [session for session in self._open if not session.closed]
            if not in_use or time.monotonic() > until:
                return not in_use
            time.sleep(0.001)
        return False

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._forking = False
        self._not_forking.set()
        if self._opens_none:
            self._opens_none = False
            self._opening.release()
        if self._stopped_for_fork:
            self._stopped_for_fork = False
            self._turn.give_back()

    # --- connections ---

    def _close_idle(self, *, writer: bool) -> None:
        # Another thread may take the last one in between.
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
        for listener in list(self._listeners):
            listener.let_go()
        if writer and self._writer is not None:
            self._writer.close()
            self._let_go_of_writer()
            self._line.close()

    def _connect(self, way: str) -> SQLiteSession:
        with self._opening:
            try:
                connection = connecting.connect(self.file, way, self._busy_timeout_s)
            except sqlite3.Error as error:
                self._watch.check_at_once()
                raise translated(error, self._path) from error
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
                raise translated(error, self._path) from error
            raise
        return session


@contextmanager
def _waiting(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Let SQLite wait for others, which the connection that writes does not do otherwise."""
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1_000)}")
    try:
        yield
    finally:
        connection.execute("PRAGMA busy_timeout = 0")


def _rolled_back(session: SQLiteSession) -> bool:
    """Roll back what was not committed; say whether the session can be trusted with more."""
    # Some failures, a full disk among them, have rolled back already.
    if session.connection.in_transaction:
        try:
            session.connection.rollback()
        except sqlite3.Error:
            session.close()  # This rolls back as well.
            return False
    return True
