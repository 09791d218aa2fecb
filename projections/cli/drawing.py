"""The command that draws a cursor's life."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ledger import CursorKey
from ledger.cli.exits import EXIT_FAILED
from ledger.cli.forms import Form, fitting, form_flags, show, show_one
from ledger.cli.keys import cursor_arguments, key
from ledger.cli.layout import Kind
from ledger.cli.progress import Progress
from ledger.cli.sources import Names
from ledger.cli.tables import Column, colour
from ledger.cli.target import Target, pass_target
from ledger.log.text import visible
from projections import files
from projections.charts import FORMATS, ChartLibraryMissingError, draw, draw_on_terminal
from projections.cli.choosing import watched
from projections.timeline import MarkKind, Timeline, TimelineMark
from projections.timeline import timeline as make_timeline

__all__ = ["timeline"]

ROWS = 16


@click.command()
@cursor_arguments
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
    stream: str,
    subject: str,
    output: Path | None,
    form: Form | None,
) -> None:
    """Draw the sequences of one cursor over time, with resets, errors, repeats and jumps.

    A page (.html) opens offline, zooms, and shows details under the pointer.
    """
    cursor = key(consumer, stream, subject)
    progress = Progress()
    if output is not None:
        files.check(output, ledger=target.file)
    with target.open() as book:
        book.get(cursor)
        life = make_timeline(watched(book.history(cursor), progress))
        marks = _named(Names(book), cursor)
    progress.clear()
    try:
        if output is not None:
            draw(life, output)
            click.echo(f"{life.entries:,} entries drawn into {visible(str(output))}", err=True)
            return
        match fitting(form):
            case Form.TABLE | Form.WIDE:
                _show_life(life, marks)
            case Form.CSV:
                show(life.marks, marks, form)
            case _:
                show_one(life, [], form)
    except ChartLibraryMissingError as error:
        click.echo(f"cursor-ledger: {error}", err=True)
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


def _show_life(life: Timeline, marks: list[Column]) -> None:
    width, _ = shutil.get_terminal_size()
    drawn = draw_on_terminal(life, width=min(max(width, 40), 120), height=ROWS)
    click.echo(f"{visible(str(life.key))}, {life.entries:,} entries")
    click.echo(drawn)
    kinds = {mark.kind for mark in life.marks}
    rare = {MarkKind.START: ", S start", MarkKind.TAKEOVER: ", T takeover"}
    click.echo("R reset, E errors, J jump" + "".join(rare[kind] for kind in rare if kind in kinds))
    show(life.marks, marks, Form.TABLE)
    if life.left_out:
        click.echo(f"{life.left_out:,} smaller marks are left out", err=True)


_COLOURS = {MarkKind.RESET: "yellow", MarkKind.ERRORS: "red"}

_MARKS = [
    Column("recorded", lambda mark: mark.at, kind=Kind.TIME),
    Column(
        "event",
        lambda mark: colour(mark.kind.value, _COLOURS.get(mark.kind, "cyan")),
        kind=Kind.WORDS,
    ),
    Column("detail", lambda mark: visible(mark.text)),
]
