"""Entries as they are appended."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import attrs

from ledger import Entry, EntryQuery, Ledger
from ledger.errors import invalid
from ledger.law import fields
from projections.cursors import last_position

__all__ = ["POLL_S", "follow", "pause_between_polls"]

POLL_S = 0.25


def follow(
    book: Ledger,
    query: EntryQuery | None = None,
    *,
    after: int = 0,
    poll_s: float = POLL_S,
    stop: threading.Event | None = None,
) -> Iterator[Entry]:
    """Yield the entries that `query` chooses after position `after`, then each as it is appended.

    Ends once `stop` is set, else never. The log is looked at every `poll_s` seconds, from 0.001 to
    3,600. Order and limit of `query` do not count.

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
        if over.wait(pause):
            return


def pause_between_polls(poll_s: object) -> float:
    """Return `poll_s` if it is from 0.001 to 3,600 seconds. Raises InvalidCursorError."""
    if (
        not isinstance(poll_s, int | float)
        or isinstance(poll_s, bool)
        or not 0.001 <= poll_s <= 3_600
    ):
        raise invalid("poll_s", f"must be from 0.001 to 3600 seconds, not {poll_s!r:.80}.")
    return float(poll_s)
