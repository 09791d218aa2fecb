"""A ledger in a database in memory that is the application's as well."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

from ledger.opening import open_on, utc_now
from ledger.service import Ledger
from ledger.stores import sqlite

__all__ = ["in_memory"]


def in_memory(
    connection: sqlite3.Connection,
    *,
    actor: str = "",
    clock: Callable[[], datetime] = utc_now,
    require_epoch: bool = False,
) -> Ledger:
    """Return a ledger in the database in memory that `connection` is to, for tests.

    The application's rows and the ledger's are in one database, so `using(connection)` puts them
    into one transaction, as in a file. The tables are made. `actor`, `clock` and `require_epoch`
    are those of `ledger.open`. Closing the ledger leaves the connection open. What `connection`
    makes of rows and of text does not matter; its factories are as they were after each call.

    There is one connection, so some things are not as in a file. A read sees what an open
    transaction has done so far; nothing is durable; and where the ledger would wait on a
    connection of its own for that transaction, it raises LedgerBusyError at once. Other threads
    need `check_same_thread=False`: the loop of a consumer has some, as have asyncio and `submit`.

    Raises InvalidCursorError if `connection` is to a file, or in a transaction; StorageError.

    >>> import ledger, sqlite3
    >>> from ledger.testing import in_memory
    >>> key = ledger.CursorKey("projector", "orders")
    >>> db = sqlite3.connect(":memory:")
    >>> made = db.execute("CREATE TABLE totals (amount INTEGER)")
    >>> with in_memory(db, actor="test") as book:
    ...     with db:
    ...         row = db.execute("INSERT INTO totals VALUES (12)")
    ...         cursor = book.using(db).advance(key, to=7)
    ...     book.get(key).last_sequence
    7
    >>> db.close()
    """
    return open_on(
        lambda: sqlite.open_shared(connection),
        actor=actor,
        clock=clock,
        require_epoch=require_epoch,
    )
