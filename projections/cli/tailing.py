"""The command that shows the last entries, and each new one as it is appended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import click

from ledger import Entry
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.columns import ENTRIES
from ledger.cli.shown.forms import Form, endless, endless_options, json_lines, text_lines
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import Shape
from ledger.cli.shown.tables import colour
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import chosen_entries, entry_filters, entry_query, no_reserved_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.law.reserved import is_reserved
from ledger.log.text import visible
from projections.cursors import last_position
from projections.following import follow as follow_log

__all__ = ["tail"]


@click.command()
@entry_filters
@no_reserved_option
@click.option("-f", "--follow", is_flag=True, help="Keep running, and show each new entry.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Show this many of the last entries.",
)
@endless_options
@pass_target
def tail(
    target: Target,
    /,
    no_reserved: bool,
    follow: bool,
    lines: int,
    form: Form | None,
    **given: Any,
) -> None:
    """Show the last entries of the log that match every option, and with -f each new one."""
    chosen = endless(form)
    to_read = chosen in {Form.TABLE, Form.WIDE}
    with target.open() as book:
        query, names = entry_query(book, **given), Names(book)
        until = last_position(book)
        bound = until if query.position_until is None else min(until, query.position_until)
        last_ones = attrs.evolve(query, position_until=bound, newest_first=True, limit=lines)
        # A limit of 0 would mean all of them.
        last = list(chosen_entries(book, last_ones, reserved=not no_reserved)) if lines else []
        watch = Watch.current()
        watch.nothing_found = not last
        wide = chosen is Form.WIDE
        show_line = _reader(names, wide=wide) if to_read else json_lines(ENTRIES, [Entry], names)
        for entry in reversed(last):
            show_line(entry)
        say_what_is_not_settled(book)
        if follow:
            for entry in follow_log(book, query, after=until, stop=watch.stop):
                if not (no_reserved and is_reserved(entry.key.consumer_id)):
                    show_line(entry)
            raise KeyboardInterrupt


def _reader(names: Names, *, wide: bool) -> Callable[[Entry], None]:
    """Return what prints an entry on a line for reading; if it is `wide`, on a single one."""
    if Shape.current().columns:
        return text_lines(ENTRIES, [Entry], names)
    columns = names.columns([column for column in ENTRIES if column.heading not in _IN_KEY])

    def show_line(entry: Entry) -> None:
        position, recorded, _, what, *rest = (column.text(entry) for column in columns)
        who = colour(visible(str(entry.key)), "cyan")
        line = "  ".join(cell for cell in (recorded, position, who, what, *rest) if cell)
        if wide:
            click.echo(line)
        else:
            say(line, hanging=2)

    return show_line


_IN_KEY = ("consumer", "stream", "subject")
