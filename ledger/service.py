"""The ledger as programs use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import attrs

from ledger import notices
from ledger.consuming.alone import Deliverers
from ledger.consuming.consumer import Consumer
from ledger.consuming.failures import described, note_unrecorded
from ledger.consuming.heads import Heads
from ledger.errors import InvalidCursorError, LedgerError, StorageError, invalid
from ledger.evidence import repair, verification
from ledger.evidence.findings import Verification
from ledger.evidence.merkle import Checkpoint, checkpoint_over
from ledger.evidence.repair import Rebuild
from ledger.law import fields, rules
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.events import Entry, Move
from ledger.law.pairs import EMPTY
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.refusals import CursorNotFoundError
from ledger.law.requests import (
    RecordError,
    Request,
    ResetCursor,
    StartCursor,
    advance_to,
    checked,
    checked_one,
    make_advance,
)
from ledger.law.tokens import NEXT, ConfirmToken, Next
from ledger.stores import Horizon, Transaction
from ledger.writing import answers, copying
from ledger.writing.commit import Answer, Group
from ledger.writing.committer import Appender, Committer
from ledger.writing.copying import Copied
from ledger.writing.waits import in_callback

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ledger.positions import Positions
    from ledger.stores.stopping import Stop
    from ledger.waking.waker import Waker


__all__ = [
    "Ledger",
    "deliverers_of",
    "stop_waiting",
    "stoppable",
    "submitted",
    "told_of_entries",
    "waker_of",
]

SHARED_ENTRIES_MIN = 50_000
"""To start another process takes as long as to check some 10,000 entries."""

PROCESSES_MAX = 64

RANGES_EACH = 32
"""So many ranges a process, so that none waits long for the last one of another."""

R = TypeVar("R")
Q = TypeVar("Q", CursorQuery, EntryQuery)


class Ledger:
    """An append-only log of what happened to cursors, and the cursors that result from it.

    Safe to use from many threads at once, and beside other processes on the same database. Not
    across a fork: open it again in the child. Every method may raise StorageError or, under it,
    LedgerBusyError. A method that raises has appended nothing, with three exceptions: `delivering`
    records what its body raises. An interrupt such as KeyboardInterrupt may come too late, and
    carries a note that says so. After UnknownOutcomeError only the cursor tells, once it is read: a
    server was lost in the middle of a commit, or a disk failed in one and again while undoing it.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     book.advance(key, to=44).last_sequence
    ...     book.reset(key, to=41, reason="receiver lost 42 and 43").epoch
    ...     [entry.version for entry in book.history(key)]
    ...     book.verify().ok
    44
    1
    [1, 2]
    True
    """

    def __init__(
        self,
        committer: Committer,
        appender: Appender | None = None,
        deliverers: Deliverers | None = None,
    ) -> None:
        self._store = committer.store
        self._committer = committer
        self._appender: Appender = appender or committer
        self._deliverers = deliverers or Deliverers()
        self._waking = committer.waking

    def through(self, wrap: Callable[[Appender], Appender]) -> Ledger:
        """Return the same ledger with the way it appends wrapped: to observe or to stop it."""
        return Ledger(self._committer, wrap(self._appender), self._deliverers)

    @property
    def immutable(self) -> bool:
        """Whether this user may only read the file, and it was opened as one that stays as it is.

        SQLite then takes no locks, and writes nothing beside the file either. If somebody else
        writes to it all the same, a later call raises StorageError.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     book.immutable
        False
        """
        return self._store.immutable

    # --- reading ---

    def get(self, key: CursorKey) -> Cursor:
        """Return the cursor of `key`.

        Raises CursorNotFoundError if nothing was ever appended for it.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=41)
        ...     book.get(key) == cursor
        True
        """
        cursor = self._store.cursor(CursorKey.check(key))
        if cursor is None:
            raise CursorNotFoundError(key)
        return cursor

    def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if nothing was ever appended for it.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     print(book.find(ledger.CursorKey("webhooks", "orders")))
        None
        """
        return self._store.cursor(CursorKey.check(key))

    def cursors(self, query: CursorQuery | None = None) -> Iterator[Cursor]:
        """Yield the cursors that `query` chooses, lazily, by stream, subject and consumer.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=41)
        ...     [cursor.last_sequence for cursor in book.cursors()]
        [41]
        """
        return self._store.cursors(_chosen(query, CursorQuery))

    def history(self, key: CursorKey) -> Iterator[Entry]:
        """Yield all entries of `key`, lazily, oldest first; none if it has no cursor.

        Raises BrokenChainError at an entry that cannot be read.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
        ...     [entry.event.sequence for entry in book.history(key)]
        [41, 44]
        """
        return self._store.entries(EntryQuery(key=CursorKey.check(key)))

    def entries(self, query: EntryQuery | None = None) -> Iterator[Entry]:
        """Yield the entries that `query` chooses, lazily, by position, up to the `horizon`.

        Entries appended after the first one was read are left out. On PostgreSQL, so are entries
        before which a running transaction may still append. Raises BrokenChainError at an entry
        that cannot be read.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
        ...     query = ledger.EntryQuery(newest_first=True, limit=1)
        ...     [entry.position for entry in book.entries(query)]
        [2]
        """
        return self._store.entries(_chosen(query, EntryQuery))

    def moves(self, places: Iterable[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return, for each key and version, the last entry up to it that is no error, as a move.

        That is what put the cursor where it stood then; None if it had nothing but errors by then,
        or has no entries. `places` are pairs of a key and a version, from 0, and are looked up
        together: a question about thousands of cursors needs few queries.

        Raises InvalidCursorError, and BrokenChainError at an entry that cannot be read.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
        ...     cursor = book.record_error(key, "HTTP 503")
        ...     [move.sequence for move in book.moves([(key, 1), (key, 3)])]
        [41, 44]
        """
        return self._store.moves(_places(places))

    def now(self) -> datetime:
        """Return the ledger's own time: that of an entry, if one were appended now.

        Raises InvalidCursorError if the ledger was given a clock that returns no aware time.

        >>> from datetime import UTC, datetime
        >>> import ledger
        >>> noon = datetime(2026, 5, 5, 12, tzinfo=UTC)
        >>> with ledger.open(":memory:", clock=lambda: noon) as book:
        ...     book.now() == noon
        True
        """
        return fields.moment(self._committer.clock(), "the ledger's clock")

    def horizon(self) -> Horizon:
        """Return how far the log is settled, and which transactions readers wait for.

        Nothing new can be committed up to its `position`, so a reader who follows the log by
        position misses nothing. On SQLite that is always the end of the log.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=41)
        ...     horizon = book.horizon()
        >>> horizon.position == horizon.last
        True
        """
        return self._store.horizon()

    def identity(self) -> str:
        """Return what distinguishes this ledger from all others, even copies; empty on SQLite.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     book.identity()
        ''
        """
        return self._store.identity()

    @property
    def positions(self) -> Positions:
        """The mapping of each stream between its positions and sequences, kept in this ledger.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     declared = book.positions.declare("orders", "zero-based")
        ...     book.positions.of("orders").shown(44)
        'offset 43'
        """
        # Imported where it is wanted, because few streams need a mapping.
        from ledger.positions import Positions

        return Positions(self)

    @property
    def heads(self) -> Heads:
        """The heads of the streams: the highest sequence that exists on each, for `lag`.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     head = book.heads.record("orders", "", 44)
        ...     book.heads.get("orders").last_sequence
        44
        """
        return Heads(self)

    # --- writing ---

    def start(
        self,
        key: CursorKey,
        *,
        at: int,
        reason: str,
        source: str = "",
        delivery_id: str = "",
        delivered_at: datetime | None = None,
        now: datetime | None = None,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Make the cursor of `key`, at sequence `at`, from 0, and say why it starts there.

        What lies before is before the ledger's time. Parameters are those of StartCursor. Raises
        InvalidCursorError, CursorExistsError if it has any entry, ActorRequiredError if neither the
        call nor the ledger names one.

        >>> import ledger
        >>> key = ledger.CursorKey("mailer", "orders")
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     book.start(key, at=41, source="kafka group mailer", reason="moved here").epoch
        ...     book.advance(key, to=42).last_sequence
        0
        42
        """
        request = StartCursor(
            key,
            at,
            reason,
            source=source,
            last_delivery_id=delivery_id,
            last_delivered_at=delivered_at,
            now=now,
            actor=actor,
            metadata=EMPTY if metadata is None else metadata,
        )
        return self._appender.append(((request,),), answers.one)

    def advance(
        self,
        key: CursorKey,
        *,
        to: int | Next,
        delivery_id: str = "",
        after: str | None = None,
        delivered_at: datetime | None = None,
        outcome: Outcome = Outcome.DELIVERED,
        now: datetime | None = None,
        actor: str = "",
        epoch: int | None = None,
        expected_version: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Confirm everything up to sequence `to`, from 1; the same place may be confirmed again.

        With `to=ledger.NEXT`, confirm the token `delivery_id`, which follows the token `after`.

        Parameters are those of AdvanceCursor, or of ConfirmToken. Raises InvalidCursorError,
        NonMonotonicCursorError, StaleTokenError, StaleEpochError, VersionConflictError,
        EpochRequiredError.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=41, delivery_id="msg-41")
        ...     book.advance(key, to=44, epoch=cursor.epoch).version
        2
        """
        if after is not None or to is NEXT:
            token = advance_to(
                key,
                to,
                after=after,
                delivery_id=delivery_id,
                last_delivered_at=delivered_at,
                outcome=outcome,
                now=now,
                actor=actor,
                epoch=epoch,
                expected_version=expected_version,
                metadata=EMPTY if metadata is None else metadata,
            )
            return self._appender.append(((token,),), answers.one)
        request = make_advance(
            key,
            to,
            delivery_id=delivery_id,
            last_delivered_at=delivered_at,
            outcome=outcome,
            now=now,
            actor=actor,
            epoch=epoch,
            expected_version=expected_version,
            metadata=EMPTY if metadata is None else metadata,
        )
        return self._appender.append(((request,),), answers.one)

    def reset(
        self,
        key: CursorKey,
        *,
        to: int,
        reason: str,
        delivery_id: str = "",
        delivered_at: datetime | None = None,
        now: datetime | None = None,
        actor: str = "",
        expected_version: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Move the cursor to sequence `to`, from 0, in either direction, and say why.

        Parameters are those of ResetCursor. Raises InvalidCursorError, ResetReasonRequiredError,
        ActorRequiredError if neither the call nor the ledger names one, VersionConflictError.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=44)
        ...     book.reset(key, to=41, reason="receiver lost 42 and 43", actor="ines").epoch
        1
        """
        request = ResetCursor(
            key,
            to,
            reason,
            last_delivery_id=delivery_id,
            last_delivered_at=delivered_at,
            now=now,
            actor=actor,
            expected_version=expected_version,
            metadata=EMPTY if metadata is None else metadata,
        )
        return self._appender.append(((request,),), answers.one)

    def record_error(
        self,
        key: CursorKey,
        message: str,
        *,
        now: datetime | None = None,
        actor: str = "",
        epoch: int | None = None,
        expected_version: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Record that a delivery failed; the sequence stays. Secrets in `message` are masked.

        Parameters are those of RecordError. Raises InvalidCursorError, StaleEpochError,
        VersionConflictError.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.record_error(key, "HTTP 503")
        >>> cursor.last_sequence, cursor.last_error
        (0, 'HTTP 503')
        """
        request = RecordError(
            key,
            message,
            now=now,
            actor=actor,
            epoch=epoch,
            expected_version=expected_version,
            metadata=EMPTY if metadata is None else metadata,
        )
        return self._appender.append(((request,),), answers.one)

    def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append all of `requests`, in order, in one transaction, or none; return the cursors.

        Raises the refusal of the first request that is refused.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> requests = [ledger.AdvanceCursor(key, 41), ledger.AdvanceCursor(key, 40)]
        >>> with ledger.open(":memory:") as book:
        ...     try:
        ...         book.append(requests)
        ...     except ledger.NonMonotonicCursorError:
        ...         list(book.history(key))
        []
        """
        return self._appender.append([checked(requests)], answers.whole)

    def append_each(self, requests: Iterable[Request]) -> list[Cursor | LedgerError]:
        """Append `requests`, in order, in one transaction, each on its own.

        Where the law refuses one, its refusal is returned in place of the cursor; the others are
        appended.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> requests = [ledger.AdvanceCursor(key, 41), ledger.AdvanceCursor(key, 40)]
        >>> with ledger.open(":memory:") as book:
        ...     [type(answer).__name__ for answer in book.append_each(requests)]
        ['Cursor', 'NonMonotonicCursorError']
        """
        return self._appender.append([(request,) for request in checked(requests)], answers.each)

    def submit(self, request: Request) -> Future[Cursor]:
        """Queue `request`, and return the future of its cursor, set once the entry is safe.

        Requests of one thread are appended in the order in which it submits them, and share
        transactions. The future raises what `append` raises; it can be cancelled until its
        transaction begins. While 2,048 requests are queued, this waits for room. The busy time-out
        of a request begins when another writer is first in its way, not when it is queued.

        A callback of the future runs in the thread that commits, and delays other callers.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     futures = [book.submit(ledger.AdvanceCursor(key, to)) for to in (41, 44)]
        ...     [future.result().version for future in futures]
        [1, 2]
        """
        return self._appender.submit(((checked_one(request),),), answers.one)

    def consumer(
        self, key: CursorKey, *, in_flight: int = 1, take_over: str | None = None
    ) -> Consumer:
        """Return a consumer of `key`: it delivers what comes after the cursor, and confirms it.

        `in_flight` is how many deliveries may be unconfirmed at once, from 1 to 10,000.

        `take_over` says why this consumer takes the cursor over, such as "deploy 1.4.2". The
        consumers that read it before can confirm nothing more: they get StaleEpochError, and
        TakenOverError when they read it anew. It is a reset to where the cursor stands, by this
        ledger's actor; a cursor without entries is made, at 0.

        Raises InvalidCursorError; with `take_over`, also ActorRequiredError if the ledger has no
        actor.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book, book.consumer(key) as consumer:
        ...     with consumer.delivering(41, delivery_id="msg-41") as delivery:
        ...         delivery.metadata["status"] = "202"
        ...     consumer.position
        41
        """
        return Consumer(self, key, in_flight=in_flight, take_over=take_over)

    @contextmanager
    def delivering(
        self,
        key: CursorKey,
        *,
        to: int | Next,
        delivery_id: str = "",
        after: str | None = None,
        outcome: Outcome = Outcome.DELIVERED,
        actor: str = "",
        epoch: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Iterator[Cursor | None]:
        """Deliver in the body; on success advance to `to`, on an exception record and re-raise it.

        Yields the cursor as it stood, or None if there was none. Its epoch goes with the advance:
        if the cursor is reset meanwhile, StaleEpochError is raised, and the reset stands. If an
        error cannot be recorded, the body's exception is raised with a note that says so.

        It cannot know which events you fetched before it was called: if the cursor was reset since
        then, it would jump over what was to be delivered again. Pass the `epoch` that you read
        before you fetched: it goes with the advance and the error, and StaleEpochError is raised
        before the body runs. `consumer` does that by itself, and delivers many at once; this is for
        one at a time, and a second one of the same key raises DeliveringError.

        With `to=ledger.NEXT`, StaleTokenError is raised before the body runs, too.

        Raises what `advance` raises.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     with book.delivering(key, to=41, delivery_id="msg-41") as before:
        ...         print("sending order 41; the cursor is", before)
        ...     book.get(key).last_sequence
        sending order 41; the cursor is None
        41
        """
        # Made first, so that a wrong argument is refused before anything is delivered.
        advance = advance_to(
            key,
            to,
            after=after,
            delivery_id=delivery_id,
            outcome=outcome,
            actor=actor,
            epoch=epoch,
            metadata=EMPTY if metadata is None else metadata,
        )
        with self._deliverers.only(advance.key):
            cursor = self._store.cursor(advance.key)
            rules.check_epoch(cursor, advance)
            if isinstance(advance, ConfirmToken):
                rules.ordinal(cursor, advance)
            try:
                yield cursor
            except Exception as error:
                try:
                    self.record_error(
                        key, described(error), actor=actor, epoch=epoch, metadata=metadata
                    )
                except Exception as unrecorded:  # noqa: BLE001 - the body's exception is raised
                    note_unrecorded(error, unrecorded)
                raise
            request = attrs.evolve(advance, epoch=cursor.epoch if cursor else 0)
            self._appender.append(((request,),), answers.one)

    def using(self, connection: object) -> Ledger:
        """Return this ledger inside the transaction of the caller's `connection` to its database.

        What is appended through it is part of the caller's transaction: the caller commits it or
        rolls it back with the rest. If no transaction is open, one is begun as the driver does it;
        a connection in autocommit mode is refused. `connection` is a `sqlite3.Connection`,
        or on PostgreSQL a `psycopg.Connection`.

        Raises InvalidCursorError, StorageError.

        >>> import contextlib, sqlite3, tempfile
        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with contextlib.ExitStack() as stack:
        ...     path = stack.enter_context(tempfile.TemporaryDirectory()) + "/cursors.db"
        ...     book = stack.enter_context(ledger.open(path))
        ...     db = stack.enter_context(contextlib.closing(sqlite3.connect(path)))
        ...     made = db.execute("CREATE TABLE sent (id TEXT)")
        ...     with db:
        ...         row = db.execute("INSERT INTO sent VALUES ('msg-41')")
        ...         cursor = book.using(db).advance(key, to=41)
        ...     book.get(key).last_sequence, db.execute("SELECT id FROM sent").fetchall()
        (41, [('msg-41',)])
        """
        lent = attrs.evolve(self._committer, store=self._store.using(connection), waking=None)
        return Ledger(lent, deliverers=self._deliverers)

    # --- waiting ---

    @property
    def _waker(self) -> Waker | None:
        return None if self._waking is None else self._waking.get()

    def wait(
        self, key: CursorKey, after_version: int, timeout: float | None = None
    ) -> Cursor | None:
        """Wait until the cursor of `key` has a version above `after_version`, and return it.

        Returns at once if it has; None after `timeout` seconds, or never without one. A version
        counts entries, so this wakes at any advance, reset or error, of whatever process; 0 waits
        for the first. It wakes at once where this process appends, else within some 30 ms; resets
        on PostgreSQL are told of at once. Of several entries in the meantime only the last state
        is seen: `history` has them all.

        One thread wakes all who wait for a ledger, so that many may.

        Raises InvalidCursorError, also inside a caller's transaction; StorageError if the ledger is
        closed meanwhile, or in a callback of `submit`, which what it waits for would wait for.

        >>> import ledger, threading
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     cursor = book.advance(key, to=44)
        ...     print(book.wait(key, after_version=cursor.version, timeout=0.01))
        ...     reset = threading.Timer(0.01, lambda: book.reset(key, to=41, reason="lost 42"))
        ...     reset.start()
        ...     book.wait(key, after_version=cursor.version).last_sequence
        None
        41
        """
        # Imported here and below, because most programs never wait.
        from ledger.waking import waiting

        waiter, until = waiting.for_version(key, after_version), waiting.until(timeout)
        waker = waker_of(self)
        cursor = self.find(key)
        if cursor is not None and waiter.is_due(cursor):
            return cursor
        news = waiting.in_thread(waker, waiter, until)
        return news if isinstance(news, Cursor) else None

    def wait_for_entries(self, after: int, timeout: float | None = None) -> int | None:
        """Wait until the log is settled beyond position `after`; return how far it is.

        Returns None after `timeout` seconds, or never without one. Entries up to the position that
        is returned can be read, and nothing can be appended before them any more: see `horizon`.

        Raises what `wait` raises.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
        ...     book.wait_for_entries(after=0)
        1
        """
        from ledger.waking import waiting

        waiter, until = waiting.for_entries(after), waiting.until(timeout)
        waker = waker_of(self)
        while (settled := self.horizon().position) <= waiter.position:
            began = time.monotonic()
            if waiting.in_thread(waker, waiter, until) is None:
                return None
            time.sleep(waiting.rest_s(began, until))
        return settled

    # --- proof ---

    def verify(
        self,
        against: Checkpoint | Iterable[Checkpoint] | None = None,
        *,
        progress: Callable[[int], None] | None = None,
        processes: int = 1,
    ) -> Verification:
        """Check the tables, every chain, and every stored cursor against the fold of its entries.

        All faults are reported. With `against`, checkpoints that were kept, the entries under each
        must still be the same ones, in the same order; all are checked in one pass. `progress` is
        told now and then how many entries were checked.

        With `processes`, from 2 to 64, a long log is checked by so many, this one included. The
        others are new interpreters, each with a connection of its own, and end with the call. What
        is found is the same. A log in memory, in a file that this user may not write to, or of
        fewer than 50,000 entries is checked by this process alone.

        Raises InvalidCursorError.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=41)
        ...     kept = book.checkpoint()
        ...     found = book.verify(against=kept)
        >>> found.ok, found.unvouched
        (True, 0)
        """
        kept = _checkpoints(against)
        if _processes(processes) > 1 and self._is_long():
            return self._verify_together(kept, progress, processes)
        with self._store.snapshot() as log:
            return verification.verify(
                log, structure=log.structure(), against=kept, progress=progress
            )

    def _is_long(self) -> bool:
        with suppress(LedgerError):  # The check of one process says what is wrong.
            return self._store.horizon().last >= SHARED_ENTRIES_MIN
        return False

    def _verify_together(
        self,
        kept: Sequence[Checkpoint],
        progress: Callable[[int], None] | None,
        processes: int,
    ) -> Verification:
        # Imported where it is wanted, because it takes 10 ms.
        from ledger.evidence import crew

        with (
            crew.hired(self._store.opening(), processes) as others,
            self._store.snapshot(others) as log,
        ):
            if others:
                parts = min(RANGES_EACH * processes, crew.RANGES_MAX)
                others.share_out(crew.ranges_between(log.cuts(parts)))
            return verification.verify(
                log, structure=log.structure(), against=kept, progress=progress, crew=others
            )

    def checkpoint(self) -> Checkpoint:
        """Return the Merkle root over all entries so far, to be kept elsewhere for `verify`.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
        ...     book.checkpoint().entries
        2
        """
        with self._store.snapshot() as log:
            return checkpoint_over(verification.settled(log))

    def rebuild(self, *, progress: Callable[[int], None] | None = None) -> Rebuild:
        """Make the stored cursors anew from the log, and report each one that differed.

        The log is not touched. Other writers wait meanwhile. `progress` is told now and then how
        many entries were read.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book:
        ...     cursor = book.advance(key, to=41)
        ...     book.rebuild().repaired
        ()
        """

        def work(transaction: Transaction) -> Rebuild:
            with transaction.everything() as log:
                return repair.rebuild(log, progress=progress)

        result = self._appender.run(work)
        if result.repaired or result.left:
            notices.CURSORS_REBUILT.report(
                cursors=result.cursors, repaired=len(result.repaired), left=len(result.left)
            )
        return result

    def copy_to(self, target: Ledger, *, progress: Callable[[int], None] | None = None) -> Copied:
        """Append to `target` what it lacks of this ledger, with the same positions and digests.

        What `target` has must be the beginning of this one; so a copy that was interrupted goes on
        where it was. In the end all of both is compared. `progress` is told now and then how many
        entries were copied.

        Raises DivergedError, BrokenChainError at an entry that does not follow from those before.

        >>> import ledger
        >>> key = ledger.CursorKey("webhooks", "orders")
        >>> with ledger.open(":memory:") as book, ledger.open(":memory:") as archive:
        ...     cursor = book.advance(key, to=41)
        ...     book.copy_to(archive).entries, archive.get(key) == cursor
        (1, True)
        """
        if not isinstance(target, Ledger):
            raise invalid(
                "target",
                f"must be a Ledger, not {fields.kind(target)}.",
                value=fields.kind(target),
            )
        return copying.copy(
            self._store, target._store, write=target._appender.run, progress=progress
        )

    # --- life ---

    def close(self) -> None:
        """Close the ledger; later calls are refused. Closing twice is fine.

        What was accepted is appended first, and waited for. A signal handler that interrupts an
        append of its own thread cannot wait for that: what is queued behind it is refused.

        >>> import ledger
        >>> book = ledger.open(":memory:")
        >>> book.close()
        """
        stop_waiting(self)
        self._appender.close()
        self._store.close()

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        self.close()


# --- for projections ---


def told_of_entries(
    book: Ledger, after: int, tell: Callable[[], object]
) -> AbstractContextManager[bool]:
    """Have `tell` called, in another thread, once an entry is appended beyond position `after`.

    The context is whether it will be: not inside a caller's transaction. It is called once, also
    when the ledger is closed; on PostgreSQL perhaps before the entry is settled: see `horizon`.

    Raises InvalidCursorError.
    """
    from ledger.waking import waiting
    from ledger.waking.telling import told

    return told(book._waker, waiting.for_entries(after), tell)


# --- for ledger.aio ---


def submitted(
    book: Ledger, groups: Sequence[Group], conclude: Callable[[list[Answer]], R], *, room: bool
) -> Future[R]:
    """Submit `groups` to `book`, and return the future of what `conclude` makes of the answers."""
    return book._appender.submit(groups, conclude, room=room)


def stoppable(book: Ledger, stop: Stop) -> Ledger:
    """Return the same ledger, which reads no further once `stop` is set."""
    # Imported here, because only coroutines need it.
    from ledger.stores.stopping import StoppableStore

    reading = attrs.evolve(book._committer, store=StoppableStore(book._store, stop))
    return Ledger(reading, book._appender, book._deliverers)


def waker_of(book: Ledger) -> Waker:
    """Return who wakes those who wait for `book`.

    Raises InvalidCursorError inside a caller's transaction, StorageError in a callback.
    """
    if (waker := book._waker) is None:
        raise InvalidCursorError(
            "a ledger inside your own transaction cannot wait, because it would not see what "
            "others append. Wait on the ledger itself."
        )
    if in_callback():
        raise StorageError(
            "a callback of `submit` cannot wait for a cursor to move: what it would wait for is "
            "appended after it. Wait in another thread."
        )
    return waker


def stop_waiting(book: Ledger) -> None:
    """Tell those who wait for `book` that it is closed."""
    if book._waking is not None:
        book._waking.close()


def deliverers_of(book: Ledger) -> Deliverers:
    """Return who delivers from `book` without a consumer."""
    return book._deliverers


# --- arguments ---


def _checkpoints(against: object) -> list[Checkpoint]:
    if against is None:
        return []
    kept = [against] if isinstance(against, Checkpoint) else against
    if isinstance(kept, Iterable):
        kept = list(kept)
        if all(isinstance(each, Checkpoint) for each in kept):
            return kept
    said = fields.kind(against)
    raise invalid(
        "against",
        f"must be a Checkpoint, or several, not {said}; see Ledger.checkpoint.",
        value=said,
    )


def _processes(given: object) -> int:
    if type(given) is not int or not 1 <= given <= PROCESSES_MAX:
        said = f"{given!r:.80}"
        raise invalid(
            "processes",
            f"must be from 1 to {PROCESSES_MAX}, not {said}.",
            value=said,
            bound=PROCESSES_MAX,
        )
    return given


def _places(given: Iterable[object]) -> list[tuple[CursorKey, int]]:
    places = []
    for place in given:
        if not isinstance(place, tuple) or len(place) != 2:
            said = fields.kind(place)
            raise invalid(
                "places", f"must be pairs of a key and a version, not {said}.", value=said
            )
        key, version = place
        places.append((CursorKey.check(key), fields.sequence(version, "version", least=0)))
    return places


def _chosen(query: Q | None, kind: type[Q]) -> Q:
    if query is None:
        return kind()
    if not isinstance(query, kind):
        said = fields.kind(query)
        raise invalid("query", f"must be {kind.__name__}, not {said}.", value=said)
    return query
