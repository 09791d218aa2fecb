"""What is read over one PostgreSQL connection, the ledger's own or a caller's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8Dumper, IntLoader
from psycopg.types.string import ByteaLoader, TextLoader

from ledger.errors import InvalidCursorError
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.columns import CURSOR, KEY, KEYED_CURSOR
from ledger.log.rows import Row, cursor_from, entry_from, move_from
from ledger.log.text import instant, show_time, visible
from ledger.stores import Horizon, Waiting
from ledger.stores.postgres.keys import cursor_id, same
from ledger.stores.postgres.statements import Statements, catalog
from ledger.stores.queries import chosen_cursors, chosen_entries

__all__ = ["PostgresSession", "plain_cursor", "settle_types"]

_KEY, _CURSOR = KEYED_CURSOR.places(KEY), KEYED_CURSOR.places(CURSOR)


class PostgresSession:
    """One connection, and what the ledger reads over it."""

    def __init__(
        self, connection: psycopg.Connection[Any], sql: Statements, *, lent: bool = False
    ) -> None:
        self.connection = connection
        self.sql = sql
        self.is_lent = lent
        self.wanted: Sequence[int] = ()
        """The cursors that were locked last, or that somebody else has."""
        # For what is run by itself; to make one takes 10 µs.
        self._cursor = self.rows()

    def rows(self) -> psycopg.Cursor[Row]:
        """Return a cursor for statements of ours, whatever a caller's connection makes of rows."""
        if self.is_lent:
            return plain_cursor(self.connection)
        return self.connection.cursor(row_factory=tuple_row)

    def execute(self, statement: bytes, values: Sequence[object] = ()) -> psycopg.Cursor[Row]:
        """Run a statement; its rows are in the cursor that this gives, until the next one."""
        # In a pipeline, each has to wait for its answer on a cursor of its own.
        cursor = self.rows() if self.connection.pgconn.pipeline_status else self._cursor
        return cursor.execute(statement, values)

    @contextmanager
    def in_one_round_trip(self) -> Iterator[None]:
        """Send what is run in here together, and then wait for the answers."""
        if not psycopg.Pipeline.is_supported():
            yield
            return
        with self.connection.pipeline() as pipeline:
            try:
                yield
            except psycopg.Error:
                with suppress(psycopg.Error):
                    pipeline.sync()  # Or psycopg would log what is raised here.
                raise

    # --- a page at a time ---

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        row = self.execute(self.sql.cursor, (cursor_id(key),)).fetchone()
        return None if row is None else cursor_from(same(key, row[_KEY]), row[_CURSOR])

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""
        chosen = chosen_cursors(query, after, spelled=catalog)
        conditions = chosen.conditions.replace("?", "%s")
        statement = self.sql.cursors.replace("<conditions>", conditions).encode()
        half = (*chosen.values, rows)
        found = self.execute(statement, (*half, *half, rows)).fetchall()
        return [cursor_from(CursorKey.kept(*row[_KEY]), row[_CURSOR]) for row in found]

    def until(self, query: EntryQuery) -> int:
        """Return the position up to which nothing can be missed any more.

        The entries of one cursor are appended one after the other, under its lock, so of those
        all that can be seen are settled.
        """
        if query.key is not None:
            rows = self.execute(self.sql.last_of_cursor, (cursor_id(query.key),)).fetchall()
            return int(rows[0][0] or 0)
        return self.horizon().position

    def holders(self) -> str:
        """Name the sessions that hold what a call waited for, as far as that can be known."""
        # A row names the transaction that locked it, unless that was in a savepoint: the holder is
        # then one of those that have appended and not ended.
        rows = self.execute(self.sql.holders, (list(self.wanted),)).fetchall()
        if found := sorted({_named(*row) for row in rows}):
            return f"It is held by {'; '.join(found)}."
        waiting = self.horizon().waiting
        found = sorted({_named(each.process, each.application, each.since) for each in waiting})
        return f"Have appended, and not ended: {'; '.join(found)}." if found else ""

    def horizon(self) -> Horizon:
        """Return how far the log is settled; what is read afterwards may go as far."""
        with self.in_one_round_trip():
            drawn = self.rows().execute(self.sql.last_drawn, ())
            appending = self.rows().execute(self.sql.appending, ())
        [(last, isolation, _)] = drawn.fetchall()
        if isolation != "read committed" and self.connection.info.transaction_status:
            raise InvalidCursorError(
                f"the connection is at {isolation.upper()}, where entries that commit late would "
                "be missed. Read the log at READ COMMITTED."
            )
        position = last
        waiting = []
        for low, pid, application, since in appending.fetchall():
            # The lock's name has 31 bits of the position that was the last when it was taken.
            behind = (last - low) & 0x7FFFFFFF
            if behind < 1 << 30:
                position = min(position, last - behind)
                waiting.append(
                    Waiting(
                        process=pid,
                        application=application or "",
                        since=None if since is None else instant(since),
                    )
                )
        # The lock may have a lower name than that, if somebody was in the way of it.
        return Horizon(position=max(position, 0), last=last, waiting=tuple(waiting))

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""
        chosen = chosen_entries(query, after, until, of_key=_of_key, spelled=catalog)
        statement = self.sql.entries.replace(
            "<conditions>", chosen.conditions.replace("?", "%s")
        ).replace("<order>", chosen.order)
        found = self.execute(statement.encode(), (*chosen.values, rows))
        return list(map(entry_from, found.fetchall()))

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        ids, versions = [cursor_id(key) for key, _ in places], [version for _, version in places]
        found: list[Move | None] = [None] * len(places)
        for nth, *row in self.execute(self.sql.moves, (ids, versions)).fetchall():
            found[nth - 1] = move_from(places[nth - 1][0], tuple(row))
        return found


def plain_cursor(connection: psycopg.Connection[Any]) -> psycopg.Cursor[Row]:
    """Return a cursor as psycopg makes them, whatever the connection makes of its own."""
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    settle_types(cursor)
    return cursor


def settle_types(context: psycopg.abc.AdaptContext) -> None:
    """Send every number as a bigint, and read each type as what it is.

    By itself psycopg takes the smallest type that holds a number, and the server would have to
    prepare a statement for each combination of them. A caller may have had it read types otherwise.
    """
    adapters = context.adapters
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_loader("int8", IntLoader)
    adapters.register_loader("text", TextLoader)
    adapters.register_loader("bytea", ByteaLoader)


def _of_key(key: CursorKey) -> tuple[str, Sequence[object]]:
    return f"e.cursor_id {catalog('=')} ?", (cursor_id(key),)


def _named(process: int | None, application: str | None, since: datetime | int | None) -> str:
    if process is None:
        return "a prepared transaction"
    name = visible(application or "") or "a transaction"
    begun = instant(since) if isinstance(since, int) else since
    return f"{name}, process {process}" + (f", since {show_time(begun)}" if begun else "")
