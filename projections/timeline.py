"""One cursor's life, to look at: where it stood when, and what happened to it."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, overload

import attrs

from ledger import (
    CursorAdvanced,
    CursorKey,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    InvalidCursorError,
)
from ledger.law import fields
from ledger.law.takeovers import is_takeover
from projections.coroutines import answering
from projections.histories import one_cursor
from projections.ranges import Range
from projections.resets.views import Direction
from projections.streaks import ErrorStreak

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["MarkKind", "Point", "Timeline", "TimelineMark", "timeline"]

POINTS_MAX = 2_000
MARKS_MAX = 200


@attrs.frozen
class Point:
    """The cursor came to `sequence` at `at`, by the ledger's clock.

    >>> from datetime import UTC, datetime
    >>> from projections import Point
    >>> Point(datetime(2026, 5, 5, tzinfo=UTC), 41).sequence
    41
    """

    at: datetime
    sequence: int


class MarkKind(StrEnum):
    """What can be marked on a timeline.

    >>> import ledger
    >>> from projections import MarkKind, timeline
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     life = timeline(book.history(key))
    >>> MarkKind.RESET in {mark.kind for mark in life.marks}
    True
    """

    RESET = "reset"
    """A reset moved the cursor."""
    ERRORS = "errors"
    """Errors were recorded, one after another."""
    REPEAT = "repeat"
    """Sequences were delivered again after a reset."""
    JUMP = "jump"
    """An advance jumped over sequences."""
    TAKEOVER = "takeover"
    """A consumer took the cursor over; it stayed where it was."""
    START = "start"
    """The cursor was started there; what lies before is before the ledger's time."""


@attrs.frozen(kw_only=True)
class TimelineMark:
    """Something to be seen on a timeline, from `at` to `until`, between `low` and `high`.

    `to` is where the cursor was after it. `size` is how much it was about: sequences or, of errors,
    their number. `text` says it in words.

    `kind` says what is marked.

    >>> import ledger
    >>> from projections import timeline
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     life = timeline(book.history(key))
    >>> [(mark.kind.value, mark.high, mark.to) for mark in life.marks if mark.kind == "reset"]
    [('reset', 44, 41)]
    """

    kind: MarkKind
    at: datetime
    until: datetime
    low: int
    high: int
    to: int
    size: int
    text: str


@attrs.frozen(kw_only=True)
class Timeline:
    """The life of one cursor in so many `entries`, thinned so that it can be drawn.

    `key` is that of the cursor. Of each kind of `marks` the 200 largest are kept; `left_out` counts
    the others. `points` are at most some 4,000, and include both ends of the resets that are
    marked.

    With `since`, it is the life from that time on: the first point is where the cursor stood then,
    and a mark that lasted until then or longer has the time at which it began.

    >>> import ledger
    >>> from projections import timeline
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     life = timeline(book.history(key))
    >>> life.entries, len(life.points), life.left_out
    (3, 5, 0)
    """

    key: CursorKey
    entries: int
    points: tuple[Point, ...]
    marks: tuple[TimelineMark, ...]
    left_out: int
    since: datetime | None = None


@overload
def timeline(history: Iterable[Entry], *, since: datetime | None = None) -> Timeline: ...


@overload
def timeline(
    history: Stream[Entry], *, since: datetime | None = None
) -> Coroutine[Any, Any, Timeline]: ...


@answering
def timeline(history: Iterable[Entry], *, since: datetime | None = None) -> Timeline:
    """Return the life of the cursor whose entries `history` yields, in constant memory.

    With `since`, it is drawn from that time on. The entries before are needed as well: they say
    where the cursor stood then, and what had begun.

    Raises InvalidCursorError if there are none, or some of another cursor.

    >>> import ledger
    >>> from projections import timeline
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     life = timeline(book.history(key))
    >>> [point.sequence for point in life.points]
    [41, 44, 44, 41, 41]
    """
    begin = None if since is None else fields.moment(since, "since")
    drawing: _Drawing | None = None
    for entry in one_cursor(history):
        if drawing is None:
            drawing = _Drawing(entry.key, begin)
        drawing.add(entry)
    if drawing is None:
        raise InvalidCursorError("there are no entries to draw a timeline of.")
    return drawing.end()


