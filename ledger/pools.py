"""What has connections to a database, and may be opened in the place of its URL."""

from __future__ import annotations

from typing import Any

from ledger.errors import InvalidCursorError

__all__ = ["file_of", "is_one", "refuse_lazy"]

_POOLS = ("psycopg_pool.pool.ConnectionPool", "sqlalchemy.engine.base.Engine")
_AWAITED = (
    "psycopg_pool.pool_async.AsyncConnectionPool",
    "sqlalchemy.ext.asyncio.engine.AsyncEngine",
)


def is_one(target: object) -> bool:
    """Return whether `target` is an engine of SQLAlchemy or a pool of psycopg.

    Raises InvalidCursorError if it is one whose connections are awaited, unless it only names a
    file.
    """
    # By their names, because neither is imported to open another.
    names = {f"{each.__module__}.{each.__qualname__}" for each in type(target).__mro__}
    if names.isdisjoint(_AWAITED):
        return not names.isdisjoint(_POOLS)
    if _is_to_sqlite(target):
        return True
    of = "pool.conninfo, kwargs=pool.kwargs, min_size=0, max_size=4, max_idle=5"
    instead = (
        f"ConnectionPool({of})"
        if hasattr(target, "conninfo")
        else ("sqlalchemy.create_engine(engine.url, poolclass=sqlalchemy.NullPool)")
    )
    raise InvalidCursorError(
        f"target is a {type(target).__name__}, whose connections belong to an event loop, but "
        "the ledger commits in a thread, for all its callers at once. Open it by one beside it, "
        f"which keeps no connection while idle: {instead}; and lend your AsyncSession or "
        "AsyncConnection to it: book.using(session)."
    )


def refuse_lazy(target: object) -> None:
    """Refuse connections of a caller, which a child must not use after a fork.

    Raises InvalidCursorError.
    """
    if not is_one(target) or _is_to_sqlite(target):
        return
    raise InvalidCursorError(
        f"target is a {type(target).__name__}, whose connections do not survive a fork. Give lazy "
        "the URL; or make the engine or the pool "
        "in each process, after its fork, and call ledger.open with it there."
    )


def _is_to_sqlite(target: Any) -> bool:  # noqa: ANN401 - it may be an engine
    url = getattr(target, "url", None)
    return url is not None and bool(url.get_backend_name() == "sqlite")


def file_of(engine: Any) -> str | None:  # noqa: ANN401 - it may be an engine
    """Return the path of the SQLite file that `engine` is to; None if it is to something else.

    SQLite's connections are not shared: how safe a commit is, and which locks are held, is a matter
    of each, and to open one costs no server anything.

    Raises InvalidCursorError if it is to a database in memory.
    """
    if not _is_to_sqlite(engine):
        return None
    url = engine.url
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise InvalidCursorError(
            "target is an engine to SQLite without the path of a file, such as one in memory, "
            "which no other connection can see. In tests, make the ledger out of its connection: "
            "ledger.testing.in_memory."
        )
    path: str = url.database
    return path
