"""Where cursors stand, and how they came there: the ends of their histories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

import attrs

from ledger import (
    Cursor,
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
)
from ledger.law.reserved import HEAD, is_reserved
from projections.ends import End, find_ends, find_since
from projections.lag import BATCH_MAX
from projections.passing import Search, look_up
from projections.stream_heads import StreamHead

__all__ = ["Present", "confirms", "message", "place"]

FEW = 4


class Present:
    """How the histories of the cursors that `query` chooses end, those of heads among them.

    Memory grows with the number of cursors.
    """

    def __init__(self, book: Ledger, query: CursorQuery) -> None:
        self.book = book
        self.ends: list[End] = []
        self.heads: dict[tuple[str, str], End] = {}
        self._first: dict[CursorKey, Entry] = {}
        self._last: datetime | None = None
        self._is_last_exact = False
        cursors = list(book.cursors(attrs.evolve(query, reserved=True)))
        heads = {place(each.key): each for each in cursors if each.key.consumer_id == HEAD}
        rest = iter(cursors)
        while batch := list(islice(rest, BATCH_MAX)):
            ends = [End(cursor, _head(cursor, heads)) for cursor in batch]
            find_since(book, ends)
            find_ends(book, ends, datetime.max.replace(tzinfo=UTC), every=True)
            self.ends += filter(self._is_known, ends)
        for end in self.ends:
            if end.cursor.key.consumer_id == HEAD and end.move is not None:
                self.heads[place(end.cursor.key)] = end

    def _is_known(self, end: End) -> bool:
        """Look up how a cursor began that never moved; say whether that is settled."""
        if end.arrival is None:
            first = self.entry(end, EntryQuery(key=end.cursor.key, limit=1))
            if first is None:
                return False
            self._first[end.cursor.key] = first
        return True

    def entry(self, end: End, query: EntryQuery) -> Entry | None:
        """Return the first that `query` chooses of the entries of a cursor that are settled."""
        one = attrs.evolve(query, version_until=end.cursor.version, limit=1)
        return next(iter(self.book.entries(one)), None)

    def stood(self, end: End) -> tuple[datetime, int]:
        """Return since when a cursor stands where it does, and the position of that entry."""
        if end.arrival is not None:
            return end.arrival.recorded_at, end.arrival.position
        # It has nothing but errors, and takeovers.
        first = self._first[end.cursor.key]
        return first.recorded_at, first.position

    def first_of(self, query: EntryQuery, is_wanted: Callable[[Entry], bool]) -> Entry | None:
        """Return the first entry that is wanted of those that `query` chooses."""
        # It is nearly always among the first few, and a page has more.
        few = list(self.book.entries(attrs.evolve(query, limit=FEW)))
        found = next(filter(is_wanted, few), None)
        if found is not None or len(few) < FEW:
            return found
        return next(filter(is_wanted, self.book.entries(query)), None)

    def changed_at(self, head: End) -> datetime:
        """Return when the head came to another sequence; a reset to the same one does not count."""
        move = head.arrival
        while move is not None and move.previous_sequence == move.sequence and move.version > 1:
            [before] = self.book.moves([(head.cursor.key, move.version - 1)])
            if before is None:
                break
            place = (before.epoch, before.sequence)
            search = Search(
                head.cursor.key,
                0,
                before.version,
                lambda each, place=place: (each.epoch, each.sequence) >= place,  # type: ignore[misc]
            )
            look_up(self.book, [search])
            move = search.found
        return move.recorded_at if move is not None else self.stood(head)[0]

    def confirmed_at(self, end: End) -> datetime | None:
        """Return when a cursor last came somewhere by an advance; None if it never did."""
        move = end.arrival
        if move is None:
            return None
        if not move.epoch:
            return None if move.previous_sequence in {None, move.sequence} else move.recorded_at
        query = EntryQuery(
            key=end.cursor.key,
            kinds=[CursorAdvanced],
            version_until=move.version,
            newest_first=True,
        )
        last = self.first_of(query, confirms)
        return last.recorded_at if last is not None else None

    def errors(self, end: End) -> tuple[int, str]:
        """Return how many errors there are since a cursor came there, and the last of them."""
        since = end.arrival.version if end.arrival is not None else 0
        if end.cursor.version == since:
            return 0, ""
        query = EntryQuery(
            key=end.cursor.key,
            kinds=[ErrorRecorded],
            version_from=since + 1,
            version_until=end.cursor.version,
        )
        if end.move is None or end.move.version == since:
            return end.cursor.version - since, end.cursor.last_error
        # It also confirmed again where it stands, or was taken over.
        errors, last_error = 0, ""
        for entry in self.book.entries(query):
            errors, last_error = errors + 1, message(entry)
        return errors, last_error

    def lasts(self, since: datetime, after: timedelta) -> bool:
        """Return whether the last time of the log is `after` or more after `since`."""
        if self._last is None:
            # The heads have moved, so there is one.
            self._last = max(end.move.recorded_at for end in self.ends if end.move is not None)
        if self._last - since < after and not self._is_last_exact:
            # Errors may have been recorded later, and are looked up only if it depends on them.
            self._last = max(chain([self._last], self._last_errors()))
            self._is_last_exact = True
        return self._last - since >= after

    def _last_errors(self) -> Iterator[datetime]:
        for end in self.ends:
            if end.move is None or end.move.version < end.cursor.version:
                newest = self.entry(end, EntryQuery(key=end.cursor.key, newest_first=True))
                if newest is not None:
                    yield newest.recorded_at


def place(key: CursorKey) -> tuple[str, str]:
    """Return the stream and subject of a cursor."""
    return key.stream_name, key.subject_id


def _head(cursor: Cursor, heads: dict[tuple[str, str], Cursor]) -> StreamHead | None:
    head = heads.get(place(cursor.key))
    if head is None or is_reserved(cursor.key.consumer_id):
        return None
    return StreamHead(head.last_sequence, head)


def confirms(entry: Entry) -> bool:
    """Return whether an advance went somewhere."""
    event = entry.event
    return isinstance(event, CursorAdvanced) and event.sequence != event.previous_sequence


def message(entry: Entry) -> str:
    """Return what an error says; empty if the entry is none."""
    return entry.event.message if isinstance(entry.event, ErrorRecorded) else ""
