"""The ledger in PostgreSQL, or inside a caller's transaction there."""

from __future__ import annotations

import psycopg
from psycopg_pool import PoolTimeout

from ledger.errors import StorageError
from ledger.stores import Durability
from ledger.stores.paged import PagedStore
from ledger.stores.postgres import migrations
from ledger.stores.postgres.address import Address, checked_schema
from ledger.stores.postgres.connections import Pool
from ledger.stores.postgres.errors import translated
from ledger.stores.postgres.sharing import SharedAddress

__all__ = ["check", "look", "open_shared", "open_store"]

# Each page is a round trip.
PAGE_ROWS_MAX = 1_024


def open_store(url: str, *, durability: Durability, busy_timeout_s: float) -> PagedStore:
    """Open the ledger at `url`, or make its tables.

    Raises InvalidCursorError, StorageError, SchemaVersionError, LedgerBusyError.
    """
    pool = Pool(Address.parse(url), durability=durability, busy_timeout_s=busy_timeout_s)
    return PagedStore(pool, PAGE_ROWS_MAX)


def open_shared(
    given: object, *, schema: str, durability: Durability, busy_timeout_s: float
) -> PagedStore:
    """Open the ledger in the database that a caller's pool leads to; connections are its.

    Raises InvalidCursorError, StorageError, SchemaVersionError, LedgerBusyError.
    """
    try:
        address = SharedAddress.of(given, checked_schema(schema), busy_timeout_s)
    except (psycopg.Error, PoolTimeout) as error:
        raise StorageError(f"the pool has no connection to lend: {error}") from error
    pool = Pool(address, durability=durability, busy_timeout_s=busy_timeout_s)
    return PagedStore(pool, PAGE_ROWS_MAX)


def check(url: str) -> None:
    """Refuse a URL that cannot be one of a ledger; nothing is connected to.

    Raises InvalidCursorError.
    """
    Address.parse(url)


def look(url: str) -> tuple[bool, str]:
    """Return whether there is a ledger at `url`, and what that place is called; make nothing.

    Raises InvalidCursorError, StorageError, SchemaVersionError.
    """
    address = Address.parse(url)
    try:
        with address.connect() as connection:
            there = migrations.pending(connection, address.schema) != list(migrations.SCHEMAS)
    except psycopg.Error as error:
        raise translated(error, address.place) from error
    return there, address.place
