"""Which ledger a connection leads to, and in which database: a copy has the id of it as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from typing import Any

import attrs
import psycopg

from ledger.errors import InvalidCursorError
from ledger.stores.postgres.errors import translated
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.statements import catalog, quoted, statements
from ledger.stores.postgres.steps import Steps, one

__all__ = ["NULLS", "Home", "Homes", "finding_home", "finding_id", "home_of"]

# Where it is off, as for programs of long ago, a NULL among the values of an array arrives as text.
NULLS = "array_nulls"


@attrs.frozen
class Home:
    """What tells a ledger from all others, and from its copies in other databases."""

    ledger_id: str
    database: str
    """One of a running server; empty if not asked for, or on a standby, which is only read."""

    def may_be(self, other: Home) -> bool:
        """Return whether both are one ledger in one database, as far as that is known."""
        if self.ledger_id != other.ledger_id:
            return False
        return self.database == other.database or "" in (self.database, other.database)


@attrs.define
class Homes:
    """The home of an open ledger, and those of the connections that are lent to it."""

    own: Home
    place: str
    schema: str
    connect: Callable[[], psycopg.Connection[Any]]

    def ask(self) -> None:
        """Ask a new connection where the ledger is, also if the pool is closed or all in use.

        Raises StorageError.
        """
        try:
            with closing(self.connect()) as connection:
                self.own = home_of(connection, self.schema)
        except psycopg.Error as error:
            raise translated(error, self.place) from error

    def refuse_other(self, found: Home) -> None:
        """Refuse a lent connection that leads to another home.

        Raises InvalidCursorError, StorageError.
        """
        if found.may_be(self.own):
            return
        # Its server may have been started anew, or the ledger have been given an id.
        self.ask()
        if found.ledger_id != self.own.ledger_id:
            raise InvalidCursorError(
                f"the connection is to another ledger than {self.place}; lend it one to the same "
                "database."
            )
        if not found.may_be(self.own):
            raise InvalidCursorError(
                "the connection is to a copy of this ledger, in another database than "
                f"{self.place}; lend it one to the same database."
            )

    async def refuse_other_awaited(self, found: Home) -> None:
        """Do the same from a coroutine: it asks in a thread, if it has to."""
        if not found.may_be(self.own):
            await asyncio.to_thread(self.refuse_other, found)


def home_of(connection: psycopg.Connection[Any], schema: str) -> Home:
    """Return where the ledger is that `connection` leads to."""
    found, _ = PostgresSession(connection, statements(schema), lent=True).take(finding_home(schema))
    return found


def finding_home(schema: str) -> Steps[tuple[Home, str]]:
    """Return where the ledger is, and the setting `array_nulls` of the connection."""
    # When a server was started tells it from one that was restored from its files.
    database = f"""CASE WHEN pg_catalog.pg_is_in_recovery() THEN '' ELSE pg_catalog.concat(
        (SELECT oid FROM pg_catalog.pg_database
        WHERE datname {catalog("=")} pg_catalog.current_database()), ' ', pg_catalog.to_char(
            pg_catalog.timezone('UTC', pg_catalog.pg_postmaster_start_time()), 'YYYYMMDDHH24MISSUS'
        )) END"""
    return (yield from _asking(schema, database))


def finding_id(schema: str) -> Steps[tuple[Home, str]]:
    """Return the same without the database: a connection stays in the one that it was found in."""
    return (yield from _asking(schema, "''"))


def _asking(schema: str, database: str) -> Steps[tuple[Home, str]]:
    [[ledger_id, found, nulls]] = yield from one(_statement(schema, database), (NULLS,))
    return Home(ledger_id, found), nulls


@lru_cache(maxsize=64)
def _statement(schema: str, database: str) -> bytes:
    table = f"{quoted(schema)}.ledger_identity".replace("%", "%%")
    # One row, even if somebody has taken the id away, or added one: it is opened to be verified.
    own = f"coalesce((SELECT id::pg_catalog.text FROM {table} LIMIT 1), '')"
    return f"SELECT {own}, {database}, pg_catalog.current_setting(%s)".encode()
