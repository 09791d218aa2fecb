"""Where the log is kept. A store keeps and finds; what may be appended is none of its business."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from ledger.evidence.source import Log

if TYPE_CHECKING:
    from ledger.evidence.findings import Fault
    from ledger.evidence.merkle import TreeRow
    from ledger.evidence.repair import Repairable
    from ledger.evidence.sharing import Companions, Opening
    from ledger.law.cursor import Cursor, CursorKey
    from ledger.law.events import Entry, Move
    from ledger.law.queries import CursorQuery, EntryQuery
    from ledger.log.heads import Head
    from ledger.log.rows import Content
    from ledger.stores.deadline import Deadline
    from ledger.stores.horizon import Horizon

__all__ = [
    "Appending",
    "AppendingFree",
    "Draft",
    "Durability",
    "Exclusive",
    "Governed",
    "Identifiable",
    "KeepsTree",
    "Listening",
    "NotesSessions",
    "Provable",
    "Reader",
    "Snapshot",
    "Store",
    "Transaction",
    "Writable",
]

T = TypeVar("T")

Durability: TypeAlias = Literal["full", "normal"]
"""What survives a power loss: every answered call, or all but the last commits."""

Draft: TypeAlias = "tuple[Head, Content]"
"""An entry that is about to be stored, with the head that it makes; the store gives its position.
"""


class Governed(Protocol):
    """A write transaction, as a reset needs it: it knows what a reset must carry."""

    def policies(self) -> Sequence[Entry]:
        """Return the last reset of each policy: of the consumer `POLICY`, on its three streams.

        It is asked for behind `hold`. Nobody changes a policy from then on, until the transaction
        ends: whoever does holds everything.
        """


class Appending(Governed, Protocol):
    """A write transaction, as an append needs it: nobody else writes to the cursors it holds."""

    def hold(self, keys: Iterable[CursorKey]) -> None:
        """Hold the cursors of `keys`, all at once. Heads are only asked for of these."""

    def head(self, key: CursorKey) -> Head | None:
        """Return where the chain of `key` ends, or None if it has no entry."""

    def confirm(self) -> None:
        """Make sure that the heads are held by which a request is about to be refused."""

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


class AppendingFree(Appending, Protocol):
    """A write transaction, as an append needs it that waits for nobody."""

    def hold_free(self, keys: Iterable[CursorKey]) -> Collection[CursorKey]:
        """Hold those that nobody else holds, without waiting, and return the others."""


class Exclusive(Protocol):
    """A write transaction that nobody else writes beside."""

    def everything(self) -> AbstractContextManager[Repairable]:
        """Hold the whole log, to write stored cursors anew."""


class Transaction(AppendingFree, Exclusive, Protocol):
    """A write transaction."""


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


@runtime_checkable
class KeepsTree(Protocol):
    """What can keep the tree beside the log: see `ledger.evidence.kept`. A store need not."""

    def keep_tree(self, rows: Sequence[TreeRow]) -> None:
        """Keep those of `rows` that are not kept yet, safe from a power loss; all, or none.

        Raises LedgerBusyError, StorageError.
        """


@runtime_checkable
class Identifiable(Protocol):
    """What can be given an id that others know it by. A store need not."""

    def identify(self, given: str = "") -> str:
        """Return its id. If it has none, that is `given` from now on, or a new one.

        Raises DivergedError if it has another than `given` and keeps it; LedgerBusyError,
        StorageError.
        """


@runtime_checkable
class NotesSessions(Protocol):
    """What can say who was logged in to its database. A store need not."""

    def session_users(self, positions: Sequence[int]) -> dict[int, str] | None:
        """Return who was logged in when the entries at `positions` were stored, as far as noted.

        None if the database notes nobody, or this user may not read it.

        Raises LedgerBusyError, StorageError.
        """


class Writable(Protocol):
    """What can be appended to."""

    def write(self, work: Callable[[Transaction], T], deadline: Deadline | None = None) -> T:
        """Run `work` in one transaction, and commit it; if it raises, nothing has happened.

        The call waits for others until `deadline`. Without one it begins here, and has the whole
        busy time-out.

        Raises LedgerBusyError, StorageError.
        """


class Listening(Protocol):
    """Hears that cursors move, whoever moves them. One thread asks it; any may interrupt it.

    A store need not have one. If it has no method `listen`, which returns one, it is asked again
    and again for the cursors themselves. A Listening connects when it is first asked, and again
    after its connection was lost.
    """

    entries_s: float
    """How long a pause is while somebody waits for any entry."""
    resets_s: float
    """How long it is while everybody who waits does so for a reset."""

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
        """Release everything that is held; later calls raise StorageError."""


# Imported when they are first used, because to look up a cursor needs neither.
_LATER = ("horizon", "queries")


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
