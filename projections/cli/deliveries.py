"""The commands about deliveries: what a cursor jumped over, and what it delivered again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from ledger.cli.columns import OWNER
from ledger.cli.forms import Form, form_options, show
from ledger.cli.layout import Kind
from ledger.cli.progress import Progress
from ledger.cli.sources import Names
from ledger.cli.tables import Column
from ledger.cli.target import Target, pass_target
from ledger.log.json import unstructure
from ledger.log.text import visible
from projections.cli.choosing import Choice, choice, cleared, watched
from projections.gaps import Gap
from projections.gaps import gaps as find_gaps
from projections.repeats import Repeat
from projections.repeats import repeats as find_repeats

__all__ = ["commands"]

T = TypeVar("T")


@click.command()
@choice
@click.option(
    "--dense", is_flag=True, help="Every sequence of the stream exists, so that gaps were missed."
)
@form_options
@pass_target
def gaps(target: Target, chosen: Choice, dense: bool, form: Form | None) -> None:
    """Show what advances jumped over, and no later advance has delivered.

    Of one cursor that is named, of those that are chosen, or of all. Not every sequence of a stream
    need exist, so gaps are candidates; --dense says that every sequence exists.
    """
    starts = _Starts()
    with target.open() as book:
        found = _of_each(book, chosen, lambda history: find_gaps(history, dense=dense), starts)
        jumps = (_Jump.over(gap, book) for gap in found)
        show(jumps, _GAPS, form, of=[Gap, *_SHOWN], plain=_plain, names=Names(book))
    starts.say()


@click.command()
@choice
@form_options
@pass_target
def repeats(target: Target, chosen: Choice, form: Form | None) -> None:
    """Show what was delivered more than once, and after which reset.

    Of one cursor that is named, of those that are chosen, or of all.
    """
    starts = _Starts()
    with target.open() as book:
        found = _of_each(book, chosen, find_repeats, starts)
        show(found, _REPEATS, form, of=[Repeat], names=Names(book))
    starts.say()


commands = [gaps, repeats]


@attrs.frozen
class _Jump:
    """A gap, and the advance that jumped over it."""

    gap: Gap
    entry: Entry
    advance: CursorAdvanced

    @property
    def key(self) -> CursorKey:
        return self.gap.key

    @classmethod
    def over(cls, gap: Gap, book: Ledger) -> _Jump:
        # By its key, because the log as a whole may not be settled that far.
        at = EntryQuery(key=gap.key, position_from=gap.position, position_until=gap.position)
        [entry] = book.entries(at)
        # Nothing else makes a gap.
        assert isinstance(entry.event, CursorAdvanced)  # noqa: S101
        return cls(gap, entry, entry.event)


# What is shown of the entry, beside the gap.
_SHOWN = ("recorded_at", "actor", "previous_sequence", "sequence", "delivery_id", "outcome")


def _plain(jump: _Jump) -> dict[str, Any]:
    entry: dict[str, Any] = unstructure(jump.entry)
    said = {**entry, **entry["event"]}
    gap: dict[str, Any] = unstructure(jump.gap)
    return {**gap, **{name: said[name] for name in _SHOWN}}


def _of_each(
    book: Ledger,
    chosen: Choice,
    find: Callable[[Iterator[Entry]], Iterator[T]],
    starts: _Starts,
) -> Iterator[T]:
    progress = Progress()
    for cursor in chosen.cursors(book):
        history = starts.noted(watched(book.history(cursor.key), progress))
        yield from cleared(find(history), progress)


class _Starts:
    """The cursors that were started after 0: what lies before is neither jumped over nor known."""

    def __init__(self) -> None:
        self._first: Entry | None = None
        self._count = 0

    def noted(self, history: Iterator[Entry]) -> Iterator[Entry]:
        """Yield the entries of a cursor, and note whether it was started."""
        for entry in history:
            if isinstance(entry.event, CursorStarted) and entry.event.sequence:
                self._first = self._first or entry
                self._count += 1
            yield entry

    def say(self) -> None:
        """Say on standard error what was not looked at."""
        if self._first is None:
            return
        event = self._first.event
        assert isinstance(event, CursorStarted)  # noqa: S101 - nothing else is noted
        source = f" from {event.source}" if event.source else ""
        said = f"{self._first.key} was started at {event.sequence}{source}"
        more = self._count - 1
        if more:
            said += f", and {more:,} other {'cursor' if more == 1 else 'cursors'} likewise"
        click.echo(f"{visible(said)}: what lies before is before the ledger's time", err=True)


def _verdict(jump: _Jump) -> str:
    if jump.gap.initial:
        return "before the first advance"
    return "missed" if jump.gap.certain else "candidate"


_GAPS = [
    *OWNER,
    Column(
        "first",
        lambda jump: str(jump.gap.first),
        lambda jump: (jump.key, jump.gap.first, ""),
        kind=Kind.NUMBER,
    ),
    Column(
        "last",
        lambda jump: str(jump.gap.last),
        lambda jump: (jump.key, jump.gap.last, ""),
        kind=Kind.NUMBER,
    ),
    Column(
        "count", lambda jump: f"{jump.gap.last - jump.gap.first + 1:,}", kind=Kind.NUMBER, spared=2
    ),
    Column("verdict", _verdict),
    Column(
        "advance",
        lambda jump: f"{jump.advance.previous_sequence} → {jump.advance.sequence}",
        spared=1,
    ),
    Column("recorded", lambda jump: jump.entry.recorded_at, kind=Kind.TIME),
    Column("actor", lambda jump: visible(jump.entry.actor), kind=Kind.NAME, spared=2),
]


def _reason(repeat: Repeat) -> str:
    event = repeat.reset.event
    return visible(event.reason) if isinstance(event, CursorReset) else ""


_REPEATS = [
    *OWNER,
    Column(
        "first",
        lambda repeat: str(repeat.first),
        lambda repeat: (repeat.key, repeat.first, ""),
        kind=Kind.NUMBER,
    ),
    Column(
        "last",
        lambda repeat: str(repeat.last),
        lambda repeat: (repeat.key, repeat.last, ""),
        kind=Kind.NUMBER,
    ),
    Column("deliveries", lambda repeat: f"{repeat.deliveries:,}", kind=Kind.NUMBER, spared=2),
    Column("delivered again", lambda repeat: repeat.first_at, kind=Kind.TIME, spared=1),
    Column("reset by", lambda repeat: visible(repeat.reset.actor), kind=Kind.NAME),
    Column("reset at", lambda repeat: repeat.reset.recorded_at, kind=Kind.TIME),
    Column("reason", _reason),
]
