"""Connections out of the caller's own pool: borrowed for one call, and given back as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import psycopg
import psycopg_pool
from psycopg.pq import TransactionStatus

from ledger.errors import InvalidCursorError, StorageError
from ledger.stores.postgres.address import place_of
from ledger.stores.postgres.statements import catalog, literal

if TYPE_CHECKING:
    from sqlalchemy import Engine, Pool, PoolProxiedConnection

__all__ = ["EngineSource", "InTransactionError", "PoolSource", "Source", "settled"]

Connection = psycopg.Connection[Any]

# Its value now, or "on" where a commit would not be waited for.
_DURABLE = (
    f"CASE WHEN pg_catalog.current_setting('synchronous_commit') {catalog('=')} 'off' THEN 'on' "
    "ELSE pg_catalog.current_setting('synchronous_commit') END"
)


_IN_TRANSACTION = (
    "the pool has lent the ledger a connection that is in a transaction, which the ledger "
    "did not begin, and leaves alone. If your own rows are in it, the pool lends one "
    "connection twice: use QueuePool, or open the ledger by its URL. If a listener of the "
    "pool has begun it (connect, checkout, configure, check), commit it there."
)


class InTransactionError(StorageError):
    """The pool has lent a connection with a transaction that somebody else has begun."""


class Source(Protocol):
    """The caller's pool."""

    def take(self, timeout_s: float) -> Connection:
        """Borrow a connection; a PoolTimeout is raised if there is none in time."""

    def give_back(self, connection: Connection) -> None:
        """Put it back; one that is closed is replaced by its owner."""

    def connect(self) -> Connection:
        """Connect once more, beside the pool, to wait for what others append."""


@attrs.frozen
class PoolSource:
    """A pool of psycopg_pool."""

    pool: psycopg_pool.ConnectionPool[Any]

    def take(self, timeout_s: float) -> Connection:
        """Borrow a connection for at most so long a wait."""
        connection: Connection = self.pool.getconn(timeout_s)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Put it back."""
        self.pool.putconn(connection)

    def connect(self) -> Connection:
        """Connect as the pool does."""
        conninfo, kwargs = self.pool.conninfo, self.pool.kwargs
        given: Mapping[str, Any] = kwargs() if callable(kwargs) else kwargs or {}
        return psycopg.connect(
            conninfo() if callable(conninfo) else conninfo, **{**given, "autocommit": True}
        )


class EngineSource:
    """An engine of SQLAlchemy, whose driver is psycopg."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lent: dict[Connection, tuple[PoolProxiedConnection, Pool]] = {}

    def take(self, timeout_s: float) -> Connection:
        """Borrow a connection for at most so long a wait, or the engine's `pool_timeout`."""
        from sqlalchemy import exc

        pool = self._engine.pool
        refuse_shared(pool)
        try:
            if _makes_wait(pool, timeout_s):
                proxy = _taken_in_time(self._engine, timeout_s)
            else:
                proxy = self._engine.raw_connection()
        except exc.TimeoutError as error:
            raise psycopg_pool.PoolTimeout(" ".join(str(error).split())) from error
        except exc.DBAPIError as error:
            raise (error.orig if isinstance(error.orig, psycopg.Error) else error) from error
        connection: Connection = proxy.driver_connection  # type: ignore[assignment]
        self._lent[connection] = proxy, pool
        return connection

    def give_back(self, connection: Connection) -> None:
        """Put it back, or have it replaced."""
        proxy, pool = self._lent.pop(connection)
        _put_back(proxy, to_nobody=connection.closed or pool is not self._engine.pool)

    def connect(self) -> Connection:
        """Connect as the engine does, beside its pool, which may have none to spare."""
        from sqlalchemy import exc

        # A pool with the same settings and listeners; it has made one when that is taken from it.
        try:
            proxy = self._engine.pool.recreate().connect()
        except exc.DBAPIError as error:
            raise (error.orig if isinstance(error.orig, psycopg.Error) else error) from error
        connection: Connection = proxy.driver_connection  # type: ignore[assignment]
        proxy.detach()
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.rollback()  # What a listener has begun: nobody else has the connection.
        connection.autocommit = True
        return connection


def refuse_shared(pool: Pool) -> None:
    """Refuse a pool that lends a connection which is in use already.

    What the ledger commits or rolls back there would be the transaction of who uses it.

    Raises InvalidCursorError.
    """
    from sqlalchemy.pool import SingletonThreadPool, StaticPool

    if isinstance(pool, SingletonThreadPool | StaticPool):
        raise InvalidCursorError(
            f"target is an engine with a {type(pool).__name__}, which lends the connection that "
            "your own transaction is in, so the ledger has none to commit on. Make the engine with "
            "QueuePool, which is the default, or NullPool; or open the ledger by its URL."
        )


def _makes_wait(pool: Pool, timeout_s: float) -> bool:
    """Return whether `pool` may have none to give, and would wait for one longer than that."""
    from sqlalchemy.pool import QueuePool

    if not isinstance(pool, QueuePool) or pool.timeout() <= timeout_s:
        return False
    # There is no public way to ask how many may overflow; -1 is any number.
    overflow_max = getattr(pool, "_max_overflow", 0)
    full = 0 <= overflow_max <= pool.overflow()
    return full and not pool.checkedin()


