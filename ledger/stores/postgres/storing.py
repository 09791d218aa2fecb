"""Steps that append on PostgreSQL: hold cursors, judge, and store. See steps.py."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from ledger.errors import StorageError
from ledger.law.cursor import CursorKey
from ledger.law.events import Entry
from ledger.log.columns import KEY, STATE, STORED_CURSOR
from ledger.log.heads import Head
from ledger.log.rows import Content, Row
from ledger.stores import Draft
from ledger.stores.postgres import asking, migrations
from ledger.stores.postgres.errors import swallowed
from ledger.stores.postgres.keys import cursor_id, same
from ledger.stores.postgres.statements import Statements
from ledger.stores.postgres.steps import Ask, Copy, Steps, one
from ledger.stores.tables import event_row, has_start

__all__ = [
    "COPY_ROWS_MIN",
    "Asked",
    "appending",
    "columns",
    "event",
    "head_of",
    "holding",
    "rows_of",
    "storing",
    "storing_new",
]

T = TypeVar("T")

# From so many on, COPY is faster than arrays.
COPY_ROWS_MIN = 32

_ID = STORED_CURSOR.place("id")
_KNOWN = [STORED_CURSOR.place(name) for name in ("id", "version", "digest")]
_KEY, _STATE = STORED_CURSOR.places(KEY), STORED_CURSOR.places(STATE)


class PoliciesWantedError(Exception):
    """Work that has a reset: the same again, with the policies."""


@attrs.define
class Asked:
    """A transaction whose cursors were held before the law was asked: see steps.py."""

    rows: Mapping[int, Row]
    keys: Collection[CursorKey]
    drafts: Sequence[Draft] = ()
    heads: Collection[Head] = ()
    in_force: Sequence[Entry] | None = None

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """See that they are held."""
        if not set(self.keys).issuperset(keys):
            raise StorageError("a cursor was asked for that is not held. Nothing was appended.")

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:
        """See that they are held; no other is in the way."""
        self.hold(keys)
        return ()

    def head(self, key: CursorKey) -> Head | None:
        """Return where the chain of `key` ends, or None if it has no entry."""
        return head_of(self.rows, key)

    def policies(self) -> Sequence[Entry]:
        """Return the last reset of each policy. Raises PoliciesWantedError if they are not read."""
        if self.in_force is None:
            raise PoliciesWantedError
        return self.in_force

    def confirm(self) -> None:
        """It is as it is: nobody else can change it."""

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,  # noqa: ARG002 - of the protocol; nobody has any here
    ) -> None:
        """Keep what is to be stored."""
        self.drafts, self.heads = drafts, list(heads)


def appending(sql: Statements, keys: Collection[CursorKey], work: Callable[[Asked], T]) -> Steps[T]:
    """Hold the cursors of `keys`, let `work` judge and append, and store what it has appended."""
    ids = [cursor_id(key) for key in keys]
    rows = rows_of((yield from one(*holding(sql, ids))))
    transaction = Asked(rows, keys)
    try:
        result = work(transaction)
    except PoliciesWantedError:
        # Nothing was stored yet, so the same is judged again; only a reset costs this round trip.
        transaction = Asked(rows, keys, in_force=(yield from asking.policies(sql)))
        result = work(transaction)
    new = [head for head in transaction.heads if head.cursor_id is None]
    old = [head for head in transaction.heads if head.cursor_id is not None]
    if new and has_start(each for _, each in transaction.drafts):
        yield from migrations.allowing_starts(sql.schema)
    if new:
        yield from storing_new(sql, new)
    if transaction.drafts:
        before = None if new else transaction.rows
        yield from storing(sql, transaction.drafts, old, before=before)
    return result


def holding(sql: Statements, ids: list[int]) -> tuple[bytes, Sequence[object]]:
    """Return the statement that locks the rows of these cursors, and its values."""
    return (sql.hold_one, ids) if len(ids) == 1 else (sql.hold, (ids,))


def rows_of(found: Sequence[Row]) -> dict[int, Row]:
    """Return the rows of cursors that are held, by their ids."""
    return {row[_ID]: row for row in found}


def head_of(rows: Mapping[int, Row], key: CursorKey) -> Head | None:
    """Return the head of `key` out of the rows that are held."""
    row = rows.get(cursor_id(key))
    return None if row is None else Head.of(same(key, row[_KEY]), (row[_ID], *row[_STATE]))


def storing_new(sql: Statements, heads: Sequence[Head]) -> Steps[None]:
    """Store cursors that have no row yet."""
    rows = []
    for head in heads:
        key = head.cursor.key
        place = (key.consumer_id, key.stream_name, key.subject_id)
        rows.append((cursor_id(key), *place, *head.state))
    yield (Ask(sql.insert_heads, [*columns(rows), len(rows)], is_read=False),)


def storing(
    sql: Statements,
    drafts: Sequence[Draft],
    old: Sequence[Head],
    positions: Sequence[int] | None = None,
    before: Mapping[int, Row] | None = None,
) -> Steps[None]:
    """Store entries, and the heads of cursors that have a row.

    A single entry is one statement where `before` has the row of its cursor, as it was held.
    """
    if before is not None and positions is None and len(drafts) == len(old) == 1:
        yield from _moving(sql, drafts[0], before)
        return
    asks = []
    if old:
        rows = [(head.cursor_id, *head.state) for head in old]
        asks.append(Ask(sql.update_heads, [*columns(rows), len(rows)], is_read=False))
    rows = [event(head, content) for head, content in drafts]
    if positions is None and len(rows) < COPY_ROWS_MIN:
        yield (*asks, Ask(sql.insert_events, [*columns(rows), len(rows)], is_read=False))
        return
    if asks:
        yield asks
    if positions is None:
        yield Copy(sql.copy_events, rows)
        return
    placed = zip(positions, rows, strict=True)
    yield Copy(sql.copy_placed_events, [(position, *row) for position, row in placed])
    # Last, because a rollback does not undo it.
    yield (Ask(sql.place_next, (positions[-1],), is_read=False),)


def _moving(sql: Statements, draft: Draft, before: Mapping[int, Row]) -> Steps[None]:
    head, content = draft
    row = before[cursor_id(head.cursor.key)]
    known = [row[place] for place in _KNOWN]
    moved = yield from one(sql.move, (*head.state, *known, *event(head, content)))
    if len(moved) != 1:
        raise swallowed("ledger_cursors", len(moved), 1)


def columns(rows: Sequence[Row]) -> list[list[object]]:
    """Turn rows into columns, each of which is sent as an array."""
    return [list(column) for column in zip(*rows, strict=True)]


def event(head: Head, content: Content) -> Row:
    """Return the row of an event, in the order of `EVENT`."""
    number = head.cursor_id
    return event_row(cursor_id(head.cursor.key) if number is None else number, content, head.digest)
