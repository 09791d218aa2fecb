"""Entries removed from a file that nobody else has: what stays of them is stored before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager

from ledger.errors import StorageError
from ledger.law.cursor import CursorKey
from ledger.log.columns import MOVE, STATE, Row
from ledger.stores.sqlite import archived, connecting, migrations
from ledger.stores.sqlite.errors import translated

__all__ = ["Stood", "compact", "keep", "remove"]

Stood = tuple[CursorKey, int, Row, "Row | None"]
"""A cursor, the position of its last entry that is removed, its state, and its last move."""

_LEAVES = """
INSERT INTO main.ledger_archived (position, recorded_at, digest)
SELECT position, recorded_at, digest FROM main.ledger_events WHERE position <= ? ORDER BY position
"""
_NAMES = ("position", *STATE.names, *(f"moved_{name}" for name in MOVE.names))
_STOOD = f"""
INSERT INTO main.ledger_archived_cursors (cursor_id, {", ".join(_NAMES)})
SELECT id, {", ".join("?" * len(_NAMES))} FROM main.ledger_cursors
WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""  # noqa: S608 - of constants
_TRIGGER = """
SELECT sql FROM main.sqlite_master WHERE type = 'trigger' AND name = ?
"""
_DELETE_STOOD = "DELETE FROM main.ledger_archived_cursors"
_DELETE = "DELETE FROM main.ledger_events WHERE position <= ?"


def keep(file: str, position: int, stood: Iterable[Stood]) -> str:
    """Store what stays of the entries up to `position`; return the digest of `stood`.

    Raises StorageError.
    """
    with _transaction(file) as connection:
        migrations.add_archived(connection)
        connection.execute(_LEAVES, (position,))
        # Those of an earlier time are in the states of now.
        _delete(connection, "ledger_archived_cursors_refuse_delete", _DELETE_STOOD)
        for key, last, state, moved in stood:
            values = (last, *state, *(moved or (None,) * len(MOVE.names)))
            place = (key.stream_name, key.subject_id, key.consumer_id)
            if connection.execute(_STOOD, (*values, *place)).rowcount != 1:
                raise StorageError(f"the cursor {key} is not stored. Run verify().")

        def ask(statement: str, values: Sequence[object]) -> list[Row]:
            return connection.execute(statement, values).fetchall()

        return archived.states_digest(ask)


def remove(file: str, position: int) -> None:
    """Remove the entries up to `position`. Others must come behind them, or it is given again.

    The trigger that refuses it is back by the end of the transaction. Raises StorageError.
    """
    with _transaction(file) as connection:
        _delete(connection, "ledger_events_refuse_delete", _DELETE, position)


def _delete(connection: sqlite3.Connection, trigger: str, statement: str, *values: object) -> None:
    """Run a statement while the trigger that refuses it is out of the way."""
    found = connection.execute(_TRIGGER, (trigger,)).fetchall()
    if len(found) != 1:
        raise StorageError(f"the ledger lacks its trigger {trigger}. Run verify().")
    connection.execute(f"DROP TRIGGER main.{trigger}")
    connection.execute(statement, values)
    connection.execute(found[0][0])


@contextmanager
def _transaction(file: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connecting.connect(file, connecting.READ_WRITE, 0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise translated(error, file) from error


def compact(file: str) -> None:
    """Shrink the file by the room of what was removed; it has no log beside it afterwards."""
    try:
        with closing(connecting.connect(file, connecting.READ_WRITE, 0)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("VACUUM")
    except sqlite3.Error as error:
        raise translated(error, file) from error
