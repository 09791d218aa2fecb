"""The write transaction of one SQLite connection, the ledger's own or a caller's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import TYPE_CHECKING

import attrs

from ledger.errors import DivergedError
from ledger.law.cursor import CursorKey
from ledger.law.reserved import POLICY, POLICY_STREAMS
from ledger.log.heads import Head
from ledger.log.rows import Content, Row, entry_from
from ledger.stores import Draft
from ledger.stores.head_cache import HeadCache
from ledger.stores.sqlite import migrations, statements
from ledger.stores.sqlite.errors import check_kept
from ledger.stores.sqlite.events import Form, form_of
from ledger.stores.sqlite.reading import SQLiteSession
from ledger.stores.sqlite.whole_log import whole_log
from ledger.stores.tables import has_start

if TYPE_CHECKING:
    from ledger.evidence.merkle import TreeRow
    from ledger.evidence.repair import Repairable
    from ledger.law.events import Entry

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
        self._asked_version = -1
        self._changes = 0

    def another_wrote(self) -> bool:
        """Return whether another connection has committed since this was asked last."""
        before = self._asked_version
        [[self._asked_version]] = self._cursor.execute("PRAGMA data_version").fetchall()
        return before != self._asked_version

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

    def policies(self) -> list[Entry]:
        """Return the last reset of each policy."""
        rows = self.session.execute(statements.POLICIES, (*POLICY_STREAMS, POLICY)).fetchall()
        return list(map(entry_from, rows))

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
            [(head, content)] = drafts
            self._append_one(head, content)
            return
        cursor = self._cursor
        ids: dict[CursorKey, int | None] = {}
        for head in heads:
            if head.cursor_id is None:
                stored = self._insert(head)
                ids[stored.cursor.key] = stored.cursor_id
            else:
                stored = head
                cursor.execute(statements.UPDATE_HEAD, (*_state(head), head.cursor_id))
                check_kept(cursor.rowcount, 1, "ledger_cursors")
            if self._known is not None:
                self._stored.append(stored)
        if ids and has_start(content for _, content in drafts):
            migrations.allow_starts(self.session.connection)
        kept = 0
        places = iter(positions or ())
        # In order of their positions; mostly all of a batch have one form.
        for form, alike in groupby(drafts, _form_of_draft):
            said = form.said
            rows = [
                (head.cursor_id or ids[head.cursor.key], *said(content), bytearray(head.digest))
                for head, content in alike
            ]
            if positions is None:
                cursor.executemany(form.insert, rows)
            else:
                cursor.executemany(form.insert_placed, [(next(places), *row) for row in rows])
            kept += cursor.rowcount
        check_kept(kept, len(drafts), "ledger_events")

    def everything(self) -> AbstractContextManager[Repairable]:
        """Lend the whole log, which nobody else can write to."""
        return whole_log(self.session)

    def keep(self, rows: Iterable[TreeRow]) -> None:
        """Keep rows of the tree that are not kept yet."""
        migrations.add_tree(self.session.connection)
        self._cursor.executemany(statements.INSERT_TREE_ROW, rows)

    def identify(self, given: str) -> str:
        """Return the id of the ledger; if it has none, it is `given` or a new one from now on.

        Raises DivergedError if it has another than `given`.
        """
        known = self.session.identity()
        if not known:
            migrations.add_identity(self.session.connection)
            # Imported here, because few ledgers are ever given one.
            from uuid import uuid4

            known = given or str(uuid4())
            self._cursor.execute(statements.INSERT_IDENTITY, (known,))
        if given not in ("", known):
            raise DivergedError(
                f"the target has an id of its own, {known}, by which others know it, and keeps it. "
                "Move the ledger to an empty target."
            )
        return known

    def _append_one(self, head: Head, content: Content) -> None:
        """Store one entry, without the bookkeeping that several need."""
        cursor = self._cursor
        digest = bytearray(head.digest)
        if head.cursor_id is None:
            head = self._insert(head)
            if has_start((content,)):
                migrations.allow_starts(self.session.connection)
        else:
            state = (*head.state[:-1], digest, head.cursor_id)
            cursor.execute(statements.UPDATE_HEAD, state)
            if cursor.rowcount != 1:
                check_kept(cursor.rowcount, 1, "ledger_cursors")
        form = form_of(content)
        cursor.execute(form.insert, (head.cursor_id, *form.said(content), digest))
        if cursor.rowcount != 1:
            check_kept(cursor.rowcount, 1, "ledger_events")
        if self._known is not None:
            self._stored.append(head)

    def _insert(self, head: Head) -> Head:
        key = head.cursor.key
        place = (key.consumer_id, key.stream_name, key.subject_id)
        cursor = self._cursor.execute(statements.INSERT_HEAD, (*place, *_state(head)))
        check_kept(cursor.rowcount, 1, "ledger_cursors")
        return attrs.evolve(head, cursor_id=cursor.lastrowid)


def _state(head: Head) -> Row:
    """Return what is stored of a head as the driver takes it soonest: see events.py."""
    return (*head.state[:-1], bytearray(head.digest))


def _form_of_draft(draft: Draft) -> Form:
    return form_of(draft[1])
