"""How it is heard that cursors in a file move: SQLite says whether anybody has committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Lock
from typing import TypeVar

from ledger.errors import StorageError
from ledger.law.cursor import Cursor, CursorKey
from ledger.log.columns import CURSOR, KEY, KEYED_CURSOR
from ledger.log.cursors import cursor_from
from ledger.stores.bell import Bell
from ledger.stores.sqlite import statements
from ledger.stores.sqlite.reading import SQLiteSession

__all__ = ["FileListener", "MemoryListener"]

T = TypeVar("T")

_KEY, _CURSOR = KEYED_CURSOR.places(KEY), KEYED_CURSOR.places(CURSOR)

ASK_S = 0.02
"""To ask takes 2 µs; most of what a look costs is that a thread wakes up."""

OWN_S = 1.0
"""How often a database in memory is looked at that nobody else uses.

Calls of the ledger tell at once.
"""

ENTRIES_PER_CURSOR = 4
"""A part of the log is read if it is not longer than this for each cursor that is waited for."""


class FileListener:
    """Asks for `data_version` on a connection of its own, which changes when any other commits.

    That connection is closed before a fork, and opened again when it is needed.
    """

    entries_s = ASK_S
    resets_s = ASK_S

    def __init__(
        self,
        session: Callable[[], SQLiteSession],
        check: Callable[[], None],
        explained: Callable[[sqlite3.Error], StorageError],
    ) -> None:
        self._new_session = session
        self._check = check
        self._explained = explained
        self._bell = Bell()
        # Held while the session is used: a fork waits for that.
        self._using = Lock()
        self._session: SQLiteSession | None = None
        self._data_version = -1
        self._last = 0

    def moved(self, seen: Mapping[CursorKey, int], fresh: Collection[CursorKey]) -> list[Cursor]:
        """Return the cursors that moved since the last time, and those of `fresh`."""
        return self._asked(lambda session: self._moved(session, seen, fresh))

    def last(self) -> int:
        """Return the last position, as it was when `moved` was asked."""
        return self._last

    def pause(self, seconds: float) -> None:
        """Wait until it is time to ask again."""
        self._bell.wait(seconds)

    def interrupt(self) -> None:
        """End the pause."""
        self._bell.ring()

    def close(self) -> None:
        """Close the connection."""
        with self._using:
            self._close()

    def let_go(self) -> None:
        """Close the connection unless it is being used; it is opened again when it is needed."""
        if self._using.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._using.release()

    def _close(self) -> None:
        if (session := self._session) is not None:
            self._session = None
            session.close()

    def _asked(self, ask: Callable[[SQLiteSession], T]) -> T:
        with self._using:
            try:
                if self._session is None:
                    self._session = self._new_session()
                    self._data_version = -1
                self._check()
                return ask(self._session)
            except sqlite3.Error as error:
                self._close()
                raise self._explained(error) from error
            except BaseException:
                self._close()
                raise

    def _moved(
        self, session: SQLiteSession, seen: Mapping[CursorKey, int], fresh: Collection[CursorKey]
    ) -> list[Cursor]:
        [[data_version]] = session.execute("PRAGMA data_version").fetchall()
        if data_version == self._data_version:
            return _cursors(session, fresh)
        is_new = self._data_version < 0
        self._data_version = data_version
        # Before the cursors: what is committed in between changes the number once more.
        before, self._last = self._last, session.horizon().position
        if is_new or self._last - before > ENTRIES_PER_CURSOR * len(seen):
            return _cursors(session, seen)
        rows = session.execute(statements.MOVED, (before, self._last)).fetchall()
        found = [cursor_from(CursorKey.kept(*row[_KEY]), row[_CURSOR]) for row in rows]
        return [*found, *_cursors(session, fresh)]


class MemoryListener:
    """Listens to what is in memory: calls of the ledger tell, so nothing else has to be looked at.

    If the database is `shared` with the caller, its transactions append there as well, and do not
    tell: then all cursors that are waited for are looked at. It reads over the only connection, in
    turn.
    """

    def __init__(
        self,
        read: Callable[[Callable[[SQLiteSession], list[Cursor]]], list[Cursor]],
        *,
        shared: bool,
    ) -> None:
        self._read = read
        self._shared = shared
        self.entries_s = self.resets_s = ASK_S if shared else OWN_S
        self._bell = Bell()
        self._last = 0

    def moved(self, seen: Mapping[CursorKey, int], fresh: Collection[CursorKey]) -> list[Cursor]:
        """Return the cursors of `fresh`, or all."""

        def look(session: SQLiteSession) -> list[Cursor]:
            self._last = session.horizon().position
            return _cursors(session, seen if self._shared else fresh)

        return self._read(look)

    def last(self) -> int:
        """Return the last position, as it was when `moved` was asked."""
        return self._last

    def pause(self, seconds: float) -> None:
        """Wait until a call has told."""
        self._bell.wait(seconds)

    def interrupt(self) -> None:
        """End the pause."""
        self._bell.ring()

    def close(self) -> None:
        """Leave the connection to its owner."""


def _cursors(session: SQLiteSession, keys: Iterable[CursorKey]) -> list[Cursor]:
    found = (session.cursor(key) for key in keys)
    return [cursor for cursor in found if cursor is not None]
