"""The whole story of one sequence at one cursor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
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
    Outcome,
)
from ledger.law import fields
from ledger.law.takeovers import is_takeover
from ledger.log.text import show_time
from projections.coroutines import answering
from projections.crossings import How, crossings
from projections.histories import one_cursor
from projections.streaks import ErrorStreak
from projections.undoing import Jumped

if TYPE_CHECKING:
    from ledger.aio import Stream

__all__ = ["Explanation", "How", "Step", "Verdict", "explain", "told"]

STEPS_MAX = 1_000


class Verdict(StrEnum):
    """What became of a sequence, in one word; of several that fit, the first.

    >>> import ledger
    >>> from projections import Verdict, explain
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     explain(book.history(key), 43).verdict is Verdict.PASSED
    True
    """

    DELIVERED = "delivered"
    """An advance landed on it, as delivered."""
    SKIPPED = "skipped"
    """An advance landed on it as skipped, or a reset passed over it."""
    SUPPRESSED = "suppressed"
    """An advance landed on it, as suppressed."""
    PASSED = "passed"
    """An advance jumped over it, and none landed on it."""
    BEFORE = "before"
    """It is before the ledger's time: the cursor was started at it, or beyond it."""
    NOT_YET = "not_yet"
    """The cursor has never passed it."""


@attrs.frozen(kw_only=True)
class Step:
    """An entry that had to do with the sequence, and the errors that stood before it, if any.

    `how` says what the `entry` did to it. `errors` is None if none stood before it.

    >>> import ledger
    >>> from projections import explain
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.record_error(key, "HTTP 503")
    ...     cursor = book.advance(key, to=41)
    ...     [step] = explain(book.history(key), 41).steps
    >>> step.how.value, step.entry.version, step.errors.count
    ('landed', 2, 1)
    """

    how: How
    entry: Entry
    errors: ErrorStreak | None


@attrs.frozen(kw_only=True)
class Explanation:
    """What the log knows of `sequence` at the cursor of `key`.

    `verdict` is `delivered` if an advance landed on it with that outcome, `deliveries` times in
    all; else `skipped` or `suppressed` if one landed on it so; else `passed` if one jumped over it;
    else `skipped` if a reset did; else `before` if the cursor was started at it or beyond it, so
    that nothing is known of it; else `not_yet`. `pending` says that the cursor stands before it, by
    `distance`, so that it is still to come, or to come again.

    `last_sequence` is where the cursor stands, `since` when it came there, and `errors` the ones
    recorded since. `steps` are the entries that passed it, confirmed it or went back behind it; of
    more than 1,000 the first and last are kept, and `omitted` counts the others. `key` is None if
    there were no entries.

    >>> import ledger
    >>> from projections import explain
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.advance(key, to=44)
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     explanation = explain(book.history(key), 44)
    >>> explanation.verdict.value, explanation.pending, explanation.distance
    ('delivered', True, 3)
    >>> [step.how.value for step in explanation.steps]
    ['landed', 'rewound']
    """

    key: CursorKey | None
    sequence: int
    verdict: Verdict
    deliveries: int
    pending: bool
    distance: int
    last_sequence: int
    since: datetime | None
    errors: ErrorStreak | None
    steps: tuple[Step, ...]
    omitted: int

    @property
    def is_gap(self) -> bool:
        """Whether `gaps` lists it: the last time that the cursor passed it, it was jumped over.

        It may have been delivered before that, and a reset may have asked for it again. An undo,
        and the reset that it undoes, do not count.
        """
        gaps = Jumped()
        for step in self.steps:
            gaps.note(step.entry, self.sequence, self.sequence, step.how)
        return bool(gaps.found.within(self.sequence, self.sequence))

    def sentences(self) -> Iterator[str]:
        """Yield the story, a sentence at a time, the verdict first."""
        return told(self)

    def __str__(self) -> str:
        return "\n".join(self.sentences())


@overload
def explain(history: Iterable[Entry], sequence: int) -> Explanation: ...


@overload
def explain(history: Stream[Entry], sequence: int) -> Coroutine[Any, Any, Explanation]: ...