def _taken_in_time(engine: Engine, timeout_s: float) -> PoolProxiedConnection:
    """Borrow a connection, unless that takes longer; then it is given back at once.

    No call of an engine takes a time-out, therefore a thread waits: in the queue of the pool, where
    nobody is overtaken.
    """
    taking: Future[PoolProxiedConnection] = Future()
    pool = engine.pool

    def run() -> None:
        try:
            proxy = engine.raw_connection()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            if taking.set_running_or_notify_cancel():
                taking.set_exception(error)
            return
        if taking.set_running_or_notify_cancel():
            taking.set_result(proxy)
        else:
            _put_back(proxy, to_nobody=engine.pool is not pool)

    # In the caller's context, because listeners of the engine may run in there.
    thread = threading.Thread(
        target=copy_context().run, args=(run,), name="cursor-ledger borrows", daemon=True
    )
    thread.start()
    try:
        return taking.result(timeout_s)
    except BaseException as error:
        if taking.cancel():
            if isinstance(error, TimeoutError):
                message = f"the pool had none to give within {timeout_s:.1f} s"
                raise psycopg_pool.PoolTimeout(message) from None
            raise
        if taking.exception() is error:
            raise
        # It has come in this moment.
        if isinstance(error, TimeoutError):
            return taking.result()
        taking.result().close()
        raise


def _put_back(proxy: PoolProxiedConnection, *, to_nobody: bool) -> None:
    if to_nobody:
        # It is closed; or the engine is disposed of, and its old pool would never close it.
        proxy.invalidate()
    proxy.close()


def settled(connection: Connection, settings: Mapping[str, str]) -> Callable[[], None]:
    """Set what is needed on a borrowed connection; return what sets it back.

    What psycopg raises is raised.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise InTransactionError(_IN_TRANSACTION)
    autocommit, threshold = connection.autocommit, connection.prepare_threshold
    connection.autocommit = True
    if threshold is not None:
        # Prepared at once: see connections.py. Where its owner prepares nothing, nothing is.
        connection.prepare_threshold = 0
    names = list(settings)
    before = ", ".join(f"pg_catalog.current_setting({literal(name)})" for name in names)
    after = ", ".join(
        f"pg_catalog.set_config({literal(name)}, {value}, false)"
        for name, value in settings.items()
    )
    # In one round trip; each is looked at before it is set.
    cursor = psycopg.Cursor(connection, row_factory=psycopg.rows.tuple_row)
    values = cursor.execute(f"SELECT {before}, {after}".encode(), prepare=False).fetchall()[0]

    def set_back() -> None:
        if connection.closed:
            return
        sets = ", ".join(
            f"pg_catalog.set_config({literal(name)}, {literal(value)}, false)"
            for name, value in zip(names, values, strict=False)
        )
        try:
            own = psycopg.Cursor(connection)
            own.execute(f"SELECT {sets}".encode(), prepare=False)
            connection.prepare_threshold = threshold
            connection.autocommit = autocommit
        except psycopg.Error:
            # Its owner must not have it as it is.
            connection.close()

    return set_back


def needed(*, durability: str, busy_timeout_s: float) -> dict[str, str]:
    """Return the settings that an append needs, as SQL."""
    return {
        # First: on the path of a role or a database there may be what somebody else has made.
        "search_path": "'pg_catalog, pg_temp'",
        "client_encoding": "'UTF8'",
        "lock_timeout": f"'{int(busy_timeout_s * 1_000) or 1}'",
        "default_transaction_isolation": "'read committed'",
        "standard_conforming_strings": "'on'",
        "array_nulls": "'on'",
        "synchronous_commit": "'off'" if durability == "normal" else _DURABLE,
    }


def source_of(given: object) -> Source:
    """Return what borrows connections from `given`.

    Raises InvalidCursorError.
    """
    if isinstance(given, psycopg_pool.ConnectionPool):
        return PoolSource(given)
    from sqlalchemy import Engine

    if isinstance(given, Engine):
        dialect = given.dialect
        if (dialect.name, dialect.driver) == ("postgresql", "psycopg"):
            refuse_shared(given.pool)
            return EngineSource(given)
        raise InvalidCursorError(
            f"target is an engine to {dialect.name} by {dialect.driver}, from which the ledger can "
            "borrow no connections. Make it with create_engine('postgresql+psycopg://…'), or open "
            "the ledger by its own URL."
        )
    raise InvalidCursorError(f"target has no connections to borrow: {type(given).__name__}.")


@attrs.frozen(kw_only=True)
class SharedAddress:
    """Where the connections of a caller's pool lead to."""

    source: Source
    schema: str
    place: str
    pool_min_size = 0
    pool_max_size = "of your pool"

    def connect(self) -> Connection:
        """Connect once, beside the pool."""
        return self.source.connect()

    @classmethod
    def of(cls, given: object, schema: str, timeout_s: float) -> SharedAddress:
        """Ask one connection of `given` where it leads to.

        Raises InvalidCursorError, StorageError.
        """
        source = source_of(given)
        try:
            connection = source.take(max(timeout_s, 1.0))
        except psycopg_pool.PoolClosed as error:
            raise StorageError(
                f"the pool of the caller is closed, or not open yet ({error}); open it first."
            ) from error
        try:
            info = connection.info
            where = {"host": info.host, "port": str(info.port), "dbname": info.dbname}
            return cls(source=source, schema=schema, place=place_of(where, schema))
        finally:
            source.give_back(connection)
