"""How a ledger is opened: the store that its target names, and the way in which it appends."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType

from ledger import targets
from ledger.errors import InvalidCursorError, StorageError
from ledger.law import fields
from ledger.service import Ledger
from ledger.stores import sqlite
from ledger.writing.committer import Committer
from ledger.writing.group_commit import Writer

__all__ = ["BUSY_TIMEOUT_S", "open", "postgres", "utc_now"]

BUSY_TIMEOUT_S = 10.0


def utc_now() -> datetime:
    """Return the time of the system: the clock of a ledger that is given no other."""
    return datetime.now(UTC)


def open(  # noqa: A001 - ledger.open(…) is how it reads
    target: str | os.PathLike[str],
    *,
    actor: str = "",
    clock: Callable[[], datetime] = utc_now,
    durability: str = "full",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Ledger:
    """Open the ledger at `target`: a path, `":memory:"`, or a `postgresql://` URL.

    A file, or tables, that are not there are made. A file that holds a ledger is not changed before
    something is appended, and one that this user may not write to can be read: see
    `Ledger.immutable`. A URL is read by libpq; in its query, `schema`,
    `pool_min_size` and `pool_max_size` are the ledger's own.

    `actor` is who acts where a call names nobody. `clock` gives the ledger's own time, aware.
    With `durability="full"`, what a call has returned survives a power loss; with `"normal"` the
    last commits may be lost in one, and nothing else. `busy_timeout_s`, from 0 to 86,400 seconds,
    is how long a call waits for other writers, all in all, before it raises LedgerBusyError; where
    it appends in several transactions, as `copy_to` does, each of them.

    Raises InvalidCursorError, StorageError, SchemaVersionError, LedgerBusyError.
    """
    actor = fields.text(actor, "actor", seen=True)
    if durability not in ("full", "normal"):
        raise InvalidCursorError(f'durability must be "full" or "normal", not {durability!r:.80}.')
    if not callable(clock):
        raise InvalidCursorError(f"clock must be callable, not {fields.kind(clock)}.")
    if type(busy_timeout_s) not in (int, float) or not 0 <= busy_timeout_s <= 86_400:
        raise InvalidCursorError(
            f"busy_timeout_s must be from 0 to 86400 seconds, not {busy_timeout_s!r:.80}."
        )
    path = targets.checked(target)
    apart = targets.is_postgres(path)
    opened = postgres().open_store if apart else sqlite.open_store
    store = opened(path, durability=durability, busy_timeout_s=busy_timeout_s)
    committer = Committer(store, actor, clock)
    # On PostgreSQL those who write at the same time are no hindrance to each other.
    return Ledger(committer, Writer(committer, busy_timeout_s=busy_timeout_s, apart=apart))


def postgres() -> ModuleType:
    """Give the store on PostgreSQL, whose driver is an extra.

    Raises StorageError if that is not installed.
    """
    # Imported where it is wanted, for it takes 100 ms.
    try:
        from ledger.stores import postgres
    except ImportError as error:
        raise StorageError(
            "Ledgers on PostgreSQL need the driver psycopg and its pool: "
            f"pip install 'cursor-ledger[postgres]' ({error})."
        ) from error
    return postgres
