"""What a cursor passed more than once, by landing on it or not: a function of its history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, overload

import attrs

from ledger import CursorAdvanced, CursorKey, CursorReset, Entry, Outcome
from projections.coroutines import yielding
from projections.histories import one_cursor
from projections.ranges import RangeMap, span

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["Repeat", "repeats"]


@attrs.frozen(kw_only=True)
class Repeat:
    """Sequences from `first` to `last` that were passed once more, after `reset`.

    `deliveries` is how often they had been by then, this time included. On `landed` of them an
    advance landed each time, so they were delivered as often. The others were only jumped over: a
    consumer that confirms every hundredth event has delivered them as well, and of any other
    consumer nothing says that they were delivered at all, as `explain` has it. Times are the
    ledger's, of the first and the last advance that passed them again.

    `key` is that of the cursor, `first_at` and `last_at` are the two times, and `reset` is the
    entry of the reset.

    >>> import ledger
    >>> from projections import repeats
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     cursor = book.advance(key, to=44)
    ...     [repeat] = repeats(book.history(key))
    >>> repeat.first, repeat.last, repeat.deliveries, repeat.landed, repeat.reset.position
    (42, 44, 2, 1, 2)
    """

    key: CursorKey
    first: int
    last: int
    deliveries: int
    first_at: datetime
    last_at: datetime
    reset: Entry
    landed: int

    def __str__(self) -> str:
        all_of_them = self.last - self.first + 1
        if self.landed == all_of_them:
            what = f"delivered {self.deliveries} times"
        else:
            on = f"{self.landed} of {all_of_them}" if self.landed else "none of them"
            what = f"passed {self.deliveries} times, landing on {on}"
        return (
            f"{self.key}: {span(self.first, self.last)} {what}, "
            f"after the reset at position {self.reset.position} by {self.reset.actor}"
        )


@overload
def repeats(history: Iterable[Entry]) -> Iterator[Repeat]: ...


@overload
def repeats(history: Stream[Entry]) -> Stream[Repeat]: ...


@yielding
def repeats(history: Iterable[Entry]) -> Iterator[Repeat]:
    """Yield what the cursor of `history` passed more than once, for each repetition.

    An advance delivers what it lands on. What no advance ever landed on counts as often as it was
    jumped over, because a consumer that confirms every hundredth event delivers the others as well;
    that this one did is not known, so `Repeat.landed` does not count it. What is
    passed as skipped or suppressed is not delivered. A range comes when all of it was passed again.
    Memory is that of `gaps`, and grows with the number of resets back.

    `history` is the entries of one cursor, in order.

    Raises InvalidCursorError if the entries are not all of one cursor.

    >>> import ledger
    >>> from projections import repeats
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     cursor = book.advance(key, to=44)
    ...     [(repeat.first, repeat.last) for repeat in repeats(book.history(key))]
    [(42, 44)]
    """
    deliveries = _Deliveries()
    repeat: Repeat | None = None
    for entry in one_cursor(history):
        match entry.event:
            case CursorAdvanced(previous_sequence=start, sequence=end, outcome=Outcome.DELIVERED):
                for again in deliveries.advance(entry, start, end):
                    if repeat is not None and _goes_on(repeat, again):
                        repeat = attrs.evolve(
                            repeat,
                            last=again.last,
                            last_at=again.last_at,
                            landed=repeat.landed + again.landed,
                        )
                        continue
                    if repeat is not None:
                        yield repeat
                    repeat = again
            case CursorReset(previous_sequence=start, sequence=end) if end < start:
                deliveries.rewind(entry, start, end)
            case _:
                pass
    if repeat is not None:
        yield repeat


class _Deliveries:
    """How often each sequence was delivered so far."""

    def __init__(self) -> None:
        self._states = _States()
        self._counts = RangeMap()
        # What was jumped over and never landed on.
        self._unheard = RangeMap()

    def advance(self, entry: Entry, start: int, end: int) -> Iterator[Repeat]:
        """Count what is delivered from `start` to `end`; yield what has been delivered before."""
        if start == end:
            # A repeated confirmation is not another delivery; it counts only if there was none.
            if not self._counts.within(end, end) or self._unheard.within(end, end):
                self._counts.put(end, end, self._states.number(1, None))
                self._unheard.put(end, end, None)
            return
        before = self._counts.within(start + 1, end)
        unheard = self._unheard.within(start + 1, end)
        self._counts.put(start + 1, end, self._states.number(1, None))
        self._unheard.put(start + 1, end, None)
        if end - start > 1:
            self._unheard.put(start + 1, end - 1, 0)
        for first, last, state in before:
            for low, high, heard in _split(first, last, unheard, end):
                times, reset = self._states[state]
                landed = low == end
                if heard is not landed:
                    # Landed on for the first time: delivery one. Jumped over after that:
                    # not a delivery.
                    if heard:
                        self._counts.put(low, high, state)
                        self._unheard.put(low, high, None)
                    continue
                self._counts.put(low, high, self._states.number(times + 1, reset))
                if reset is not None:  # Else the log breaks the law; verify says so.
                    on = high - low + 1 if heard else 0
                    yield _again(entry, low, high, times + 1, reset, landed=on)

    def rewind(self, entry: Entry, start: int, end: int) -> None:
        """Note the reset that went back behind what lies between `end` and `start`."""
        for first, last, state in self._counts.within(end + 1, start):
            times, _ = self._states[state]
            self._counts.put(first, last, self._states.number(times, entry))


def _split(
    first: int, last: int, unheard: list[tuple[int, int, int]], end: int
) -> Iterator[tuple[int, int, bool]]:
    """Yield (first, last, whether it was landed on before) of the parts; `end` is one by itself."""
    edges = {first, last + 1, end}
    for low, high, _ in unheard:
        edges |= {low, high + 1}
    inside = sorted(edge for edge in edges if first <= edge <= last + 1)
    for low, after in pairwise(inside):
        heard = not any(start <= low <= stop for start, stop, _ in unheard)
        yield low, after - 1, heard


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
    entry: Entry, first: int, last: int, deliveries: int, reset: Entry, *, landed: int
) -> Repeat:
    return Repeat(
        key=entry.key,
        first=first,
        last=last,
        deliveries=deliveries,
        first_at=entry.recorded_at,
        last_at=entry.recorded_at,
        reset=reset,
        landed=landed,
    )


def _goes_on(repeat: Repeat, again: Repeat) -> bool:
    return (
        again.first == repeat.last + 1
        and again.deliveries == repeat.deliveries
        and again.reset == repeat.reset
    )
