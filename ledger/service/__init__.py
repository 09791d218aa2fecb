"""The ledger as programs use it: `Ledger`, with its methods by what they are for.

A method is a function of a file of this room, and the class names it: `get = reading.get`. The
class is therefore the list of what a ledger can do, and a call costs no more than if the method
were written here. Written here is what makes another ledger or takes one. What coroutines call as
well takes only the part of a ledger that it uses: see `parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

# What is named as `ledger.Heads` is imported when it is first used, because imports take time.
import ledger
from ledger.consuming.alone import Deliverers
from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.service import appending, bundling, consuming, proving, reading, waiting
from ledger.service.methods import answered
from ledger.writing.committer import Appender, Committer

# What only some programs use is imported where it is used, because imports take time.
if TYPE_CHECKING:
    import ledger.positions
    from ledger.stores.awaited import AwaitedStore
    from ledger.stores.lending import Lendable
    from ledger.stores.stopping import Stop
    from ledger.waking.waker import Waker
    from ledger.writing.importing import Imported, Numbered


__all__ = ["Ledger", "committer_of", "deliverers_of", "imported", "lent_async", "stoppable"]


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
        # `ledger.open` gives a `Writer` (writing/group_commit.py), which shares transactions.
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

    @property
    def _actor(self) -> str:
        return self._committer.actor

    # --- reading ---

    get = reading.get
    find = reading.find
    cursors = reading.cursors
    history = reading.history
    entries = reading.entries
    moves = reading.moves
    session_users = reading.session_users
    now = reading.now
    horizon = reading.horizon
    identity = reading.identity
    identify = reading.identify

    @property
    def positions(self) -> ledger.positions.Positions:
        """The mapping of each stream between its positions and sequences, kept in this ledger.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     declared = book.positions.declare("orders", "zero-based")
        ...     book.positions.of("orders").shown(44)
        'offset 43'
        """
        return ledger.positions.Positions(self)

    @property
    def heads(self) -> ledger.Heads:
        """The heads of the streams: the highest sequence that exists on each, for `lag`.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     head = book.heads.record("orders", "", 44)
        ...     book.heads.get("orders").last_sequence
        44
        """
        return ledger.Heads(self)

    @property
    def policies(self) -> ledger.Policies:
        """What each reset must carry: the policies that are kept in this ledger.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     change = book.policies.set(ledger.Policy("require-signature"), reason="audit")
        ...     [each.policy.kind.value for each in book.policies.in_force()]
        ['require-signature']
        """
        return ledger.Policies(self)

    # --- writing ---

    start = answered(appending.start)
    advance = answered(appending.advance)
    reset = answered(appending.reset)
    record_error = answered(appending.record_error)
    append = answered(appending.append)
    append_each = answered(appending.append_each)
    submit = appending.submit

    def using(self, connection: Lendable) -> Ledger:
        """Return this ledger inside the transaction of the caller's `connection` to its database.

        What is appended through it is part of the caller's transaction: the caller commits it or
        rolls it back with the rest. If no transaction is open, one is begun as the driver does it;
        a connection in autocommit mode is refused. `connection` is a SQLAlchemy `Session`,
        `scoped_session` or `Connection`, or the driver's own: a `sqlite3.Connection`, or on
        PostgreSQL a `psycopg.Connection`. A session is asked for its connection at each call.

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
        ours, store = self._committer, self._store.using(connection)
        # Not by attrs.evolve, which takes three times as long: each transaction may do it.
        lent = Committer(store, ours.actor, ours.clock, ours.require_epoch, waking=None)
        return Ledger(lent, deliverers=self._deliverers)

    # --- consuming ---

    consumer = consuming.consumer
    delivering = consuming.delivering

    # --- waiting ---

    @property
    def _waker(self) -> Waker | None:
        return None if self._waking is None else self._waking.get()

    wait = waiting.wait
    wait_for_entries = waiting.wait_for_entries

    # --- proof ---

    verify = proving.verify
    checkpoint = proving.checkpoint
    sign = proving.sign
    prove = proving.prove
    prove_growth = proving.prove_growth
    evidence = bundling.evidence
    archive = bundling.archive
    tiles = bundling.tiles
    rebuild = proving.rebuild

    def copy_to(
        self,
        target: Ledger,
        *,
        move: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> ledger.Copied:
        """Append to `target` what it lacks of this ledger, with the same positions and digests.

        What `target` has must be the beginning of this one; so a copy that was interrupted goes on
        where it was. In the end all of both is compared. `progress` is told now and then how many
        entries were copied.

        A copy is another ledger, with another id. With `move`, it takes the id of this one after
        that, if this one has one: write to one of them only from then on.

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
        from ledger.writing import copying

        copied = copying.copy(
            self._store, target._store, write=target._appender.run, progress=progress
        )
        if move and (identity := self.identity()):
            reading.identified(target, identity)
        return copied

    # --- life ---

    def close(self) -> None:
        """Close the ledger; later calls are refused. Closing twice is fine.

        What was accepted is appended first, and waited for. A signal handler that interrupts an
        append of its own thread cannot wait for that: what is queued behind it is refused.

        >>> import ledger
        >>> book = ledger.open(":memory:")
        >>> book.close()
        """
        waiting.stop_waiting(self)
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


# --- for the command ---


def imported(
    book: Ledger,
    lines: Iterable[Numbered],
    *,
    entries: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Append to `book` what it lacks of `lines`, with their positions and digests.

    See `ledger.writing.importing`.
    """
    from ledger.writing.importing import import_lines

    return import_lines(
        book._store, lines, write=book._appender.run, entries=entries, progress=progress
    )


# --- for ledger.aio ---


def stoppable(book: Ledger, stop: Stop) -> Ledger:
    """Return the same ledger, which reads no further once `stop` is set."""
    # Imported here, because only coroutines need it.
    from ledger.stores.stopping import StoppableStore

    reader = attrs.evolve(book._committer, store=StoppableStore(book._store, stop))
    return Ledger(reader, book._appender, book._deliverers)


def lent_async(book: Ledger, connection: object) -> AwaitedStore:
    """Return the store of `book` inside the transaction of a connection that is awaited.

    Raises InvalidCursorError, StorageError.
    """
    using_async = getattr(book._store, "using_async", None)
    if using_async is None:
        raise InvalidCursorError(
            "this store cannot work on a connection that is awaited; lend a Ledger one that is not."
        )
    store: AwaitedStore = using_async(connection)
    return store


def committer_of(book: Ledger) -> Committer:
    """Return what has the actor and the clock of `book`."""
    return book._committer


def deliverers_of(book: Ledger) -> Deliverers:
    """Return who delivers from `book` without a consumer."""
    return book._deliverers
