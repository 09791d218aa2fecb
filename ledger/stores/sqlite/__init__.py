"""The ledger in a SQLite file, in memory, or inside a caller's transaction."""

from __future__ import annotations

import os

from ledger.stores import Durability
from ledger.stores.paged import PagedStore
from ledger.stores.sqlite.connecting import connect_to_read
from ledger.stores.sqlite.connections import Pool

__all__ = ["look", "open_shared", "open_store"]

# To ask for a page takes little; one of 1,024 rows no longer fits the processor's cache, and each
# of its rows takes 1 µs more.
PAGE_ROWS_MAX = 128

LOOK_BUSY_TIMEOUT_S = 5.0


def open_store(
    path: str, *, durability: Durability = "full", busy_timeout_s: float = 10.0
) -> PagedStore:
    """Open the file at `path`, or make it; `":memory:"` for one that lives as long as this.

    Raises StorageError, SchemaVersionError, LedgerBusyError.
    """
    pool = Pool(path, durability=durability, busy_timeout_s=busy_timeout_s)
    return PagedStore(pool, PAGE_ROWS_MAX, immutable=pool.immutable)


def open_shared(connection: object) -> PagedStore:
    """Make the tables in a caller's database in memory, whose one connection is `connection`.

    Raises InvalidCursorError, StorageError.
    """
    # Imported here, because only tests need it.
    from ledger.stores.sqlite.shared import Shared

    return PagedStore(Shared(connection), PAGE_ROWS_MAX)


def look(path: str) -> bool:
    """Return whether there is a ledger in the file at `path`, and change nothing.

    Raises StorageError, SchemaVersionError.
    """
    connection, _, found = connect_to_read(os.path.abspath(path), path, LOOK_BUSY_TIMEOUT_S)
    connection.close()
    return found
