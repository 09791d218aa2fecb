"""The whole log over one PostgreSQL connection: for a check, or to make the stored cursors anew."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import psycopg

from ledger.evidence.findings import Fault, FaultKind
from ledger.evidence.source import EVERY, Ids, StoredHead
from ledger.law import paths
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.columns import ENTRY, KEY, STATE, STORED_CURSOR
from ledger.log.rows import Row
from ledger.stores.postgres import structure
from ledger.stores.postgres.errors import swallowed
from ledger.stores.postgres.keys import id_of
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.span_statements import BY_INDEX, IN_ORDER, span_statements
from ledger.stores.postgres.statements import ranged
from ledger.stores.postgres.tree_statements import tree_statements

if TYPE_CHECKING:
    from ledger.evidence.merkle import TreeRow

__all__ = ["PostgresLog"]

ITERATED_ROWS = 2_000

_ID = STORED_CURSOR.place("id")
_KEY, _STATE = STORED_CURSOR.places(KEY), STORED_CURSOR.places(STATE)

# Of a row that has the cursor id in front of it.
_VERSION = 1 + ENTRY.place("version")

_names = count(1)


def _head(row: Row) -> StoredHead:
    return row[_ID], paths.joined(row[_KEY]), row[_STATE]


class PostgresLog:
    """The whole log as of one moment; in a transaction that holds it still."""

    def __init__(self, session: PostgresSession, settled: int) -> None:
        self._session = session
        self._settled = settled
        self._tree = tree_statements(session.sql.schema)
        self._spans = span_statements(session.sql.schema)
        self._keeps: bool | None = None

    def heads(self, ids: Ids = EVERY) -> Iterator[StoredHead]:
        """Return the stored cursors of `ids`, by id."""
        return map(_head, self._iterate(self._session.sql.heads_by_id, ids))

    def rows(self, ids: Ids = EVERY) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of `ids`, by id and version."""
        return self._iterate(self._session.sql.rows_by_cursor, ids)

    def leaves(self) -> Iterator[tuple[int, bytes, int]]:
        """Return (position, digest, recorded_at) of every entry, by position."""
        for row in self._iterate(self._session.sql.leaves):
            yield row[0], row[1], row[2]

    def leaves_after(
        self, position: int, most: int | None = None
    ) -> Iterator[tuple[int, bytes, int]]:
        """Return (position, digest, recorded_at) of the entries behind `position`, in order."""
        while most is None or most > 0:
            rows = ITERATED_ROWS if most is None else min(most, ITERATED_ROWS)
            with self._session.in_one_round_trip():
                self._session.execute(IN_ORDER.begin)
                # Planned for these values: of how many rows it is decides how they are found.
                found = self._session.rows().execute(
                    self._tree.leaves_after, (position, rows), prepare=False
                )
                self._session.execute(IN_ORDER.end)
            page = found.fetchall()
            for row in page:
                yield row[0], row[1], row[2]
            if len(page) < rows:
                return
            position, most = page[-1][0], None if most is None else most - rows

    def tree_rows(self, level: int, first: int = 0, end: int | None = None) -> Iterator[TreeRow]:
        """Return the rows of a level by number, from `first` to before `end`; none if not kept."""
        from ledger.evidence.merkle import TreeRow

        if self._keeps is None:
            found = self._session.execute(self._tree.readable).fetchall()
            self._keeps = found == [(True,)]
        if not self._keeps:
            return
        statement = self._tree.rows.replace(b"<level>", b"%d" % level)
        if end is None:
            # All rows of a level, also such as have a number below 0.
            yield from map(TreeRow._make, self._iterate(statement, Ids(first or None)))
        else:
            said = ranged(statement, Ids(first, end))
            found = self._session.rows().execute(said, (), prepare=False).fetchall()
            yield from map(TreeRow._make, found)

    # --- a part of it ---

    def row_at(self, position: int) -> Row | None:
        """Return the entry at a position, and the digest of the one that it follows."""
        found = self._session.execute(self._spans.row_at, (position,)).fetchall()
        return found[0] if found else None

    def rows_between(self, after: int, until: int) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of a span, by id and version."""
        return self._spanned(self._spans.rows_between, after, until)

    def rows_before(self, after: int, until: int) -> Iterator[Row]:
        """Return the entries outside of a span that those in it follow, and a digest with each."""
        return self._spanned(self._spans.rows_before, after, until)

    def rows_of_place(self, cursor_id: int, version: int) -> Iterator[Row]:
        """Return the last move before `version`, and the first advance behind that."""
        session = self._session
        found = session.rows().execute(self._spans.last_move, (cursor_id, version)).fetchall()
        yield from found
        moved = found[0][_VERSION] if found else 0
        values = (cursor_id, moved, version)
        yield from session.rows().execute(self._spans.first_advance, values).fetchall()

    def heads_behind(self, after: int) -> Iterator[StoredHead]:
        """Return the stored cursors that have entries behind `after`, by id."""
        return map(_head, self._spanned(self._spans.heads_behind, after, SEQUENCE_MAX))

    def share(self, part: int, parts: int) -> Ids:
        """Return the ids of a part: they are spread over all numbers of 64 bits."""
        each = (1 << 64) // parts
        first, end = part * each - (1 << 63), (part + 1) * each - (1 << 63)
        return Ids(first if part else None, end if part < parts - 1 else None)

    def last_rows(self, ids: Ids) -> Iterator[Row]:
        """Return the last entry of each stored cursor of `ids`, by id, and a digest with each."""
        return self._iterate(self._spans.last_rows, ids, by_index=True)

    def definitions(self) -> Iterator[Fault]:
        """Return what is wrong with the definitions of the tables, and with the tags."""
        session = self._session
        return structure.definition_faults(session.connection, session.sql.schema)

    def _spanned(self, statement: bytes, after: int, until: int) -> Iterator[Row]:
        for place, position in ((b"<after>", after), (b"<until>", until)):
            statement = statement.replace(place, b"'%d'::bigint" % position)
        return self._iterate(statement, by_index=True)

    # --- what is known of it ---

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
                place = paths.joined(key)
                detail = f"it is stored under the id {number}, where its key does not lead"
                yield Fault(kind=FaultKind.KEY, place=place, detail=detail)

    def restore(self, cursor_id: int, state: Row) -> None:
        """Store `state` as the state of that cursor."""
        restored = self._session.execute(self._session.sql.restore, (*state, cursor_id))
        if restored.rowcount != 1:
            raise swallowed("ledger_cursors", restored.rowcount, 1)

    def forget_tree(self) -> bool:
        """Remove all rows of the tree, and return whether this user may: it takes its owner."""
        session = self._session
        try:
            with session.connection.transaction():
                session.rows().execute(self._tree.empty, None, prepare=False)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def cuts(self, parts: int) -> list[int]:
        """Return ids that divide the entries into about so many parts, in order."""
        [(last,)] = self._session.execute(self._session.sql.last_position).fetchall()
        places = [(last or 0) * nth // parts for nth in range(1, parts)]
        found = self._session.execute(self._session.sql.cuts, (places,)).fetchall()
        return sorted({cursor_id for (cursor_id,) in found if cursor_id is not None})

    def _iterate(
        self, statement: bytes, ids: Ids = EVERY, *, by_index: bool = False
    ) -> Iterator[Row]:
        # Not psycopg's own: it asks for the name of its cursor with an operator of the path.
        name = f"cursor_ledger_{next(_names)}".encode()
        cursor = self._session.rows()
        if by_index:
            cursor.execute(BY_INDEX.begin, None, prepare=False)
        cursor.execute(
            b"DECLARE " + name + b" NO SCROLL CURSOR FOR " + ranged(statement, ids),
            (),
            prepare=False,
        )
        if by_index:
            cursor.execute(BY_INDEX.end, None, prepare=False)
        fetch = b"FETCH FORWARD %d FROM %s" % (ITERATED_ROWS, name)
        while rows := cursor.execute(fetch, prepare=False).fetchall():
            yield from rows
        # One that is not read to its end goes with its transaction.
        cursor.execute(b"CLOSE " + name, prepare=False)
