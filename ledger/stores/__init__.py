"""Where the log is kept. A store keeps and finds; what may be appended is none of its business."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, TypeVar

import attrs

from ledger.evidence.findings import Fault
from ledger.evidence.repair import Repairable
from ledger.evidence.sharing import Companions, Opening
from ledger.evidence.source import Log
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import Entry, Move
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.heads import Head
from ledger.log.rows import Content
from ledger.stores.deadline import Deadline

__all__ = [
    "Appending",
    "Draft",
    "Durability",
    "Horizon",
    "Listening",
    "Provable",
    "Reader",
    "Snapshot",
    "Store",
    "Transaction",
    "Waiting",
    "Writable",
]

T = TypeVar("T")

Durability: TypeAlias = Literal["full", "normal"]
"""What survives a power loss: every answered call, or all but the last commits."""

Draft: TypeAlias = tuple[Head, Content]
"""An entry that is about to be stored, with the head that it makes; the store gives its position.
"""


@attrs.frozen(kw_only=True)
class Waiting:
    """A transaction that may still append something before what others have appended.

    `process` is the number of its process on the server; None if it is prepared, and has none.

    `application` is the name that it gave to its connection, and `since` is when it began.

    >>> import ledger
    >>> from datetime import UTC, datetime
    >>> began = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)
    >>> waiting = ledger.Waiting(process=4711, application="import", since=began)
    >>> waiting.process, waiting.application
    (4711, 'import')
    """

    process: int | None
    application: str
    since: datetime | None


@attrs.frozen(kw_only=True)
class Horizon:
    """How far the log is settled: up to `position`, nothing can come any more that is not there.

    `last` is the last position that was given to anybody. Where it is further, readers wait for
    the transactions in `waiting`, so as not to miss what they may yet append.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     book.horizon()
    Horizon(position=1, last=1, waiting=())
    """

    position: int
    last: int
    waiting: tuple[Waiting, ...] = ()


class Appending(Protocol):
    """A write transaction, as an append needs it: nobody else writes to the cursors it holds."""

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """Hold the cursors of `keys`, all at once; heads are asked for of these only."""

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:
        """Hold those that nobody else holds, without waiting, and return the others."""

    def head(self, key: CursorKey) -> Head | None:
        """Return where the chain of `key` ends, or None if it has no entry."""

    def confirm(self) -> None:
        """Make sure that a refusal, about to be answered, stands on heads that are held."""

    def append(
        self,
        drafts: Sequence[Draft],
        heads: Collection[Head],
        positions: Sequence[int] | None = None,
    ) -> None:
        """Store entries, in order, and the heads that their cursors have after them.

        They get the next positions, or those of `positions`. It ends the transaction's work: no
        head is asked for after it.
        """


class Transaction(Appending, Protocol):
    """A write transaction, which may also hold everything."""

    def everything(self) -> AbstractContextManager[Repairable]:
        """Hold the whole log, to write stored cursors anew."""


class Snapshot(Log, Protocol):
    """The whole log as of one moment, and what is known of it besides its entries."""

    def structure(self) -> Iterator[Fault]:
        """Return what is wrong with the tables themselves: everything but what entries say."""

    def cuts(self, parts: int) -> list[int]:
        """Return cursor ids that divide the entries into about so many parts, in order."""


class Reader(Protocol):
    """What can be read. Iterators are lazy, and end at what was there when they began."""

    def cursor(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entry."""

    def cursors(self, query: CursorQuery) -> Iterator[Cursor]:
        """Return cursors by stream, subject and consumer, in code-point order."""

    def entries(self, query: EntryQuery) -> Iterator[Entry]:
        """Return entries by position, as far as the log is settled."""

    def moves(self, places: Sequence[tuple[CursorKey, int]]) -> list[Move | None]:
        """Return the last entry of each key, up to a version, that is no error; in this order.

        None where there is none. Many places are asked for at once, and looked up together.
        """

    def horizon(self) -> Horizon:
        """Return how far the log is settled."""


class Provable(Protocol):
    """What can be checked: see `ledger.evidence`."""

    def identity(self) -> str:
        """Return what tells this ledger from all others; empty where it has no id."""

    def snapshot(self, companions: Companions | None = None) -> AbstractContextManager[Snapshot]:
        """Hold the log still for a check, for `companions` as well."""

    def opening(self) -> Opening | None:
        """Return how another process opens the log; None where it cannot."""


class Writable(Protocol):
    """What can be appended to."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened.

        Others are waited for until `deadline`; without one, the call enters here, and has the whole
        busy time-out.

        Raises LedgerBusyError, StorageError.
        """


class Listening(Protocol):
    """Hears that cursors move, whoever moves them. One thread asks it; any may interrupt it.

    A store need not have one: what has no method `listen`, which returns one, is asked for the
    cursors that are waited for. It connects when it is asked, and again after it was cut off.
    """

    entries_s: float
    """So long a pause is while somebody waits for any entry."""
    resets_s: float
    """So long it is while all who wait do so for resets."""

    def moved(
        self, seen: Mapping[CursorKey, int], fresh: Collection[CursorKey]
    ) -> Iterable[Cursor]:
        """Return the cursors of `seen` that are beyond the version that was seen, or more.

        Those of `fresh` were not looked at before, or are known to have moved.

        Raises LedgerBusyError if it cannot tell now, StorageError if it never will.
        """

    def last(self) -> int:
        """Return the last position that was given to anybody."""

    def pause(self, seconds: float) -> None:
        """Wait until something was heard, or it is interrupted, for `seconds` at most."""

    def interrupt(self) -> None:
        """End the pause, or the next one. Nothing happens once it is closed."""

    def close(self) -> None:
        """Close its connection."""


class Store(Reader, Provable, Writable, Protocol):
    """Where one log is kept."""

    immutable: bool
    """Whether it was opened as one that nobody writes to."""

    def using(self, connection: object) -> Store:
        """Return the same log inside the transaction of a caller's connection."""

    def close(self) -> None:
        """Let go of what is held; later calls are refused with StorageError."""