@answering
def explain(history: Iterable[Entry], sequence: int) -> Explanation:
    """Return the whole story of `sequence`, from 1, at the cursor whose entries `history` yields.

    A confirmation repeated at the same place is not another delivery. Memory does not grow with the
    history.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import explain
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="dispatcher@web-1") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     explanation = explain(book.history(key), 43)
    >>> explanation.verdict.value, explanation.deliveries, explanation.pending
    ('passed', 0, False)
    """
    story = _Story(fields.sequence(sequence, "sequence", least=1))
    for entry in one_cursor(history):
        story.tell(entry)
    return story.end()


class _Story:
    """What is known of a sequence after so many entries."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.key: CursorKey | None = None
        self.at = 0
        self.since: datetime | None = None
        self.errors: ErrorStreak | None = None
        self.deliveries = 0
        self.word: Outcome | None = None
        self.first: list[Step] = []
        self.last: deque[Step] = deque(maxlen=STEPS_MAX - STEPS_MAX // 2)
        self.steps = 0
        self.ways: set[How] = set()

    def tell(self, entry: Entry) -> None:
        """Go on with the next entry."""
        self.key, event = entry.key, entry.event
        if isinstance(event, ErrorRecorded):
            # Once the cursor has passed the sequence, an error is about a later one.
            if self.at < self.sequence:
                self.errors = ErrorStreak.after(self.errors, entry, event, self.at)
            return
        if is_takeover(entry):
            return  # It moves nothing, and has mended nothing.
        how = self._how(event)
        if how is How.LANDED or (how is How.CONFIRMED_AGAIN and not self.deliveries):
            outcome = event.outcome if isinstance(event, CursorAdvanced) else None
            self.deliveries += outcome is Outcome.DELIVERED
            self.word = outcome
        if how is not None:
            self._keep(Step(how=how, entry=entry, errors=self.errors))
        if isinstance(event, CursorReset) or event.sequence != self.at or self.since is None:
            self.since = entry.recorded_at
        self.at, self.errors = event.sequence, None

    def end(self) -> Explanation:
        """Return the explanation."""
        pending = self.at < self.sequence
        return Explanation(
            key=self.key,
            sequence=self.sequence,
            verdict=self._verdict(),
            deliveries=self.deliveries,
            pending=pending,
            distance=self.sequence - self.at if pending else 0,
            last_sequence=self.at,
            since=self.since,
            errors=self.errors if pending else None,
            steps=(*self.first, *self.last),
            omitted=self.steps - len(self.first) - len(self.last),
        )

    def _how(self, event: CursorAdvanced | CursorReset | CursorStarted) -> How | None:
        touched = crossings(event)
        return next((how for first, last, how in touched if first <= self.sequence <= last), None)

    def _verdict(self) -> Verdict:
        if self.deliveries:
            return Verdict.DELIVERED
        if self.word is not None:
            return Verdict(self.word.value)
        if How.JUMPED in self.ways:
            return Verdict.PASSED
        if How.SKIPPED_BY_RESET in self.ways:
            return Verdict.SKIPPED
        return Verdict.BEFORE if How.STARTED in self.ways else Verdict.NOT_YET

    def _keep(self, step: Step) -> None:
        self.steps += 1
        self.ways.add(step.how)
        if len(self.first) < STEPS_MAX // 2:
            self.first.append(step)
        else:
            self.last.append(step)


# --- in plain words ---


def told(
    story: Explanation, named: Callable[[int], str] = str, *, is_beyond: bool = False
) -> Iterator[str]:
    """Yield the story, a sentence at a time, the verdict first; `named` shows a sequence.

    `is_beyond` says that the stream does not go up to the sequence, as far as is known.
    """
    yield _verdict(story, named)
    for nth, step in enumerate(story.steps):
        if story.omitted and nth == STEPS_MAX // 2:
            yield f"… and {story.omitted:,} more …"
        if step.errors is not None:
            yield _errors(step.errors, named)
        yield _step(step, named)
    if story.verdict is Verdict.PASSED:
        yield _JUMPED
    if story.pending:
        yield _outlook(story, named)
        if story.verdict is Verdict.NOT_YET and not is_beyond:
            yield _COMES_AGAIN
        if story.errors is not None:
            yield _errors(story.errors, named)


# What is confirmed is in the log; what was sent above the mark of a consumer that crashed is not.
_COMES_AGAIN = (
    "It may have arrived if it was in flight when a consumer ended; it is delivered again."
)


# Landing on every n-th event is also a way to confirm, so the verdict is that of the log alone.
_JUMPED = (
    "That is all that is known: a consumer that confirms every n-th event has delivered it as well."
)


def _verdict(story: Explanation, named: Callable[[int], str]) -> str:
    times = "once" if story.deliveries == 1 else f"{story.deliveries:,} times"
    jumps = sum(step.how is How.JUMPED for step in story.steps)
    # Of very many steps, some are not kept.
    over = f" {jumps:,} times" if jumps > 1 and not story.omitted else ""
    by_reset = all(step.how not in _CONFIRMED for step in story.steps)
    by = "a reset" if by_reset else "the consumer"
    at = "" if (start := _start(story)) is None else named(start)
    what = {
        Verdict.DELIVERED: f"delivered {times}",
        Verdict.SKIPPED: f"NOT DELIVERED: {by} skipped it",
        Verdict.SUPPRESSED: "NOT DELIVERED: the consumer suppressed it",
        Verdict.PASSED: f"NOT DELIVERED: the cursor jumped over it{over}",
        Verdict.BEFORE: f"before the ledger's time: the cursor was started at {at}",
        Verdict.NOT_YET: "not confirmed yet: the cursor has not reached it",
    }[story.verdict]
    said = f"{named(story.sequence)}: {what}.{_lately(story)}"
    if not story.pending or story.verdict is Verdict.NOT_YET:
        return said
    again = "" if story.verdict is Verdict.BEFORE else " again"
    return f"{said} It is pending{again}, because the cursor was reset."


_CONFIRMED = (How.LANDED, How.CONFIRMED_AGAIN)


def _lately(story: Explanation) -> str:
    """Return what became of it later than the verdict says, as `gaps` has it."""
    if story.is_gap and story.verdict is not Verdict.PASSED:
        return " The last time, the cursor jumped over it."
    return ""


def _start(story: Explanation) -> int | None:
    events = (step.entry.event for step in story.steps)
    return next((event.sequence for event in events if isinstance(event, CursorStarted)), None)


def _outlook(story: Explanation, named: Callable[[int], str]) -> str:
    if story.since is None:
        return "The cursor has confirmed nothing yet."
    return (
        f"The cursor is at {named(story.last_sequence)}, {story.distance:,} before it, "
        f"since {_time(story.since)}."
    )


def _step(step: Step, named: Callable[[int], str]) -> str:
    entry, event = step.entry, step.entry.event
    by = f", by {entry.actor}" if entry.actor else ""
    if isinstance(event, CursorStarted):
        source = f", taken from {event.source}" if event.source else ""
        at = named(event.sequence)
        return f"{_place(entry)}: started at {at}{source}{by}: {event.reason}"
    # Errors have no step of their own.
    assert isinstance(event, CursorAdvanced | CursorReset)  # noqa: S101
    way = f"from {named(event.previous_sequence)} to {named(event.sequence)}"
    if isinstance(event, CursorReset):
        skipped = step.how is How.SKIPPED_BY_RESET
        what = f"{'skipped by a reset' if skipped else 'reset back'} {way}"
        return f"{_place(entry)}: {what}{by}: {event.reason}"
    as_id = f" as {event.delivery_id}" if event.delivery_id else ""
    if step.how is How.JUMPED:
        landed = f"{named(event.sequence)} {event.outcome.value}"
        return f"{_place(entry)}: jumped over by an advance {way}; {landed}{as_id}{by}"
    what = (
        f"confirmed again, {event.outcome.value}"
        if step.how is How.CONFIRMED_AGAIN
        else f"{event.outcome.value}"
    )
    return f"{_place(entry)}: {what}{as_id}{by}"


def _errors(streak: ErrorStreak, named: Callable[[int], str]) -> str:
    place = f"{_time(streak.first_at)}, position {streak.first_position}"
    if streak.count == 1:
        return f"{place}: failed: {streak.last_message}"
    span = (
        f"{place}: failed {streak.count:,} times at {named(streak.last_sequence)}, until "
        f"{_time(streak.last_at)}"
    )
    if streak.first_message == streak.last_message:
        # Those between are not known; what is said twice is read twice.
        return f"{span}, first and last: {streak.first_message}"
    return f"{span}, first: {streak.first_message}; last: {streak.last_message}"


def _place(entry: Entry) -> str:
    return f"{_time(entry.recorded_at)}, position {entry.position}"


def _time(moment: datetime) -> str:
    return show_time(moment.replace(microsecond=0))
