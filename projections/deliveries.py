"""What a cursor jumped over, and what it passed more than once.

Both go by the last word that the log has on a sequence, and are functions of one cursor's history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from ledger import CursorAdvanced, CursorKey, CursorReset, Entry, Outcome
from projections.ranges import RangeMap

__all__ = ["Gap", "Repeat", "gaps", "repeats"]


@attrs.frozen(kw_only=True)
class Gap:
    """Sequences from `first` to `last` that an advance jumped over, the last time it passed them.

    `position` is that of the advance. `certain` says that the stream is dense, so that they must
    have been there; else they are candidates. `initial` says that the cursor began with this
    advance: what lies before it was perhaps never meant for it.
    """

    key: CursorKey
    first: int
    last: int
    position: int
    certain: bool
    initial: bool

    def __str__(self) -> str:
        return (
            f"{self.key}: {_span(self.first, self.last)} jumped over "
            f"by the advance at position {self.position}"
        )


def gaps(history: Iterable[Entry], *, dense: bool = False) -> Iterator[Gap]:
    """Give what the cursor of `history` jumped over and has not landed on since, in order.

    An advance of more than one sequence lands on the last and jumps over the others. What is landed
    on later, after a reset back, is no gap any more; what a reset skipped has its reason, and is
    none. `dense` says that each sequence of the stream exists. A gap takes 24 bytes of memory until
    the end of the history is reached, for any entry may still fill it.
    """
    jumped = RangeMap()
    key: CursorKey | None = None
    beginning = 0
    for entry in history:
        key, event = entry.key, entry.event
        match event:
            case CursorAdvanced(previous_sequence=start, sequence=end) if start < end:
                jumped.put(start + 1, end, None)
                if end - start > 1:
                    jumped.put(start + 1, end - 1, entry.position)
                if start == 0 and entry.epoch == 0:
                    beginning = entry.position
            case CursorReset(previous_sequence=start, sequence=end) if start < end:
                jumped.put(start + 1, end, None)
            case _:
                pass
    if key is None:
        return
    for first, last, position in jumped:
        yield Gap(
            key=key,
            first=first,
            last=last,
            position=position,
            certain=dense,
            initial=position == beginning,
        )


@attrs.frozen(kw_only=True)
class Repeat:
    """Sequences from `first` to `last` that were passed as delivered once more, after `reset`.

    `deliveries` is how often they had been by then, this time included. Times are the ledger's, of
    the first and the last advance that passed them again; actors those of these advances.
    """

    key: CursorKey
    first: int
    last: int
    deliveries: int
    first_at: datetime
    last_at: datetime
    reset: Entry

    def __str__(self) -> str:
        return (
            f"{self.key}: {_span(self.first, self.last)} delivered {self.deliveries} times, "
            f"after the reset at position {self.reset.position} by {self.reset.actor}"
        )


def repeats(history: Iterable[Entry]) -> Iterator[Repeat]:
    """Give what the cursor of `history` passed as delivered more than once, each time anew.

    A range comes when all of it was passed again. What an advance passed as skipped or suppressed
    was not delivered by it. Memory grows with the number of resets back, not with that of entries.
    """
    passed = RangeMap()
    states = _States()
    repeat: Repeat | None = None
    for entry in history:
        match entry.event:
            case CursorAdvanced(
                previous_sequence=start, sequence=end, outcome=Outcome.DELIVERED
            ) if start < end:
                before = passed.within(start + 1, end)
                passed.put(start + 1, end, states.number(1, None))
                for first, last, state in before:
                    times, reset = states[state]
                    passed.put(first, last, states.number(times + 1, reset))
                    again = _again(entry, first, last, times + 1, reset)
                    if repeat is not None and again is not None and _goes_on(repeat, again):
                        repeat = attrs.evolve(repeat, last=last, last_at=entry.recorded_at)
                        continue
                    if repeat is not None:
                        yield repeat
                    repeat = again
            case CursorReset(previous_sequence=start, sequence=end) if end < start:
                for first, last, state in passed.within(end + 1, start):
                    passed.put(first, last, states.number(states[state][0], entry))
            case _:
                pass
    if repeat is not None:
        yield repeat


class _States:
    """How often a range was delivered, and which reset last went back behind it, as numbers."""

    def __init__(self) -> None:
        self._states: list[tuple[int, Entry | None]] = []
        self._numbers: dict[tuple[int, int], int] = {}

    def __getitem__(self, number: int) -> tuple[int, Entry | None]:
        return self._states[number]

    def number(self, times: int, reset: Entry | None) -> int:
        place = (times, reset.position if reset else 0)
        if place not in self._numbers:
            self._numbers[place] = len(self._states)
            self._states.append((times, reset))
        return self._numbers[place]


def _again(
    entry: Entry, first: int, last: int, deliveries: int, reset: Entry | None
) -> Repeat | None:
    if reset is None:
        return None  # Only a log that breaks the law goes back without a reset; verify says so.
    return Repeat(
        key=entry.key,
        first=first,
        last=last,
        deliveries=deliveries,
        first_at=entry.recorded_at,
        last_at=entry.recorded_at,
        reset=reset,
    )


def _goes_on(repeat: Repeat, again: Repeat) -> bool:
    return (
        again.first == repeat.last + 1
        and again.deliveries == repeat.deliveries
        and again.reset == repeat.reset
    )


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
