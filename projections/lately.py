"""The entries that tell which troubles lasted at a time or later, in place of all entries.

What `stalls` and `error_streaks` say of them is written once, there. What is here leaves entries
out, and only those without which they say the same.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain

import attrs

from ledger import Cursor, CursorAdvanced, CursorKey, CursorQuery, Entry, EntryQuery, Ledger
from ledger.law.reserved import HEAD, POSITIONS
from projections.cursors import last_position

__all__ = ["lately"]

ENTRIES_PER_LOOK = 50
"""How many entries are read while one cursor is looked at: more cursors than that cost more."""


def lately(book: Ledger, query: EntryQuery, since: datetime) -> Iterator[Entry]:
    """Return the entries of some streams, by position, from before `since` as far as needed.

    A cursor stands where it last confirmed something, or where it was reset to later. All entries
    of its stream are needed from there on, and none before, but where the head was then.
    A cursor that stopped long ago needs a long look at its stream, and at no other.
    """
    until = last_position(book)
    query = attrs.evolve(query, position_until=until)
    chosen = CursorQuery(stream_name=query.stream_name, subject_id=query.subject_id, reserved=True)
    beginnings: dict[str, int] = {}
    heads: dict[str, list[CursorKey]] = defaultdict(list)
    for nth, cursor in enumerate(book.cursors(chosen), start=1):
        if nth * ENTRIES_PER_LOOK > until:
            return book.entries(query)
        key = cursor.key
        if key.consumer_id == POSITIONS:
            continue  # It never moves, and is asked for apart.
        if key.consumer_id == HEAD:
            heads[key.stream_name].append(key)
        before = beginnings.get(key.stream_name, until)
        beginnings[key.stream_name] = min(before, _stood(book, cursor, since, until))
    return heapq.merge(
        *(
            _of_stream(book, attrs.evolve(query, stream_name=stream), beginning, heads[stream])
            for stream, beginning in beginnings.items()
        ),
        key=lambda entry: entry.position,
    )


def _stood(book: Ledger, cursor: Cursor, since: datetime, until: int) -> int:
    """Return the position at which a cursor last confirmed something new before `since`.

    Where it never did, that of its first entry.
    """
    advances = EntryQuery(
        key=cursor.key,
        kinds=[CursorAdvanced],
        recorded_until=since,
        position_until=until,
        newest_first=True,
    )
    for entry in book.entries(advances):
        event = entry.event
        if entry.recorded_at == since:
            continue  # What ended then is one of those that are looked for.
        if isinstance(event, CursorAdvanced) and event.sequence != event.previous_sequence:
            return entry.position
    first = EntryQuery(key=cursor.key, position_until=until, limit=1)
    return next((entry.position for entry in book.entries(first)), until)


def _of_stream(
    book: Ledger, query: EntryQuery, beginning: int, heads: Iterable[CursorKey]
) -> Iterator[Entry]:
    """Yield the entries of a stream from `beginning` on, after what was so before."""
    before = beginning - 1
    asked = [
        EntryQuery(key=head, position_until=before, newest_first=True, limit=1) for head in heads
    ]
    # Whether the stream is one of tokens.
    declared = EntryQuery(
        consumer_id=POSITIONS, stream_name=query.stream_name, position_until=before
    )
    known = chain.from_iterable(map(book.entries, [*asked, declared] if before else []))
    yield from sorted(known, key=lambda entry: entry.position)
    yield from book.entries(attrs.evolve(query, position_from=beginning))
