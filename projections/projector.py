"""What keeps up with the log: entries as they come, and the views that are made from them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from ledger import (
    CursorKey,
    CursorNotFoundError,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    StorageError,
)
from ledger.law import fields
from ledger.stores.sqlite.errors import translated
from projections.cursors import last_position

if TYPE_CHECKING:
    import psycopg

    Connection: TypeAlias = sqlite3.Connection | psycopg.Connection[Any]

__all__ = ["CHECKPOINTS", "Projector", "follow"]

CHECKPOINTS = "cursor-ledger/log"
"""The stream that projectors have their checkpoints on: the positions of the log itself."""

POLL_S = 0.25
BATCH_ENTRIES = 500


def follow(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    after: int = 0,
    poll_s: float = POLL_S,
    stop: threading.Event | None = None,
) -> Iterator[Entry]:
    """Give the entries that `query` chooses after position `after`, then each as it is appended.

    Ends once `stop` is set, else never. The log is looked at every `poll_s` seconds, from 0.001 to
    3,600. Order and limit of `query` do not count.

    Raises InvalidCursorError.
    """
    position = fields.sequence(after, "after", least=0)
    pause = _pause(poll_s)
    over = stop or threading.Event()
    chosen = attrs.evolve(query or EntryQuery(), newest_first=False, limit=0)
    while True:
        until = last_position(book)
        if until > position:
            yield from book.entries(
                attrs.evolve(
                    chosen,
                    position_from=max(position + 1, chosen.position_from or 0),
                    position_until=min(until, chosen.position_until or until),
                )
            )
            position = until
        if over.wait(pause):
            return


@attrs.frozen(kw_only=True)
class Projector:
    """Keeps a view caught up with the log: your tables, made from its entries.

    `apply` is given entries by position, and writes what they mean into your tables over
    `connection`, which is to the ledger's own database (a `sqlite3.Connection`, or a
    `psycopg.Connection` at READ COMMITTED), in the transaction that is open. Each batch
    and the projector's checkpoint are committed together, so that whenever the process is killed,
    the view has every entry up to its checkpoint, once. The checkpoint is a cursor of the ledger
    itself: `key` gives it, and `cursor-ledger show NAME cursor-ledger/log` shows it. Entries of
    checkpoints are not given to `apply`.

    `name` is the view's, and one to a view: of two projectors of the same name one waits for the
    other. `batch_entries` are applied in a transaction at most, from 1 to 100,000.

    Raises InvalidCursorError.
    """

    book: Ledger
    name: str
    connection: Connection
    apply: Callable[[Entry], object]
    batch_entries: int = BATCH_ENTRIES

    def __attrs_post_init__(self) -> None:
        CursorKey(self.name, CHECKPOINTS)
        if not callable(self.apply):
            raise InvalidCursorError(f"apply must be callable, not {fields.kind(self.apply)}.")
        if not 1 <= fields.sequence(self.batch_entries, "batch_entries", least=1) <= 100_000:
            raise InvalidCursorError(
                f"batch_entries must be from 1 to 100000, not {self.batch_entries}."
            )
        self.book.using(self.connection)

    @property
    def key(self) -> CursorKey:
        """The cursor that the view is caught up to; its sequence is a position of the log."""
        return CursorKey(self.name, CHECKPOINTS)

    @property
    def position(self) -> int:
        """The position of the log up to which the view has every entry; 0 if it has none."""
        return _position(self.book, self.key)

    def catch_up(self) -> int:
        """Apply what was appended since the checkpoint; give how many entries that were.

        If `apply` raises, its batch is rolled back, and what was committed before stays.

        Raises what `apply` raises, and StorageError, LedgerBusyError.
        """
        applied = 0
        if last_position(self.book) <= self.position:
            return 0  # No need to make writers wait.
        while True:
            batch, more = self._apply_batch()
            applied += batch
            if not more:
                return applied

    def follow(
        self, *, poll_s: float = POLL_S, stop: threading.Event | None = None
    ) -> Iterator[int]:
        """Catch up, and again whenever something was appended; give how many entries each time.

        Ends once `stop` is set, else never. The log is looked at every `poll_s` seconds.
        """
        pause = _pause(poll_s)
        over = stop or threading.Event()
        seen = -1
        while not over.is_set():
            if (last := last_position(self.book)) != seen:
                seen = last
                if applied := self.catch_up():
                    yield applied
                    continue
            over.wait(pause)

    def _apply_batch(self) -> tuple[int, bool]:
        """Apply the next entries in one transaction; give how many, and whether there are more."""
        book = self.book.using(self.connection)
        with _transaction(self.connection, self.name):
            start = _position(book, self.key)
            applied = 0
            position = start
            entries = iter(book.entries(EntryQuery(position_from=start + 1)))
            for entry in entries:
                if entry.key.stream_name == CHECKPOINTS:
                    continue
                self.apply(entry)
                position = entry.position
                applied += 1
                if applied == self.batch_entries:
                    break
            if applied:
                book.advance(self.key, to=position, actor=self.name)
            return applied, applied == self.batch_entries


def _transaction(connection: Connection, name: str) -> AbstractContextManager[object]:
    if isinstance(connection, sqlite3.Connection):
        return _in_file(connection)
    return _on_server(connection, name)


_IN_USE = (
    "the projector's connection is in a transaction already. End it, or give the projector a "
    "connection of its own."
)


@contextmanager
def _on_server(connection: psycopg.Connection[Any], name: str) -> Iterator[None]:
    import psycopg

    from ledger.stores.postgres.errors import translated
    from ledger.stores.postgres.reading import plain_cursor

    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise StorageError(_IN_USE)
    try:
        with connection.transaction():
            # The checkpoint that is read in here must still be the last when it is moved on.
            plain_cursor(connection).execute(
                "SELECT pg_catalog.pg_advisory_xact_lock("
                "pg_catalog.hashtext('cursor-ledger projector'), pg_catalog.hashtext(%s))",
                (name,),
            )
            yield
    except psycopg.Error as error:
        raise translated(error, "the projector's database") from error


@contextmanager
def _in_file(connection: sqlite3.Connection) -> Iterator[None]:
    if _is_open(connection):
        raise StorageError(_IN_USE)
    # Immediate: the checkpoint that is read in here must still be the last when it is moved on.
    _execute(connection, "BEGIN IMMEDIATE")
    try:
        yield
        _execute(connection, "COMMIT")
    except BaseException:
        if _is_open(connection):
            _execute(connection, "ROLLBACK")
        raise


def _is_open(connection: sqlite3.Connection) -> bool:
    return connection.in_transaction


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error as error:
        raise translated(error, "the projector's database") from error


def _position(book: Ledger, key: CursorKey) -> int:
    try:
        return book.get(key).last_sequence
    except CursorNotFoundError:
        return 0


def _pause(poll_s: object) -> float:
    if (
        not isinstance(poll_s, int | float)
        or isinstance(poll_s, bool)
        or not 0.001 <= poll_s <= 3_600
    ):
        raise InvalidCursorError(f"poll_s must be from 0.001 to 3600 seconds, not {poll_s!r:.80}.")
    return float(poll_s)
