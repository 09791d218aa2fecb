"""How histories end: when cursors came to where they stand, and how often they failed since.

However long a history is, a few entries of it are looked at, and those of many cursors together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import attrs

from ledger import Cursor, CursorKey, CursorReset, EntryQuery, ErrorRecorded, Ledger, Move
from ledger.law.takeovers import is_takeover
from projections.passing import Search, look_up
from projections.stream_heads import Fronts, StreamHead

__all__ = ["End", "find_confirmed", "find_ends", "find_since"]

TAKEOVERS_MAX = 256
"""How many takeovers in a row are looked behind for errors."""


@attrs.define(eq=False)
class End:
    """A cursor, its head, and what was found about the end of its history."""

    cursor: Cursor
    head: StreamHead | None
    passed: Move | None = None
    """What moved the head past the cursor, never to go back behind it."""
    confirmed: Move | None = None
    """What moved another cursor past it before the head was; None if that was not looked up."""
    errors: int = 0
    """How many errors there are since it last moved; a takeover does not move it."""
    first_error: int = 0
    """The version of the first of them."""
    last_error: str = ""
    move: Move | None = None
    """Its last entry other than errors; None where that was not looked up, or there is none."""
    arrival: Move | None = None
    """What brought it to where it stands; None where that was not looked up, or it never moved."""

    @property
    def since(self) -> datetime | None:
        """When the head came past the cursor, or another cursor did before."""
        first = self.confirmed or self.passed
        return first.recorded_at if first else None

    @property
    def moved_at(self) -> datetime | None:
        """When it came to where it stands."""
        return self.arrival.recorded_at if self.arrival else None

    @property
    def behind(self) -> int:
        """By how much it is behind; 0 if it is not."""
        return max(self.head.sequence - self.cursor.last_sequence, 0) if self.head else 0

    def was_behind(self, moment: datetime) -> bool:
        """Return whether it is behind, and was so at `moment`."""
        return self.since is not None and self.since <= moment


# --- since when a head is beyond a cursor ---


def find_since(book: Ledger, ends: Sequence[End]) -> None:
    """Find when each head came past the cursors that are behind it."""
    resets: dict[CursorKey, list[tuple[int, int]]] = {}
    searches: dict[tuple[CursorKey, int], Search] = {}
    wanting = []
    for end in ends:
        head = end.head.cursor if end.head else None
        if head is None or not end.behind:
            continue
        place = (head.key, end.cursor.last_sequence)
        wanting.append((end, place))
        if place not in searches:
            if head.epoch and head.key not in resets:
                resets[head.key] = _resets(book, head)
            searches[place] = _passing(head, place[1], resets.get(head.key, ()))
    look_up(book, list(searches.values()))
    for end, place in wanting:
        end.passed = searches[place].found


def find_confirmed(book: Ledger, ends: Sequence[End], fronts: Fronts) -> None:
    """Find which of those that a head is beyond were passed by another cursor before.

    What that one confirmed was there by then, however late a head of it was recorded. Of several
    others, the one that is furthest is asked: each costs a search.
    """
    resets: dict[CursorKey, list[tuple[int, int]]] = {}
    searches: dict[tuple[CursorKey, int], Search] = {}
    wanting = []
    for end in ends:
        front = fronts.of(end.cursor) if end.passed else None
        if front is None or front.last_sequence <= end.cursor.last_sequence:
            continue
        place = (front.key, end.cursor.last_sequence)
        wanting.append((end, place))
        if place not in searches:
            if front.key not in resets:
                resets[front.key] = _resets(book, front) if front.epoch else []
            searches[place] = _passing(front, place[1], resets[front.key])
    look_up(book, list(searches.values()))
    for end, place in wanting:
        move = searches[place].found
        if move is None or end.passed is None or move.position > end.passed.position:
            continue
        # A start and a reset confirm nothing.
        is_advance = move.previous_sequence is not None and all(
            move.version != version for version, _ in resets[place[0]]
        )
        if is_advance:
            end.confirmed = move


def _resets(book: Ledger, head: Cursor) -> list[tuple[int, int]]:
    """Return the versions at which a head was reset, and where to; the last one first."""
    query = EntryQuery(key=head.key, kinds=[CursorReset], version_until=head.version)
    entries = [(entry.version, entry.event) for entry in book.entries(query)]
    found = [(at, event.sequence) for at, event in entries if isinstance(event, CursorReset)]
    return found[::-1]


def _passing(head: Cursor, sequence: int, resets: Sequence[tuple[int, int]]) -> Search:
    """Return the search for when `head` came past `sequence`, never to go back behind it."""
    low, low_sequence = 0, 0
    for version, reset_to in resets:
        if reset_to <= sequence:
            low, low_sequence = version, reset_to
            break
    return Search(
        head.key,
        low,
        head.version,
        lambda move: move.sequence > sequence,
        sought=sequence + 1,
        low_sequence=low_sequence,
        high_sequence=head.last_sequence,
    )


# --- when a cursor last moved, and what it failed with since ---


def find_ends(book: Ledger, ends: Sequence[End], moved_by: datetime, *, every: bool) -> None:
    """Count errors, and find since when cursors stand still that were behind at `moved_by`.

    With `every`, find since when each of them stands where it stands.
    """
    doubtful = [
        end
        for end in ends
        # A takeover may hide errors; a takeover begins an epoch.
        if every or end.cursor.last_error or end.cursor.epoch or end.was_behind(moved_by)
    ]
    moves = book.moves((end.cursor.key, end.cursor.version) for end in doubtful)
    for end, move in zip(doubtful, moves, strict=True):
        end.move = move
        last = move.version if move else 0
        end.errors, end.first_error = end.cursor.version - last, last + 1
        end.last_error = end.cursor.last_error
        end.arrival = move
    _find_hidden_errors(book, doubtful)
    _find_arrivals(
        book,
        [
            end
            for end in doubtful
            if every or (end.was_behind(moved_by) and end.moved_at and end.moved_at > moved_by)
        ],
    )


def _find_hidden_errors(book: Ledger, ends: Sequence[End]) -> None:
    """Count the errors before takeovers as well: who takes a cursor over has not mended it."""
    pending = [(end, move, [move]) for end, move in _staying(ends)]
    for _ in range(TAKEOVERS_MAX):
        if not pending:
            return
        places = [(end.cursor.key, move.version - 1) for end, move, _ in pending]
        earlier = []
        for (end, move, unproven), before in zip(pending, book.moves(places), strict=True):
            hidden = move.version - 1 - (before.version if before else 0)
            if hidden:
                if not all(_is_taken_over(book, end.cursor.key, each) for each in unproven):
                    continue
                unproven.clear()
                if not end.errors:
                    end.last_error = _message(book, end.cursor.key, move.version - 1)
                end.errors += hidden
                end.first_error = move.version - hidden
            if before is not None and _stays(before):
                unproven.append(before)
                earlier.append((end, before, unproven))
        pending = earlier


def _staying(ends: Sequence[End]) -> Iterator[tuple[End, Move]]:
    """Yield those whose last move may be a takeover."""
    for end in ends:
        if end.move is not None and _stays(end.move):
            yield end, end.move


def _stays(move: Move) -> bool:
    """Return whether `move` may be a takeover of a cursor that was there before."""
    return move.epoch > 0 and move.version > 1 and move.previous_sequence == move.sequence


def _message(book: Ledger, key: CursorKey, version: int) -> str:
    at = EntryQuery(key=key, version_from=version, version_until=version)
    events = (entry.event for entry in book.entries(at))
    return next((event.message for event in events if isinstance(event, ErrorRecorded)), "")


def _find_arrivals(book: Ledger, ends: Sequence[End]) -> None:
    """Find when cursors came to where they stand, if their last move did not bring them there."""
    searches = [
        # It confirmed again what it had confirmed before, or was reset to where it stood.
        (end, _arriving(end.cursor, end.move))
        for end in ends
        if end.move is not None and end.move.previous_sequence == end.move.sequence
    ]
    while searches:
        look_up(book, [search for _, search in searches])
        earlier = []
        for end, search in searches:
            move = search.found
            end.arrival = move
            if move and _is_taken_over(book, end.cursor.key, move):
                # It stayed where it was, with another consumer.
                before = attrs.evolve(move, version=move.version - 1, epoch=move.epoch - 1)
                earlier.append((end, _arriving(end.cursor, before)))
        searches = earlier


def _is_taken_over(book: Ledger, key: CursorKey, move: Move) -> bool:
    """Return whether `move` is a takeover of a cursor that was there before."""
    if not _stays(move):
        return False
    at = EntryQuery(key=key, version_from=move.version, version_until=move.version)
    return any(map(is_takeover, book.entries(at)))


def _arriving(cursor: Cursor, last: Move) -> Search:
    """Return the search for when `cursor` came to where it stands."""
    place = (last.epoch, last.sequence)
    return Search(cursor.key, 0, last.version, lambda move: (move.epoch, move.sequence) >= place)
