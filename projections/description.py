"""All that is worth knowing of one cursor when it is in trouble, found by bounded work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

import attrs

from ledger import (
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    ErrorRecorded,
    Ledger,
)
from ledger.law.takeovers import is_takeover
from projections.gaps import Gap, gaps
from projections.overview import CursorOverview, overview
from projections.repeats import Repeat, repeats

__all__ = ["Description", "Spell", "SpellKind", "describe", "spells"]

LATE_MAX = 5_000
"""How many entries at the end of a history are looked at, however long it is."""

SPELLS_MAX = 6
RESETS_SHOWN, RESETS_MAX = 3, 64


class SpellKind(StrEnum):
    """What a cursor did for some time, or at once."""

    ADVANCE = "advance"
    ERRORS = "errors"
    RESET = "reset"
    TAKEOVER = "takeover"
    START = "start"


@attrs.frozen(kw_only=True)
class Spell:
    """Entries of one kind that follow each other, from `first_at` to `last_at`.

    The cursor went from `start` to `end`. `text` is what the last of them says: the reason of a
    reset, the message of an error, or the outcome of advances if it is not that they delivered.
    """

    kind: SpellKind
    entries: int
    first_at: datetime
    last_at: datetime
    start: int | None
    end: int | None
    actor: str
    text: str


@attrs.frozen(kw_only=True)
class Description:
    """How a cursor does, and what happened to it of late: in its last `entries` entries.

    `failing_since` is when the first of its errors was recorded; None if there are none, or if it
    lies further back. `resets` are the last three that were no takeovers, the newest first, and
    `takeover` is the last one. `gaps` are what the late advances jumped over and none has
    delivered since, except what lies before the first of all, `repeats` what they delivered more
    than once, `spells` the last six.
    """

    overview: CursorOverview
    entries: int
    failing_since: datetime | None
    resets: tuple[Entry, ...]
    takeover: Entry | None
    gaps: tuple[Gap, ...]
    repeats: tuple[Repeat, ...]
    spells: tuple[Spell, ...]

    @property
    def key(self) -> CursorKey:
        """The key of the cursor."""
        return self.overview.key


def describe(book: Ledger, key: CursorKey) -> Description:
    """Return what is worth knowing of the cursor of `key`.

    Raises CursorNotFoundError.
    """
    cursor = book.get(key)
    row = _row_of(book, cursor.key)
    version = row.cursor.version
    late = list(
        book.entries(
            EntryQuery(
                key=key,
                version_from=max(version - LATE_MAX + 1, 1),
                version_until=version,
            )
        )
    )
    reset = EntryQuery(key=key, kinds=[CursorReset], newest_first=True, limit=RESETS_MAX)
    ended = list(book.entries(reset))
    moving = [entry for entry in ended if not is_takeover(entry)]
    return Description(
        overview=row,
        entries=len(late),
        failing_since=_failing_since(late),
        resets=tuple(moving[:RESETS_SHOWN]),
        takeover=next((entry for entry in ended if is_takeover(entry)), None),
        gaps=tuple(gap for gap in gaps(late) if not gap.initial),
        repeats=tuple(repeats(late)),
        spells=tuple(deque(spells(late), SPELLS_MAX)),
    )


def _row_of(book: Ledger, key: CursorKey) -> CursorOverview:
    """Return how the cursor of `key` does, which is there."""
    query = CursorQuery(
        consumer_id=key.consumer_id, stream_name=key.stream_name, subject_id=key.subject_id
    )
    # An empty subject matches all, and is the first of them.
    return next(row for row in overview(book, query) if row.key == key)


def _failing_since(late: list[Entry]) -> datetime | None:
    first = None
    for entry in reversed(late):
        if isinstance(entry.event, ErrorRecorded):
            first = entry.recorded_at
        elif not is_takeover(entry):
            return first
    # They go back to the beginning of its history, or further than was looked.
    return first if late and late[0].version == 1 else None


def spells(history: Iterable[Entry]) -> Iterator[Spell]:
    """Yield what a cursor did, one thing after another, of its entries in order."""
    spell: Spell | None = None
    for entry in history:
        coming = _spell_of(entry)
        if spell is not None and _goes_on(spell, coming):
            spell = attrs.evolve(
                spell,
                entries=spell.entries + 1,
                last_at=coming.last_at,
                end=coming.end,
                actor=coming.actor,
                text=coming.text,
            )
            continue
        if spell is not None:
            yield spell
        spell = coming
    if spell is not None:
        yield spell


def _goes_on(spell: Spell, coming: Spell) -> bool:
    if spell.kind is not coming.kind:
        return False
    # Advances that pass over go with each other, and those that deliver.
    return spell.kind is SpellKind.ERRORS or (
        spell.kind is SpellKind.ADVANCE and spell.text == coming.text
    )


def _spell_of(entry: Entry) -> Spell:
    event = entry.event
    match event:
        case CursorAdvanced():
            text = "" if event.outcome == "delivered" else event.outcome.value
            return _spell(SpellKind.ADVANCE, entry, event.previous_sequence, event.sequence, text)
        case ErrorRecorded():
            return _spell(SpellKind.ERRORS, entry, None, None, event.message)
        case CursorReset():
            kind = SpellKind.TAKEOVER if is_takeover(entry) else SpellKind.RESET
            return _spell(kind, entry, event.previous_sequence, event.sequence, event.reason)
        case CursorStarted():
            return _spell(SpellKind.START, entry, None, event.sequence, event.reason)


def _spell(kind: SpellKind, entry: Entry, start: int | None, end: int | None, text: str) -> Spell:
    return Spell(
        kind=kind,
        entries=1,
        first_at=entry.recorded_at,
        last_at=entry.recorded_at,
        start=start,
        end=end,
        actor=entry.actor,
        text=text,
    )
