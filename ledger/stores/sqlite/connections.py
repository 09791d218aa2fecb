"""Connections of our own: one that writes, in turns, and the `Sessions` that read.

All of them are closed before a fork, and opened again when they are needed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar

from ledger.errors import LedgerBusyError, StorageError
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import connecting, file, forking
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.line import Line
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.sessions import Sessions, rolled_back
from ledger.stores.sqlite.taking_back import take_back
from ledger.stores.sqlite.turn import Turn
from ledger.stores.sqlite.watching import Watch
from ledger.stores.sqlite.write_ahead_log import WriteAheadLog

if TYPE_CHECKING:
    from ledger.evidence.merkle import TreeRow
    from ledger.evidence.sharing import Companions
    from ledger.stores import Listening, Snapshot
    from ledger.stores.sqlite.elsewhere import SQLiteOpening
    from ledger.stores.sqlite.lent import Borrowed
    from ledger.stores.sqlite.lent_async import AsyncBorrowed
    from ledger.stores.sqlite.transaction import SQLiteTransaction

__all__ = ["Pool"]

T = TypeVar("T")
W = TypeVar("W")

# How long a fork waits, at most twice, for other threads to end what they do here.
FORK_WAITS_S = 1.0

# How long a check waits for a writer, so that other processes can begin to read with it.
TOGETHER_S_MAX = 3.0

# How long a checkpoint waits for other writers, only to keep what it has computed.
KEEP_S_MAX = 2.0


class Pool:
    """Connections of our own to one file, as many as are in use at once; one to memory."""

    def __init__(self, path: str, *, durability: str, busy_timeout_s: float) -> None:
        self._path = path
        self._durability = durability
        self._busy_timeout_s = busy_timeout_s
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
        self._watch = Watch(os.path.abspath(path), self.file, path)
        self._line = Line(self.file)
        self._log = WriteAheadLog(self.file, busy_timeout_s)
        # The session that writes, and its transactions: `_open_writer` makes both.
        self._writer: SQLiteSession | None = None
        self._transaction: SQLiteTransaction
        self._sessions = Sessions(
            path,
            self.file,
            self._watch,
            self._log,
            durability=durability,
            busy_timeout_s=busy_timeout_s,
        )
        self._guard = self._sessions.guard
        if path != file.MEMORY:
            forking.watch(self)
        try:
            if made or not self._sessions.find_ledger():
                self._writer = self._open_writer(Deadline.after(busy_timeout_s))
        except BaseException:
            self._close_idle(writer=True)
            raise

    @property
    def immutable(self) -> bool:
        """Whether the file is read as one that nobody writes to."""
        return self._sessions.way == connecting.IMMUTABLE

    def read(self, work: Callable[[SQLiteSession], T], deadline: Deadline | None = None) -> T:
        """Run `work`, which only reads."""
        if self._path == file.MEMORY:
            return self._in_turn(self._read_in_turn, work, deadline)
        session = self._sessions.take()
        try:
            return work(session)
        except sqlite3.Error as error:
            raise self._sessions.explained(error) from error
        finally:
            if self._sessions.give(session):
                self.close()

    def write(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        return self._in_turn(self._transact, work, deadline)

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep rows of the tree in a transaction that is fully synchronous."""
        until = Deadline.after(min(KEEP_S_MAX, self._busy_timeout_s))
        self._in_turn(self._transact_synced, lambda transaction: transaction.keep(rows), until)

    @property
    def identity(self) -> str:
        """What tells this ledger from others; empty where nobody has given it an id."""
        return self.read(lambda session: session.identity())

    def identify(self, given: str) -> str:
        """Return the id of the ledger; if it has none, it is `given` or a new one from now on."""
        known = self.identity
        if known and given in ("", known):
            return known
        identified: str = self._in_turn(
            self._transact_synced, lambda transaction: transaction.identify(given), None
        )
        return identified

    def opening(self) -> SQLiteOpening | None:
        """Return how another process opens the file; None where writers cannot be kept out."""
        if self._path == file.MEMORY or self.immutable or not connecting.may_write(self.file):
            return None
        # Imported here, because few checks are shared with other processes.
        from ledger.stores.sqlite.elsewhere import SQLiteOpening

        return SQLiteOpening.of(self.file)

    @contextmanager
    def hold(self, companions: Companions | None = None) -> Iterator[Snapshot]:
        """Lend the whole log as of one moment, and let `companions` begin to read then."""
        # Imported here, because few ask for all of it.
        from ledger.stores.sqlite.whole_log import whole_log

        with self._turn_of_memory() if self._path == file.MEMORY else self._lent() as session:
            try:
                session.connection.execute("BEGIN")
                if companions:
                    # Imported here, because few checks are shared with other processes.
                    from ledger.stores.sqlite.elsewhere import begin_together

                    waits_s = min(self._busy_timeout_s, TOGETHER_S_MAX)
                    begin_together(session, companions, self._sessions, Line(self.file), waits_s)
                with whole_log(session) as log:
                    yield log
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            self._watch.check_now_and_then()

    @contextmanager
    def _lent(self) -> Iterator[SQLiteSession]:
        session = self._sessions.take()
        try:
            yield session
        finally:
            if self._sessions.give(session):
                self.close()

    def listen(self) -> Listening:
        """Return what hears that cursors move: by others as well, unless it is in memory."""
        # Imported here, because most programs never wait.
        from ledger.stores.sqlite.listening import FileListener, MemoryListener

        if self._path == file.MEMORY:
            return MemoryListener(self.read, shared=False)
        # It keeps this pool, because a fork is announced to pools, and has to close its session.
        sessions = self._sessions
        listener = FileListener(self._session_to_keep, sessions.check_kept, sessions.explained)
        self._sessions.listeners.add(listener)
        return listener

    def _session_to_keep(self) -> SQLiteSession:
        return self._sessions.to_keep()

    def borrow(self, connection: object) -> Borrowed:
        """Lend the caller's own connection to the same file instead."""
        # Imported here, because most programs lend none.
        from ledger.stores.lending import lender
        from ledger.stores.sqlite.lent import WANTED, Borrowed

        return Borrowed(lender(connection, WANTED, self._path), self.file, self._watch)

    def borrow_async(self, connection: object) -> AsyncBorrowed:
        """Lend the caller's own connection, which is awaited."""
        # Imported here, because few programs have one.
        from ledger.stores.lending import async_lender
        from ledger.stores.sqlite.lent_async import AsyncBorrowed, wanted

        lent = async_lender(connection, wanted(), self._path)
        return AsyncBorrowed(lent, self.file, self._watch)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        self._sessions.closed = True
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
        if self._sessions.forking:
            # Or one who writes without a pause would have the turn again before the fork has it.
            self._sessions.not_forking.wait(until.left_s)
        try:
            return self._turn.run(step, work, until)
        except sqlite3.Error as error:
            raise self._sessions.explained(error) from error

    def _read_in_turn(self, work: Callable[[SQLiteSession], T], deadline: Deadline) -> T:
        try:
            return work(self._writing(deadline))
        finally:
            self._tidy_up()

    @contextmanager
    def _turn_of_memory(self) -> Iterator[SQLiteSession]:
        deadline = Deadline.after(self._busy_timeout_s)
        with self._turn.taken(deadline):
            yield self._writing(deadline)

    def _writing(self, deadline: Deadline) -> SQLiteSession:
        """Return the session that writes, with no transaction open."""
        self._sessions.refuse_closed()
        if self._writer is not None and not rolled_back(self._writer):
            self._let_go_of_writer()
        if self._writer is None:
            self._writer = self._open_writer(deadline)
        return self._writer

    def _tidy_up(self) -> None:
        """Leave no transaction open; what this is kept from doing, the next turn begins with."""
        if self._writer is not None and not rolled_back(self._writer):
            self._let_go_of_writer()
        if self._sessions.closed:
            self._close_idle(writer=True)

    def _transact(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline) -> T:
        try:
            session = self._writer
            if session is None or self._sessions.closed or session.connection.in_transaction:
                session = self._writing(deadline)
            transaction = self._transaction
            self._line.begin(transaction.begin, deadline, transaction.another_wrote)
            # Nobody writes but this one, so what is there now is what it will be appended to.
            self._watch.check()
            result = work(transaction)
            try:
                rows = transaction.commit()
            except sqlite3.Error as error:
                take_back(session.connection, self._path, error, self._busy_timeout_s)
                raise
            if self._log.grew(rows):
                self._checkpoint_wal(session.connection)
        except BaseException:
            self._tidy_up()
            raise
        if self._sessions.closed:
            self._tidy_up()
        return result

    def _transact_synced(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline) -> T:
        connection = self._writing(deadline).connection
        if self._path == file.MEMORY or self._durability == "full":
            return self._transact(work, deadline)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = 1")
            return self._transact(work, deadline)
        finally:
            # Nobody else has it meanwhile; one that was closed is made anew as it should be.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA fullfsync = 0")
                connection.execute("PRAGMA synchronous = NORMAL")

    def _open_writer(self, deadline: Deadline) -> SQLiteSession:
        if self._path != file.MEMORY and not connecting.may_write(self.file):
            self._watch.check_at_once()  # What is gone cannot be written to either.
            raise StorageError(
                f"{self._path}, or the folder that it is in, cannot be written to by this user; "
                "nothing was appended. Give it permission, or copy the ledger to another place."
            )
        # Imported here, because most commands only read.
        from ledger.stores.head_cache import HeadCache
        from ledger.stores.sqlite.transaction import SQLiteTransaction

        writer = self._sessions.for_writing()
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
        except BaseException as error:
            writer.close()
            if isinstance(error, StorageError):
                # SQLite calls a file read-only that another one has replaced.
                self._watch.check_at_once()
            raise
        return writer

    def _let_go_of_writer(self) -> None:
        self._watch.forget_companions()
        self._writer = None

    def _checkpoint_wal(self, connection: sqlite3.Connection) -> None:
        # The commit before this has succeeded, and is safe in the log: nothing that fails in here
        # may make its caller think otherwise. The next checkpoint finds the log as it is.
        try:
            with self._lent() as other:
                self._log.checkpoint(connection, other.connection)
        except (sqlite3.Error, StorageError) as error:
            from ledger import notices

            notices.WAL_NOT_CHECKPOINTED.report(place=self.file, cause=error)

    # --- around a fork, in the thread that forks ---

    def before_fork(self) -> bool:
        """Close all connections, and open none until `after_fork`; return whether none is open."""
        self._sessions.not_forking.clear()
        self._sessions.forking = True
        if self._turn.owner != get_ident():
            with suppress(LedgerBusyError):
                self._turn.take(Deadline.after(FORK_WAITS_S))
                self._stopped_for_fork = True
        self._opens_none = self._sessions.opening.acquire(timeout=FORK_WAITS_S)
        until = time.monotonic() + FORK_WAITS_S
        while self._opens_none:
            self._close_idle(writer=self._stopped_for_fork)
            in_use = self._sessions.in_use
            if not in_use or time.monotonic() > until:
                return not in_use
            time.sleep(0.001)
        return False

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._sessions.forking = False
        self._sessions.not_forking.set()
        if self._opens_none:
            self._opens_none = False
            self._sessions.opening.release()
        if self._stopped_for_fork:
            self._stopped_for_fork = False
            self._turn.give_back()

    def _close_idle(self, *, writer: bool) -> None:
        self._sessions.close_idle()
        if writer and self._writer is not None:
            # First, because closing the last connection deletes the log, which a thread that is
            # about to read would otherwise miss.
            self._watch.forget_companions()
            self._writer.close()
            self._let_go_of_writer()
            self._line.close()


@contextmanager
def _waiting(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Let SQLite wait for others, which the connection that writes does not do otherwise."""
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1_000)}")
    try:
        yield
    finally:
        connection.execute("PRAGMA busy_timeout = 0")
