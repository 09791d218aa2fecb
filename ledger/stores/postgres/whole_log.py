"""The whole log over one PostgreSQL connection: for a check, or to make the stored cursors anew."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ledger.evidence.findings import Fault, FaultKind
from ledger.evidence.following import StoredHead
from ledger.log.columns import KEY, STATE, STORED_CURSOR
from ledger.log.rows import Row
from ledger.stores.postgres import structure
from ledger.stores.postgres.errors import swallowed
from ledger.stores.postgres.keys import id_of
from ledger.stores.postgres.reading import PostgresSession

__all__ = ["PostgresLog"]

ITERATED_ROWS = 2_000

_ID = STORED_CURSOR.place("id")
_KEY, _STATE = STORED_CURSOR.places(KEY), STORED_CURSOR.places(STATE)

_names = count(1)


class PostgresLog:
    """The whole log as of one moment; in a transaction that holds it still."""

    def __init__(self, session: PostgresSession, settled: int) -> None:
        self._session = session
        self._settled = settled

    def heads(self) -> Iterator[StoredHead]:
        """Return every stored cursor, by id."""
        for row in self._iterate(self._session.sql.heads_by_id):
            yield row[_ID], "/".join(part for part in row[_KEY] if part), row[_STATE]

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Return (cursor id, row) of every entry, by cursor id and then version."""
        for row in self._iterate(self._session.sql.rows_by_cursor):
            yield row[0], row[1:]

    def leaves(self) -> Iterator[tuple[int, bytes, int]]:
        """Return (position, digest, recorded_at) of every entry, by position."""
        for row in self._iterate(self._session.sql.leaves):
            yield row[0], row[1], row[2]

    def settled(self) -> int:
        """Return the position up to which nothing can come any more that is not there."""
        return self._settled

    def structure(self) -> Iterator[Fault]:
        """Return what is wrong with the tables, their indexes, triggers, functions and ids."""
        session = self._session
        yield from structure.check(session.connection, session.sql.schema)
        for row in self._iterate(session.sql.heads_by_id):
            number, key = row[_ID], row[_KEY]
            if number != id_of(key):
                place = "/".join(part for part in key if part)
                detail = f"it is stored under the id {number}, where who asks for it does not look"
                yield Fault(kind=FaultKind.KEY, place=place, detail=detail)

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state` as the state of that cursor."""
        restored = self._session.execute(self._session.sql.restore, (*state, cursor_id))
        if restored.rowcount != 1:
            raise swallowed("ledger_cursors", restored.rowcount, 1)

    def _iterate(self, statement: bytes) -> Iterator[Row]:
        # Not psycopg's own: it asks for the name of its cursor with an operator of the path.
        name = f"cursor_ledger_{next(_names)}".encode()
        cursor = self._session.rows()
        cursor.execute(
            b"DECLARE " + name + b" NO SCROLL CURSOR FOR " + statement, (), prepare=False
        )
        fetch = b"FETCH FORWARD %d FROM %s" % (ITERATED_ROWS, name)
        while rows := cursor.execute(fetch, prepare=False).fetchall():
            yield from rows
        # One that is not read to its end goes with its transaction.
        cursor.execute(b"CLOSE " + name, prepare=False)
