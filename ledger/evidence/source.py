"""What a verifier asks a log for, and the entries of each cursor beside its stored state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ledger.log.columns import STATE, Row

# Programs that prove nothing import this room's types, and no trees.
if TYPE_CHECKING:
    from ledger.evidence.findings import Fault
    from ledger.evidence.merkle import TreeRow
    from ledger.law.cursor import CursorKey

__all__ = [
    "EVERY",
    "NO_HEAD",
    "Beginning",
    "Beginnings",
    "Begun",
    "Ids",
    "Keeping",
    "Log",
    "Partible",
    "Sharing",
    "Spanning",
    "StoredHead",
    "archived_digest",
    "paired",
]

StoredHead: TypeAlias = tuple[int, str, Row]
"""A stored cursor, unread: its id, its key as text, its state in the order of `STATE`."""

NO_HEAD: StoredHead = 0, "no cursor", ()
"""What is read in place of one where entries have no stored cursor."""


class Beginning(NamedTuple):
    """Where a cursor stood behind its entries that were archived, unread."""

    cursor_id: int
    key: Row
    """In the order of `KEY`."""
    position: int
    """That of the last of them."""
    state: Row
    """In the order of `STATE`."""
    leaf: bytes | None
    """The digest that is kept of the last of them."""


class Ids(NamedTuple):
    """The cursors from the id `first` on, up to the one before `end`; None where it is open."""

    first: int | None = None
    end: int | None = None


EVERY = Ids()


class Log(Protocol):
    """What a verifier reads, all of it as of one moment. What it reads is distrusted.

    Its iterators raise BrokenChainError where the database finds its own file damaged.
    """

    def heads(self, ids: Ids = EVERY) -> Iterator[StoredHead]:
        """Return the stored cursors of `ids`, by id."""

    def rows(self, ids: Ids = EVERY) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of `ids`, by id and version."""

    def leaves(self) -> Iterator[tuple[int, bytes, Any]]:
        """Return (position, digest, recorded_at) of every entry, by position."""

    def settled(self) -> int:
        """Return the position up to which no entry can be added any more."""


@runtime_checkable
class Keeping(Protocol):
    """What a log has as well if its tree is kept beside it; a log need not. Distrusted, too."""

    def tree_rows(self, level: int, first: int = 0, end: int | None = None) -> Iterator[TreeRow]:
        """Return the rows of a level by number, from `first` to before `end`; none if not kept."""

    def leaves_after(
        self, position: int, most: int | None = None
    ) -> Iterator[tuple[int, bytes, Any]]:
        """Return (position, digest, recorded_at) of the entries behind `position`, by position."""


@runtime_checkable
class Spanning(Protocol):
    """What a log has as well if a span of its positions can be checked alone; a log need not.

    A span is behind `after`, and up to `until`. What is read is distrusted, too.
    """

    def row_at(self, position: int) -> Row | None:
        """Return the entry at a position, as `rows_before` does, or None if there is none."""

    def rows_between(self, after: int, until: int) -> Iterator[Row]:
        """Return the cursor id and then the row of each entry of a span, by id and version."""

    def rows_before(self, after: int, until: int) -> Iterator[Row]:
        """Return the entries outside of a span that those in it follow by their versions.

        They come by id and version. Behind each row is the digest of the entry that it follows
        itself, None if there is none.
        """

    def rows_of_place(self, cursor_id: int, version: int) -> Iterator[Row]:
        """Return the entries that say where a cursor stood before `version`, as `rows_before` does.

        These are the last one that moved it, and the first advance behind that one.
        """

    def heads_behind(self, after: int) -> Iterator[StoredHead]:
        """Return the stored cursors that have entries behind `after`, by id."""


@runtime_checkable
class Sharing(Protocol):
    """What a log has as well if its stored cursors can be checked in parts; a log need not."""

    def share(self, part: int, parts: int) -> Ids:
        """Return the ids of a part, from 0, of all that there may be; `parts` is a power of two.

        Each id is in one of the parts. Twice as many parts are the halves of these.
        """

    def last_rows(self, ids: Ids) -> Iterator[Row]:
        """Return the last entry of each stored cursor of `ids`, by id, as `rows_before` does."""

    def definitions(self) -> Iterator[Fault]:
        """Return what is wrong with the tables, as far as that takes as long in any log."""


@runtime_checkable
class Partible(Log, Keeping, Spanning, Sharing, Protocol):
    """A log of which a part can be checked."""


@runtime_checkable
class Begun(Protocol):
    """What a log has as well if entries of it may have been archived and removed. Distrusted."""

    def beginnings(self, ids: Ids = EVERY) -> Iterator[Beginning]:
        """Return where the cursors of `ids` stood then, by id; none if nothing was removed."""

    def archived(self) -> int:
        """Return how many entries were removed, of which the leaves are still there."""


class Beginnings:
    """Where cursors begin, asked for by id in their order."""

    def __init__(self, log: Log, ids: Ids = EVERY) -> None:
        self._left = log.beginnings(ids) if isinstance(log, Begun) else iter(())
        self._next = next(self._left, None)

    def before(self, cursor_id: int | None) -> Iterator[Beginning]:
        """Yield those that come before a cursor, which is not stored; all if that is None."""
        while (there := self._next) is not None and (
            cursor_id is None or _rank(there.cursor_id) < _rank(cursor_id)
        ):
            self._next = next(self._left, None)
            yield there

    def of(self, cursor_id: int) -> Beginning | None:
        """Return where a cursor begins; None if it does so with its first entry."""
        for _ in self.before(cursor_id):
            pass  # What was asked for by `before` is known; nobody else wants it.
        there = self._next
        if there is None or there.cursor_id != cursor_id:
            return None
        self._next = next(self._left, None)
        return there


def archived_digest(log: Log, key: CursorKey, version: int) -> bytes | None:
    """Return the digest of the last entry of a cursor that was archived, if that is `version`."""
    wanted = (key.consumer_id, key.stream_name, key.subject_id)
    for began in log.beginnings() if isinstance(log, Begun) else ():
        if began.key == wanted:
            state = dict(zip(STATE.names, began.state, strict=True))
            digest = state["digest"]
            found = state["version"] == version and isinstance(digest, bytes)
            return digest if found else None
    return None


def paired(log: Log, ids: Ids = EVERY) -> Iterator[tuple[StoredHead | None, Iterable[Row]]]:
    """Return every stored cursor with its entries, which may be none, and entries without a cursor.

    The entries of one must be read before the next one is asked for.
    """
    heads = log.heads(ids)
    head = next(heads, None)
    for cursor_id, group in groupby(log.rows(ids), key=itemgetter(0)):
        while head is not None and _rank(head[0]) < _rank(cursor_id):
            yield head, ()
            head = next(heads, None)
        rows = map(_ROW, group)
        if head is not None and head[0] == cursor_id:
            yield head, rows
            head = next(heads, None)
        else:
            yield None, rows
    while head is not None:
        yield head, ()
        head = next(heads, None)


_ROW = itemgetter(slice(1, None))


def _rank(cursor_id: Any) -> tuple[int, Any]:  # noqa: ANN401 - whatever stands in the column
    """Order ids of any type as SQLite orders them: NULL, numbers, text, blobs."""
    match cursor_id:
        case None:
            return 0, 0
        case int() | float():
            return 1, cursor_id
        case str():
            return 2, cursor_id.encode("utf-8", "surrogateescape")
        case _:
            return 3, cursor_id
