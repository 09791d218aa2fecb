"""The transaction that a projector works in, on the caller's connection, with either driver.

The connection is the caller's, so its errors are reported here and not by the ledger: a wait that
was given up as LedgerBusyError, everything else as StorageError.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ledger import LedgerBusyError, StorageError
from ledger.law import fields

if TYPE_CHECKING:
    import psycopg
    from typing_extensions import TypeIs

    Drivers: TypeAlias = sqlite3.Connection | psycopg.Connection[Any]
    Connection: TypeAlias = Drivers | "DjangoConnection"

__all__ = ["of_driver", "one_transaction", "refuse_broken"]


class DjangoConnection(Protocol):
    """One of `django.db.connections`, or `django.db.connection`."""

    alias: str
    vendor: str
    needs_rollback: bool
    connection: Any

    def ensure_connection(self) -> None:
        """Connect, if it is not."""

    def cursor(self) -> Any:  # noqa: ANN401 - Django has no types
        """Return a cursor of Django's."""


def _is_django(connection: object) -> TypeIs[DjangoConnection]:
    return hasattr(connection, "in_atomic_block") and hasattr(connection, "alias")


def of_driver(connection: Connection) -> Drivers:
    """Return the driver's own connection, which is inside that of Django."""
    if not _is_django(connection):
        return connection
    connection.ensure_connection()
    driver: Drivers = connection.connection
    return driver


def refuse_broken(connection: Connection) -> None:
    """Refuse to go on where Django will roll back, whatever is done from here on.

    Raises StorageError.
    """
    if _is_django(connection) and connection.needs_rollback:
        raise StorageError(
            "what `apply` has written failed, and Django rolls back the whole batch. Put what may "
            "fail into a block of its own: with transaction.atomic(): …"
        )


def one_transaction(connection: Connection, name: str) -> AbstractContextManager[None]:
    """Return a transaction that no other projector called `name` runs at the same time.

    It is committed when the body is done, and rolled back when the body raises. Entering it raises
    StorageError if the connection is in a transaction already, LedgerBusyError.
    """
    if _is_django(connection):
        return _in_django(connection, name)
    if isinstance(connection, sqlite3.Connection):
        return _in_file(connection)
    on_server: Any = connection
    return _on_server(on_server, name)


_IN_USE = (
    "the projector's connection is in a transaction already. End it, or give the projector a "
    "connection of its own."
)


@contextmanager
def _in_file(connection: sqlite3.Connection) -> Iterator[None]:
    if _is_open(connection):
        raise StorageError(_IN_USE)
    # Immediate: the checkpoint that is read in here must still be the last when it is moved on.
    _execute(connection, "BEGIN IMMEDIATE")
    try:
        yield
        _execute(connection, "COMMIT")
    except BaseException:
        if _is_open(connection):
            _execute(connection, "ROLLBACK")
        raise


def _is_open(connection: sqlite3.Connection) -> bool:
    return connection.in_transaction


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error as error:
        # The driver's own errors, such as that of a closed connection, have no code.
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _busy(error) from error
        raise _failed(error) from error


_ONE = (
    "SELECT pg_catalog.pg_advisory_xact_lock("
    "pg_catalog.hashtext('cursor-ledger projector'), pg_catalog.hashtext(%s))"
)
# Takes the writer's lock, as BEGIN IMMEDIATE does.
_ONE_IN_FILE = "UPDATE main.ledger_cursors SET id = id WHERE 0"


@contextmanager
def _in_django(connection: DjangoConnection, name: str) -> Iterator[None]:
    # Only Django's own blocks know of each other: in a transaction of ours, each `save` would begin
    # another one. A durable block is none inside another, except in Django's TestCase.
    from django.db import DatabaseError, transaction

    with ExitStack() as stack:
        try:
            stack.enter_context(transaction.atomic(using=connection.alias, durable=True))
        except RuntimeError as error:
            raise StorageError(_IN_USE) from error
        with connection.cursor() as cursor:
            try:
                if connection.vendor == "sqlite":
                    cursor.execute(_ONE_IN_FILE)
                else:
                    cursor.execute(_ONE, [name])
            except DatabaseError as error:
                raise _busy(error) from error
        yield


@contextmanager
def _on_server(connection: psycopg.Connection[Any], name: str) -> Iterator[None]:
    import psycopg
    from psycopg import errors

    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise StorageError(_IN_USE)
    try:
        with connection.transaction():
            # The checkpoint that is read in here must still be the last when it is moved on. The
            # cursor is a plain one, whatever kind the caller's connection makes.
            psycopg.Cursor(connection).execute(_ONE, (name,))
            yield
    except (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise _busy(error) from error
    except psycopg.Error as error:
        raise _failed(error) from error


def _busy(error: Exception) -> LedgerBusyError:
    return LedgerBusyError(
        f"the projector's database is locked by another transaction ({_said(error)}). {_NEXT}"
    )


def _failed(error: Exception) -> StorageError:
    return StorageError(f"the projector's transaction failed ({_said(error)}). {_NEXT}")


# Whatever became of the transaction, because the checkpoint is committed together with the batch.
_NEXT = "Catch up again: the projector goes on from its checkpoint."


def _said(error: Exception) -> str:
    """Return what the driver says, on one line; secrets in it are masked."""
    return fields.message(" ".join(str(error).split()) or type(error).__name__, "message")
