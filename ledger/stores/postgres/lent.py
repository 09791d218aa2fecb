"""A connection that a caller lends, and the transaction that it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import local
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg
from psycopg.pq import TransactionStatus

from ledger import notices
from ledger.errors import InvalidCursorError
from ledger.evidence.sharing import Companions
from ledger.stores import Snapshot, Transaction
from ledger.stores.deadline import Deadline
from ledger.stores.lending import Confined, Lender, Wanted
from ledger.stores.postgres.errors import is_busy, is_late, translated
from ledger.stores.postgres.fitness import (
    RELEASE,
    ROLLBACK,
    SAVEPOINT,
    TRIES_MAX,
    checking,
    refuse_autocommit,
    refuse_closed,
    refuse_unfit,
)
from ledger.stores.postgres.homes import Homes
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.transaction import Held
from ledger.stores.turns import turn_of

__all__ = ["WANTED", "Borrowed"]

T = TypeVar("T")

WANTED = Wanted(
    psycopg.Connection,
    "psycopg.Connection",
    "postgresql+psycopg://…",
    "Begin one: with connection.transaction(): …",
    is_busy,
)


class Borrowed(Confined):
    """A caller's connection: everything happens in the transaction that it is in."""

    def __init__(
        self,
        lender: Lender,
        *,
        schema: str,
        place: str,
        homes: Homes,
        known: WeakSet[psycopg.Connection[Any]],
    ) -> None:
        self.identity = homes.own.ledger_id
        self._lender = lender
        self._schema = schema
        self._place = place
        self._homes = homes
        # Those that were found to be to this ledger, because to look takes three round trips.
        self._known = known
        # Each thread has its own, because a session that is scoped has one connection a thread.
        self._last = local()
        if not lender.is_lazy:
            with self._turn():
                pass

    def read(self, work: Callable[[PostgresSession], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - of the protocol
        """Run `work`, which sees what the caller's transaction has done so far."""
        with self._turn() as session:
            try:
                return work(session)
            except psycopg.Error as error:
                raise translated(error, self._place) from error

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - the connection has a time-out of its own
        """Run `work` in the caller's transaction; if it raises, only `work` is undone."""
        with self._turn(writes=True) as session:
            refuse_autocommit(session.connection, self._lender.begin)
            tries = 0
            while True:
                tries += 1
                try:
                    with _savepoint(session):
                        transaction = Held(session, begun=True)
                        result = work(transaction)
                        transaction.send()
                        return result
                except psycopg.Error as error:
                    # Another has made the same cursor just now: it is seen from here on.
                    if isinstance(error, psycopg.errors.UniqueViolation) and tries < TRIES_MAX:
                        notices.TRANSACTION_RETRIED.report(place=self._place, cause=error)
                        continue
                    held_by = ""
                    if is_late(error):
                        # The call fails all the same.
                        with suppress(Exception), _savepoint(session):
                            held_by = session.holders()
                    raise translated(error, self._place, held_by) from error

    def hold(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:  # noqa: ARG002 - refused
        """Refuse: a caller's transaction does not hold the log still."""
        raise InvalidCursorError(
            "verify and checkpoint need a moment of their own; call them on the ledger itself, "
            "not on the one inside your transaction."
        )

    @contextmanager
    def _turn(self, *, writes: bool = False) -> Iterator[PostgresSession]:
        """Have the connection that is lent at this moment to this thread alone, if it is fit."""
        connection: psycopg.Connection[Any] = self._lender.connection()  # type: ignore[assignment]
        with turn_of(connection, writes=writes):
            try:
                yield self._session(connection)
            except BaseException:
                _close_interrupted(connection)
                raise
            finally:
                if connection.closed:
                    self._lender.lost(connection)

    def _session(self, connection: psycopg.Connection[Any]) -> PostgresSession:
        """Return the session of `connection`, if it is fit."""
        refuse_unfit(connection)
        session: PostgresSession | None = getattr(self._last, "session", None)
        if session is not None and session.connection is connection:
            return session
        refuse_closed(connection, self._place)
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        try:
            session = PostgresSession(connection, statements(self._schema), lent=True)
            known = connection in self._known
            found = session.take(checking(self._schema, self._place, known=known))
        except psycopg.Error as error:
            raise translated(error, self._place) from error
        finally:
            # To look is no reason to leave a transaction open.
            if idle and not connection.autocommit:
                with suppress(psycopg.Error):
                    connection.rollback()
        self._homes.refuse_other(found)
        self._known.add(connection)
        self._last.session = session
        return session


def _close_interrupted(connection: psycopg.Connection[Any]) -> None:
    """Close a connection if what was raised has left a statement on it, as a signal handler may.

    Nothing more can be sent over it, not even a rollback, whose error its owner would be told in
    place of what was raised.
    """
    # Another thread's statement is not in the way of this, but waited for.
    with connection.lock:
        stuck = connection.info.transaction_status == TransactionStatus.ACTIVE
    if stuck:
        connection.close()


@contextmanager
def _savepoint(session: PostgresSession) -> Iterator[None]:
    # Not connection.transaction(): where none is open, that would commit at its end.
    try:
        session.execute(SAVEPOINT)
        yield
        session.execute(RELEASE)
    except BaseException:
        with suppress(psycopg.Error):
            session.execute(ROLLBACK)
            session.execute(RELEASE)
        raise
