"""Entries as they are appended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import attrs

from ledger import Entry, EntryQuery, Ledger
from ledger.errors import invalid
from ledger.law import fields
from ledger.service import told_of_entries
from projections.cursors import last_position

__all__ = ["POLL_S", "follow", "pause_between_polls", "rests"]

POLL_S = 0.25

STOP_S = 0.05
"""So often one that waits for entries looks whether it was stopped."""

APART_S = 0.025
"""So much time is between two looks at the log at least."""


def follow(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    after: int = 0,
    poll_s: float = POLL_S,
    stop: threading.Event | None = None,
) -> Iterator[Entry]:
    """Yield the entries that `query` chooses after position `after`, then each as it is appended.

    Ends once `stop` is set, else never. It is woken when an entry is appended, and looks at the log
    every `poll_s` seconds besides, from 0.001 to 3,600. Order and limit of `query` do not count.

    `book` is the ledger.

    Raises InvalidCursorError.

    >>> import threading
    >>> import ledger
    >>> from projections import follow
    >>> stop = threading.Event()
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     for entry in follow(book, stop=stop):
    ...         print(entry.position, entry.event.sequence)
    ...         stop.set()
    1 41
    """
    position = fields.sequence(after, "after", least=0)
    pause = pause_between_polls(poll_s)
    over = stop or threading.Event()
    chosen = attrs.evolve(query or EntryQuery(), newest_first=False, limit=0)
    while True:
        until = last_position(book)
        if until > position:
            yield from book.entries(
                attrs.evolve(
                    chosen,
                    position_from=max(position + 1, chosen.position_from or 0),
                    position_until=min(until, chosen.position_until or until),
                )
            )
            position = until
        if rests(book, position, pause, over):
            return


def rests(book: Ledger, position: int, pause_s: float, stop: threading.Event) -> bool:
    """Wait for an entry beyond `position`, `pause_s` at most; return whether `stop` is set.

    An entry that is not settled yet ends the wait as well, so it takes no less than 25 ms.
    """
    began = time.monotonic()
    news = threading.Event()
    with told_of_entries(book, position, news.set) as tells:
        while tells and not news.is_set() and not stop.is_set():
            left_s = began + pause_s - time.monotonic()
            if left_s <= 0:
                break
            news.wait(min(left_s, STOP_S))
    rest_s = min(pause_s, APART_S) if tells else pause_s
    return stop.wait(max(0.0, began + rest_s - time.monotonic()))


def pause_between_polls(poll_s: object) -> float:
    """Return `poll_s` if it is from 0.001 to 3,600 seconds. Raises InvalidCursorError."""
    if (
        not isinstance(poll_s, int | float)
        or isinstance(poll_s, bool)
        or not 0.001 <= poll_s <= 3_600
    ):
        raise invalid("poll_s", f"must be from 0.001 to 3600 seconds, not {poll_s!r:.80}.")
    return float(poll_s)
