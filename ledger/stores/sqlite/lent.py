"""A connection that a caller lends, and the transaction that it is in."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from ledger.errors import InvalidCursorError, SchemaVersionError, StorageError
from ledger.stores import Snapshot
from ledger.stores.deadline import Deadline
from ledger.stores.lending import Confined, Lender, Wanted
from ledger.stores.not_lent import closed
from ledger.stores.sqlite import migrations
from ledger.stores.sqlite.errors import is_busy, translated
from ledger.stores.sqlite.file import MEMORY
from ledger.stores.sqlite.plainly import plain_text
from ledger.stores.sqlite.private import refuse_other_order, refuse_private
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.transaction import SQLiteTransaction
from ledger.stores.sqlite.watching import Watch
from ledger.stores.sqlite.whole_log import whole_log
from ledger.stores.turns import turn_of

if TYPE_CHECKING:
    from ledger.evidence.sharing import Companions


__all__ = ["WANTED", "Borrowed"]

T = TypeVar("T")

WANTED = Wanted(
    sqlite3.Connection,
    "sqlite3.Connection",
    "sqlite:///…",
    'Begin one: connection.execute("BEGIN IMMEDIATE")',
    is_busy,
)

_IN_MEMORY = "make it out of your own connection, with ledger.testing.in_memory"
_SAME_FILE = "lend it a connection to the same file"


class Borrowed(Confined):
    """A caller's connection: everything happens in the transaction that it is in."""

    def __init__(self, lender: Lender, path: str, watch: Watch, *, known: bool = False) -> None:
        self._lender = lender
        self._path = path
        self._watch = watch
        # Whether it is known to be to the ledger's own database, which has no file to tell.
        self._known = known
        # Each thread has its own, because a session that is scoped has one connection a thread.
        self._last = threading.local()
        if not lender.is_lazy:
            with self._turn():
                pass

    def read(self, work: Callable[[SQLiteSession], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - of the protocol
        """Run `work`, which sees what the caller's transaction has done so far."""
        with self._turn() as transaction:
            return self._run(transaction.session, work)

    def write(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - the connection has a time-out of its own
        """Run `work` in the caller's transaction; if it raises, only `work` is undone."""
        with self._turn(writes=True) as transaction:
            return self._run(
                transaction.session,
                lambda session: self._transact(session.connection, transaction, work),
            )

    @property
    def identity(self) -> str:
        """What tells this ledger from others; empty where nobody has given it an id."""
        return self.read(lambda session: session.identity())

    @contextmanager
    def hold(self, companions: Companions | None = None) -> Iterator[Snapshot]:  # noqa: ARG002 - there are none
        """Lend the whole log; the caller's transaction holds the moment still, or one of ours."""
        with self._turn() as transaction:
            session = transaction.session
            connection = session.connection
            begun = not connection.in_transaction
            try:
                if begun:
                    connection.execute("BEGIN")
                with plain_text(connection), whole_log(session) as log:
                    yield log
            except sqlite3.Error as error:
                raise translated(error, self._path) from error
            finally:
                if begun and connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _turn(self, *, writes: bool = False) -> Iterator[SQLiteTransaction]:
        """Have the connection that is lent at this moment to this thread alone, if it is fit."""
        connection: sqlite3.Connection = self._lender.connection()  # type: ignore[assignment]
        with turn_of(connection, writes=writes):
            yield self._transactions(connection)

    def _transactions(self, connection: sqlite3.Connection) -> SQLiteTransaction:
        last: SQLiteTransaction | None = getattr(self._last, "transaction", None)
        if last is not None and last.session.connection is connection:
            return last
        try:
            session = SQLiteSession(connection)
            transaction = SQLiteTransaction(session)
        except sqlite3.ProgrammingError as error:
            # Raised by the driver itself: it is of another thread, or has been closed.
            refusal = (
                closed(self._path) if "closed" in str(error) else translated(error, self._path)
            )
            raise refusal from error
        self._run(session, self._check)
        self._last.transaction = transaction
        return transaction

    def _run(self, session: SQLiteSession, work: Callable[[SQLiteSession], T]) -> T:
        try:
            if session.connection.text_factory is str:
                return work(session)
            with plain_text(session.connection):
                return work(session)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def _check(self, session: SQLiteSession) -> None:
        # Before anything else, which could not be read in another order.
        refuse_other_order(session)
        same = self._known
        attached = session.execute("PRAGMA database_list").fetchall()
        files = {name: file for _, name, file in attached}
        main = files.get("main", "")
        with suppress(OSError):
            same = same or (bool(main) and os.path.samefile(main, self._path))
        if not same:
            where = _IN_MEMORY if self._path == MEMORY else _SAME_FILE
            raise InvalidCursorError(
                f"the connection is to {main or 'a database in memory'}, but this ledger is in "
                f"{self._path}; {where}."
            )
        if not migrations.holds_a_ledger(session.connection):
            raise SchemaVersionError(f"{self._path} has no ledger in it any more; open it anew.")

    def _transact(
        self,
        connection: sqlite3.Connection,
        transaction: SQLiteTransaction,
        work: Callable[[SQLiteTransaction], T],
    ) -> T:
        begun = False
        if not connection.in_transaction:
            if connection.isolation_level is None or _autocommits(connection):
                raise StorageError(
                    "the connection is in autocommit mode and in no transaction, so there is "
                    f"nothing to be part of. {self._lender.begin}."
                )
            begun = True
        # A signal handler may raise after any of these.
        try:
            if begun:
                # sqlite3 itself begins one before an INSERT; this one is immediate, because what is
                # read in it must still hold when it writes. The caller ends it.
                connection.execute("BEGIN IMMEDIATE")
            connection.execute("SAVEPOINT cursor_ledger")
            connection.execute(_BECOME_WRITER)
            self._watch.check()
            refuse_private(transaction.session)
            result = work(transaction)
            connection.execute("RELEASE cursor_ledger")
        except BaseException as error:
            if begun and connection.in_transaction:
                connection.execute("ROLLBACK")
            elif connection.in_transaction:
                # There is no such savepoint if the failure was to make it.
                with suppress(sqlite3.OperationalError):
                    connection.execute("ROLLBACK TO cursor_ledger")
                    connection.execute("RELEASE cursor_ledger")
            elif not begun and isinstance(error, sqlite3.Error):
                refusal = translated(error, self._path)
                raise type(refusal)(
                    f"{refusal} SQLite has rolled back the whole transaction, with what was done "
                    "in it before; begin it anew."
                ) from error
            raise
        return result


# Takes the writer's lock, and fails if others have written since this transaction first read;
# without it that would show only after the law had judged by what is no longer true.
_BECOME_WRITER = "UPDATE main.ledger_cursors SET id = id WHERE 0"


def _autocommits(connection: sqlite3.Connection) -> bool:
    # Python 3.12 and later.
    return getattr(connection, "autocommit", False) is True
