"""How a ledger is opened: the store that its target names, and how it appends."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, Union, get_args

from ledger import pools, targets
from ledger.errors import StorageError, invalid
from ledger.law import fields
from ledger.per_process import LazyLedger, PerProcess
from ledger.service import Ledger
from ledger.stores import Durability, Store, sqlite
from ledger.targets import BUSY_TIMEOUT_S
from ledger.writing.committer import Appender, Committer
from ledger.writing.late import LateAppender

if TYPE_CHECKING:
    import psycopg_pool
    import sqlalchemy
    from sqlalchemy.ext import asyncio as asyncio_orm

__all__ = ["BUSY_TIMEOUT_S", "lazy", "open", "open_on", "postgres", "utc_now"]

Target: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    "sqlalchemy.Engine",
    "asyncio_orm.AsyncEngine",
    "psycopg_pool.ConnectionPool[Any]",
]
LazyTarget: TypeAlias = Union[
    str, "os.PathLike[str]", "sqlalchemy.Engine", "asyncio_orm.AsyncEngine"
]

BUSY_TIMEOUT_S_MAX = 86_400
DURABILITIES: tuple[Durability, ...] = get_args(Durability)


def utc_now() -> datetime:
    """Return the time of the system: the clock of a ledger that is given no other."""
    return datetime.now(UTC)


def open(  # noqa: A001 - ledger.open(…) is how it reads
    target: Target,
    *,
    actor: str = "",
    clock: Callable[[], datetime] = utc_now,
    durability: Durability = "full",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    require_epoch: bool = False,
    schema: str = "public",
) -> Ledger:
    """Open the ledger at `target`: a path, `":memory:"`, or a `postgresql://` URL.

    `target` may also be what has your connections to PostgreSQL: a SQLAlchemy `Engine`, or a
    `ConnectionPool` of psycopg. Each call borrows one of them, and gives it back with its settings
    as they were; one more is opened while somebody waits for what others append. `schema` is then
    where the tables are. Of an engine to a SQLite file, also an `AsyncEngine`, the file is opened,
    with connections of the ledger's own.

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
    return _prepared(
        target,
        actor=actor,
        clock=clock,
        durability=durability,
        busy_timeout_s=busy_timeout_s,
        require_epoch=require_epoch,
        schema=schema,
    )()


def lazy(
    target: LazyTarget,
    *,
    actor: str = "",
    clock: Callable[[], datetime] = utc_now,
    durability: Durability = "full",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    require_epoch: bool = False,
) -> Ledger:
    """Return a ledger that each process opens for itself, when it first uses it.

    For a module that is imported before its process forks, or in every worker: after a fork, the
    child opens the ledger anew. All threads of a process share it, and it is closed when the
    process exits. It can be pickled: another process opens it there.

    `target`, `actor`, `clock`, `durability`, `busy_timeout_s` and `require_epoch` are those of
    `open`. Of an engine to a SQLite file, the file is opened; one to PostgreSQL is refused, because
    its connections do not survive a fork. A relative path is relative to the folder that the
    process is in now. What is wrong with them is refused now, with InvalidCursorError, or
    StorageError where the driver of PostgreSQL is missing. The first use raises what `open` raises
    else, and so does the next one, until it succeeds. After `close`, this process is refused, and
    its children open the ledger anew. In memory, nothing is shared: a child of a process that has
    used it is refused.

    >>> import ledger
    >>> book = ledger.lazy(":memory:", actor="dispatcher@web-1")
    >>> book.advance(ledger.CursorKey("webhooks", "orders"), to=41).last_sequence
    41
    >>> book.close()
    """
    if not isinstance(target, str | os.PathLike):
        pools.refuse_lazy(target)
        target = (pools.file_of(target) if pools.is_one(target) else None) or target
    path = targets.checked(target)
    memory = path == ":memory:"
    if not memory and not targets.is_postgres(path):
        # By the first use, a server may have made / its folder. No link is followed yet.
        path = os.path.abspath(path)  # noqa: PTH100
    again = partial(
        lazy,
        path,
        actor=actor,
        clock=clock,
        durability=durability,
        busy_timeout_s=busy_timeout_s,
        require_epoch=require_epoch,
    )
    opened = _prepared(
        path,
        actor=actor,
        clock=clock,
        durability=durability,
        busy_timeout_s=busy_timeout_s,
        require_epoch=require_epoch,
    )
    return LazyLedger(PerProcess(opened, shared=not memory), again)


def _prepared(
    target: Target,
    *,
    actor: str,
    clock: Callable[[], datetime],
    durability: Durability,
    busy_timeout_s: float,
    require_epoch: bool,
    schema: str = "public",
) -> Callable[[], Ledger]:
    """Return what opens the ledger; all that is known without opening it is checked here.

    Raises InvalidCursorError, StorageError.
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
    if not isinstance(target, str | os.PathLike) and pools.is_one(target):
        target = pools.file_of(target) or target
    if not isinstance(target, str | os.PathLike) and pools.is_one(target):
        return lambda: open_on(
            lambda: _shared(target, schema, durability, busy_timeout_s),
            actor=actor,
            clock=clock,
            require_epoch=require_epoch,
            busy_timeout_s=busy_timeout_s,
            apart=True,
        )
    if schema != "public":
        said = fields.shown(schema)
        raise invalid(
            "schema",
            "is given with an engine or a pool; in a URL it is written behind the ?, as in "
            f"?schema={schema}.",
            value=said,
        )
    path = targets.checked(target)
    apart = targets.is_postgres(path)
    actor = _checked(actor, clock, require_epoch=require_epoch)
    module = postgres() if apart else sqlite
    if apart:
        module.check(path)

    def opened() -> Store:
        store: Store = module.open_store(path, durability=durability, busy_timeout_s=busy_timeout_s)
        return store

    # On PostgreSQL, calls that write at the same time do not block each other.
    return lambda: open_on(
        opened,
        actor=actor,
        clock=clock,
        require_epoch=require_epoch,
        busy_timeout_s=busy_timeout_s,
        apart=apart,
    )


def _shared(target: object, schema: str, durability: Durability, busy_timeout_s: float) -> Store:
    store: Store = postgres().open_shared(
        target, schema=schema, durability=durability, busy_timeout_s=busy_timeout_s
    )
    return store


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
    actor = _checked(actor, clock, require_epoch=require_epoch)
    committer = Committer(opened(), actor, clock, require_epoch=require_epoch)

    def writer() -> Appender:
        # Imported here, because most commands only read.
        from ledger.writing.group_commit import Writer

        return Writer(committer, busy_timeout_s=busy_timeout_s, apart=apart)

    return Ledger(committer, LateAppender(writer))


def _checked(actor: str, clock: object, *, require_epoch: object) -> str:
    """Return the actor, trimmed.

    Raises InvalidCursorError.
    """
    actor = fields.actor(actor)
    if not callable(clock):
        raise invalid(
            "clock", f"must be callable, not {fields.kind(clock)}.", value=fields.kind(clock)
        )
    if type(require_epoch) is not bool:
        said = fields.kind(require_epoch)
        raise invalid("require_epoch", f"must be True or False, not {said}.", value=said)
    return actor


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
            f"pip install '.[postgres]' in a clone of cursor-ledger ({error})."
        ) from error
    return postgres
