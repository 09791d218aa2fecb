"""What a piece of work asks of its transaction: by what is remembered, or under the rows' locks.

Neither stores anything while the work goes on. What it appended is kept, and sent when it is done:
in one statement, or a few in one round trip.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

import attrs

from ledger.evidence.repair import Repairable
from ledger.law.cursor import CursorKey
from ledger.law.events import CursorAdvanced, Entry, ErrorRecorded
from ledger.log.columns import CONTENT, STORED_CURSOR
from ledger.log.heads import Head
from ledger.log.rows import TAGS, Row
from ledger.stores import Draft
from ledger.stores.head_cache import HeadCache
from ledger.stores.postgres import asking, migrations
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.statements import catalog
from ledger.stores.postgres.storing import (
    COPY_ROWS_MIN,
    columns,
    event,
    head_of,
    holding,
    rows_of,
    storing,
    storing_new,
)
from ledger.stores.postgres.tree_statements import tree_statements
from ledger.stores.postgres.whole_log import PostgresLog
from ledger.stores.tables import has_start

if TYPE_CHECKING:
    from ledger.evidence.merkle import TreeRow

__all__ = ["BOUND_EACH", "Held", "Remembered", "UnsureError"]

_ID = STORED_CURSOR.place("id")

_TAG = CONTENT.place("tag")
# To tell of every advance would make all commits of the server wait for one another.
_FREQUENT = (TAGS[CursorAdvanced], TAGS[ErrorRecorded])

_BOUND = b"""
    SELECT pg_catalog.set_config('lock_timeout', %s, true),
        pg_catalog.set_config('statement_timeout', %s, true)
