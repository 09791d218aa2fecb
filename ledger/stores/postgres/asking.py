"""What is read of a ledger on PostgreSQL, as steps: see steps.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import starmap

from ledger.errors import InvalidCursorError
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.reserved import POLICY, POLICY_STREAMS
from ledger.log.columns import CURSOR, KEY, KEYED_CURSOR
from ledger.log.cursors import cursor_from
from ledger.log.rows import entry_from, move_from
from ledger.log.text import instant, show_time, visible
from ledger.stores.horizon import Horizon, Waiting
from ledger.stores.postgres.holder_statements import HURRY, PATIENCE, holder_statements
from ledger.stores.postgres.keys import cursor_id, same
from ledger.stores.postgres.policy_statements import policy_statement
from ledger.stores.postgres.session_statements import session_statements
from ledger.stores.postgres.statements import Statements, catalog
from ledger.stores.postgres.steps import Ask, Steps, one
from ledger.stores.queries import chosen_cursors, chosen_entries

__all__ = [
    "cursor",
    "cursors",
    "entries",
    "holders",
    "horizon",
    "is_held",
    "moves",
    "policies",
    "session_users",
    "until",
]

_KEY, _CURSOR = KEYED_CURSOR.places(KEY), KEYED_CURSOR.places(CURSOR)


def policies(sql: Statements) -> Steps[list[Entry]]:
    """Return the last reset of each policy."""
    rows = yield from one(policy_statement(sql.schema), (list(POLICY_STREAMS), POLICY))
    return list(map(entry_from, rows))


def cursor(sql: Statements, key: CursorKey) -> Steps[Cursor | None]:
    """Return the cursor of `key`, or None if it has no entry."""
    rows = yield from one(sql.cursor, (cursor_id(key),))
    return cursor_from(same(key, rows[0][_KEY]), rows[0][_CURSOR]) if rows else None


def cursors(
    sql: Statements, query: CursorQuery, after: CursorKey | None, rows: int
) -> Steps[list[Cursor]]:
    """Return the cursors that come next after `after`, at most `rows`."""
    chosen = chosen_cursors(query, after, spelled=catalog)
    statement = sql.cursors.replace("<conditions>", chosen.conditions.replace("?", "%s"))
    half = (*chosen.values, rows)
    found = yield from one(statement.encode(), (*half, *half, rows))
    return [cursor_from(CursorKey.kept(*row[_KEY]), row[_CURSOR]) for row in found]


def until(sql: Statements, query: EntryQuery, *, in_transaction: bool) -> Steps[int]:
    """Return the position up to which nothing can be missed any more.

    The entries of one cursor are appended one after the other, under its lock, so of those all that
    can be seen are settled.
    """
    if query.key is not None:
        rows = yield from one(sql.last_of_cursor, (cursor_id(query.key),))
        return int(rows[0][0] or 0)
    found = yield from horizon(sql, in_transaction=in_transaction)
    return found.position


def holders(sql: Statements, wanted: Sequence[int]) -> Steps[str]:
    """Name the sessions that hold what a call waited for, as far as that can be known.

    This is asked in a transaction or a savepoint that is undone if it fails: no lock is waited for.
    """
    asked = holder_statements(sql.schema)
    [[patience, _]] = yield from one(HURRY)
    # A row names the transaction that locked it, unless that was in a savepoint: the holder is
    # then one of those that have appended and not ended.
    rows = yield from one(asked.of_tables)
    rows = rows or (yield from one(asked.of_rows, (list(wanted),)))
    said = ""
    if rows:
        said = f"It is held by {_listed(starmap(_named, rows))}."
    elif waiting := (yield from horizon(sql, in_transaction=True)).waiting:
        names = (_named(each.process, each.application, each.since) for each in waiting)
        said = f"These transactions have appended and not ended: {_listed(names)}."
    yield from one(PATIENCE, (patience,))
    return said


def is_held(sql: Statements, wanted: Sequence[int]) -> Steps[bool]:
    """Return whether a session has a table of the ledger, or rows that a call waited for.

    This is asked as `holders` is, in a transaction that is undone.
    """
    asked = holder_statements(sql.schema)
    yield from one(HURRY)
    rows = yield from one(asked.tables_held)
    return bool(rows or (yield from one(asked.of_rows, (list(wanted),))))


def horizon(sql: Statements, *, in_transaction: bool) -> Steps[Horizon]:
    """Return how far the log is settled; what is read afterwards may go as far."""
    drawn, appending = yield (Ask(sql.last_drawn), Ask(sql.appending))
    [(last, isolation, _)] = drawn
    # PostgreSQL has no weaker level: what is called so behaves like READ COMMITTED.
    if isolation not in ("read committed", "read uncommitted") and in_transaction:
        raise InvalidCursorError(
            f"the connection is at {isolation.upper()}, where entries that commit late would "
            "be missed. Read the log at READ COMMITTED."
        )
    position = last
    waiting = []
    for low, pid, application, since in appending:
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


def entries(
    sql: Statements, query: EntryQuery, after: Entry | None, until: int, rows: int
) -> Steps[list[Entry]]:
    """Return the entries that come next after `after`, up to `until`, at most `rows`."""
    chosen = chosen_entries(query, after, until, of_key=_of_key, spelled=catalog)
    statement = sql.entries.replace("<conditions>", chosen.conditions.replace("?", "%s"))
    statement = statement.replace("<order>", chosen.order)
    found = yield from one(statement.encode(), (*chosen.values, rows))
    return list(map(entry_from, found))


def moves(sql: Statements, places: Sequence[tuple[CursorKey, int]]) -> Steps[list[Move | None]]:
    """Return the last move of each key, up to a version; in this order."""
    ids, versions = [cursor_id(key) for key, _ in places], [version for _, version in places]
    found: list[Move | None] = [None] * len(places)
    for nth, *row in (yield from one(sql.moves, (ids, versions))):
        found[nth - 1] = move_from(places[nth - 1][0], tuple(row))
    return found


def session_users(sql: Statements, positions: Sequence[int]) -> Steps[dict[int, str] | None]:
    """Return who was logged in when the entries at `positions` were stored, as far as noted.

    None if there is no such table, or this user may not read it.
    """
    sessions = session_statements(sql.schema)
    readable = yield from one(sessions.readable)
    if readable != [(True,)]:
        return None
    return dict((yield from one(sessions.users, (list(positions),))))


def _of_key(key: CursorKey) -> tuple[str, Sequence[object]]:
    return f"e.cursor_id {catalog('=')} ?", (cursor_id(key),)


def _named(process: int | None, application: str | None, since: datetime | int | None) -> str:
    if process is None:
        return "a prepared transaction"
    name = visible(application or "") or "a transaction"
    begun = instant(since) if isinstance(since, int) else since
    return f"{name}, process {process}" + (f", since {show_time(begun)}" if begun else "")


def _listed(names: Iterable[str]) -> str:
    return "; ".join(sorted(set(names)))
