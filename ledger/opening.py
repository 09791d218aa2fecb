"""How a ledger is opened: the store that its target names, and how it appends."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import get_args

from ledger import targets
from ledger.errors import StorageError, invalid
from ledger.law import fields
from ledger.service import Ledger
from ledger.stores import Durability, Store, sqlite
from ledger.writing.committer import Committer
from ledger.writing.group_commit import Writer

__all__ = ["BUSY_TIMEOUT_S", "open", "open_on", "postgres", "utc_now"]

BUSY_TIMEOUT_S = 10.0
BUSY_TIMEOUT_S_MAX = 86_400
DURABILITIES: tuple[Durability, ...] = get_args(Durability)


def utc_now() -> datetime:
    """Return the time of the system: the clock of a ledger that is given no other."""
    return datetime.now(UTC)


def open(  # noqa: A001 - ledger.open(…) is how it reads
    target: str | os.PathLike[str],
    *,
    actor: str = "",
    clock: Callable[[], datetime] = utc_now,
    durability: Durability = "full",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    require_epoch: bool = False,
) -> Ledger:
    """Open the ledger at `target`: a path, `":memory:"`, or a `postgresql://` URL.

    A missing file is created, and so are missing tables. A file that holds a ledger is not changed
    before something is appended, and one that this user may not write to can be read: see
    `Ledger.immutable`. A URL is read by libpq; in its query, `schema`, `pool_min_size` and
    `pool_max_size` are the ledger's own.

    `actor` is used where a call names none. `clock` returns the ledger's own time, aware. With
    `durability` at `"full"`, what a call has returned survives a power loss; at `"normal"` only the
    last commits may be lost in one. `busy_timeout_s`, from 0 to 86,400 seconds, is how long a
    call waits for other writers in total before it raises LedgerBusyError; a call that appends in
    several transactions, such as `copy_to`, may wait that long for each. With `require_epoch`, an
    advance without an epoch is refused with EpochRequiredError, so that no caller of this ledger
    can undo a reset that it has not seen.

    Raises InvalidCursorError, StorageError, SchemaVersionError, LedgerBusyError.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="dispatcher@web-1") as book:
    ...     book.advance(key, to=41).last_sequence
    41
    """
    if durability not in DURABILITIES:
        said = fields.shown(durability)
        raise invalid(
            "durability",
            f'must be "full" or "normal", not {said}.',
            value=said,
            allowed=DURABILITIES,
        )
    if type(busy_timeout_s) not in (int, float) or not 0 <= busy_timeout_s <= BUSY_TIMEOUT_S_MAX:
        said = fields.shown(busy_timeout_s)
        raise invalid(
            "busy_timeout_s",
            f"must be from 0 to {BUSY_TIMEOUT_S_MAX} seconds, not {said}.",
            value=said,
        )
    path = targets.checked(target)
    apart = targets.is_postgres(path)

    def opened() -> Store:
        module = postgres() if apart else sqlite
        store: Store = module.open_store(path, durability=durability, busy_timeout_s=busy_timeout_s)
        return store

    # On PostgreSQL, calls that write at the same time do not block each other.
    return open_on(
        opened,
        actor=actor,
        clock=clock,
        require_epoch=require_epoch,
        busy_timeout_s=busy_timeout_s,
        apart=apart,
    )


def open_on(
    opened: Callable[[], Store],
    *,
    actor: str,
    clock: Callable[[], datetime],
    require_epoch: bool,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    apart: bool = False,
) -> Ledger:
    """Return the ledger in the store that `opened` returns, which is called if all else is right.

    Raises InvalidCursorError, and what `opened` raises.
    """
    actor = fields.text(actor, "actor", seen=True)
    if not callable(clock):
        raise invalid(
            "clock", f"must be callable, not {fields.kind(clock)}.", value=fields.kind(clock)
        )
    required: object = require_epoch
    if type(required) is not bool:
        said = fields.kind(required)
        raise invalid("require_epoch", f"must be True or False, not {said}.", value=said)
    committer = Committer(opened(), actor, clock, require_epoch=required)
    return Ledger(committer, Writer(committer, busy_timeout_s=busy_timeout_s, apart=apart))


def postgres() -> ModuleType:
    """Return the store on PostgreSQL, whose driver is an extra.

    Raises StorageError if the driver is not installed.
    """
    # Imported only when it is used, because it takes 100 ms.
    try:
        from ledger.stores import postgres
    except ImportError as error:
        raise StorageError(
            "Ledgers on PostgreSQL need the driver psycopg and its pool: "
            f"pip install 'cursor-ledger[postgres]' ({error})."
        ) from error
    return postgres
