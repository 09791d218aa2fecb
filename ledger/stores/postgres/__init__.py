"""The ledger in PostgreSQL, or inside a caller's transaction there."""

from __future__ import annotations

import psycopg

from ledger.stores import Durability
from ledger.stores.paged import PagedStore
from ledger.stores.postgres import migrations
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.connections import Pool
from ledger.stores.postgres.errors import translated

__all__ = ["look", "open_store"]

# Each page is a round trip.
PAGE_ROWS_MAX = 1_024


def open_store(url: str, *, durability: Durability, busy_timeout_s: float) -> PagedStore:
    """Open the ledger at `url`, or make its tables.

    Raises InvalidCursorError, StorageError, SchemaVersionError, LedgerBusyError.
    """
    pool = Pool(Address.parse(url), durability=durability, busy_timeout_s=busy_timeout_s)
    return PagedStore(pool, PAGE_ROWS_MAX)


def look(url: str) -> tuple[bool, str]:
    """Say whether there is a ledger at `url`, and what that place is called; make nothing.

    Raises InvalidCursorError, StorageError, SchemaVersionError.
    """
    address = Address.parse(url)
    try:
        with address.connect() as connection:
            there = migrations.pending(connection, address.schema) != list(migrations.SCHEMAS)
    except psycopg.Error as error:
        raise translated(error, address.place) from error
    return there, address.place
