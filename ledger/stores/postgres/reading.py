"""What is read over one PostgreSQL connection, the ledger's own or a caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8Dumper, IntLoader
from psycopg.types.string import ByteaLoader, TextLoader

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.rows import Row
from ledger.stores.horizon import Horizon
from ledger.stores.postgres import asking
from ledger.stores.postgres.errors import swallowed
from ledger.stores.postgres.statements import Statements
from ledger.stores.postgres.steps import Answers, Ask, Copy, Steps

__all__ = ["EARLY_END", "PostgresSession", "plain_cursor", "settle_types", "taken"]

T = TypeVar("T")

# psycopg expects one result of a COPY, and a server that ends the session gives two.
EARLY_END = "the server ended the COPY early"


class PostgresSession:
    """One connection, and what the ledger reads over it."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        sql: Statements,
        *,
        lent: bool = False,
        plain: bool = False,
    ) -> None:
        self.connection = connection
        self.sql = sql
        self.is_lent = lent
        self._plain = plain or lent
        self.wanted: Sequence[int] = ()
        """The cursors that were locked last, or that somebody else has."""
        # For what is run by itself; to make one takes 10 µs.
        self._cursor = self.rows()

    def rows(self) -> psycopg.Cursor[Row]:
        """Return a cursor for statements of ours, whatever a caller's connection makes of rows."""
        if self._plain:
            return plain_cursor(self.connection)
        return self.connection.cursor(row_factory=tuple_row)

    def execute(self, statement: bytes, values: Sequence[object] = ()) -> psycopg.Cursor[Row]:
        """Run a statement; its rows are in the cursor that this returns, until the next one."""
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

    def take(self, steps: Steps[T]) -> T:
        """Take `steps`, one after the other, and return what they return."""
        return taken(self._ask, steps)

    # --- a page at a time ---

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        return self.take(asking.cursor(self.sql, key))

    def cursors(self, query: CursorQuery, after: CursorKey | None, rows: int) -> list[Cursor]:
        """Return the cursors that come next after `after`, at most `rows`."""
        return self.take(asking.cursors(self.sql, query, after, rows))

    def until(self, query: EntryQuery) -> tuple[int, None]:
        """Return the position up to which nothing can be missed any more; nothing is archived."""
        steps = asking.until(self.sql, query, in_transaction=self._in_transaction)
        return self.take(steps), None

    def narrowed(self, query: EntryQuery, until: int) -> tuple[int, int]:  # noqa: ARG002
        """Return 0 and `until`: nothing looks for a span of time here but the scan."""
        return 0, until

    def is_held(self) -> bool:
        """Return whether a session has a table of the ledger, or rows that a call waited for."""
        return self.take(asking.is_held(self.sql, self.wanted))

    def holders(self) -> str:
        """Name the sessions that hold what a call waited for, as far as that can be known."""
        return self.take(asking.holders(self.sql, self.wanted))

    def horizon(self) -> Horizon:
        """Return how far the log is settled; what is read afterwards may go as far."""
        return self.take(asking.horizon(self.sql, in_transaction=self._in_transaction))

    def entries(self, query: EntryQuery, after: Entry | None, until: int, rows: int) -> list[Entry]:
        """Return the entries that come next after `after`, up to `until`, at most `rows`."""
        return self.take(asking.entries(self.sql, query, after, until, rows))

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last move of each key, up to a version; in this order."""
        return self.take(asking.moves(self.sql, places))

    def session_users(self, positions: Sequence[int]) -> dict[int, str] | None:
        """Return who was logged in when these entries were stored; None if that is not noted."""
        return self.take(asking.session_users(self.sql, positions))

    @property
    def _in_transaction(self) -> bool:
        return bool(self.connection.info.transaction_status)

    def _ask(self, step: Sequence[Ask] | Copy) -> Answers:
        if isinstance(step, Copy):
            return self._copy(step)
        if len(step) == 1:
            [ask] = step
            return [self._run(ask).fetchall() if ask.is_read else self._sent(ask)]
        if not any(ask.is_read for ask in step):
            # The caller may send more than that in the same round trip.
            return [self._sent(ask) for ask in step]
        with self.in_one_round_trip():
            cursors = [self.rows().execute(ask.statement, ask.values) for ask in step]
        return [
            cursor.fetchall() if ask.is_read else []
            for ask, cursor in zip(step, cursors, strict=True)
        ]

    def _run(self, ask: Ask) -> psycopg.Cursor[Row]:
        if ask.values is None or ask.prepare is not None:
            return self.rows().execute(ask.statement, ask.values, prepare=ask.prepare)
        return self.execute(ask.statement, ask.values)

    def _sent(self, ask: Ask) -> list[Row]:
        self._run(ask)
        return []

    def _copy(self, step: Copy) -> Answers:
        cursor = self.rows()
        try:
            with cursor.copy(step.statement) as copy:
                for row in step.rows:
                    copy.write_row(row)
        except ValueError as error:
            raise psycopg.OperationalError(EARLY_END) from error
        if cursor.rowcount != len(step.rows):
            raise swallowed("ledger_events", cursor.rowcount, len(step.rows))
        return []


def taken(ask: Callable[[Sequence[Ask] | Copy], Answers], steps: Steps[T]) -> T:
    """Take `steps` by asking each with `ask`; what that raises is raised in them."""
    try:
        step = next(steps)
        while True:
            try:
                answers = ask(step)
            except BaseException as error:  # noqa: BLE001 - they raise it again, or go on
                step = steps.throw(error)
            else:
                step = steps.send(answers)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


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
