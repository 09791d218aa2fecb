"""The ledger's tables as SQLAlchemy has them: to read and to join, and to be left alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import BigInteger, Column, Dialect, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from ledger.log import columns

__all__ = ["Tables", "include_object", "tables"]

_PARTS = 8
_OURS = frozenset(
    {
        *("ledger_cursors", "ledger_events", "ledger_identity", "ledger_log"),
        *("ledger_migrations", "ledger_sessions", "ledger_tags", "ledger_tree"),
        *("ledger_archived", "ledger_archived_cursors", "_sqlite_migrations"),
        *(f"ledger_events_{n}" for n in range(_PARTS)),
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OWN = MetaData()
_ONE_AT_A_TIME = threading.Lock()
# What marks a table as made here.
_OURS_HERE = "cursor-ledger"
_TYPES: dict[type, type[TypeEngine[Any]]] = {int: BigInteger, str: Text, bytes: LargeBinary}


class Microseconds(TypeDecorator[datetime]):
    """A time that is stored as microseconds since 1970 UTC, and read as an aware one."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return what is stored. A naive time is refused with ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time must be aware, not {value!r}; give it a tzinfo.")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the time in UTC."""
        return None if value is None else _EPOCH + value * _MICROSECOND


@attrs.frozen
class Tables:
    """The tables of a ledger, to read; only the ledger writes to them.

    `cursors` has one row a cursor: its key, and where it stands. `events` has one row an entry,
    which names its cursor by `cursor_id` and what it is by `tag_id`; `tags` has the names of these.

    >>> from sqlalchemy import select
    >>> from ledger.integrations.sqlalchemy import tables
    >>> ours = tables()
    >>> joined = ours.cursors.join(ours.events, ours.cursors.c.id == ours.events.c.cursor_id)
    >>> select(ours.events.c.sequence).select_from(joined).column_descriptions[0]["name"]
    'sequence'
    """

    cursors: Table
    """One row a cursor: its key, and where it stands."""
    events: Table
    """One row an entry, which names its cursor by `cursor_id` and what it is by `tag_id`."""
    tags: Table
    """What an entry may be: `cursor.advanced.v1` and so on."""


def tables(metadata: MetaData | None = None, *, schema: str | None = None) -> Tables:
    """Return the tables of the ledger in `schema`, in `metadata`, or in one of their own.

    Called again with the same metadata and schema, it returns the same tables, so that two parts of
    one query mean the same. Each call without `metadata` shares one of the ledger's own.

    Keep them out of the metadata that you call `create_all` of, or compare with Alembic: the ledger
    makes its tables by itself. Times are read as aware datetimes.

    >>> from sqlalchemy import select
    >>> from ledger.integrations.sqlalchemy import tables
    >>> cursors = tables().cursors
    >>> behind = select(cursors.c.consumer_id).where(cursors.c.last_sequence < 44)
    >>> print(behind.whereclause)
    ledger_cursors.last_sequence < :last_sequence_1
    """
    known = _OWN if metadata is None else metadata
    # Two threads that ask for the first time would both make them.
    with _ONE_AT_A_TIME:
        return Tables(
            cursors=_table(
                known, schema, "ledger_cursors", _columns(columns.STORED_CURSOR, key="id")
            ),
            events=_table(
                known,
                schema,
                "ledger_events",
                [Column("position", BigInteger, primary_key=True), *_columns(columns.EVENT)],
            ),
            tags=_table(
                known,
                schema,
                "ledger_tags",
                [Column("id", BigInteger, primary_key=True), Column("tag", Text)],
            ),
        )


def _table(known: MetaData, schema: str | None, name: str, named: list[Column[Any]]) -> Table:
    """Return the table that was made by this before, or make it.

    One that was reflected has other types: SQLAlchemy refuses to have both.
    """
    its_schema = schema or known.schema
    made = known.tables.get(f"{its_schema}.{name}" if its_schema else name)
    if made is not None and made.info.get(_OURS_HERE):
        return made
    return Table(name, known, *named, schema=schema, info={_OURS_HERE: True})


def include_object(
    object: sqlalchemy.schema.SchemaItem,  # noqa: A002, ARG001 - Alembic's names
    name: str | None,
    type_: str,
    reflected: bool,  # noqa: ARG001, FBT001
    compare_to: sqlalchemy.schema.SchemaItem | None,  # noqa: ARG001
) -> bool:
    """Return whether Alembic is to compare `object`: not if it is a table of the ledger.

    It is one if `type_` is "table" and `name` is one of the ledger's; `reflected` and `compare_to`
    are not looked at.

    Without it, `alembic revision --autogenerate` would drop the ledger's tables, because no model
    has them. Give it to `context.configure(include_object=…)` in `env.py`, or call it from yours.

    >>> from sqlalchemy import MetaData, Table
    >>> from ledger.integrations.sqlalchemy import include_object
    >>> table = Table("ledger_cursors", MetaData())
    >>> include_object(table, "ledger_cursors", "table", True, None)
    False
    """
    return not (type_ == "table" and name in _OURS)


def _columns(named: Iterable[columns.Column], key: str = "") -> list[Column[Any]]:
    return [
        Column(
            column.name,
            Microseconds() if column.name.endswith("_at") else _TYPES[column.type](),
            primary_key=column.name == key,
        )
        for column in named
    ]


def _renew_lock() -> None:
    """Begin anew in a child, because a thread that it does not have may hold the lock."""
    global _ONE_AT_A_TIME  # noqa: PLW0603 - it is of all tables
    _ONE_AT_A_TIME = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)
