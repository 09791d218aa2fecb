"""How SQLAlchemy begins a transaction on SQLite, so that a ledger can be part of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import invalid

__all__ = ["begin_immediate"]

OPTION = "sqlite_begin"


def begin_immediate(engine: Engine | AsyncEngine) -> None:
    """Have each transaction of `engine`, which is one to SQLite, begin with BEGIN IMMEDIATE.

    By itself the driver begins one before the first INSERT or UPDATE, deferred. A savepoint
    (`begin_nested`) that comes before that commits at its end, and a transaction that has read
    first is refused when it writes if others have written in between. Call this once, where the
    engine is made.

    A transaction that only reads need not keep writers out. For those, use the same engine with an
    option: `engine.execution_options(sqlite_begin="DEFERRED")`.

    Raises InvalidCursorError.

    >>> import sqlalchemy
    >>> from ledger.integrations.sqlalchemy import begin_immediate
    >>> engine = sqlalchemy.create_engine("sqlite://")
    >>> begin_immediate(engine)
    >>> with engine.begin() as connection:
    ...     connection.connection.driver_connection.in_transaction
    True
    >>> engine.dispose()
    """
    real: object = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if not isinstance(real, Engine) or real.dialect.name != "sqlite":
        said = getattr(getattr(real, "dialect", None), "name", type(engine).__name__)
        raise invalid("engine", f"must be an engine to SQLite, not {said}.", value=said)
    event.listen(real, "connect", _no_begin_of_the_driver)
    event.listen(real, "begin", _begin)


def _no_begin_of_the_driver(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's own
    connection.isolation_level = None


def _is_autocommit(connection: Connection) -> bool:
    # What the engine was made with is public nowhere.
    made_with = getattr(connection.dialect, "_on_connect_isolation_level", None)
    return connection.get_execution_options().get("isolation_level", made_with) == "AUTOCOMMIT"


def _begin(connection: Connection) -> None:
    if _is_autocommit(connection):
        return  # Nobody commits it: all that was done would be rolled back at its end.
    mode = connection.get_execution_options().get(OPTION, "IMMEDIATE")
    if mode not in ("IMMEDIATE", "DEFERRED", "EXCLUSIVE"):
        raise invalid(OPTION, f'must be "IMMEDIATE" or "DEFERRED", not {mode!r:.80}.')
    connection.exec_driver_sql(f"BEGIN {mode}")
