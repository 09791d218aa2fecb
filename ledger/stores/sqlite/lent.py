"""A connection that a caller lends, and the transaction that it is in."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from ledger.errors import InvalidCursorError, SchemaVersionError, StorageError
from ledger.evidence.sharing import Companions
from ledger.stores import Listening, Snapshot
from ledger.stores.deadline import Deadline
from ledger.stores.sqlite import migrations
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.file import MEMORY
from ledger.stores.sqlite.plainly import plain_text
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.transaction import SQLiteTransaction
from ledger.stores.sqlite.watching import Watch
from ledger.stores.sqlite.whole_log import whole_log

__all__ = ["Borrowed"]

T = TypeVar("T")

_IN_MEMORY = "make it out of your own connection, with ledger.testing.in_memory"
_SAME_FILE = "lend it a connection to the same file"


class Borrowed:
    """A caller's connection: everything happens in the transaction that it is in."""

    identity = ""

    def __init__(
        self, connection: sqlite3.Connection, path: str, watch: Watch, *, known: bool = False
    ) -> None:
        self._path = path
        self._watch = watch
        # Whether it is known to be to the ledger's own database, which has no file to tell.
        self._known = known
        try:
            self._session = SQLiteSession(connection)
            self._transaction = SQLiteTransaction(self._session)
        except sqlite3.Error as error:
            raise translated(error, path) from error
        self.read(self._check)

    def read(self, work: Callable[[SQLiteSession], T]) -> T:
        """Run `work`, which sees what the caller's transaction has done so far."""
        try:
            if self._session.connection.text_factory is str:
                return work(self._session)
            with plain_text(self._session.connection):
                return work(self._session)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def write(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - the connection has a time-out of its own
        """Run `work` in the caller's transaction; if it raises, only `work` is undone."""
        return self.read(lambda session: self._transact(session.connection, work))

    def opening(self) -> None:
        """Return none: what the caller's transaction has done, no other process can see."""

    @contextmanager
    def hold(self, companions: Companions | None = None) -> Iterator[Snapshot]:  # noqa: ARG002 - there are none
        """Lend the whole log; the caller's transaction holds the moment still, or one of ours."""
        connection = self._session.connection
        begun = not connection.in_transaction
        try:
            if begun:
                connection.execute("BEGIN")
            with plain_text(connection), whole_log(self._session) as log:
                yield log
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            if begun and connection.in_transaction:
                connection.execute("ROLLBACK")

    def listen(self) -> Listening:
        """Refuse: what others append cannot be seen from within a transaction."""
        raise InvalidCursorError(
            "a ledger inside your own transaction cannot wait: it would not see what others "
            "append. Wait on the ledger itself."
        )

    def borrow(self, connection: object) -> Borrowed:  # noqa: ARG002 - of the protocol
        """Refuse: this one is lent already."""
        raise InvalidCursorError("this ledger is lent a connection already; use the one it is of.")

    def close(self) -> None:
        """Leave the connection to its owner."""

    def _check(self, session: SQLiteSession) -> None:
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
        self, connection: sqlite3.Connection, work: Callable[[SQLiteTransaction], T]
    ) -> T:
        begun = False
        if not connection.in_transaction:
            if connection.isolation_level is None or _autocommits(connection):
                raise StorageError(
                    "the connection is in autocommit mode and in no transaction, so there is "
                    'nothing to be part of. Begin one: connection.execute("BEGIN IMMEDIATE").'
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
            result = work(self._transaction)
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
_BECOME_WRITER = "UPDATE ledger_cursors SET id = id WHERE 0"


def _autocommits(connection: sqlite3.Connection) -> bool:
    # Python 3.12 and later.
    return getattr(connection, "autocommit", False) is True