class _Drawing:
    """What is on the timeline after so many entries; what ended before `since` is not."""

    def __init__(self, key: CursorKey, since: datetime | None) -> None:
        self.key = key
        self.since = since
        self.entries = 0
        self.at = 0
        self.last: datetime | None = None
        self.path = _Path(since)
        self.marks = {kind: _Largest() for kind in MarkKind}
        self.errors: ErrorStreak | None = None
        self.repeat: TimelineMark | None = None

    def add(self, entry: Entry) -> None:
        if self.since is None or entry.recorded_at >= self.since:
            self.entries += 1
            if self.since is not None and self.last is not None and self.last < self.since:
                self.path.add(Point(self.since, self.at), keep=True)
        self.last = entry.recorded_at
        match entry.event:
            case ErrorRecorded() as event:
                self.errors = ErrorStreak.after(self.errors, entry, event, self.at)
            case CursorAdvanced(previous_sequence=start, sequence=end):
                self._end_errors()
                self._jump(entry, start, end)
                self._go_on_with_repeat(entry, end)
                self.path.add(Point(entry.recorded_at, end))
                self.at = end
            case CursorReset(sequence=at, reason=reason) if is_takeover(entry):
                self._end_errors()
                self._at_once(
                    MarkKind.TAKEOVER, entry, at, f"taken over at {at} by {entry.actor}: {reason}"
                )
            case CursorReset(previous_sequence=start, sequence=end):
                self._end_errors()
                self._end_repeat(entry.recorded_at, start)
                self._reset(entry, start, end)
                self.path.add(Point(entry.recorded_at, start), keep=True)
                self.path.add(Point(entry.recorded_at, end), keep=True)
                self.at = end
            case CursorStarted(sequence=start) as event:
                self._start(entry, event)
                self.path.add(Point(entry.recorded_at, start), keep=True)
                self.at = start

    def end(self) -> Timeline:
        self._end_errors()
        if self.last is not None:
            self._end_repeat(self.last, self.at)
            # Where it stands at the end, however long since it came there.
            end = self.last if self.since is None else max(self.last, self.since)
            self.path.add(Point(end, self.at), keep=True)
        marks = [mark for largest in self.marks.values() for mark in largest.marks()]
        return Timeline(
            key=self.key,
            entries=self.entries,
            points=tuple(self.path.points()),
            marks=tuple(sorted(marks, key=lambda mark: (mark.at, mark.kind))),
            left_out=sum(largest.left_out for largest in self.marks.values()),
            since=self.since,
        )

    def _start(self, entry: Entry, event: CursorStarted) -> None:
        at = event.sequence
        source = f" from {event.source}" if event.source else ""
        self._at_once(
            MarkKind.START, entry, at, f"started at {at}{source} by {entry.actor}: {event.reason}"
        )

    def _at_once(self, kind: MarkKind, entry: Entry, at: int, text: str) -> None:
        self._mark(kind, entry.recorded_at, entry.recorded_at, (at, at), size=1, text=text)

    def _reset(self, entry: Entry, start: int, end: int) -> None:
        event = entry.event
        reason = event.reason if isinstance(event, CursorReset) else ""
        self._mark(
            MarkKind.RESET,
            entry.recorded_at,
            entry.recorded_at,
            (start, end),
            size=max(abs(end - start), 1),
            text=f"reset {start} → {end} by {entry.actor}: {reason}",
        )
        if Direction.between(start, end) is Direction.BACK:
            self.repeat = TimelineMark(
                kind=MarkKind.REPEAT,
                at=entry.recorded_at,
                until=entry.recorded_at,
                low=end,
                high=start,
                to=end,
                size=0,
                text=f"after the reset by {entry.actor}",
            )

    def _jump(self, entry: Entry, start: int, end: int) -> None:
        if end - start > 1:
            over = Range(start + 1, end - 1)
            text = f"jumped over {over} by {entry.actor or 'nobody named'}"
            self._mark(
                MarkKind.JUMP,
                entry.recorded_at,
                entry.recorded_at,
                (start, end),
                size=len(over),
                text=text,
            )

    def _go_on_with_repeat(self, entry: Entry, end: int) -> None:
        if self.repeat is not None and end >= self.repeat.high:
            self._end_repeat(entry.recorded_at, self.repeat.high)

    def _end_repeat(self, until: datetime, reached: int) -> None:
        repeat, self.repeat = self.repeat, None
        if repeat is not None and (again := Range.between(repeat.low, reached)):
            self._mark(
                MarkKind.REPEAT,
                repeat.at,
                until,
                (again.first, again.last),
                size=len(again),
                text=f"{again} passed again {repeat.text}",
            )

    def _end_errors(self) -> None:
        streak, self.errors = self.errors, None
        if streak is not None:
            times = "once" if streak.count == 1 else f"{streak.count:,} times"
            self._mark(
                MarkKind.ERRORS,
                streak.first_at,
                streak.last_at,
                (self.at, self.at),
                size=streak.count,
                text=f"failed {times} at {streak.last_sequence}, last: {streak.last_message}",
            )

    def _mark(
        self,
        kind: MarkKind,
        at: datetime,
        until: datetime,
        ends: tuple[int, int],
        *,
        size: int,
        text: str,
    ) -> None:
        if self.since is not None and until < self.since:
            return
        self.marks[kind].add(
            TimelineMark(
                kind=kind,
                at=at,
                until=until,
                low=min(ends),
                high=max(ends),
                to=ends[1],
                size=size,
                text=text,
            )
        )


class _Path:
    """Points in order. When there are too many, every other one goes, except those to keep.

    None before `since` is one of them.
    """

    def __init__(self, since: datetime | None) -> None:
        self._since = since
        self._points: list[tuple[Point, bool]] = []
        self._stride = 1
        self._skipped = 0

    def add(self, point: Point, *, keep: bool = False) -> None:
        if self._since is not None and point.at < self._since:
            return
        self._skipped += 1
        if self._skipped < self._stride and not keep:
            return
        self._skipped = 0
        self._points.append((point, keep))
        if len(self._points) > 2 * POINTS_MAX:
            self._stride *= 2
            kept = sum(keep for _, keep in self._points) <= POINTS_MAX
            self._points = [
                (point, keep and kept)
                for nth, (point, keep) in enumerate(self._points)
                if nth % 2 == 0 or (keep and kept)
            ]

    def points(self) -> Iterator[Point]:
        return (point for point, _ in self._points)


class _Largest:
    """The largest marks of a kind, and how many others there were."""

    def __init__(self) -> None:
        self._marks: list[TimelineMark] = []
        self._added = 0

    def add(self, mark: TimelineMark) -> None:
        self._added += 1
        self._marks.append(mark)
        if len(self._marks) > 2 * MARKS_MAX:
            self._marks = self.marks()

    def marks(self) -> list[TimelineMark]:
        return sorted(self._marks, key=lambda mark: -mark.size)[:MARKS_MAX]

    @property
    def left_out(self) -> int:
        return self._added - len(self.marks())
