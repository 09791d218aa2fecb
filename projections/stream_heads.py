"""What cursors are compared with, read beside them, in the same order: heads, and other cursors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest
from itertools import groupby

import attrs

from ledger import Cursor, CursorQuery, Ledger
from ledger.law.reserved import is_reserved
from ledger.positions import PositionMapping

__all__ = ["Fronts", "StreamHead", "StreamHeads"]


@attrs.frozen(eq=False)
class StreamHead:
    """How far a stream goes; `cursor` is its head in the ledger, None if it was given."""

    sequence: int
    cursor: Cursor | None = None


class Fronts:
    """The furthest of the other cursors of each stream and subject, in the order of cursors."""

    def __init__(self, book: Ledger, query: CursorQuery) -> None:
        self._book = book
        self._query = CursorQuery(stream_name=query.stream_name, subject_id=query.subject_id)
        self._coming: Iterator[tuple[tuple[str, str], list[Cursor]]] | None = None
        self._next: tuple[tuple[str, str], list[Cursor]] | None = None

    def of(self, cursor: Cursor) -> Cursor | None:
        """Return the one beside `cursor` that is furthest, if there is one; they come in order."""
        if self._coming is None:
            # Mostly nothing is behind, and then they need not be read.
            self._coming = self._read()
            self._next = next(self._coming, None)
        here = _place(cursor)
        while self._next is not None and self._next[0] < here:
            self._next = next(self._coming, None)
        if self._next is None or self._next[0] != here:
            return None
        return next((each for each in self._next[1] if each.key != cursor.key), None)

    def _read(self) -> Iterator[tuple[tuple[str, str], list[Cursor]]]:
        for here, cursors in groupby(self._book.cursors(self._query), _place):
            # One of the two may be the one that is asked about.
            yield here, nlargest(2, cursors, key=lambda each: each.last_sequence)


def _place(cursor: Cursor) -> tuple[str, str]:
    return cursor.key.stream_name, cursor.key.subject_id


class StreamHeads:
    """Heads in the order of the cursors that are compared with them, each read once.

    Streams of tokens have none: each cursor numbers them for itself, and no head is of its numbers.
    Nor have the ledger's own cursors, such as the heads themselves.
    """

    def __init__(
        self,
        book: Ledger,
        query: CursorQuery,
        given: Mapping[tuple[str, str], int],
        *,
        stream_heads: bool,
    ) -> None:
        self.fronts = Fronts(book, query)
        self._book = book
        self._stream_heads = stream_heads
        self._given = {place: StreamHead(sequence) for place, sequence in given.items()}
        subject = "" if stream_heads else query.subject_id
        self._coming = book.heads.all(query.stream_name, subject)
        self._next = next(self._coming, None)
        self._of_tokens = frozenset(
            each.stream_name
            for each in book.positions.list()
            if each.mapping is PositionMapping.TOKENS
        )
        self._place = ("", "")
        self._last: StreamHead | None = None
        self._of_stream: tuple[str, StreamHead | None] = ("", None)

    def of(self, cursor: Cursor) -> StreamHead | None:
        """Return the head that `cursor` is compared with; cursors come in order."""
        if cursor.key.stream_name in self._of_tokens or is_reserved(cursor.key.consumer_id):
            return None
        place = (cursor.key.stream_name, cursor.key.subject_id)
        if place != self._place:
            self._place = place
            self._go_on(place)
        head = self._given.get(place) or self._last
        if head is None and self._stream_heads:
            stream = place[0]
            head = self._given.get((stream, ""))
            if head is None and self._of_stream[0] == stream:
                head = self._of_stream[1]
        if head and head.cursor and head.sequence < cursor.last_sequence:
            head = self._again(head.cursor)
        return head

    def _go_on(self, place: tuple[str, str]) -> None:
        self._last = None
        while self._next is not None:
            key = self._next.key
            coming = (key.stream_name, key.subject_id)
            if coming > place:
                return
            head = StreamHead(self._next.last_sequence, self._next)
            if coming == place:
                self._last = head
            if not key.subject_id:
                self._of_stream = (key.stream_name, head)
            self._next = next(self._coming, None)

    def _again(self, head: Cursor) -> StreamHead:
        """Read a head again: the cursor may have been read after it, and be ahead by that only."""
        newest = self._book.get(head.key)
        again = StreamHead(newest.last_sequence, newest)
        if self._last is not None and self._last.cursor is head:
            self._last = again
        if self._of_stream[1] is not None and self._of_stream[1].cursor is head:
            self._of_stream = (head.key.stream_name, again)
        return again
