"""A history in one line: "advance 5; reset 2 by ines: lost; error HTTP 503; advance 7 skipped"."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from itertools import islice
from typing import TypeAlias

import attrs

from ledger.errors import InvalidCursorError, LedgerError, invalid
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.events import Entry
from ledger.law.requests import (
    AdvanceCursor,
    RecordError,
    Request,
    ResetCursor,
    ResetReasonRequiredError,
    StartCursor,
)
from ledger.service import Ledger
from ledger.testing.clock import SECONDS_MAX, Clock

__all__ = ["KEY", "Story", "StoryError", "tell"]

KEY = CursorKey("mailer", "orders")
"""The cursor of a story that names no other."""

OUTCOMES = tuple(str(outcome) for outcome in Outcome)
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

FORMS = {
    "advance": "advance 7, advance 7 as msg-7, advance 7 skipped, advance 7 by mailer@web-1",
    "error": "error HTTP 503",
    "reset": "reset 2: lost, reset 2 by ines: lost",
    "start": "start 40: moved here, start 40 by ines: moved here",
    "wait": "wait 90s, wait 5m, wait 2h, wait 7d",
}

_STEP = re.compile(r"(\w+)\s*(.*)", re.DOTALL)
# No sequence has more digits than that.
_NUMBER = re.compile(r"\d{1,30}")
_PLACE = re.compile(r"(\d{1,30})(?:\s+by\s+([^:]+?))?\s*:\s*(.*)", re.DOTALL)
_WAIT = re.compile(r"(\d{1,30})\s*([smhd])")


class StoryError(InvalidCursorError):
    """A story that cannot be told as it is written; nothing of it was appended.

    >>> import ledger
    >>> from ledger.testing import StoryError, tell
    >>> with ledger.open(":memory:") as book:
    ...     try:
    ...         tell(book, "advance 5; rest 2: lost")
    ...     except StoryError as error:
    ...         print(error)
    step 2 of the story, "rest 2: lost": there is no step "rest"; did you mean "reset"? Write \
