"""Which cursors stand still or keep failing now: found from where they stand, not from the log.

It finds what `stalls` and `error_streaks` find that has not ended, by a few looks at each cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import attrs

from ledger import (
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
    Move,
)
from ledger.law.reserved import HEAD, is_reserved
from projections.ends import End
from projections.passing import Search, look_up
from projections.present import Present, confirms, message, place
from projections.stalls import Stall, longest_first, stalls
from projections.streaks import ErrorStreak

__all__ = ["Ongoing"]

PAIRS_MAX = 2_000
"""If more pairs of cursors would have to be compared than that, the entries of them are read."""


@attrs.define(eq=False)
class _Peers:
    """The cursors that are compared with one another, and how `stalls` is asked of their entries.

    These are the cursors of one stream and subject, or of one consumer and stream.
    """

    entries: EntryQuery
    ends: list[End] = attrs.field(factory=list)
    doubtful: list[End] = attrs.field(factory=list)
    """Those of them that may be stalled."""
    behind: list[End] = attrs.field(factory=list)
    """Those that the head is beyond."""

    @property
    def pairs(self) -> int:
        return len(self.doubtful) * len(self.ends)


class Ongoing:
    """What stands still or fails among the cursors that `query` chooses."""

    def __init__(self, book: Ledger, query: CursorQuery) -> None:
        self._present = Present(book, query)

    # --- streaks ---

    def streaks(self, least: int) -> list[ErrorStreak]:
        """Return the streaks of at least `least` errors, in the order in which they began."""
        found = [self._streak(end) for end in self._present.ends if end.errors >= least]
        return sorted(filter(None, found), key=lambda streak: streak.first_position)

    def _streak(self, end: End) -> ErrorStreak | None:
        key = end.cursor.key
        first = self._present.entry(end, EntryQuery(key=key, version_from=end.first_error))
        last = self._present.entry(
            end, EntryQuery(key=key, kinds=[ErrorRecorded], newest_first=True)
        )
        if first is None or last is None:
            return None  # None of it is settled.
        return ErrorStreak(
            key=key,
            last_sequence=end.cursor.last_sequence,
            count=end.errors,
            first_message=message(first),
            last_message=message(last),
            actor=last.actor,
            first_at=first.recorded_at,
            last_at=last.recorded_at,
            first_position=first.position,
            last_position=last.position,
        )

    # --- stalls ---

    def stalls(self, after: timedelta, *, siblings: bool) -> list[Stall]:
        """Return the stalls, the longest first; arguments are those of `stalls`."""
        found: list[Stall] = []
        peers: dict[tuple[str, str], _Peers] = {}
        for end in self._present.ends:
            key = end.cursor.key
            if is_reserved(key.consumer_id):
                continue
            query = EntryQuery(stream_name=key.stream_name, subject_id=key.subject_id)
            group = peers.setdefault(place(key), _Peers(query))
            group.ends.append(end)
            (group.behind if self._is_behind_head(end) else group.doubtful).append(end)
        for group in peers.values():
            found += self._behind_heads(group, after)
        groups = [group for group in peers.values() if len(group.ends) > 1]
        found += self._behind_others(groups, after, siblings=False)
        if siblings:
            found += self._behind_others(self._families(peers), after, siblings=True)
        return longest_first(found)

    def _families(self, peers: dict[tuple[str, str], _Peers]) -> list[_Peers]:
        """Return the cursors of each consumer and stream; those that are alone are in doubt."""
        families: dict[tuple[str, str], _Peers] = {}
        for where, group in peers.items():
            is_alone = len(group.ends) == 1 and where not in self._present.heads
            for end in group.ends:
                key = end.cursor.key
                query = EntryQuery(consumer_id=key.consumer_id, stream_name=key.stream_name)
                family = families.setdefault((key.consumer_id, key.stream_name), _Peers(query))
                family.ends.append(end)
                if is_alone:
                    family.doubtful.append(end)
        return list(families.values())

    def _is_behind_head(self, end: End) -> bool:
        return end.behind > 0 and place(end.cursor.key) in self._present.heads

    def _behind_heads(self, group: _Peers, after: timedelta) -> Iterator[Stall]:
        """Yield the stalls of those in a group that the head is beyond."""
        since: dict[CursorKey, datetime] = {}
        late: list[End] = []
        for end in group.behind:
            moved_at, position = self._present.stood(end)
            since[end.cursor.key] = moved_at
            if not self._present.lasts(moved_at, after):
                continue
            if end.passed is not None and end.passed.position > position:
                since[end.cursor.key] = max(moved_at, end.passed.recorded_at)
                late.append(end)
        # Others may have confirmed what is there before anybody recorded a head of it.
        since |= self._confirmed_before(group, late)
        for end in group.behind:
            if self._present.lasts(began := since[end.cursor.key], after):
                head = self._present.heads[place(end.cursor.key)]
                front_at = self._present.changed_at(head)
                yield self._stall(end, began, head.cursor.last_sequence, HEAD, front_at)

    def _confirmed_before(self, group: _Peers, late: Sequence[End]) -> dict[CursorKey, datetime]:
        """Return since when others are beyond those of `late`, if before the head was."""
        if len(late) * len(group.ends) > PAIRS_MAX:
            entries = stalls(self._present.book.entries(group.entries), after=timedelta(0))
            wanted = {end.cursor.key for end in late}
            return {
                stall.key: stall.since
                for stall in entries
                if stall.until is None and stall.key in wanted
            }
        found = {}
        for end, first in self._first_passing([(end, group) for end in late]):
            if end.passed is not None and first.position < end.passed.position:
                found[end.cursor.key] = max(first.recorded_at, self._present.stood(end)[0])
        return found

    def _behind_others(
        self, groups: Iterable[_Peers], after: timedelta, *, siblings: bool
    ) -> Iterator[Stall]:
        """Yield the stalls among `groups` of those that are in doubt."""
        small: list[_Peers] = []
        pairs = 0
        for group in groups:
            group.doubtful = _stood_long(group, after)
            if not group.pairs:
                continue
            pairs += group.pairs
            if pairs <= PAIRS_MAX:
                small.append(group)
            else:
                yield from self._read(group, after, siblings=siblings)
        yield from self._compared(small, after, siblings=siblings)

    def _read(self, group: _Peers, after: timedelta, *, siblings: bool) -> Iterator[Stall]:
        """Yield what `stalls` finds among the entries of a group."""
        wanted = {end.cursor.key for end in group.doubtful}
        entries = self._present.book.entries(group.entries)
        for stall in stalls(entries, after=after, siblings=siblings):
            if stall.until is None and stall.key in wanted:
                yield stall

    def _compared(
        self, groups: Sequence[_Peers], after: timedelta, *, siblings: bool
    ) -> Iterator[Stall]:
        asked = [(end, group) for group in groups for end in group.doubtful]
        among = {end.cursor.key: group for end, group in asked}
        for end, first in self._first_passing(asked):
            since = max(first.recorded_at, self._present.stood(end)[0])
            group = among[end.cursor.key]
            stall = self._waiting(end, group, since, after, siblings=siblings)
            if stall is not None:
                yield stall

    def _first_passing(
        self, asked: Sequence[tuple[End, _Peers]]
    ) -> Iterator[tuple[End, Entry | Move]]:
        """Yield what first came past a cursor since it stands there, of those where something did.

        Each is asked about among its peers.
        """
        searches: dict[tuple[CursorKey, CursorKey], Search] = {}
        for end, group in asked:
            _, position = self._present.stood(end)
            for other in _others(end, group):
                if other.move is not None and other.move.position > position:
                    searches[end.cursor.key, other.cursor.key] = _later(other, position)
        look_up(self._present.book, list(searches.values()))
        for end, group in asked:
            passed = [
                passing
                for other in _others(end, group)
                if (later := searches.get((end.cursor.key, other.cursor.key))) is not None
                and (passing := self._passing(other, later, end.cursor.last_sequence))
            ]
            if passed:
                yield end, min(passed, key=lambda each: each.position)

    def _waiting(
        self, end: End, group: _Peers, since: datetime, after: timedelta, *, siblings: bool
    ) -> Stall | None:
        """Return the stall of a cursor that others are beyond, if it lasts."""
        past = [
            (other.cursor.last_sequence, _name(other, siblings=siblings), confirmed, other)
            for other in _others(end, group)
            if other.cursor.last_sequence > end.cursor.last_sequence
            and (confirmed := self._present.confirmed_at(other)) is not None
        ]
        if not past:
            return None
        front, _, _, furthest = max(past, key=lambda each: each[:2])
        front_at = max(confirmed for _, _, confirmed, _ in past)
        if front_at - since < after:
            return None
        return self._stall(end, since, front, furthest.cursor.key.consumer_id, front_at)

    def _passing(self, other: End, later: Search, sequence: int) -> Entry | Move | None:
        """Return the first advance of `other` beyond `sequence`, from where `later` found it."""
        key, move, cursor = other.cursor.key, later.found, other.cursor
        if move is None:
            return None
        if move.epoch == cursor.epoch and move.sequence <= sequence:
            if cursor.last_sequence <= sequence:
                return None
            # It is reset no more, so its sequences only grow.
            search = Search(
                key,
                move.version,
                cursor.version,
                lambda each: each.sequence > sequence,
                sought=sequence + 1,
                low_sequence=move.sequence,
                high_sequence=cursor.last_sequence,
            )
            look_up(self._present.book, [search])
            return search.found
        query = EntryQuery(
            key=key,
            kinds=[CursorAdvanced],
            version_from=move.version,
            version_until=cursor.version,
        )
        return self._present.first_of(
            query, lambda entry: confirms(entry) and _sequence(entry) > sequence
        )

    def _stall(
        self, end: End, since: datetime, front: int, front_consumer: str, front_at: datetime
    ) -> Stall:
        moved_at, _ = self._present.stood(end)
        errors, last_error = self._present.errors(end)
        return Stall(
            key=end.cursor.key,
            last_sequence=end.cursor.last_sequence,
            moved_at=moved_at,
            since=since,
            until=None,
            front=front,
            front_consumer=front_consumer,
            front_at=front_at,
            errors=errors,
            last_error=last_error,
        )


def _others(end: End, group: _Peers) -> Iterator[End]:
    return (other for other in group.ends if other is not end)


def _name(end: End, *, siblings: bool) -> str:
    """Return what tells a cursor from those that it is compared with."""
    return end.cursor.key.subject_id if siblings else end.cursor.key.consumer_id


def _stood_long(group: _Peers, after: timedelta) -> list[End]:
    """Return those that may be stalled: others were there for `after`, since they came there."""
    moved = [end.arrival.recorded_at for end in group.ends if end.arrival is not None]
    last = max(moved, default=None)
    if last is None:
        return []
    return [
        end
        for end in group.doubtful
        if end.arrival is None or last - end.arrival.recorded_at >= after
    ]


def _later(other: End, position: int) -> Search:
    """Return the search for the first move of `other` behind `position` in the log."""
    key, version = other.cursor.key, other.cursor.version
    return Search(key, 0, version, lambda move: move.position > position)


def _sequence(entry: Entry) -> int:
    return 0 if isinstance(entry.event, ErrorRecorded) else entry.event.sequence
