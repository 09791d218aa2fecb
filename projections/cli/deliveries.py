"""The commands about deliveries: what a cursor jumped over, and what it delivered again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

import attrs
import click

from ledger import (
    CursorAdvanced,
    CursorKey,
    CursorReset,
    CursorStarted,
    Entry,
    EntryQuery,
    Ledger,
)
from ledger.cli.shown.columns import OWNER, ends
from ledger.cli.shown.forms import Form, fitting, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.typed.options import own_limit_option, sort_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.log.plain import unstructure
from ledger.log.text import visible
from projections.cli.bounding import bounds
from projections.cli.choosing import Choice, choice
from projections.cli.progressing import progressing
from projections.gaps import Gap
from projections.repeats import Repeat
from projections.searching import BATCH, Wanted, gaps_of, repeats_of

__all__ = ["gaps", "repeats"]

T = TypeVar("T")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@click.command()
@choice
@click.option(
    "--dense", is_flag=True, help="Every sequence of the stream exists, so that gaps were missed."
)
@bounds("Only those of at least this many sequences.")
@sort_option
@own_limit_option
@form_options
@pass_target
def gaps(target: Target, chosen: Choice, dense: bool, wanted: Wanted, form: Form | None) -> None:
    """Show what advances jumped over, and no later advance has delivered.

    Of one cursor that is named, of those that are chosen, or of all. Not every sequence of a stream
    need exist, so a gap is a candidate: its sequences were missed if they exist. --dense says that
    every sequence exists. A reset forward settles the gaps that it skips, with its reason; an undo
    restores what stood before the reset that it undoes.
    """
    sums = _Sums("gap")
    with target.open() as book, progressing(book, chosen) as progress:
        wanted = attrs.evolve(wanted, read=progress.read)
        found = gaps_of(book, chosen.cursors(book), wanted, chosen.entries, dense=dense)
        jumps = (_Jump(gap, entry, _advance(entry)) for gap, entry in found)
        shown = sums.counted(progress.cleared(jumps), lambda jump: jump.gap)
        show(shown, _GAPS, form, of=[Gap, *_SHOWN], plain=_plain, names=Names(book))
        _say_starts(book, chosen)
    sums.say(form, "" if dense else _CANDIDATES)


@click.command()
@choice
@bounds("Only those of at least this many sequences.")
@sort_option
@own_limit_option
@form_options
@pass_target
def repeats(target: Target, chosen: Choice, wanted: Wanted, form: Form | None) -> None:
    """Show what was passed more than once, and after which reset.

    Of one cursor that is named, of those that are chosen, or of all.

    What an advance landed on each time was delivered as often. What was only jumped over is known
    to be passed, no more: a consumer that confirms every hundredth event has delivered it, and of
    any other, gaps lists it. explain tells of one sequence which it was.
    """
    sums, jumps = _Sums("repeat"), _Jumps()
    with target.open() as book, progressing(book, chosen) as progress:
        wanted = attrs.evolve(wanted, read=progress.read)
        found = repeats_of(book, chosen.cursors(book), wanted)
        shown = sums.counted(progress.cleared(found), lambda repeat: repeat)
        shown = jumps.noted(shown)
        show(shown, _REPEATS, form, of=[Repeat], names=Names(book))
        _say_starts(book, chosen)
    sums.say(form, _JUMPED if jumps.are_there else "")


_CANDIDATES = (
    "A candidate was missed if its sequences exist: the ledger cannot know. If every sequence of "
    "the stream exists, add --dense."
)


_JUMPED = (
    "Not landed on is jumped over each time: nothing says that it was delivered, but a consumer "
    "that confirms every n-th event has delivered it."
)


class _Jumps:
    """Whether something was shown that was passed again and that no advance landed on."""

    def __init__(self) -> None:
        self.are_there = False

    def noted(self, found: Iterator[Repeat]) -> Iterator[Repeat]:
        """Yield what was found, and look at it."""
        for repeat in found:
            self.are_there |= repeat.landed <= repeat.last - repeat.first
            yield repeat


class _Sums:
    """How many ranges were shown, of how many sequences, at how many cursors."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._ranges = self._sequences = self._cursors = 0
        self._last: CursorKey | None = None

    def counted(self, found: Iterator[T], range_of: Callable[[T], Gap | Repeat]) -> Iterator[T]:
        """Yield what was found, which comes cursor by cursor, and count it."""
        for each in found:
            part = range_of(each)
            self._ranges += 1
            self._sequences += part.last - part.first + 1
            self._cursors += part.key != self._last
            self._last = part.key
            yield each

    def say(self, form: Form | None, more: str = "") -> None:
        """Print the sums to standard error, below a table of several."""
        if fitting(form) not in {Form.TABLE, Form.WIDE} or not self._ranges:
            return
        if self._ranges > 1:
            say(
                f"{_counted(self._ranges, self._noun)} of {_counted(self._sequences, 'sequence')} "
                f"at {_counted(self._cursors, 'cursor')}",
                err=True,
            )
        if more:
            say(more, err=True)


