"""The commands to look on: entries as they come, and a cursor's life."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import attrs
import click

from ledger import Entry
from ledger.cli.filters import entry_filters, entry_query
from ledger.cli.output import (
    ENTRIES,
    Column,
    Form,
    Progress,
    colour,
    form_options,
    say_whom_it_waits_for,
    show,
    show_one,
    show_time,
)
from ledger.cli.parameters import EXIT_FAILED, Target, cursor_arguments, key, pass_target
from ledger.log.text import visible
from projections import files
from projections.charts import FORMATS, ChartLibraryMissingError, draw, draw_on_terminal
from projections.cli.choosing import watched
from projections.cursors import last_position
from projections.projector import follow as follow_log
from projections.timeline import MarkKind, Timeline
from projections.timeline import timeline as make_timeline

__all__ = ["commands"]

ROWS = 16


@click.command()
@entry_filters
@click.option("-f", "--follow", is_flag=True, help="Go on: show each entry as it is appended.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=10, show_default=True, help="The last so many."
)
@click.option("--table", "form", flag_value=Form.TABLE, type=Form, help="Lines to read.")
@click.option("--jsonl", "form", flag_value=Form.JSONL, type=Form, help="One JSON object a line.")
@pass_target
def tail(target: Target, /, follow: bool, lines: int, form: Form | None, **given: Any) -> None:
    """Show the last entries of the log, and with -f those that come; all, or those that fit."""
    query = entry_query(**given)
    to_read = form is Form.TABLE or (form is None and sys.stdout.isatty())
    with target.open() as book:
        until = last_position(book)
        bound = until if query.position_until is None else min(until, query.position_until)
        last_ones = attrs.evolve(query, position_until=bound, newest_first=True, limit=lines)
        # A limit of 0 would mean all of them.
        last = list(book.entries(last_ones)) if lines else []
        for entry in reversed(last):
            _show_line(entry, to_read=to_read)
        say_whom_it_waits_for(book)
        if follow:
            for entry in follow_log(book, query, after=until):
                _show_line(entry, to_read=to_read)


@click.command()
@cursor_arguments
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Draw it into a file: {', '.join(f'.{form}' for form in FORMATS)}.",
)
@form_options
@pass_target
def timeline(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    output: Path | None,
    form: Form | None,
) -> None:
    """Show one cursor's life: where it stood when, resets, errors, repeats and jumps.

    A page (.html) opens offline, zooms, and says what is under the pointer.
    """
    cursor = key(consumer, stream, subject)
    progress = Progress()
    if output is not None:
        files.check(output, ledger=target.file)
    with target.open() as book:
        book.get(cursor)
        life = make_timeline(watched(book.history(cursor), progress))
    progress.clear()
    try:
        if output is not None:
            draw(life, output)
            click.echo(f"{life.entries:,} entries drawn into {visible(str(output))}", err=True)
        elif form is Form.TABLE or (form is None and sys.stdout.isatty()):
            _show_life(life)
        elif form is Form.CSV:
            show(life.marks, _MARKS, form)
        else:
            show_one(life, [], form)
    except ChartLibraryMissingError as error:
        click.echo(f"cursor-ledger: {error}", err=True)
        click.get_current_context().exit(EXIT_FAILED)


commands = [tail, timeline]


def _show_line(entry: Entry, *, to_read: bool) -> None:
    if to_read:
        cells = [column.cell(entry) for column in ENTRIES if column.heading not in _IN_KEY]
        position, recorded, _, what, *rest = cells
        who = colour(visible(str(entry.key)), "cyan")
        click.echo("  ".join(cell for cell in (recorded, position, who, what, *rest) if cell))
    else:
        show([entry], ENTRIES, Form.JSONL)


_IN_KEY = ("consumer", "stream", "subject")


def _show_life(life: Timeline) -> None:
    width, _ = shutil.get_terminal_size()
    drawn = draw_on_terminal(life, width=min(max(width, 40), 120), height=ROWS)
    click.echo(f"{visible(str(life.key))}, {life.entries:,} entries")
    click.echo(drawn)
    click.echo("R reset, E errors, J jump")
    show(life.marks, _MARKS, Form.TABLE)
    if life.left_out:
        click.echo(f"{life.left_out:,} smaller ones are left out", err=True)


_COLOURS = {MarkKind.RESET: "yellow", MarkKind.ERRORS: "red"}

_MARKS = [
    Column("recorded", lambda mark: show_time(mark.at)),
    Column("what", lambda mark: colour(mark.kind.value, _COLOURS.get(mark.kind, "cyan"))),
    Column("detail", lambda mark: visible(mark.text)),
]