reset 2: lost, reset 2 by ines: lost.
    """

    __module__ = "ledger.testing"


@attrs.frozen
class Story:
    """What a story has appended: the `entries`, in order, and the `cursor` of `key` after them.

    >>> import ledger
    >>> from ledger.testing import tell
    >>> with ledger.open(":memory:", actor="test") as book:
    ...     told = tell(book, "advance 5; reset 2 by ines: lost")
    >>> told.cursor.last_sequence, told.cursor.epoch, [entry.actor for entry in told.entries]
    (2, 1, ['test', 'ines'])
    """

    key: CursorKey
    cursor: Cursor
    entries: tuple[Entry, ...]


@attrs.frozen
class Wait:
    """A step that appends nothing: the clock moves by so many seconds."""

    seconds: int


Step: TypeAlias = Request | Wait


def tell(book: Ledger, text: str, *, key: CursorKey = KEY, clock: Clock | None = None) -> Story:
    """Append the history that `text` tells to the cursor of `key` in `book`, and return it.

    Steps are divided by a semicolon or the end of a line, so neither may stand in a reason or a
    message. They are:

    - advance 7, advance 7 as msg-7, advance 7 skipped, advance 7 suppressed by mailer@web-1
    - reset 2: lost, reset 2 by ines: lost
    - error HTTP 503
    - start 40: moved here, start 40 by ines: moved here
    - wait 90s, wait 5m, wait 2h, wait 7d: it moves `clock`, which must be the book's

    Raises StoryError if `text` is no story, before anything is appended; what the ledger raises
    where it refuses a step, with a note that says which. The steps before that one stay.

    >>> import ledger
    >>> from ledger.testing import Clock, tell
    >>> clock = Clock()
    >>> with ledger.open(":memory:", actor="test", clock=clock) as book:
    ...     told = tell(book, "advance 5 as msg-5; wait 5m; error HTTP 503", clock=clock)
    >>> told.cursor.last_error, told.cursor.updated_at.isoformat()
    ('HTTP 503', '2026-01-01T00:05:00+00:00')
    """
    given: object = book
    if not isinstance(given, Ledger):
        said = fields.kind(given)
        raise invalid("book", f"must be a Ledger, not {said}.", value=said)
    mover: object = clock
    if not isinstance(mover, Clock | None):
        said = fields.kind(mover)
        raise invalid("clock", f"must be a Clock, not {said}.", value=said)
    steps = _steps(text, CursorKey.check(key))
    before = book.find(key)
    if clock is None and any(isinstance(step, Wait) for _, step in steps):
        raise StoryError("the story waits, and has no clock to move; give it clock=….")
    for said, step in steps:
        if isinstance(step, Wait):
            if clock is not None:
                clock.tick(step.seconds)
            continue
        try:
            book.append([step])
        except LedgerError as refusal:
            refusal.add_note(f"{said} was refused; the steps before it were appended.")
            raise
    entries = tuple(islice(book.history(key), before.version if before else 0, None))
    return Story(key, book.get(key), entries)


def _steps(text: object, key: CursorKey) -> list[tuple[str, Step]]:
    """Return each step, with what to call it in a message."""
    if not isinstance(text, str):
        raise StoryError(f"a story is text, not {fields.kind(text)}.")
    written = [step.strip() for step in re.split(r"[;\n]", text)]
    steps: list[tuple[str, Step]] = []
    for step in filter(None, written):
        said = f'step {len(steps) + 1} of the story, "{step}"'
        try:
            steps.append((said, _step(step, key)))
        except (InvalidCursorError, ResetReasonRequiredError) as error:
            raise StoryError(f"{said}: {error}") from None
    if not any(not isinstance(step, Wait) for _, step in steps):
        raise StoryError("the story appends nothing; write a step, such as advance 7.")
    return steps


def _step(written: str, key: CursorKey) -> Step:
    found = _STEP.fullmatch(written)
    word, rest = (found[1], found[2]) if found else (written, "")
    read = _READ.get(word)
    if read is None:
        raise InvalidCursorError(f'there is no step "{word}"{_meant(word)}.')
    step = read(rest.strip(), key)
    if step is None:
        raise InvalidCursorError(f"write {FORMS[word]}.")
    return step


def _meant(word: str) -> str:
    for close in difflib.get_close_matches(word.lower(), _READ, n=1):
        return f'; did you mean "{close}"? Write {FORMS[close]}'
    return "; there are " + ", ".join(_READ)


# --- each kind of step; None if it is not written as it should be ---


def _advance(rest: str, key: CursorKey) -> Step | None:
    number, *words = rest.split() or [""]
    if not _NUMBER.fullmatch(number):
        return None
    told: dict[str, str] = {}
    names = {"as": "delivery_id", "by": "actor"}
    while words:
        word = words.pop(0)
        name = "outcome" if word in OUTCOMES else names.get(word)
        if name is None or name in told or (name != "outcome" and not words):
            return None
        told[name] = word if name == "outcome" else words.pop(0)
    return AdvanceCursor(
        key,
        int(number),
        delivery_id=told.get("delivery_id", ""),
        actor=told.get("actor", ""),
        outcome=Outcome(told.get("outcome", Outcome.DELIVERED)),
    )


def _reset(rest: str, key: CursorKey) -> Step | None:
    found = _PLACE.fullmatch(rest)
    return found and ResetCursor(key, int(found[1]), found[3], actor=found[2] or "")


def _start(rest: str, key: CursorKey) -> Step | None:
    found = _PLACE.fullmatch(rest)
    return found and StartCursor(key, int(found[1]), found[3], actor=found[2] or "")


def _error(rest: str, key: CursorKey) -> Step | None:
    return RecordError(key, rest) if rest else None


def _wait(rest: str, _: CursorKey) -> Step | None:
    found = _WAIT.fullmatch(rest)
    if found and int(found[1]) * UNITS[found[2]] > SECONDS_MAX:
        raise InvalidCursorError("a clock moves by a hundred years at most.")
    return found and Wait(int(found[1]) * UNITS[found[2]])


_READ: dict[str, Callable[[str, CursorKey], Step | None]] = {
    "advance": _advance,
    "error": _error,
    "reset": _reset,
    "start": _start,
    "wait": _wait,
}
