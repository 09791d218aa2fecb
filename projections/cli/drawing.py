"""The command that draws a cursor's life."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from ledger import CursorKey, EntryQuery, files
from ledger.cli.process.exits import EXIT_FAILED
from ledger.cli.shown.forms import Form, fitting, form_flags, show, show_one, show_table
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import Shape
from ledger.cli.shown.tables import Column, colour
from ledger.cli.typed.keys import cursor_arguments, key
from ledger.cli.typed.options import since_option, until_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.log.text import visible
from projections.charts import FORMATS, ChartLibraryMissingError, draw, draw_on_terminal
from projections.cli.choosing import watched
from projections.timeline import MarkKind, Timeline, TimelineMark
from projections.timeline import timeline as make_timeline

__all__ = ["timeline"]

ROWS_MAX, ROWS_MIN = 16, 8
WIDTH_MAX = 120


@click.command()
@cursor_arguments
@since_option
@until_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Draw into a file: {', '.join(f'.{form}' for form in FORMATS)}.",
)
@form_flags
@pass_target
def timeline(
    target: Target,
    consumer: str,
    stream: str | None,
    subject: str,
    since: datetime | None,
    until: datetime | None,
    output: Path | None,
    form: Form | None,
) -> None:
    """Draw the sequences of one cursor over time, with resets, errors, repeats and jumps.

    With --since, the line begins where the cursor stood then, and what lasted until then is marked.
    A page (.html) opens offline, zooms, and shows details under the pointer.
    """
    cursor = key(consumer, stream, subject)
    progress = Progress()
    if output is not None and str(output) in {*Form}:
        raise click.UsageError(f"Here -o draws into a file. To print the timeline: --{output}")
    if output is not None:
        files.check(output, ledger=target.file)
    with target.open() as book:
        book.get(cursor)
        # What came before --since says where the cursor stood then.
        entries = book.entries(EntryQuery(key=cursor, recorded_until=until))
        life = make_timeline(watched(entries, progress), since=since)
        names = Names(book)
        marks = _named(names, cursor)
    progress.clear()
    try:
        if output is not None:
            draw(life, output)
            say(f"{life.entries:,} entries drawn into {visible(str(output))}", err=True)
            return
        match fitting(form):
            case Form.TABLE | Form.WIDE:
                Shape.current().needs_records()
                _show_life(life, marks, wide=fitting(form) is Form.WIDE)
            case Form.CSV:
                show(life.marks, marks, form)
            case _:
                show_one(life, [], form, names=names)
    except ChartLibraryMissingError as error:
        say(f"cursor-ledger: {error}", err=True)
        click.get_current_context().exit(EXIT_FAILED)


def _named(names: Names, key: CursorKey) -> list[Column]:
    """Return the columns of marks, and one more if their source calls their places otherwise."""

    def place(mark: TimelineMark) -> str:
        ends = dict.fromkeys((mark.low, mark.high))
        return " – ".join(names.beside(key, end).strip(" ()") for end in ends)

    return (
        [*_MARKS, Column("at the source", place, kind=Kind.WORDS)]
        if names.beside(key, 1)
        else _MARKS
    )


def _show_life(life: Timeline, marks: list[Column], *, wide: bool) -> None:
    """Show it on one screen; if it is to be `wide`, with all of its marks."""
    width, height = shutil.get_terminal_size()
    on_screen = sys.stdout.isatty() and not wide
    rows, listed = _rows(len(life.marks), height) if on_screen else (ROWS_MAX, len(life.marks))
    drawn = draw_on_terminal(life, width=min(width, WIDTH_MAX), height=rows)
    say(f"{visible(str(life.key))}, {life.entries:,} entries")
    click.echo(drawn)
    kinds = {mark.kind for mark in life.marks}
    rare = {MarkKind.START: ", S start", MarkKind.TAKEOVER: ", T takeover"}
    say("R reset, E errors, J jump" + "".join(rare[kind] for kind in rare if kind in kinds))
    kept = _largest(life.marks, listed)
    if wide:
        show(life.marks, marks, Form.WIDE, none="")
    else:
        show_table(kept, marks)
    _say_left_out(life, listed=len(life.marks) if wide else len(kept))


def _rows(marks: int, height: int) -> tuple[int, int]:
    """Return how many rows the drawing has, and how many marks are listed, in so many lines."""
    # The cursor, the legend, the heading of the marks and its line, and the shell's own line.
    room = height - 5
    if marks + ROWS_MIN <= room:
        return min(room - marks, ROWS_MAX), marks
    # Two more lines say what is left out.
    return ROWS_MIN, max(room - 2 - ROWS_MIN, 1)


def _largest(marks: Sequence[TimelineMark], count: int) -> list[TimelineMark]:
    """Return so many of `marks` in their order: of each kind the largest."""
    if len(marks) <= count:
        return list(marks)
    rank: dict[MarkKind, int] = {}
    ranked = []
    for mark in sorted(marks, key=lambda mark: -mark.size):
        rank[mark.kind] = rank.get(mark.kind, 0) + 1
        ranked.append((rank[mark.kind], _FIRST.index(mark.kind), mark))
    kept = {id(mark) for *_, mark in sorted(ranked, key=lambda each: each[:2])[:count]}
    return [mark for mark in marks if id(mark) in kept]


_FIRST = (
    MarkKind.RESET,
    MarkKind.ERRORS,
    MarkKind.START,
    MarkKind.REPEAT,
    MarkKind.TAKEOVER,
    MarkKind.JUMP,
)


def _say_left_out(life: Timeline, *, listed: int) -> None:
    """Print what the drawing and the list do not show."""
    said = []
    every = len(life.marks) + life.left_out
    if listed < every:
        said.append(f"{every - listed:,} of {every:,} marks are not listed, the smaller ones")
    if listed < len(life.marks):
        said.append(f"--wide lists {len(life.marks):,}")
    if len(life.points) < life.entries / 2:
        said.append(f"the line is drawn through {len(life.points):,} places")
    if said:
        say("; ".join(said), err=True)


_COLOURS = {MarkKind.RESET: "yellow", MarkKind.ERRORS: "red"}

_MARKS = [
    Column("recorded", lambda mark: mark.at, kind=Kind.TIME, field="at"),
    Column(
        "event",
        lambda mark: colour(mark.kind.value, _COLOURS.get(mark.kind, "cyan")),
        kind=Kind.WORDS,
        field="kind",
    ),
    Column("detail", lambda mark: visible(mark.text), field="text"),
]
