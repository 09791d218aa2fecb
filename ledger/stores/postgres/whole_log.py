"""The whole log over one PostgreSQL connection: for a check, or to make the stored cursors anew."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ledger.evidence.findings import Fault, FaultKind
from ledger.evidence.source import EVERY, Ids, StoredHead
from ledger.log.columns import KEY, STATE, STORED_CURSOR
from ledger.log.rows import Row
from ledger.stores.postgres import structure
from ledger.stores.postgres.errors import swallowed
from ledger.stores.postgres.keys import id_of
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.statements import ranged

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

    def heads(self, ids: Ids = EVERY) -> Iterator[StoredHead]:
        """Return the stored cursors of `ids`, by id."""
        for row in self._iterate(self._session.sql.heads_by_id, ids):
            yield row[_ID], "/".join(part for part in row[_KEY] if part), row[_STATE]

    def rows(self, ids: Ids = EVERY) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of `ids`, by id and version."""
        return self._iterate(self._session.sql.rows_by_cursor, ids)

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

    def cuts(self, parts: int) -> list[int]:
        """Return ids that divide the entries into about so many parts, in order."""
        [(last,)] = self._session.execute(self._session.sql.last_position).fetchall()
        places = [(last or 0) * nth // parts for nth in range(1, parts)]
        found = self._session.execute(self._session.sql.cuts, (places,)).fetchall()
        return sorted({cursor_id for (cursor_id,) in found if cursor_id is not None})

    def _iterate(self, statement: bytes, ids: Ids = EVERY) -> Iterator[Row]:
        # Not psycopg's own: it asks for the name of its cursor with an operator of the path.
        name = f"cursor_ledger_{next(_names)}".encode()
        cursor = self._session.rows()
        cursor.execute(
            b"DECLARE " + name + b" NO SCROLL CURSOR FOR " + ranged(statement, ids),
            (),
            prepare=False,
        )
        fetch = b"FETCH FORWARD %d FROM %s" % (ITERATED_ROWS, name)
        while rows := cursor.execute(fetch, prepare=False).fetchall():
            yield from rows
        # One that is not read to its end goes with its transaction.
        cursor.execute(b"CLOSE " + name, prepare=False)
