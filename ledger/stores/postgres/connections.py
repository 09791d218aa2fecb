"""Connections of our own: opened as they are wanted, and again after the server was gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

import attrs
import psycopg

from ledger import notices
from ledger.errors import InvalidCursorError, StorageError
from ledger.evidence.sharing import Companions
from ledger.stores import Snapshot, Transaction
from ledger.stores.deadline import Deadline
from ledger.stores.forks import ForkGuard
from ledger.stores.head_cache import HeadCache
from ledger.stores.lending import async_lender, lender
from ledger.stores.postgres import migrations
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.attempts import (
    CATALOGS_S_MIN,
    Attempt,
    Sent,
    holders,
    read_in_time,
)
from ledger.stores.postgres.borrowing import RETRY_S, Borrowing, Lent, closed
from ledger.stores.postgres.connecting import Connecting
from ledger.stores.postgres.elsewhere import PostgresOpening, exported
from ledger.stores.postgres.errors import is_late, is_lost, is_race, translated
from ledger.stores.postgres.homes import Homes, home_of
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.lent import WANTED, Borrowed
from ledger.stores.postgres.lent_async import WANTED_ASYNC, AsyncBorrowed, Known
from ledger.stores.postgres.listening import Listener
from ledger.stores.postgres.pooling import Connection, MostRecentFirst, roll_back
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.sharing import SharedAddress, needed
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.transaction import Held, Remembered, UnsureError
from ledger.stores.postgres.whole_log import PostgresLog

if TYPE_CHECKING:
    from ledger.evidence.merkle import TreeRow

__all__ = ["Pool"]

T = TypeVar("T")

# How long a checkpoint waits for other writers, only to keep what it has computed.
KEEP_S_MAX = 2.0


class Pool:
    """Connections of our own to one server, or to several of which one can be written to."""

    def __init__(
        self, address: Address | SharedAddress, *, durability: str, busy_timeout_s: float
    ) -> None:
        self._address = address
        self._place = address.place
        self._busy_timeout_s = busy_timeout_s
        self._guard = ForkGuard()
        self._sql = statements(address.schema)
        self._known = HeadCache()
        self._closed = False
        self._sessions: dict[Connection, PostgresSession] = {}
        self._connecting = Connecting(address, durability=durability, busy_timeout_s=busy_timeout_s)
        self._lent = WeakSet[Connection]()
        self._lent_async = Known()
        self._pool: MostRecentFirst | None = None
        if isinstance(address, SharedAddress):
            settings = needed(durability=durability, busy_timeout_s=busy_timeout_s)
            self._borrowing = Borrowing(address.source, settings, self._place)
            with self._lend(self._attempt()) as connection:
                self._make_ready(connection)
            return
        try:
            # By hand first, because the pool would go on trying whatever is wrong.
            first = self._connecting.connected()
        except psycopg.Error as error:
            raise translated(error, self._place) from error
        try:
            self._make_ready(first)
            pool = MostRecentFirst.to(address, self._connecting.configure, first)
        except BaseException:
            first.close()
            raise
        self._pool = pool
        self._borrowing = Borrowing(pool, {}, self._place)
        self._pool.start()
        try:
            if address.pool_min_size:
                self._pool.await_first()
        except BaseException:
            self._pool.close()
            raise

    def read(self, work: Callable[[PostgresSession], T], deadline: Deadline | None = None) -> T:
        """Run `work`, which only reads; again if the connection was lost."""
        # Nor longer than the busy time-out.
        end = Deadline.after(self._busy_timeout_s)
        attempt = self._attempt(end if deadline is None or end.at < deadline.at else deadline)
        while True:
            with self._lend(attempt) as connection:
                try:
                    return read_in_time(work, self._session(connection), attempt)
                except psycopg.Error as error:
                    self._go_on_or_raise(error, connection, attempt)

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened.

        What others were in the way of is run again, until the busy time-out.
        """
        attempt = self._attempt(deadline)
        remembered = True
        while True:
            with self._lend(attempt) as connection:
                sent: list[Sent] = []
                try:
                    session = self._session(connection)
                    if remembered and not attempt.is_spent:
                        remembered = False
                        try:
                            return self._by_what_is_remembered(session, work, sent)
                        except UnsureError:
                            self._forget(sent)
                            sent.clear()
                    return self._under_locks(session, work, sent, attempt)
                except psycopg.Error as error:
                    self._forget(sent)
                    self._go_on_or_raise(error, connection, attempt, sent)
                finally:
                    roll_back(connection)

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep rows of the tree in a transaction that waits for the disk, as its server does."""

        def keep(transaction: Transaction) -> None:
            if not isinstance(transaction, Held):
                raise UnsureError
            transaction.keep(rows)

        self.write(keep, Deadline.after(min(KEEP_S_MAX, self._busy_timeout_s)))

    @property
    def identity(self) -> str:
        """What tells this ledger from all others."""
        return self._homes.own.ledger_id

    def identify(self, given: str) -> str:
        """Return the id of the ledger, which is `given` from now on if that is said."""
        if given not in ("", self.identity):
            attempt = self._attempt()
            with self._lend(attempt) as connection:
                try:
                    migrations.replace_id(connection, self._address.schema, given)
                except psycopg.Error as error:
                    raise translated(error, self._place) from error
            self._homes.ask()
        return self.identity

    def opening(self) -> PostgresOpening | None:
        """Return how another process opens the log; none has the pool of a caller."""
        if isinstance(self._address, SharedAddress):
            return None
        return PostgresOpening(address=self._address)

    @contextmanager
    def hold(self, companions: Companions | None = None) -> Iterator[Snapshot]:
        """Lend the whole log as of one moment, and let `companions` begin to read as of it."""
        attempt = self._attempt()
        with self._lend(attempt) as connection:
            try:
                session = self._session(connection)
                settled = session.horizon().position
                # Behind the horizon: all that is settled by it can be seen from this moment.
                session.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                if self._busy_timeout_s < CATALOGS_S_MIN:
                    session.execute(f"SET LOCAL lock_timeout = {CATALOGS_S_MIN * 1_000}".encode())
                if companions:
                    companions.begin(exported(session))
                yield PostgresLog(session, settled)
            except psycopg.Error as error:
                raise translated(error, self._place) from error
            finally:
                roll_back(connection)

    def listen(self) -> Listener:
        """Return what hears that cursors move, over a connection beside those of the pool."""
        return Listener(self._connecting.connected, self._sql, self._address.schema, self._place)

    def borrow(self, connection: object) -> Borrowed:
        """Lend the caller's own connection to the same database instead."""
        if isinstance(connection, psycopg.AsyncConnection):
            raise InvalidCursorError(
                "the connection is asynchronous, and the ledger would block its loop. Lend it to a "
                "ledger of ledger.aio.open(…); or lend a psycopg.Connection, in a thread: await "
                "asyncio.to_thread(work, connection)."
            )
        return Borrowed(
            lender(connection, WANTED, self._place),
            schema=self._address.schema,
            place=self._place,
            homes=self._homes,
            known=self._lent,
        )

    def borrow_async(self, connection: object) -> AsyncBorrowed:
        """Lend the caller's own connection, which is awaited."""
        return AsyncBorrowed(
            async_lender(connection, WANTED_ASYNC, self._place),
            schema=self._address.schema,
            place=self._place,
            homes=self._homes,
            known=self._lent_async,
        )

    def close(self) -> None:
        """Close the connections; what is in use is closed when it is given back."""
        self._closed = True
        if self._pool is not None and not self._guard.forked():
            self._pool.close()

    # --- transactions ---

    def _attempt(self, deadline: Deadline | None = None) -> Attempt:
        return Attempt(
            self._address, deadline or Deadline.after(self._busy_timeout_s), self._busy_timeout_s
        )

    def _by_what_is_remembered(
        self, session: PostgresSession, work: Callable[[Transaction], T], sent: list[Sent]
    ) -> T:
        transaction = Remembered(self._known)
        result = work(transaction)
        if transaction.drafts:
            sent.append(Sent(transaction, result))
            transaction.send(session)
            self._known.keep(transaction.heads)
        return result

    def _under_locks(
        self,
        session: PostgresSession,
        work: Callable[[Transaction], T],
        sent: list[Sent],
        attempt: Attempt,
    ) -> T:
        transaction = Held(session, begun=False, patience=attempt)
        for earlier in attempt.lost:
            transaction.begin()
            if earlier.has_happened(session, self._sql.happened, attempt):
                return earlier.result  # type: ignore[no-any-return]
        result = work(transaction)
        if not transaction.drafts and not transaction.begun:
            return result
        if transaction.drafts:
            # Else there is nothing to be found of it, and it may be asked for again.
            sent.append(Sent(transaction, result))
        with nullcontext() if transaction.is_large else session.in_one_round_trip():
            transaction.send()
            committed = session.execute(b"COMMIT")
        if committed.statusmessage != "COMMIT":
            raise StorageError(f"{self._place} has rolled back instead of committing.")
        self._remember(transaction)
        return result

    def _forget(self, sent: list[Sent]) -> None:
        for each in sent:
            self._known.forget(head.cursor.key for head in each.transaction.heads)

    def _remember(self, transaction: Held) -> None:
        self._known.keep(
            attrs.evolve(head, cursor_id=cursor_id(head.cursor.key))
            if head.cursor_id is None
            else head
            for head in transaction.heads
        )

    # --- connections ---

    def _session(self, connection: Connection) -> PostgresSession:
        session = self._sessions.get(connection)
        if session is None:
            # It takes the place of one that is gone.
            for other in [other for other in list(self._sessions) if other.closed]:
                self._sessions.pop(other, None)
            self._borrowing.forget_closed()
            session = PostgresSession(connection, self._sql, plain=self._pool is None)
            self._sessions[connection] = session
        return session

    def _lend(self, attempt: Attempt) -> Lent:
        self._guard.check()
        if self._closed:
            raise closed(self._place)
        return Lent(self._borrowing, attempt)

    def _make_ready(self, connection: Connection) -> None:
        """Make the tables, unless they are there, and ask the ledger for its id."""
        try:
            migrations.bring_up_to_date(connection, self._address.schema, self._place)
            own = home_of(connection, self._address.schema)
        except psycopg.Error as error:
            raise translated(error, self._place) from error
        self._homes = Homes(own, self._place, self._address.schema, self._connecting.connected)

    def _go_on_or_raise(
        self,
        error: psycopg.Error,
        connection: Connection,
        attempt: Attempt,
        sent: Sequence[Sent] = (),
    ) -> None:
        """Return if the same is worth another try, and there is time for it."""
        if is_lost(error, connection):
            attempt.lose(sent)
            connection.close()
            notices.CONNECTION_LOST.report(place=self._place, cause=error)
            if attempt.left_s > 0:
                time.sleep(RETRY_S)
                return
            raise attempt.out_of_time(error) from error
        if is_race(error) and attempt.left_s > 0:
            notices.TRANSACTION_RETRIED.report(place=self._place, cause=error)
            return
        if isinstance(error, psycopg.errors.QueryCanceled) and attempt.left_ms == 1:
            # Of several locks in turn the last one was waited for until the time was over.
            error = psycopg.errors.LockNotAvailable(str(error))
        held_by: str | None = ""
        if is_late(error):
            held_by = holders(error, self._session(connection))
            if held_by is None and attempt.spares_the_server:
                notices.TRANSACTION_RETRIED.report(place=self._place, cause=error)
                time.sleep(RETRY_S)
                return
        if attempt.lost:
            raise attempt.out_of_time(error) from error
        raise translated(error, self._place, held_by or "") from error
