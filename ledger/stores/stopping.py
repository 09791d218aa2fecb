"""A ledger whose reading can be stopped from another thread: between two rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

import attrs

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.stores import NotesSessions, Snapshot, Store, Transaction
from ledger.stores.deadline import Deadline

if TYPE_CHECKING:
    from ledger.evidence.sharing import Companions, Opening
    from ledger.stores.horizon import Horizon

__all__ = ["Stop", "StoppableStore", "StoppedError"]

T = TypeVar("T")


class StoppedError(Exception):
    """Raised in the thread that reads, when nobody wants more rows. No caller sees it."""


class Stop:
    """Whether the reading is to stop."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Have it stop."""
        self.is_set = True

    def check(self) -> None:
        """Refuse to go on once it is set.

        Raises StoppedError.
        """
        if self.is_set:
            raise StoppedError


@attrs.define
class StoppableStore:
    """The store of a ledger, which reads no further once `stop` is set. A write that began ends."""

    store: Store
    stop: Stop
    immutable: bool = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.store.immutable, takes_self=True)
    )
    """Whether it was opened as one that nobody writes to."""

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""
        self.stop.check()
        return self.store.cursor(key)

    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        """Return cursors by stream, subject and consumer, in code-point order."""
        return self._each(self.store.cursors(query))

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        """Return entries by position, as far as the log is settled."""
        return self._each(self.store.entries(query))

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the entry that last moved each cursor, up to a version."""
        self.stop.check()
        return self.store.moves(places)

    def session_users(self, positions: Sequence[int]) -> dict[int, str] | None:
        """Return who was logged in when these entries were stored; None if that is not noted."""
        self.stop.check()
        store = self.store
        return store.session_users(positions) if isinstance(store, NotesSessions) else None

    def horizon(self) -> Horizon:
        """Return how far the log is settled."""
        self.stop.check()
        return self.store.horizon()

    def identity(self) -> str:
        """Return what tells this ledger from all others; empty where it has no id."""
        return self.store.identity()

    def snapshot(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:
        """Hold the log still for a check, for `companions` as well."""
        return self.store.snapshot(companions)

    def opening(self) -> Opening | None:
        """Return how another process opens the log; None where it cannot."""
        return self.store.opening()

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened."""
        self.stop.check()
        return self.store.write(work, deadline)

    def using(self, connection: object) -> Store:
        """Return the same log inside the transaction of a caller's connection."""
        return StoppableStore(self.store.using(connection), self.stop)

    def close(self) -> None:
        """Leave the store open: it is the ledger's."""

    def _each(self, rows: Iterator[T]) -> Iterator[T]:
        stop = self.stop
        for row in rows:
            if stop.is_set:
                raise StoppedError
            yield row
