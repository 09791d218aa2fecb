"""The heads that cursors are compared with, read beside them, in the same order."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ledger import Cursor, CursorQuery, Ledger
from ledger.law.reserved import is_reserved
from ledger.positions import PositionMapping

__all__ = ["StreamHead", "StreamHeads"]


@attrs.frozen(eq=False)
class StreamHead:
    """How far a stream goes; `cursor` is its head in the ledger, None if it was given."""

    sequence: int
    cursor: Cursor | None = None


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
