"""The ledger in PostgreSQL, or inside a caller's transaction there."""

from __future__ import annotations

from ledger.stores.paged import PagedStore
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.pool import Pool

__all__ = ["open_store"]


def open_store(url: str, *, durability: str, busy_timeout_s: float) -> PagedStore:
    """Open the ledger at `url`, or make its tables.

    Raises InvalidCursorError, StorageError, SchemaVersionError, LedgerBusyError.
    """
    return PagedStore(
        Pool(Address.parse(url), durability=durability, busy_timeout_s=busy_timeout_s)
    )