@attrs.frozen
class _Jump:
    """A gap, and the advance that jumped over it."""

    gap: Gap
    entry: Entry
    advance: CursorAdvanced

    @property
    def key(self) -> CursorKey:
        return self.gap.key


def _advance(entry: Entry) -> CursorAdvanced:
    # Nothing else makes a gap.
    assert isinstance(entry.event, CursorAdvanced)  # noqa: S101
    return entry.event


# What is shown of the entry, beside the gap.
_SHOWN = ("recorded_at", "actor", "previous_sequence", "sequence", "delivery_id", "outcome")


def _plain(jump: _Jump) -> dict[str, Any]:
    entry: dict[str, Any] = unstructure(jump.entry)
    said = {**entry, **entry["event"]}
    gap: dict[str, Any] = unstructure(jump.gap)
    return {**gap, **{name: said[name] for name in _SHOWN}}


def _say_starts(book: Ledger, chosen: Choice) -> None:
    """Print to standard error which cursors began after 0: what lies before is not known."""
    first: CursorKey | None = None
    more = -1
    cursors = chosen.cursors(book)
    while batch := list(islice(cursors, BATCH)):
        beginnings = book.moves((cursor.key, 1) for cursor in batch)
        for cursor, move in zip(batch, beginnings, strict=True):
            if move is not None and move.previous_sequence is None and move.sequence:
                first = first or cursor.key
                more += 1
    if first is None:
        return
    [entry] = book.entries(EntryQuery(key=first, version_until=1))
    event = entry.event
    assert isinstance(event, CursorStarted)  # noqa: S101 - nothing else begins like this
    source = f" from {event.source}" if event.source else ""
    said = f"{first} was started at {event.sequence}{source}"
    if more:
        said += f", and {more:,} other {'cursor' if more == 1 else 'cursors'} likewise"
    say(f"{visible(said)}: what lies before is before the ledger's time", err=True)


def _verdict(jump: _Jump) -> str:
    if jump.gap.initial:
        return "before the first advance"
    return "missed" if jump.gap.certain else "candidate"


def _terse_verdict(jump: _Jump) -> str:
    return "before the first" if jump.gap.initial else _verdict(jump)


_GAPS = [
    *OWNER,
    *ends(lambda jump: jump.gap),
    Column(
        "count", lambda jump: f"{jump.gap.last - jump.gap.first + 1:,}", kind=Kind.NUMBER, spared=2
    ),
    Column(
        "verdict",
        _verdict,
        kind=Kind.WORDS,
        terse=Column("verdict", _terse_verdict, kind=Kind.WORDS),
    ),
    Column(
        "advance",
        lambda jump: f"{jump.advance.previous_sequence} → {jump.advance.sequence}",
        spared=1,
    ),
    Column("recorded", lambda jump: jump.entry.recorded_at, kind=Kind.TIME, spared=2),
    Column("actor", lambda jump: visible(jump.entry.actor), kind=Kind.NAME, spared=2),
]


def _reason(repeat: Repeat) -> str:
    event = repeat.reset.event
    return visible(event.reason) if isinstance(event, CursorReset) else ""


_REPEATS = [
    *OWNER,
    *ends(lambda repeat: repeat),
    Column(
        "passed",
        lambda repeat: f"{repeat.deliveries:,}×",
        kind=Kind.NUMBER,
        spared=2,
        field="deliveries",
    ),
    Column(
        "landed on", lambda repeat: f"{repeat.landed:,}", kind=Kind.NUMBER, spared=2, field="landed"
    ),
    Column(
        "delivered again",
        lambda repeat: repeat.first_at,
        kind=Kind.TIME,
        spared=1,
        field="first_at",
    ),
    Column(
        "reset by", lambda repeat: visible(repeat.reset.actor), kind=Kind.NAME, field="reset.actor"
    ),
    Column(
        "reset at",
        lambda repeat: repeat.reset.recorded_at,
        kind=Kind.TIME,
        field="reset.recorded_at",
    ),
    Column("reason", _reason, field="reset.event.reason"),
]