"""
BOUND_EACH = b"SELECT pg_catalog.set_config('lock_timeout', %s, true)"
# What is durable by the server's settings, and perhaps on its standbys, stays so.
_SYNCED = (
    "SELECT pg_catalog.set_config('synchronous_commit', 'on', true)"
    f" WHERE pg_catalog.current_setting('synchronous_commit') {catalog('=')} 'off'"
).encode()
_UNBOUND = b"SET LOCAL statement_timeout TO DEFAULT"


class Patience(Protocol):
    """How long a call may still wait for others."""

    @property
    def left_ms(self) -> int:
        """How many milliseconds are left; at least 1."""

    @property
    def is_spent(self) -> bool:
        """Whether so much of it was spent that the time-out of the session would be too long."""


class UnsureError(Exception):
    """What is remembered does not do: the same again, under the locks."""


@attrs.define
class Remembered:
    """A transaction of a few advances, judged by the heads that the last ones left.

    They are stored on the condition that the chains still end there. Anything else is unsure.
    """

    known: HeadCache
    drafts: Sequence[Draft] = ()
    heads: Collection[Head] = ()
    _before: dict[CursorKey, Head] = attrs.field(factory=dict)
    _waits: bool = True

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """See that there are a few requests, and that their heads are remembered."""
        # Held here as they are now: other threads go on remembering.
        for count, key in enumerate(keys, 1):
            head = self.known.get(key)
            if head is None or count >= COPY_ROWS_MIN:
                raise UnsureError
            self._before[key] = head

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:
        """See to the same; whether somebody else holds one shows when it is sent."""
        self.hold(keys)
        self._waits = False
        return ()

    def head(self, key: CursorKey) -> Head | None:
        """Return the head that is remembered."""
        return self._before[key]

    def policies(self) -> Sequence[Entry]:
        """Remember none: a reset is judged under the locks."""
        raise UnsureError

    def confirm(self) -> None:
        """Refuse nothing by a head that may have moved on."""
        raise UnsureError

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,
    ) -> None:
        """Keep what is to be stored."""
        # To tell of a reset takes a statement more.
        if positions is not None or has_reset(drafts):
            raise UnsureError
        self.drafts, self.heads = drafts, list(heads)

    def everything(self) -> AbstractContextManager[Repairable]:
        """Refuse: the whole log is not cached."""
        raise UnsureError

    def send(self, session: PostgresSession) -> None:
        """Store it, and commit, in one round trip."""
        before = [self._before[head.cursor.key] for head in self.heads]
        session.wanted = [cursor_id(head.cursor.key) for head in self.heads]
        known = [(head.cursor_id, head.cursor.version, head.digest) for head in before]
        events = [event(head, content) for head, content in self.drafts]
        values: tuple[object, ...]
        if len(events) == 1 and self._waits:
            [head] = self.heads
            statement, values = session.sql.move, (*head.state, *known[0], *events[0])
        else:
            states = [(head.cursor_id, *head.state) for head in self.heads]
            statement = session.sql.move_many
            values = (
                *columns(known),
                len(known),
                *columns(states),
                *columns(events),
                len(known),
                len(events),
            )
        if session.execute(statement, values).rowcount != 1:
            raise UnsureError


@attrs.define
class Held:
    """A transaction that has the rows of its cursors locked."""

    session: PostgresSession
    begun: bool
    patience: Patience | None = None
    """None on a caller's connection, where its own `lock_timeout` holds."""
    drafts: Sequence[Draft] = ()
    heads: Collection[Head] = ()
    _positions: Sequence[int] | None = None
    _rows: dict[int, Row] = attrs.field(factory=dict)

    def begin(self) -> None:
        """Begin it, unless it is begun."""
        if not self.begun:
            self.session.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED")
            self.begun = True

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """Lock the rows of `keys` that there are, all at once."""
        ids = [cursor_id(key) for key in set(keys)]
        self.session.wanted = ids
        statement, values = holding(self.session.sql, ids)
        bounds = self._bounds(len(ids))
        if self.begun and not bounds:
            found = self.session.execute(statement, values)
        else:
            with self.session.in_one_round_trip():
                self.begin()
                with self._within(bounds, len(ids)):
                    found = self.session.rows().execute(statement, values)
        self._rows = rows_of(found.fetchall())

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:
        """Lock the rows of `keys` that nobody else has locked; return the others."""
        wanted = {cursor_id(key): key for key in keys}
        session, ids = self.session, list(wanted)
        with nullcontext() if self.begun else session.in_one_round_trip():
            self.begin()
            with self._within(self._bounds(1), 1):
                found = session.rows().execute(session.sql.hold_free, (ids,))
            there = session.rows().execute(session.sql.there, (ids,))
        self._rows = rows_of(found.fetchall())
        return [wanted[number] for (number,) in there.fetchall() if number not in self._rows]

    def head(self, key: CursorKey) -> Head | None:
        """Return where the chain of `key` ends, or None if it has no entry."""
        return head_of(self._rows, key)

    def policies(self) -> Sequence[Entry]:
        """Return the last reset of each policy, as it is behind the lock of the table."""
        return self.session.take(asking.policies(self.session.sql))

    def confirm(self) -> None:
        """It is as it is: nobody else can change it."""

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,
    ) -> None:
        """Keep what is to be stored."""
        if any(head.cursor_id is None for head in heads) and has_start(each for _, each in drafts):
            self.begin()
            migrations.allow_starts(self.session.connection, self.session.sql.schema)
        self.drafts, self.heads, self._positions = drafts, heads, positions

    @contextmanager
    def everything(self) -> Iterator[Repairable]:
        """Keep all writers out, and yield the whole log."""
        self.begin()
        self.session.wanted = ()
        with self._within(self._bounds(1), 1):
            self.session.execute(self.session.sql.exclude_writers)
        last = self.session.execute(self.session.sql.last_position).fetchall()[0][0]
        yield PostgresLog(self.session, last or 0)

    def keep(self, rows: Sequence[TreeRow]) -> None:
        """Keep rows of the tree that are not kept yet, and wait for the disk at the commit.

        None are kept if this user may not.
        """
        session, tree = self.session, tree_statements(self.session.sql.schema)
        if session.execute(tree.writable).fetchall() != [(True,)]:
            return
        self.begin()
        session.wanted = ()
        session.execute(_SYNCED)
        with self._within(self._bounds(2), 2):
            migrations.add_tree(session.connection, session.sql.schema)
            session.execute(tree.insert, columns(rows))

    @property
    def is_large(self) -> bool:
        """Whether it is sent by COPY, which cannot be in one round trip with all else."""
        return len(self.drafts) >= COPY_ROWS_MIN or self._positions is not None

    def send(self) -> None:
        """Store it; the caller commits."""
        if not self.drafts:
            return
        session = self.session
        new = [head for head in self.heads if head.cursor_id is None]
        if new:
            bounds = self._bounds(len(new))
            pipelined = session.connection.pgconn.pipeline_status
            with (
                session.in_one_round_trip() if bounds and not pipelined else nullcontext(),
                # Another may be about to make the same cursor.
                self._within(bounds, len(new)),
            ):
                session.take(storing_new(session.sql, new))
        old = [head for head in self.heads if head.cursor_id is not None]
        # In one statement, unless the caller of this sends both in one round trip anyway.
        before = self._rows if session.is_lent and not new else None
        session.take(storing(session.sql, self.drafts, old, self._positions, before))
        # A caller may want to prepare its transaction, which one that has told cannot be.
        if not session.is_lent and has_reset(self.drafts):
            session.execute(session.sql.tell_of_reset)

    def _bounds(self, locks: int) -> str:
        """Return for how long so many locks may be waited for; nothing if the session says it.

        Its time-out is for one lock, and for a call that has not waited before.
        """
        if self.patience is None or (locks < 2 and not self.patience.is_spent):
            return ""
        return str(self.patience.left_ms)

    @contextmanager
    def _within(self, bounds: str, locks: int) -> Iterator[None]:
        several = locks > 1
        if bounds and several:
            self.session.execute(_BOUND, (bounds, bounds))
        elif bounds:
            self.session.execute(BOUND_EACH, (bounds,))
        yield
        if bounds and several:
            self.session.execute(_UNBOUND)


def has_reset(drafts: Sequence[Draft]) -> bool:
    """Return whether something else than an advance or an error is among them."""
    return any(content[_TAG] not in _FREQUENT for _, content in drafts)
