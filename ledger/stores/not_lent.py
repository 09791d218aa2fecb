"""What is said of an object that cannot be lent: what it is, and what to lend in its place."""

from __future__ import annotations

import inspect

from ledger.errors import InvalidCursorError, StorageError

__all__ = ["article", "closed", "not_to_be_lent"]

# Of the drivers, by their packages: what a connection of theirs is to.
_DATABASES = {
    "sqlite3": "SQLite",
    "_sqlite3": "SQLite",
    "aiosqlite": "SQLite",
    "apsw": "SQLite",
    "psycopg": "PostgreSQL",
    "psycopg_pool": "PostgreSQL",
    "psycopg2": "PostgreSQL",
    "asyncpg": "PostgreSQL",
    "pg8000": "PostgreSQL",
    "pymysql": "MySQL",
    "MySQLdb": "MySQL",
    "mysql": "MySQL",
    "aiomysql": "MySQL",
    "asyncmy": "MySQL",
    "mariadb": "MariaDB",
    "oracledb": "Oracle",
    "pyodbc": "another database",
    "duckdb": "DuckDB",
}

_YOURS = "Lend the one that you write your rows with."
_TO_AIO = "It is asynchronous: lend it to a ledger of ledger.aio.open(…)."
_BLOCKS = (
    "It would block the event loop. Lend an asynchronous one (AsyncSession, AsyncConnection), or "
    "use a ledger of ledger.open(…), in a thread."
)
_DJANGO = "Django has one at connection.connection, inside transaction.atomic()."

# What to do with an object, for a ledger whose connections are not awaited; by the name of its
# class or of one that it inherits from, or by its package.
_HINTS = {
    "aiosqlite.core.Connection": _TO_AIO,
    "psycopg.AsyncConnection": _TO_AIO,
    "psycopg_pool.pool.ConnectionPool": (
        "Lend a connection of it: with pool.connection() as connection: …"
    ),
    "psycopg_pool.pool_async.AsyncConnectionPool": (
        "It is asynchronous: lend a connection of it to a ledger of ledger.aio.open(…)."
    ),
    "sqlalchemy.engine.base.Engine": (
        "An Engine has no transaction. Lend the Session or the Connection that you write your "
        "rows with: with engine.begin() as connection: …"
    ),
    "sqlalchemy.orm.session.sessionmaker": (
        "A sessionmaker has no transaction. Lend a Session that it has made: with "
        "maker.begin() as session: …"
    ),
    "sqlalchemy.ext.asyncio.base.ReversibleProxy": _TO_AIO,
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": _TO_AIO,
    "sqlalchemy.ext.asyncio.scoping.async_scoped_session": _TO_AIO,
    "sqlalchemy": "Lend the Session or the Connection that you write your rows with.",
    "django": _DJANGO,
}

# The same for a ledger whose connections are awaited.
_HINTS_AWAITED = {
    "psycopg_pool.pool.ConnectionPool": (
        "It would block the event loop. Lend a connection of an AsyncConnectionPool: async with "
        "pool.connection() as connection: …"
    ),
    "psycopg_pool.pool_async.AsyncConnectionPool": (
        "Lend a connection of it: async with pool.connection() as connection: …"
    ),
    "sqlalchemy.orm.session.Session": _BLOCKS,
    "sqlalchemy.orm.scoping.scoped_session": _BLOCKS,
    "sqlalchemy.orm.session.sessionmaker": _BLOCKS,
    "sqlalchemy.engine.base.Connection": _BLOCKS,
    "sqlalchemy.engine.base.Engine": _BLOCKS,
    "sqlalchemy.ext.asyncio.engine.AsyncEngine": (
        "An AsyncEngine has no transaction. Lend the AsyncSession or the AsyncConnection that you "
        "write your rows with: async with engine.begin() as connection: …"
    ),
    "sqlalchemy.ext.asyncio.session.async_sessionmaker": (
        "An async_sessionmaker has no transaction. Lend an AsyncSession that it has made: async "
        "with maker.begin() as session: …"
    ),
    "sqlalchemy": "Lend the AsyncSession or the AsyncConnection that you write your rows with.",
    "django": "Django's connections are not awaited: lend one to a ledger of ledger.open(…).",
}


def not_to_be_lent(
    given: object, driver: type, name: str, place: str, *, beside: str = "", awaited: bool = False
) -> InvalidCursorError:
    """Return the refusal of `given`, where a connection of `driver` is wanted, which has `name`.

    `beside` is what else would do, and `awaited` is whether it would be awaited.
    """
    wanted = f"{article(name)} {name}{beside and f' (or {beside})'}"
    return InvalidCursorError(
        f"connection must be {wanted} to {place}, not {_named(given)}. "
        f"{_hint(given, driver, name, awaited=awaited)}"
    )


def closed(place: str) -> StorageError:
    """Return the refusal of a connection that its owner has closed."""
    return StorageError(
        f"the connection to {place} is closed. Lend one that is open, inside the block that you "
        "write your rows in."
    )


def article(name: str) -> str:
    """Return the article of a name that is read aloud."""
    return "an" if name[0] in "aeioAEIO" else "a"


def _named(given: object) -> str:
    if given is None:
        return "nothing"
    if isinstance(given, type):
        return f"the class {given.__module__}.{given.__qualname__}"
    cls = type(given)
    package = cls.__module__.partition(".")[0]
    name = cls.__name__ if package == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{article(name)} {name}"


def _hint(given: object, driver: type, name: str, *, awaited: bool) -> str:
    """Return what to do in place of lending `given`."""
    if not_yet := _not_yet(given):
        return not_yet
    cls = type(given)
    packages = [_package(each) for each in cls.__mro__]
    package = next((each for each in packages if each in _DATABASES), "")
    database = _DATABASES.get(_package(driver), "SQLite")
    if package and _DATABASES[package] != database:
        return (
            f"It is to {_DATABASES[package]}, and this ledger is in {database}. Rows and cursor "
            "are committed together only in one database."
        )
    hints = _HINTS_AWAITED if awaited else _HINTS
    names = [f"{each.__module__}.{each.__qualname__}" for each in cls.__mro__]
    if known := next((hints[each] for each in (*names, *packages) if each in hints), ""):
        return known
    return _of_driver(cls, package, name, awaited=awaited) if package else _YOURS


def _not_yet(given: object) -> str:
    """Return what makes something that may be lent of `given`; empty if nothing does."""
    cls = type(given)
    if isinstance(given, type):
        return "Lend one that you have made with it, inside the block that you write your rows in."
    if inspect.iscoroutine(given):
        return "Await it, and lend what it returns."
    if cls.__module__ == "contextlib":
        how = "async with" if cls.__name__.startswith("_Async") else "with"
        return f"Lend what it gives when it is entered: {how} … as connection: …"
    return ""


def _of_driver(cls: type, package: str, name: str, *, awaited: bool) -> str:
    """Return what to do in place of lending what is of a driver to the right database."""
    one = f"{article(name)} {name}"
    if package not in {"sqlite3", "aiosqlite", "psycopg"}:
        engine = "sqlite" if _DATABASES[package] == "SQLite" else "postgresql+psycopg"
        return f"It is of another driver: lend {one}, or a session on {engine}://."
    if awaited and package != "aiosqlite" and not cls.__name__.startswith("Async"):
        return f"It would block the event loop. Lend {one}."
    if package == "aiosqlite":
        return "Lend the connection that it is of."  # Others have no name for it.
    return "Lend the connection that it is of: cursor.connection."


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]
