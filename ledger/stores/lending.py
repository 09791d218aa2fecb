"""What may be lent, how its connection is had, and what cannot be done inside its transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, Union

import attrs

from ledger.errors import InvalidCursorError
from ledger.stores.not_lent import not_to_be_lent

if TYPE_CHECKING:
    import sqlite3

    import aiosqlite
    import psycopg
    import sqlalchemy
    from sqlalchemy import orm
    from sqlalchemy.ext import asyncio as asyncio_orm

    from ledger.evidence.merkle import TreeRow

__all__ = [
    "AsyncLendable",
    "AsyncLender",
    "Confined",
    "Lendable",
    "Lender",
    "Wanted",
    "async_lender",
    "lender",
]

# All in quotes: none of these is imported to lend another.
Lendable: TypeAlias = Union[
    "sqlite3.Connection",
    "psycopg.Connection[Any]",
    "orm.Session",
    "orm.scoped_session[Any]",
    "sqlalchemy.Connection",
]
"""What may be lent to a `Ledger`: the caller's transaction is in it."""

AsyncLendable: TypeAlias = Union[
    "psycopg.AsyncConnection[Any]",
    "aiosqlite.Connection",
    "asyncio_orm.AsyncSession",
    "asyncio_orm.async_scoped_session[Any]",
    "asyncio_orm.AsyncConnection",
]
"""What may be lent to an `AsyncLedger`."""


@attrs.frozen
class Wanted:
    """The connection of a driver that a store needs."""

    driver: type
    name: str
    engine: str
    """What SQLAlchemy makes an engine of it from."""
    begin: str
    """How a transaction is begun on a connection in autocommit mode."""
    is_busy: Callable[[object], bool] = bool
    """Whether an error of the driver says that others were in the way."""


def _nothing_lost(connection: object) -> None:
    """Its owner finds out."""


async def _nothing_lost_async(connection: object) -> None:
    """Its owner finds out."""


@attrs.frozen
class Lender:
    """How the driver's connection is had that a caller's object has at this moment.

    A session gives its connection back with each commit, and may get another one afterwards, so it
    is asked anew for each call.
    """

    connection: Callable[[], object]
    begin: str
    """How its owner begins a transaction, if the connection is in autocommit mode."""
    is_lazy: bool = False
    """Whether to ask for the connection begins something, or gets it for one thread."""
    lost: Callable[[object], None] = _nothing_lost
    """Tells the owner of a driver's connection that it is gone."""


@attrs.frozen
class AsyncLender:
    """The same of an object whose connection is awaited."""

    connection: Callable[[], Awaitable[object]]
    begin: str
    lost: Callable[[object], Awaitable[None]] = _nothing_lost_async


class Confined:
    """What is refused, or left alone, inside the transaction of a connection that is lent."""

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep none: what the caller's transaction has done may be taken back."""

    def identify(self, given: str) -> NoReturn:  # noqa: ARG002 - refused
        """Refuse: what the caller's transaction has done may be taken back."""
        raise InvalidCursorError(
            "an id is given to the ledger itself, not to the one inside your transaction."
        )

    def opening(self) -> None:
        """Return none: what the caller's transaction has done, no other process can see."""

    def listen(self) -> NoReturn:
        """Refuse: what others append cannot be seen from within a transaction."""
        raise InvalidCursorError(
            "a ledger inside your own transaction cannot wait: it would not see what others "
            "append. Wait on the ledger itself."
        )

    def borrow(self, connection: object) -> NoReturn:  # noqa: ARG002 - of the protocol
        """Refuse: this one is lent already."""
        raise InvalidCursorError("this ledger is lent a connection already; use the one it is of.")

    borrow_async = borrow

    def close(self) -> None:
        """Leave the connection to its owner."""


def lender(given: object, wanted: Wanted, place: str) -> Lender:
    """Return what lends `given` itself, if it is a connection of the driver, or what it has of one.

    Raises InvalidCursorError, StorageError.
    """
    if isinstance(given, wanted.driver):
        return Lender(lambda: given, wanted.begin)
    if _is_sqlalchemy(given):
        # Imported here, because only those have it who use it.
        from ledger.stores import lending_sqlalchemy

        if (lent := lending_sqlalchemy.lender(given, wanted, place)) is not None:
            return lent
    beside = "a SQLAlchemy Session or Connection"
    raise not_to_be_lent(given, wanted.driver, wanted.name, place, beside=beside)


def async_lender(given: object, wanted: Wanted, place: str) -> AsyncLender:
    """Return what lends `given` itself, or what it has of a driver, for coroutines.

    Raises InvalidCursorError, StorageError.
    """
    if isinstance(given, wanted.driver):

        async def itself() -> object:
            return given

        return AsyncLender(itself, wanted.begin)
    if _is_sqlalchemy(given):
        from ledger.stores import lending_sqlalchemy

        if (lent := lending_sqlalchemy.async_lender(given, wanted, place)) is not None:
            return lent
    beside = "a SQLAlchemy AsyncSession or AsyncConnection"
    raise not_to_be_lent(given, wanted.driver, wanted.name, place, beside=beside, awaited=True)


def _is_sqlalchemy(given: object) -> bool:
    return any(each.__module__.partition(".")[0] == "sqlalchemy" for each in type(given).__mro__)
