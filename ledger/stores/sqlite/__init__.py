"""The ledger in a SQLite file, in memory, or inside a caller's transaction."""

from __future__ import annotations

from ledger.stores.paged import PagedStore
from ledger.stores.sqlite.pool import Pool

__all__ = ["open_store"]


def open_store(path: str, *, durability: str = "full", busy_timeout_s: float = 10.0) -> PagedStore:
    """Open the file at `path`, or make it; `":memory:"` for one that lives as long as this.

    Raises StorageError, SchemaVersionError, LedgerBusyError.
    """
    return PagedStore(Pool(path, durability=durability, busy_timeout_s=busy_timeout_s))
