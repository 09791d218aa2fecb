"""Connections of our own: opened as they are wanted, and again after the server was gone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import attrs
import psycopg
import psycopg_pool

from ledger import notices
from ledger.errors import LedgerBusyError, StorageError, UnknownOutcomeError
from ledger.evidence.sharing import Companions
from ledger.stores import Snapshot, Transaction
from ledger.stores.deadline import Deadline
from ledger.stores.forks import ForkGuard
from ledger.stores.head_cache import HeadCache
from ledger.stores.postgres import migrations
from ledger.stores.postgres.address import OWN_PATH, Address
from ledger.stores.postgres.elsewhere import PostgresOpening, exported
from ledger.stores.postgres.errors import is_late, is_lost, is_race, translated
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.lent import NULLS, STRINGS, Borrowed
from ledger.stores.postgres.listening import Listener
from ledger.stores.postgres.reading import PostgresSession, settle_types
from ledger.stores.postgres.statements import catalog, statements
from ledger.stores.postgres.transaction import Held, Remembered, UnsureError
from ledger.stores.postgres.whole_log import PostgresLog

__all__ = ["Pool"]

T = TypeVar("T")

Connection = psycopg.Connection[Any]

RETRY_S = 0.05
CONNECT_EVERY_S = 1.0
FIRST_EVERY_S = 0.001
# Autovacuum locks a catalog for a moment, and gives way to whoever waits so long: a check does.
CATALOGS_S_MIN = 2
# A connection that has to be opened first is waited for so long, whatever the time-out.
CONNECT_S_MIN = 0.25
# This part of the time-out may be spent before the server is told what is left of it.
SPENT_MAX = 0.1


@attrs.frozen
class Sent:
    """A transaction that was sent; and what its work gave."""

    transaction: Remembered | Held
    result: Any


class Attempt:
    """One call: how long it may be tried, and what it has sent whose answer was lost."""

    def __init__(self, deadline: Deadline, session_waits_s: float) -> None:
        self._deadline = deadline
        self._session_waits_s = session_waits_s
        self._has_lost = False
        self.lost: list[Sent] = []

    @property
    def left_s(self) -> float:
        """How many seconds are left; 0 if none are."""
        return self._deadline.left_s

    @property
    def left_ms(self) -> int:
        """How many milliseconds are left; at least 1."""
        return max(1, self._deadline.left_ms)

    @property
    def is_spent(self) -> bool:
        """Whether so much of it was spent that the time-out of the session would be too long."""
        return self.left_s <= self._session_waits_s * (1 - SPENT_MAX)

    def lose(self, sent: Sequence[Sent]) -> None:
        """The connection is gone, and with it perhaps the answer to what was sent.

        The first time, the call is given its whole time once more: to notice may have taken it.
        """
        self.lost += sent
        if not self._has_lost:
            self._has_lost = True
            self._deadline = Deadline.after(self._deadline.allowed_s)


class _Stack(deque[Connection]):
    """What is appended last is taken first."""

    def popleft(self) -> Connection:
        """Take what was appended last."""
        return self.pop()


class _MostRecentFirst(psycopg_pool.ConnectionPool[Connection]):
    """A pool that lends the connection that came back last, because its session has warm caches.

    By itself it lends the one that came back first, and so each of its sessions in turn: with 20 of
    them a call takes the server a third more time. If a later version has no such attribute, the
    order is that of its own again, and a test says so.
    """

    def start(self) -> None:
        """Begin to connect; before that, nothing is in it."""
        self._pool = _Stack()
        self.open()


class Pool:
    """Connections of our own to one server, or to several of which one can be written to."""

    def __init__(self, address: Address, *, durability: str, busy_timeout_s: float) -> None:
        self._address = address
        self._place = address.place
        self._durability = durability
        self._busy_timeout_s = busy_timeout_s
        self._guard = ForkGuard()
        self._sql = statements(address.schema)
        self._known = HeadCache()
        self._closed = False
        self._sessions: dict[Connection, PostgresSession] = {}
        self._server = ""
        try:
            # By hand first, because the pool would go on trying whatever is wrong.
            with address.connect() as connection:
                self._configure(connection)
                migrations.bring_up_to_date(connection, address.schema, self._place)
                self.identity = migrations.ledger_id(connection, address.schema)
        except psycopg.Error as error:
            raise translated(error, self._place) from error
        self._pool = _MostRecentFirst(
            address.conninfo,
            # Prepared at once: what would be prepared later, in the middle of a pipeline that has
            # failed by then, psycopg 3.3 takes for prepared although it was skipped.
            kwargs={**address.options, "prepare_threshold": 0},
            min_size=address.pool_min_size,
            max_size=address.pool_max_size,
            configure=self._configure,
            open=False,
            name="cursor-ledger",
            # It would wait longer and longer between its attempts, up to minutes behind an outage.
            reconnect_timeout=0,
        )
        self._pool.start()
        try:
            if address.pool_min_size:
                self._await_first()
        except BaseException:
            self._pool.close()
            raise

    def read(self, work: Callable[[PostgresSession], T]) -> T:
        """Run `work`, which only reads; again if the connection was lost."""
        attempt = self._attempt()
        while True:
            with self._lend(attempt) as connection:
                try:
                    return work(self._session(connection))
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
                        with suppress(UnsureError):
                            return self._by_what_is_remembered(session, work, sent)
                        self._forget(sent)
                        sent.clear()
                    return self._under_locks(session, work, sent, attempt)
                except psycopg.Error as error:
                    self._forget(sent)
                    self._go_on_or_raise(error, connection, attempt, sent)
                finally:
                    _rolled_back(connection)

    def opening(self) -> PostgresOpening:
        """Return how another process opens the log."""
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
                _rolled_back(connection)

    def listen(self) -> Listener:
        """Return what hears that cursors move, over a connection beside those of the pool."""
        return Listener(self._connected, self._sql, self._address.schema, self._place)

    def borrow(self, connection: object) -> Borrowed:
        """Lend the caller's own connection to the same database instead."""
        return Borrowed(
            connection,
            schema=self._address.schema,
            place=self._place,
            ledger_id=self.identity,
        )

    def close(self) -> None:
        """Close the connections; what is in use is closed when it is given back."""
        self._closed = True
        if not self._guard.forked():
            self._pool.close()

    # --- transactions ---

    def _attempt(self, deadline: Deadline | None = None) -> Attempt:
        return Attempt(deadline or Deadline.after(self._busy_timeout_s), self._busy_timeout_s)

    def _by_what_is_remembered(
        self, session: PostgresSession, work: Callable[[Transaction], T], sent: list[Sent]
    ) -> T:
        transaction = Remembered(self._known)
        result = work(transaction)
        if transaction.drafts:
            sent.append(Sent(transaction, result))
            transaction.send(session)
            self._remember(transaction)
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
            if self._happened(session, earlier, attempt):
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

    def _happened(self, session: PostgresSession, earlier: Sent, attempt: Attempt) -> bool:
        """Say whether a transaction was committed whose answer was lost.

        This is asked under the locks that it had, because it may not have ended yet. It cannot
        begin any more: it was sent on the condition of a head, or behind its locks.
        """
        head, _ = earlier.transaction.drafts[0]
        Held(session, begun=True, patience=attempt).hold([head.cursor.key])
        values = (cursor_id(head.cursor.key), head.cursor.version, head.digest)
        return session.execute(self._sql.happened, values).fetchone() is not None

    def _forget(self, sent: list[Sent]) -> None:
        for each in sent:
            self._known.forget(head.cursor.key for head in each.transaction.heads)

    def _remember(self, transaction: Remembered | Held) -> None:
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
            session = self._sessions[connection] = PostgresSession(connection, self._sql)
        return session

    @contextmanager
    def _lend(self, attempt: Attempt) -> Iterator[Connection]:
        self._guard.check()
        if self._closed:
            raise StorageError(f"The ledger on {self._place} is closed; open it again.")
        connection = self._take(attempt)
        try:
            yield connection
        finally:
            self._pool.putconn(connection)

    def _await_first(self) -> None:
        """Wait for the first connection, because the time-out of the first call may be short."""
        # Not by getconn: the pool opens a second one for whoever waits, and lends them in turns,
        # so that a lone caller meets a session with cold caches, at 50 µs a call.
        until = time.monotonic() + CONNECT_EVERY_S
        while not self._pool.get_stats()["pool_available"] and time.monotonic() < until:
            time.sleep(FIRST_EVERY_S)

    def _take(self, attempt: Attempt) -> Connection:
        wait_s = max(attempt.left_s, CONNECT_S_MIN)
        while True:
            try:
                # Asked anew, the pool tries anew to connect.
                return self._pool.getconn(min(wait_s, CONNECT_EVERY_S))
            except psycopg_pool.PoolTimeout as error:
                if attempt.left_s <= 0:
                    raise self._out_of_time(error, attempt) from error
                wait_s = attempt.left_s
            except psycopg_pool.PoolClosed:
                raise StorageError(
                    f"The ledger on {self._place} is closed; open it again."
                ) from None
            except psycopg.Error as error:
                raise translated(error, self._place) from error

    def _out_of_time(self, error: Exception, attempt: Attempt) -> StorageError:
        if attempt.lost:
            return self._unknown(attempt.lost)
        return LedgerBusyError(
            f"{self._place} had no connection to give within the busy time-out: the server cannot "
            f"be reached, or all {self._address.pool_max_size} are in use. Nothing was appended; "
            f"try again. ({error})"
        )

    def _unknown(self, lost: list[Sent]) -> UnknownOutcomeError:
        key = lost[0].transaction.drafts[0][0].cursor.key
        return UnknownOutcomeError(
            f"{self._place} was lost in the middle of a commit, and could not be asked for its "
            "outcome within the busy time-out. Whether the entry was appended is not known: look "
            f"at {key} before you ask for it again."
        )

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
            raise self._out_of_time(error, attempt) from error
        if is_race(error) and attempt.left_s > 0:
            notices.TRANSACTION_RETRIED.report(place=self._place, cause=error)
            return
        if isinstance(error, psycopg.errors.QueryCanceled) and attempt.left_ms == 1:
            # Of several locks in turn the last one was waited for until the time was over.
            error = psycopg.errors.LockNotAvailable(str(error))
        held_by = ""
        if is_late(error):
            _rolled_back(connection)
            with suppress(Exception):  # The call fails all the same.
                held_by = self._session(connection).holders()
        if attempt.lost:
            raise self._unknown(attempt.lost) from error
        raise translated(error, self._place, held_by) from error

    def _connected(self) -> Connection:
        connection = self._address.connect()
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _notice_server(self, connection: Connection) -> None:
        server, before = f"{connection.info.host}:{connection.info.port}", self._server
        notices.CONNECTED.report(place=self._place, server=server)
        if before and server != before:
            notices.FAILED_OVER.report(place=self._place, server=server, before=before)
        self._server = server

    def _configure(self, connection: Connection) -> None:
        self._notice_server(connection)
        settle_types(connection)
        settings = [
            f"SET lock_timeout = {int(self._busy_timeout_s * 1_000) or 1}",
            "SET default_transaction_isolation = 'read committed'",
            # A database may have them otherwise, for programs of long ago: see borrowed.py.
            *(f"SET {name} = on" for name in (STRINGS, NULLS)),
            # What is durable by the server's settings, and perhaps on its standbys, stays so.
            "SET synchronous_commit = off"
            if self._durability == "normal"
            else "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"
            f" WHERE pg_catalog.current_setting('synchronous_commit') {catalog('=')} 'off'",
        ]
        connection.execute(OWN_PATH, prepare=False)
        connection.execute("; ".join(settings).encode(), prepare=False)


def _rolled_back(connection: Connection) -> None:
    """End what was not committed. If that fails, the pool throws the connection away."""
    if connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
