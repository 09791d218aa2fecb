"""The driver's connection that a session or a connection of SQLAlchemy has at this moment."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import sqlalchemy
from sqlalchemy import exc, orm
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

from ledger.errors import InvalidCursorError, LedgerBusyError, StorageError
from ledger.law import fields
from ledger.stores.lending import AsyncLender, Lender, Wanted
from ledger.stores.not_lent import article
from ledger.stores.turns import turn_of

__all__ = ["async_lender", "lender"]

_BEGIN = (
    "Take AUTOCOMMIT off it: connection.execution_options(isolation_level=…), or the engine's "
    "isolation_level"
)


_ASYNC = (AsyncSession, async_scoped_session, AsyncConnection)

Given: TypeAlias = orm.scoped_session[Any] | orm.Session | sqlalchemy.Connection
AsyncGiven: TypeAlias = AsyncSession | async_scoped_session[Any] | AsyncConnection

# Their names say that they are not what is wanted; dialects of others are derived from these.
_BACKENDS = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")


def lender(given: object, wanted: Wanted, place: str) -> Lender | None:
    """Return what lends connections out of `given`; None if it is nothing that can.

    Raises InvalidCursorError, StorageError.
    """
    match given:
        case orm.scoped_session() | orm.Session() | sqlalchemy.Connection():
            dialect = _dialect(given, wanted)
            if dialect is not None and not _fits(dialect, wanted):
                raise _strange(given, dialect, wanted, place)
            return Lender(
                partial(_lent, given, wanted, place),
                _BEGIN,
                # A session gets a connection when it is used, and a scoped one for each thread.
                is_lazy=not isinstance(given, sqlalchemy.Connection),
                lost=partial(_lost, given),
            )
        case _:
            return None


def async_lender(given: object, wanted: Wanted, place: str) -> AsyncLender | None:
    """Return what lends connections out of `given`, awaited; None if it is nothing that can."""
    match given:
        case AsyncSession() | async_scoped_session() | AsyncConnection():
            connection = partial(_lent_async, given, wanted, place)
            return AsyncLender(connection, _BEGIN, lost=partial(_lost_async, given))
        case _:
            return None


def _dialect(given: Given, wanted: Wanted) -> sqlalchemy.Dialect | None:
    """Return what `given` speaks to its database, as far as that is known without a connection.

    Raises StorageError if it is known that it will have none.
    """
    match given:
        case sqlalchemy.Connection():
            return given.dialect
        case orm.Session():
            try:
                if not given.in_transaction() and given.autobegin:
                    given.begin().close()  # Nothing is begun on a connection: it may be closed.
                elif not given.in_transaction():
                    given.connection()  # It says that it was not begun.
                return given.get_bind().dialect
            except exc.SQLAlchemyError as error:
                raise _refused(given, wanted, error) from error
        case _:
            # Each thread has a session of its own, and this one may be about to have none.
            with suppress(Exception):
                there = given.registry.has()
                try:
                    return given.get_bind().dialect
                finally:
                    if not there:
                        given.remove()
            return None


def _fits(dialect: sqlalchemy.Dialect, wanted: Wanted) -> bool:
    backend, _, driver = wanted.engine.partition(":")[0].partition("+")
    if dialect.is_async or dialect.name != backend:
        return not dialect.is_async and dialect.name not in _BACKENDS
    return not driver or dialect.driver == driver


def _lent(given: Given, wanted: Wanted, place: str) -> object:
    try:
        if not isinstance(given, sqlalchemy.Connection):
            _refuse_elsewhere(given, wanted, place)
        # Of two threads that ask at the same time, both would begin.
        with turn_of(given):
            connection = given if isinstance(given, sqlalchemy.Connection) else given.connection()
            if not connection.in_transaction():
                # As any statement would: or what is appended would be no part of what it commits.
                connection.begin()
            lent = connection.connection.driver_connection
    except exc.SQLAlchemyError as error:
        raise _refused(given, wanted, error) from error
    if not isinstance(lent, wanted.driver):
        raise _strange(given, connection.dialect, wanted, place)
    return lent


def _lost(given: Given, lost: object) -> None:
    """Tell `given` that its connection is gone.

    As its own statements would: or its rollback would fail, and its error would be raised instead
    of the one that says what has happened.
    """
    with suppress(exc.SQLAlchemyError):
        connection = given if isinstance(given, sqlalchemy.Connection) else given.connection()
        if connection.connection.driver_connection is lost:
            connection.invalidate()


async def _lost_async(given: AsyncGiven, lost: object) -> None:
    with suppress(exc.SQLAlchemyError):
        connection = given if isinstance(given, AsyncConnection) else await given.connection()
        if (await connection.get_raw_connection()).driver_connection is lost:
            await connection.invalidate()


async def _lent_async(given: AsyncGiven, wanted: Wanted, place: str) -> object:
    try:
        if not isinstance(given, AsyncConnection):
            _refuse_elsewhere(given, wanted, place)
        connection = given if isinstance(given, AsyncConnection) else await given.connection()
        if not connection.in_transaction():
            await connection.begin()
        lent = (await connection.get_raw_connection()).driver_connection
    except exc.SQLAlchemyError as error:
        raise _refused(given, wanted, error) from error
    if not isinstance(lent, wanted.driver):
        raise _strange(given, connection.dialect, wanted, place)
    return lent


def _refuse_elsewhere(
    given: orm.scoped_session[Any] | orm.Session | AsyncSession | async_scoped_session[Any],
    wanted: Wanted,
    place: str,
) -> None:
    """Refuse a session that is bound to another kind of database, before it connects to it."""
    dialect = given.get_bind().dialect
    if not wanted.engine.startswith(dialect.name):
        raise _strange(given, dialect, wanted, place)


def _refused(given: object, wanted: Wanted, error: exc.SQLAlchemyError) -> StorageError:
    """Return what is raised where `given` has no connection to give."""
    name = type(given).__name__
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    said = fields.message(said, "message").rstrip(".")
    refusal: type[StorageError] = StorageError
    match error:
        case exc.DBAPIError() if wanted.is_busy(error.orig):
            refusal, step = LedgerBusyError, "Nothing was appended; roll back, and try again"
        case exc.TimeoutError():
            refusal, step = LedgerBusyError, "Nothing was appended; try again"
        case exc.PendingRollbackError():
            step = "Its transaction has failed before; roll it back, and run it again"
        case exc.UnboundExecutionError():
            one, wait = (
                ("AsyncConnection", "await ") if isinstance(given, _ASYNC) else ("Connection", "")
            )
            step = f"Lend the {one}: {wait}session.connection(bind_arguments={{'mapper': …}})"
        case exc.ResourceClosedError():
            step = "Lend one that is open, inside the block that you write your rows in"
        case exc.DBAPIError():
            step = "Nothing was appended; try again"
        case _:
            step = "Lend it inside the transaction that you write your rows in: session.begin()"
    return refusal(f"the {name} has no connection to lend: {said}. {step}.")


def _strange(
    given: object, dialect: sqlalchemy.Dialect, wanted: Wanted, place: str
) -> InvalidCursorError:
    """Return what is raised where `given` is bound to another kind of database, or driver."""
    name = type(given).__name__
    if dialect.is_async and not isinstance(given, _ASYNC):
        return InvalidCursorError(
            f"the {name} is what is inside an asynchronous one, by {dialect.driver}. Lend the "
            "AsyncSession or AsyncConnection itself, to a ledger of ledger.aio.open(…)."
        )
    make = "create_async_engine" if isinstance(given, _ASYNC) else "create_engine"
    return InvalidCursorError(
        f"the {name} is bound to a database of {dialect.name} by {dialect.driver}, but this ledger "
        f"is in {place}. Rows and cursor are committed together only in one database: lend "
        f"{article(name)} {name} of an engine to it, {make}('{wanted.engine}')."
    )
