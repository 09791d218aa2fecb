"""The commands about deliveries: what a cursor jumped over, and what it delivered again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs
import click

from ledger import CursorAdvanced, CursorKey, CursorReset, Entry, EntryQuery, Ledger
from ledger.cli.columns import OWNER
from ledger.cli.forms import Form, form_options, show
from ledger.cli.layout import Kind
from ledger.cli.progress import Progress
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
    with target.open() as book:
        found = _of_each(book, chosen, lambda history: find_gaps(history, dense=dense))
        jumps = (_Jump.over(gap, book) for gap in found)
        show(jumps, _GAPS, form, of=[Gap, *_SHOWN], plain=_plain)


@click.command()
@choice
@form_options
@pass_target
def repeats(target: Target, chosen: Choice, form: Form | None) -> None:
    """Show what was delivered more than once, and after which reset.

    Of one cursor that is named, of those that are chosen, or of all.
    """
    with target.open() as book:
        show(_of_each(book, chosen, find_repeats), _REPEATS, form, of=[Repeat])


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
    book: Ledger, chosen: Choice, find: Callable[[Iterator[Entry]], Iterator[T]]
) -> Iterator[T]:
    progress = Progress()
    for cursor in chosen.cursors(book):
        yield from cleared(find(watched(book.history(cursor.key), progress)), progress)


def _verdict(jump: _Jump) -> str:
    if jump.gap.initial:
        return "before the first advance"
    return "missed" if jump.gap.certain else "candidate"


_GAPS = [
    *OWNER,
    Column("first", lambda jump: str(jump.gap.first), Kind.NUMBER),
    Column("last", lambda jump: str(jump.gap.last), Kind.NUMBER),
    Column("count", lambda jump: f"{jump.gap.last - jump.gap.first + 1:,}", Kind.NUMBER, spared=2),
    Column("verdict", _verdict),
    Column(
        "advance",
        lambda jump: f"{jump.advance.previous_sequence} → {jump.advance.sequence}",
        Kind.WORDS,
        spared=1,
    ),
    Column("recorded", lambda jump: jump.entry.recorded_at, Kind.TIME),
    Column("actor", lambda jump: visible(jump.entry.actor), Kind.NAME, spared=2),
]


def _reason(repeat: Repeat) -> str:
    event = repeat.reset.event
    return visible(event.reason) if isinstance(event, CursorReset) else ""


_REPEATS = [
    *OWNER,
    Column("first", lambda repeat: str(repeat.first), Kind.NUMBER),
    Column("last", lambda repeat: str(repeat.last), Kind.NUMBER),
    Column("deliveries", lambda repeat: f"{repeat.deliveries:,}", Kind.NUMBER),
    Column("delivered again", lambda repeat: repeat.first_at, Kind.TIME, spared=2),
    Column("reset by", lambda repeat: visible(repeat.reset.actor), Kind.NAME),
    Column("reset at", lambda repeat: repeat.reset.recorded_at, Kind.TIME),
    Column("reason", _reason),
]
