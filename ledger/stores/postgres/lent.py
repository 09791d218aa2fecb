"""A connection that a caller lends, and the transaction that it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from ledger.errors import InvalidCursorError, SchemaVersionError, StorageError
from ledger.evidence.sharing import Companions
from ledger.stores import Listening, Snapshot, Transaction
from ledger.stores.deadline import Deadline
from ledger.stores.lending import not_to_be_lent
from ledger.stores.postgres import migrations
from ledger.stores.postgres.errors import is_late, translated
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.transaction import Held

__all__ = ["NULLS", "STRINGS", "Borrowed"]

T = TypeVar("T")

TRIES_MAX = 5

# Where one of them is off, as for programs of long ago, bytes that psycopg escapes, or a NULL among
# the values of an array, arrive as something else; and would stay so in the log.
STRINGS = "standard_conforming_strings"
NULLS = "array_nulls"


class Borrowed:
    """A caller's connection: everything happens in the transaction that it is in."""

    def __init__(self, connection: object, *, schema: str, place: str, ledger_id: str) -> None:
        if isinstance(connection, psycopg.AsyncConnection):
            raise InvalidCursorError(
                "the connection is asynchronous, and the ledger would block its loop. Lend a "
                "psycopg.Connection, in a thread: await asyncio.to_thread(work, connection)."
            )
        if not isinstance(connection, psycopg.Connection):
            raise not_to_be_lent(connection, "psycopg.Connection", place)
        self.identity = ledger_id
        self._place = place
        try:
            self._session = PostgresSession(connection, statements(schema), lent=True)
        except psycopg.Error as error:
            raise translated(error, place) from error
        self._check(connection, schema, ledger_id)

    def read(self, work: Callable[[PostgresSession], T]) -> T:
        """Run `work`, which sees what the caller's transaction has done so far."""
        self._refuse_unfit()
        try:
            return work(self._session)
        except psycopg.Error as error:
            raise translated(error, self._place) from error

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:  # noqa: ARG002 - the connection has a time-out of its own
        """Run `work` in the caller's transaction; if it raises, only `work` is undone."""
        self._refuse_unfit()
        connection = self._session.connection
        status = connection.info.transaction_status
        if status == TransactionStatus.IDLE and connection.autocommit:
            raise StorageError(
                "the connection is in autocommit mode and in no transaction, so there is nothing "
                "to be part of. Begin one: with connection.transaction(): …"
            )
        tries = 0
        while True:
            tries += 1
            try:
                with self._savepoint():
                    transaction = Held(self._session, begun=True)
                    result = work(transaction)
                    transaction.send()
                    return result
            except psycopg.Error as error:
                # Another has made the same cursor just now: it is seen from here on.
                if isinstance(error, psycopg.errors.UniqueViolation) and tries < TRIES_MAX:
                    continue
                held_by = ""
                if is_late(error):
                    with suppress(Exception):  # The call fails all the same.
                        held_by = self._session.holders()
                raise translated(error, self._place, held_by) from error

    def opening(self) -> None:
        """Return none: what the caller's transaction has done, no other process can see."""

    def hold(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:  # noqa: ARG002 - refused
        """Refuse: a caller's transaction does not hold the log still."""
        raise InvalidCursorError(
            "verify and checkpoint need a moment of their own; call them on the ledger itself, "
            "not on the one inside your transaction."
        )

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

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        # Not connection.transaction(): where none is open, that would commit at its end.
        execute = self._session.execute
        try:
            execute(b"SAVEPOINT cursor_ledger")
            yield
            execute(b"RELEASE cursor_ledger")
        except BaseException:
            with suppress(psycopg.Error):
                execute(b"ROLLBACK TO cursor_ledger")
                execute(b"RELEASE cursor_ledger")
            raise

    def _refuse_unfit(self) -> None:
        connection = self._session.connection
        if connection.info.transaction_status == TransactionStatus.INERROR:
            raise StorageError(
                "the transaction of the connection has failed before; roll it back, and run it "
                "again."
            )
        if connection.info.pipeline_status:
            raise StorageError(
                "the connection is in pipeline mode, where what fails is known too late to be "
                "undone by itself. Do it before or after the block of the pipeline."
            )
        if not connection.closed:
            for name, needed in (("client_encoding", "UTF8"), (STRINGS, "on")):
                self._refuse_unless(name, connection.info.parameter_status(name), needed)

    def _refuse_unless(self, name: str, value: object, needed: str) -> None:
        if value != needed:
            raise StorageError(
                f"the connection has {name} = {value}, with which not every value would arrive as "
                f"it is. Before you lend it: SET {name} = '{needed}'."
            )

    def _check(self, connection: psycopg.Connection[Any], schema: str, ledger_id: str) -> None:
        self._refuse_unfit()
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        try:
            if migrations.pending(connection, schema):
                raise SchemaVersionError(
                    f"the connection's database has no ledger in its schema {schema}; lend one to "
                    f"{self._place}."
                )
            if migrations.ledger_id(connection, schema) != ledger_id:
                raise InvalidCursorError(
                    f"the connection is to another ledger than {self._place}; lend it one to the "
                    "same database."
                )
            found = self._session.execute(
                b"SELECT pg_catalog.current_setting(%s)", (NULLS,)
            ).fetchall()
            self._refuse_unless(NULLS, found[0][0], "on")
        except psycopg.Error as error:
            raise translated(error, self._place) from error
        finally:
            # To look is no reason to leave a transaction open.
            if idle and not connection.autocommit:
                with suppress(psycopg.Error):
                    connection.rollback()
