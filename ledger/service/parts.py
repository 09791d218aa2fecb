"""What a method of `Ledger` needs of it: a way to append, or one that the store answers.

A method returns what that returns: of a ledger for threads, the answer itself; where coroutines
await the answer, a future or a coroutine of it. These protocols are generic in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from ledger.law.cursor import CursorKey
    from ledger.law.queries import CursorQuery, EntryQuery
    from ledger.writing.commit import Answer, Group

__all__ = [
    "Appends",
    "Cursors",
    "Entries",
    "Finding",
    "Horizons",
    "Moves",
    "OnAppender",
    "OnStore",
]

T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Appends(Protocol[T_contra, R_co]):
    """An `Appender`, or what stands in its place: it returns `R` where `conclude` returns `T`."""

    def append(
        self, groups: Sequence[Group], conclude: Callable[[list[Answer]], T_contra], /
    ) -> R_co:
        """Append `groups`, and return what `conclude` makes of the answers, or will."""


class OnAppender(Protocol[T_contra, R_co]):
    """A ledger that can append; `_actor` stands in where a call names no actor."""

    @property
    def _actor(self) -> str: ...

    @property
    def _appender(self) -> Appends[T_contra, R_co]: ...


class OnStore(Protocol[R_co]):
    """A ledger whose store is an `R`."""

    @property
    def _store(self) -> R_co: ...


class Finding(Protocol[R_co]):
    """A store that finds a cursor."""

    def cursor(self, key: CursorKey, /) -> R_co:
        """Return the cursor of `key`, or None if it has no entry."""


class Cursors(Protocol[R_co]):
    """A store that has cursors."""

    def cursors(self, query: CursorQuery, /) -> R_co:
        """Return cursors by stream, subject and consumer, in code-point order."""


class Entries(Protocol[R_co]):
    """A store that has entries."""

    def entries(self, query: EntryQuery, /) -> R_co:
        """Return entries by position, as far as the log is settled."""


class Moves(Protocol[R_co]):
    """A store that finds the moves of cursors."""

    def moves(self, places: Sequence[tuple[CursorKey, int]], /) -> R_co:
        """Return the last move of each key, up to a version; in this order."""


class Horizons(Protocol[R_co]):
    """A store that knows how far its log is settled."""

    def horizon(self) -> R_co:
        """Return how far the log is settled."""
