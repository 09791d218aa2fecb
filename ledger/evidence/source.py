"""What a verifier asks a log for, and the entries of each cursor beside its stored state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

from ledger.log.rows import Row

__all__ = ["EVERY", "Ids", "Log", "StoredHead", "paired"]

StoredHead: TypeAlias = tuple[int, str, Row]
"""A stored cursor, unread: its id, its key as text, its state in the order of `STATE`."""


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
        """Return the position up to which every entry is there that will ever be."""


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
