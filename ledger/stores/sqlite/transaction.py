"""The write transaction of one SQLite connection, the ledger's own or a caller's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager

import attrs

from ledger.evidence.repair import Repairable
from ledger.law.cursor import CursorKey
from ledger.log.heads import Head
from ledger.log.rows import Content
from ledger.stores import Draft
from ledger.stores.head_cache import HeadCache
from ledger.stores.sqlite import migrations, statements
from ledger.stores.sqlite.errors import check_kept
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.whole_log import whole_log
from ledger.stores.tables import event_row, has_start

__all__ = ["SQLiteTransaction"]


class SQLiteTransaction:
    """The transactions of one connection, one after the other.

    With `known`, a head that the last ones left is not read again until another connection has
    written. SQLite tells whether one has, of this process or of another
    (<https://sqlite.org/pragma.html#pragma_data_version>). To ask takes 2 µs, to read a head and
    check it 10, of the 45 that a bare append takes where no disk is waited for.
    """

    def __init__(self, session: SQLiteSession, known: HeadCache | None = None) -> None:
        self.session = session
        self._cursor = session.rows()
        self._known = known
        self._stored: list[Head] = []
        self._data_version = -1
        self._changes = 0

    def begin(self) -> None:
        """Begin a transaction of the ledger's own."""
        # Immediate: what is read in here must still hold when it is written upon.
        self._cursor.execute("BEGIN IMMEDIATE")
        [[data_version]] = self._cursor.execute("PRAGMA data_version").fetchall()
        # Nobody knows what became of heads that were stored and not seen to be committed.
        if self._known is not None and (self._stored or data_version != self._data_version):
            self._known.clear()
            self._stored.clear()
            self._data_version = data_version

    def commit(self) -> int:
        """Commit it, and return the number of rows that it has changed."""
        self._cursor.execute("COMMIT")
        if self._known is not None:
            self._known.keep(self._stored)
            self._stored.clear()
        before, self._changes = self._changes, self.session.connection.total_changes
        return self._changes - before

    # --- what the work asks for ---

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """Do nothing: a writer has the whole file to itself."""

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:  # noqa: ARG002
        """Return none: nobody else holds a cursor."""
        return ()

    def head(self, key: CursorKey) -> Head | None:
        """Return where the chain of `key` ends, or None if it has no entry."""
        if self._known is not None and (head := self._known.get(key)) is not None:
            return head
        rows = self.session.rows_of(key, statements.HEAD)
        return Head.of(key, rows[0]) if rows else None

    def confirm(self) -> None:
        """Do nothing: heads are read, or known to be unchanged, within the transaction."""

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,
    ) -> None:
        """Store entries, in order, and the heads that their cursors have after them.

        Raises StorageError if the database does not keep each of them.
        """
        if len(drafts) == 1 and positions is None:
            self._append_one(*drafts[0])
            return
        cursor = self._cursor
        ids: dict[CursorKey, int | None] = {}
        for head in heads:
            if head.cursor_id is None:
                stored = self._insert(head)
                ids[stored.cursor.key] = stored.cursor_id
            else:
                stored = head
                cursor.execute(statements.UPDATE_HEAD, (*head.state, head.cursor_id))
                check_kept(cursor.rowcount, 1, "ledger_cursors")
            if self._known is not None:
                self._stored.append(stored)
        if ids and has_start(content for _, content in drafts):
            migrations.allow_starts(self.session.connection)
        rows = [
            event_row(head.cursor_id or ids[head.cursor.key], content, head.digest)
            for head, content in drafts
        ]
        if positions is not None:
            placed = [(place, *row) for place, row in zip(positions, rows, strict=True)]
            cursor.executemany(statements.INSERT_PLACED_EVENT, placed)
        else:
            cursor.executemany(statements.INSERT_EVENT, rows)
        check_kept(cursor.rowcount, len(drafts), "ledger_events")

    def everything(self) -> AbstractContextManager[Repairable]:
        """Lend the whole log, which nobody else can write to."""
        return whole_log(self.session)

    def _append_one(self, head: Head, content: Content) -> None:
        """Store one entry, without the bookkeeping that several need."""
        cursor = self._cursor
        if head.cursor_id is None:
            head = self._insert(head)
            if has_start((content,)):
                migrations.allow_starts(self.session.connection)
        else:
            cursor.execute(statements.UPDATE_HEAD, (*head.state, head.cursor_id))
            if cursor.rowcount != 1:
                check_kept(cursor.rowcount, 1, "ledger_cursors")
        cursor.execute(statements.INSERT_EVENT, event_row(head.cursor_id, content, head.digest))
        if cursor.rowcount != 1:
            check_kept(cursor.rowcount, 1, "ledger_events")
        if self._known is not None:
            self._stored.append(head)

    def _insert(self, head: Head) -> Head:
        key = head.cursor.key
        place = (key.consumer_id, key.stream_name, key.subject_id)
        cursor = self._cursor.execute(statements.INSERT_HEAD, (*place, *head.state))
        check_kept(cursor.rowcount, 1, "ledger_cursors")
        return attrs.evolve(head, cursor_id=cursor.lastrowid)
