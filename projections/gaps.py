"""What a cursor jumped over: a function of its history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, overload

import attrs

from ledger import CursorAdvanced, CursorKey, Entry, ErrorRecorded
from ledger.law.takeovers import is_takeover
from projections.coroutines import yielding
from projections.crossings import crossings
from projections.histories import one_cursor
from projections.ranges import span
from projections.undoing import Jumped

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["Gap", "gaps"]


@attrs.frozen(kw_only=True)
class Gap:
    """Sequences from `first` to `last` that an advance jumped over, the last time it passed them.

    `position` is that of the advance. `certain` says that the stream is dense, so that they must
    have been there; else they are candidates. `initial` says that the cursor began with this
    advance, perhaps after errors and takeovers: what lies before it was perhaps never meant for it.

    `key` is that of the cursor.

    >>> import ledger
    >>> from projections import gaps
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (1, 5)]
    ...     [gap] = gaps(book.history(key), dense=True)
    >>> gap.first, gap.last, gap.position, gap.certain, gap.initial
    (2, 4, 2, True, False)
    """

    key: CursorKey
    first: int
    last: int
    position: int
    certain: bool
    initial: bool

    def __str__(self) -> str:
        return (
            f"{self.key}: {span(self.first, self.last)} jumped over "
            f"by the advance at position {self.position}"
        )


@overload
def gaps(history: Iterable[Entry], *, dense: bool = False) -> Iterator[Gap]: ...


@overload
def gaps(history: Stream[Entry], *, dense: bool = False) -> Stream[Gap]: ...


@yielding
def gaps(history: Iterable[Entry], *, dense: bool = False) -> Iterator[Gap]:
    """Yield what the cursor of `history` jumped over and has not landed on since, in order.

    An advance of more than one sequence lands on the last and jumps over the others. What is landed
    on later, after a reset back, or confirmed where a reset led, is not a gap any more; what a
    reset skipped has its reason, and is not a gap either, nor is what lies before the place where
    the cursor was started: it is before the ledger's time. What was delivered once, and jumped over
    after a reset that asked for it again, is a gap. An undo restores what stood before the
    reset that it undoes, gaps included. `dense` says that each sequence of the stream exists. A gap
    takes 24 bytes of memory until the end of the history is reached, because any entry may still
    fill it; so does a range that resets touched.

    `history` is the entries of one cursor, in order.

    Raises InvalidCursorError if the entries are not all of one cursor.

    >>> import ledger
    >>> from projections import gaps
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (1, 2, 5, 6)]
    ...     for gap in gaps(book.history(key)):
    ...         print(gap)
    webhooks/orders: 3 to 4 jumped over by the advance at position 3
    """
    jumped = Jumped()
    key: CursorKey | None = None
    beginning = 0
    is_new = True
    for entry in one_cursor(history):
        key, event = entry.key, entry.event
        if isinstance(event, CursorAdvanced):
            if is_new and event.previous_sequence == 0:
                beginning = entry.position
            is_new = False
        elif not (isinstance(event, ErrorRecorded) or is_takeover(entry)):
            is_new = False
        for first, last, how in crossings(event):
            jumped.note(entry, first, last, how)
    if key is None:
        return
    for first, last, position in jumped.found:
        yield Gap(
            key=key,
            first=first,
            last=last,
            position=position,
            certain=dense,
            initial=position == beginning,
        )
