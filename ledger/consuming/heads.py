"""How far streams go: the head of a stream is the cursor of the ledger's own consumer on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Protocol

import attrs

from ledger.law.cursor import Cursor, CursorKey
from ledger.law.pairs import EMPTY
from ledger.law.queries import CursorQuery
from ledger.law.refusals import NonMonotonicCursorError, StaleEpochError
from ledger.law.requests import AdvanceCursor, Request, make_advance
from ledger.law.reserved import HEAD

__all__ = ["OVERTAKEN", "Heads", "all_heads", "following", "head_key", "recording"]


class Book(Protocol):
    """What heads ask of a ledger."""

    def get(self, key: CursorKey) -> Cursor:
        """Return the cursor of `key`."""

    def find(self, key: CursorKey) -> Cursor | None:
        """Return the cursor of `key`, or None if it has no entries."""

    def cursors(self, query: CursorQuery | None = None) -> Iterator[Cursor]:
        """Yield the cursors that `query` chooses."""

    def append(self, requests: Iterable[Request]) -> list[Cursor]:
        """Append `requests` in one transaction."""


def head_key(stream_name: str, subject_id: str = "") -> CursorKey:
    """Return the key of the cursor that is the head of a stream, or of a subject in it.

    Raises InvalidCursorError.
    """
    return CursorKey(HEAD, stream_name, subject_id)


class Heads:
    """The heads of the streams: the highest sequence that exists on each; see `Ledger.heads`.

    A head is an ordinary cursor, of the consumer `cursor-ledger/head`: it has a history, is covered
    by `verify`, and is reset where a stream begins again. Producers record it. An empty
    `subject_id` means the whole stream; the head of a subject is another cursor than that.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     head = book.heads.record("orders", "", 44)
    ...     book.heads.record("orders", "", 41).last_sequence
    ...     [(head.key.stream_name, head.last_sequence) for head in book.heads.all()]
    44
    [('orders', 44)]
    """

    def __init__(self, book: Book) -> None:
        self._book = book

    def record(
        self,
        stream_name: str,
        subject_id: str,
        sequence: int,
        *,
        now: datetime | None = None,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Cursor:
        """Record that `sequence`, from 1, exists on a stream; return the head as it is then.

        Where the head is there already, or further, nothing is appended, and nothing raised: a
        producer that is late has said nothing new. Producers may therefore race. A head goes back
        only by `Ledger.reset`, with a reason.

        `now` is the caller's time, `actor` who records it, and `metadata` is kept with the entry.

        Raises InvalidCursorError.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     book.heads.record("orders", "customer-7", 44).last_sequence
        44
        """
        request = recording(
            stream_name, subject_id, sequence, now=now, actor=actor, metadata=metadata
        )
        while True:
            head = self._book.find(request.key)
            if head is not None and head.last_sequence >= sequence:
                return head
            try:
                [after] = self._book.append([following(head, request)])
            except OVERTAKEN:
                continue
            return after

    def get(self, stream_name: str, subject_id: str = "") -> Cursor:
        """Return the head of a stream, or of a subject in it.

        Raises InvalidCursorError, CursorNotFoundError if none was recorded.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     head = book.heads.record("orders", "", 44)
        ...     book.heads.get("orders") == head
        True
        """
        return self._book.get(head_key(stream_name, subject_id))

    def find(self, stream_name: str, subject_id: str = "") -> Cursor | None:
        """Return the head of a stream, or of a subject in it; None if none was recorded.

        Raises InvalidCursorError.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     print(book.heads.find("orders"))
        None
        """
        return self._book.find(head_key(stream_name, subject_id))

    def all(self, stream_name: str = "", subject_id: str = "") -> Iterator[Cursor]:
        """Yield the heads, lazily, by stream and subject; `stream_name` chooses those of a stream.

        `subject_id` chooses those of a subject. Raises InvalidCursorError.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     heads = [book.heads.record("orders", subject, 44) for subject in ("", "eu")]
        ...     [head.key.subject_id for head in book.heads.all("orders")]
        ['', 'eu']
        """
        return self._book.cursors(all_heads(stream_name, subject_id))


OVERTAKEN = (NonMonotonicCursorError, StaleEpochError)
"""Somebody recorded a higher head, or reset it, after it was read: it is read again."""


def recording(
    stream_name: str,
    subject_id: str,
    sequence: int,
    *,
    now: datetime | None,
    actor: str,
    metadata: Mapping[str, str] | None,
) -> AdvanceCursor:
    """Return the advance of a head.

    Raises InvalidCursorError.
    """
    return make_advance(
        head_key(stream_name, subject_id),
        sequence,
        now=now,
        actor=actor,
        metadata=EMPTY if metadata is None else metadata,
    )


def following(head: Cursor | None, request: AdvanceCursor) -> AdvanceCursor:
    """Return the request with the epoch that was read, which a ledger may require."""
    return attrs.evolve(request, epoch=head.epoch if head else 0)


def all_heads(stream_name: str, subject_id: str) -> CursorQuery:
    """Return the query that chooses heads; an empty part chooses all."""
    return CursorQuery(consumer_id=HEAD, stream_name=stream_name, subject_id=subject_id)
