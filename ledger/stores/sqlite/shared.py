"""A caller's connection to a database in memory, which is the ledger's as well: for tests.

There is one connection, so there is one transaction at a time, and everybody sees what it has done
so far. What a second connection would wait for is refused here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import attrs

from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.stores import Snapshot
from ledger.stores.deadline import Deadline
from ledger.stores.lending import Lender, lender
from ledger.stores.not_lent import not_to_be_lent
from ledger.stores.sqlite import file, migrations
from ledger.stores.sqlite.errors import translated
from ledger.stores.sqlite.lent import WANTED, Borrowed
from ledger.stores.sqlite.listening import MemoryListener
from ledger.stores.sqlite.plainly import plain_rows, plain_text
from ledger.stores.sqlite.private import refuse_other_order, refuse_private
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.transaction import SQLiteTransaction
from ledger.stores.sqlite.watching import Watch
from ledger.stores.turns import turn_of

if TYPE_CHECKING:
    from ledger.evidence.merkle import TreeRow
    from ledger.evidence.sharing import Companions
    from ledger.stores.sqlite.lent_async import AsyncBorrowed

__all__ = ["Shared"]

T = TypeVar("T")

PLACE = "the database in memory"


class Shared:
    """The connection, which stays its owner's: never closed; its factories are not used."""

    immutable = False

    def __init__(self, connection: object) -> None:
        self._connection = _checked(connection)
        self._closed = False
        self._one_at_a_time = threading.RLock()
        with plain_rows(self._connection):
            file.bring_up_to_date(self._connection, file.MEMORY, Deadline.after(0))
        self._lent = self._lend(Lender(lambda: self._connection, WANTED.begin))
        self._transaction = SQLiteTransaction(SQLiteSession(self._connection))

    def read(self, work: Callable[[SQLiteSession], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - of the protocol
        """Run `work`, which only reads, and sees what an open transaction has done so far."""
        with self._one_at_a_time:
            self._refuse_closed()
            return self._lent.read(work)

    def write(self, work: Callable[[SQLiteTransaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        left_s = -1 if deadline is None else deadline.left_s
        if not self._one_at_a_time.acquire(timeout=left_s):
            raise LedgerBusyError(
                f"{PLACE} has been held by another thread for longer than the busy time-out. "
                "Nothing was appended; try again."
            )
        try:
            self._refuse_closed()
            with turn_of(self._connection, writes=True), plain_text(self._connection):
                return self._write(work)
        except sqlite3.Error as error:
            raise translated(error, PLACE) from error
        finally:
            self._one_at_a_time.release()

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep none: what a transaction of the caller has done may be taken back."""

    @property
    def identity(self) -> str:
        """What tells this ledger from others; empty where nobody has given it an id."""
        return self.read(lambda session: session.identity())

    def identify(self, given: str) -> str:
        """Return the id of the ledger; if it has none, it is `given` or a new one from now on."""
        return self.write(lambda transaction: transaction.identify(given))

    def opening(self) -> None:
        """Return none: no other process can see what is in memory."""

    @contextmanager
    def hold(self, companions: Companions | None = None) -> Iterator[Snapshot]:
        """Lend the whole log, as an open transaction has it so far."""
        with self._one_at_a_time:
            self._refuse_closed()
            with self._lent.hold(companions) as log:
                yield log

    def listen(self) -> MemoryListener:
        """Return what hears that cursors move; it reads in another thread."""
        return MemoryListener(self.read, shared=True)

    def borrow(self, connection: object) -> Borrowed:
        """Lend the transaction of the one connection."""
        lent = lender(connection, WANTED, PLACE)

        def the_one() -> object:
            if (given := lent.connection()) is not self._connection:
                raise InvalidCursorError(
                    "this ledger is in the database of another connection, in memory; lend it the "
                    "connection that it was made with."
                )
            return given

        self._refuse_closed()
        return self._lend(attrs.evolve(lent, connection=the_one))

    def borrow_async(self, connection: object) -> AsyncBorrowed:  # noqa: ARG002 - of the protocol
        """Refuse: the one connection is not awaited."""
        raise InvalidCursorError(
            "this ledger is in the database of a connection in memory, which no coroutine can "
            "share. Test with a file, and lend it a connection of aiosqlite."
        )

    def close(self) -> None:
        """Refuse later calls; the connection stays open."""
        self._closed = True

    def _write(self, work: Callable[[SQLiteTransaction], T]) -> T:
        if self._connection.in_transaction:
            raise LedgerBusyError(
                "the connection has a transaction open. In a file, the ledger would wait for it on "
                "a connection of its own; in memory it has none. Commit it first, or append in it: "
                "book.using(connection)."
            )
        try:
            self._transaction.begin()
            refuse_private(self._transaction.session)
            result = work(self._transaction)
            self._transaction.commit()
        except BaseException:
            self._connection.rollback()
            raise
        return result

    def _lend(self, lent: Lender) -> Borrowed:
        watch = Watch(file.MEMORY, file.MEMORY, PLACE)
        return Borrowed(lent, PLACE, watch, known=True)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError("The ledger in memory is closed; make it anew.")


def _checked(connection: object) -> sqlite3.Connection:
    """Return `connection` if it is one to memory, in no transaction.

    Raises InvalidCursorError, StorageError.
    """
    if not isinstance(connection, sqlite3.Connection):
        raise not_to_be_lent(connection, sqlite3.Connection, WANTED.name, PLACE)
    try:
        with plain_rows(connection):
            refuse_other_order(SQLiteSession(connection))
            rows = connection.execute("PRAGMA database_list").fetchall()
        main = {name: file for _, name, file in rows}.get("main", "")
    except sqlite3.Error as error:
        raise translated(error, PLACE) from error
    if main:
        raise InvalidCursorError(
            f"the connection is to the file {main}. Open the ledger there with ledger.open, and "
            "lend it the connection with using."
        )
    # Where the tables are there, none are made.
    if connection.in_transaction and migrations.pending(connection):
        raise InvalidCursorError(
            "the connection has a transaction open, in which the tables of the ledger would be "
            "made. Commit it first; with autocommit=False there always is one, so connect without."
        )
    return connection
