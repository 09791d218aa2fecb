"""A view that keeps up with the log: your tables, made from its entries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

from ledger import CursorKey, CursorNotFoundError, Entry, EntryQuery, Ledger
from ledger.consuming.callables import check_doing, refuse_undone
from ledger.errors import invalid
from ledger.law import fields
from projections.coroutines import blocking
from projections.cursors import last_position
from projections.following import POLL_S, pause_between_polls, rests
from projections.transactions import of_driver, one_transaction, refuse_broken

if TYPE_CHECKING:
    from projections.transactions import Connection

__all__ = ["CHECKPOINTS", "Projector"]

CHECKPOINTS = "cursor-ledger/log"
"""The stream that projectors have their checkpoints on: the positions of the log itself."""

BATCH_ENTRIES = 500

PLAIN = "Pass a plain function, which writes over the connection before it returns."


@attrs.frozen(kw_only=True)
class Projector:
    """Keeps a view caught up with the log: your tables, made from its entries.

    `apply` is called with entries by position, and writes what they mean into your tables over
    `connection`, which is to the ledger's own database (a `sqlite3.Connection`, a
    `psycopg.Connection` at READ COMMITTED, or one of `django.db.connections`, so that `apply` may
    use models), in the transaction that is open. Each batch
    and the projector's checkpoint are committed together, so that whenever the process is killed,
    the view has every entry up to its checkpoint, once. The checkpoint is a cursor of the ledger
    itself: `key` names it, and `cursor-ledger show NAME cursor-ledger/log` shows it. Entries of
    checkpoints are not passed to `apply`.

    `name` is the view's, and one to a view: of two projectors of the same name one waits for the
    other. `batch_entries` are applied in a transaction at most, from 1 to 100,000.

    `book` is the ledger.

    Raises InvalidCursorError.

    >>> import contextlib, sqlite3, tempfile
    >>> import ledger
    >>> from projections import Projector
    >>> with contextlib.ExitStack() as stack:
    ...     path = stack.enter_context(tempfile.TemporaryDirectory()) + "/cursors.db"
    ...     book = stack.enter_context(ledger.open(path))
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     db = stack.enter_context(contextlib.closing(sqlite3.connect(path)))
    ...     made = db.execute("CREATE TABLE passed (sequence INTEGER)")
    ...     def apply(entry: ledger.Entry) -> None:
    ...         db.execute("INSERT INTO passed VALUES (?)", (entry.event.sequence,))
    ...     view = Projector(book=book, name="passed", connection=db, apply=apply)
    ...     view.catch_up()
    ...     db.execute("SELECT sequence FROM passed").fetchall()
    1
    [(41,)]
    """

    book: Ledger
    name: str
    connection: Connection
    apply: Callable[[Entry], object]
    batch_entries: int = BATCH_ENTRIES

    def __attrs_post_init__(self) -> None:
        # A connection and `apply` belong to one thread; so does what goes on between them.
        blocking(self.book, "await book.run(lambda book: Projector(book=book, …).catch_up())")
        CursorKey(self.name, CHECKPOINTS)
        check_doing(self.apply, "apply", PLAIN)
        if not 1 <= fields.sequence(self.batch_entries, "batch_entries", least=1) <= 100_000:
            raise invalid("batch_entries", f"must be from 1 to 100000, not {self.batch_entries}.")
        self.book.using(of_driver(self.connection))

    @property
    def key(self) -> CursorKey:
        """The cursor that the view is caught up to; its sequence is a position of the log."""
        return CursorKey(self.name, CHECKPOINTS)

    @property
    def position(self) -> int:
        """The position of the log up to which the view has every entry; 0 if it has none."""
        return _position(self.book, self.key)

    def catch_up(self) -> int:
        """Apply what was appended since the checkpoint; return the number of entries.

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
        """Catch up, and again whenever something was appended; yield the number of entries.

        Ends once `stop` is set, else never. It is woken when an entry is appended, and looks at the
        log every `poll_s` seconds besides.
        """
        pause = pause_between_polls(poll_s)
        over = stop or threading.Event()
        seen = -1
        while not over.is_set():
            if (last := last_position(self.book)) != seen:
                seen = last
                if applied := self.catch_up():
                    yield applied
                    continue
            rests(self.book, seen, pause, over)

    def _apply_batch(self) -> tuple[int, bool]:
        """Apply a batch in one transaction; return how many entries, and whether there are more."""
        with one_transaction(self.connection, self.name):
            book = self.book.using(of_driver(self.connection))
            start = _position(book, self.key)
            applied = 0
            position = start
            entries = iter(book.entries(EntryQuery(position_from=start + 1)))
            for entry in entries:
                if entry.key.stream_name == CHECKPOINTS:
                    continue
                refuse_undone(self.apply(entry), "apply", PLAIN)
                position = entry.position
                applied += 1
                if applied == self.batch_entries:
                    break
            if applied:
                refuse_broken(self.connection)
                book.advance(self.key, to=position, actor=self.name)
            return applied, applied == self.batch_entries


def _position(book: Ledger, key: CursorKey) -> int:
    try:
        return book.get(key).last_sequence
    except CursorNotFoundError:
        return 0
