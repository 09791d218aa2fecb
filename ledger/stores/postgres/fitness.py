"""Whether a caller's connection may be lent: to this ledger, with settings that change no value."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ledger.errors import SchemaVersionError, StorageError
from ledger.stores.not_lent import closed
from ledger.stores.postgres import migrations
from ledger.stores.postgres.homes import NULLS, Home, finding_home, finding_id
from ledger.stores.postgres.steps import Steps

__all__ = [
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "STRINGS",
    "TRIES_MAX",
    "checking",
    "refuse_autocommit",
    "refuse_closed",
    "refuse_unfit",
]

TRIES_MAX = 5
"""A call is tried at most this many times if others keep making the same cursor."""

SAVEPOINT = b"SAVEPOINT cursor_ledger"
ROLLBACK = b"ROLLBACK TO cursor_ledger"
RELEASE = b"RELEASE cursor_ledger"

# Where it is off, as for programs of long ago, bytes that psycopg escapes arrive as something else;
# and would stay so in the log.
STRINGS = "standard_conforming_strings"

# What the server reports by itself whenever it changes.
_REPORTED = ((b"client_encoding", b"UTF8"), (STRINGS.encode(), b"on"))


def refuse_unfit(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Refuse a connection whose state or settings are unfit, without asking the server.

    Raises StorageError.
    """
    # Of libpq itself, because each call asks it: `connection.info` takes four times as long.
    pgconn = connection.pgconn
    if pgconn.transaction_status == TransactionStatus.INERROR:
        raise StorageError(
            "the transaction of the connection has failed before; roll it back, and run it again."
        )
    if pgconn.pipeline_status:
        raise StorageError(
            "the connection is in pipeline mode, where what fails is known too late to be "
            "undone by itself. Do it before or after the block of the pipeline."
        )
    if not connection.closed:
        for name, needed in _REPORTED:
            value = pgconn.parameter_status(name)
            if value != needed:
                said = None if value is None else value.decode(errors="replace")
                _refuse_unless(name.decode(), said, needed.decode())


def refuse_closed(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], place: str
) -> None:
    """Refuse a connection that its owner has closed.

    Raises StorageError.
    """
    if connection.closed:
        raise closed(place)


def refuse_autocommit(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], begin: str
) -> None:
    """Refuse a connection that would commit by itself; `begin` says how to prevent that.

    Raises StorageError.
    """
    idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
    if idle and connection.autocommit:
        raise StorageError(
            "the connection is in autocommit mode and in no transaction, so there is nothing "
            f"to be part of. {begin}."
        )


def checking(schema: str, place: str, *, known: bool) -> Steps[Home]:
    """Return where the ledger is that the connection leads to; `known` if it had one before.

    Raises SchemaVersionError, StorageError.
    """
    if known:
        found, nulls = yield from finding_id(schema)
    else:
        names = yield from migrations.finding_pending(schema)
        if names:
            raise SchemaVersionError(
                f"the connection's database has no ledger in its schema {schema}; lend one to "
                f"{place}."
            )
        found, nulls = yield from finding_home(schema)
    _refuse_unless(NULLS, nulls, "on")
    return found


def _refuse_unless(name: str, value: object, needed: str) -> None:
    if value != needed:
        raise StorageError(
            f"the connection has {name} = {value}, with which not every value would arrive as "
            f"it is. Before you lend it: SET {name} = '{needed}'."
        )
