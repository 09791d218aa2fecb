"""The command that shows the last entries, and each new one as it is appended."""

from __future__ import annotations

from typing import Any

import attrs
import click

from ledger import Entry
from ledger.cli.columns import ENTRIES
from ledger.cli.filters import entry_filters, entry_query
from ledger.cli.forms import Form, fitting, show
from ledger.cli.sources import Names
from ledger.cli.tables import colour
from ledger.cli.target import Target, pass_target
from ledger.cli.waiting import say_what_is_not_settled
from ledger.log.text import visible
from projections.cursors import last_position
from projections.following import follow as follow_log

__all__ = ["tail"]


@click.command()
@entry_filters
@click.option("-f", "--follow", is_flag=True, help="Keep running, and show each new entry.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Show this many of the last entries.",
)
@click.option(
    "--table",
    "form",
    flag_value=Form.TABLE,
    type=Form,
    help="Print lines for reading: the default on a terminal.",
)
@click.option(
    "--jsonl",
    "form",
    flag_value=Form.JSONL,
    type=Form,
    help="Print one JSON object a line: the default in a pipe.",
)
@pass_target
def tail(target: Target, /, follow: bool, lines: int, form: Form | None, **given: Any) -> None:
    """Show the last entries of the log that match every option, and with -f each new one."""
    to_read = fitting(form) is Form.TABLE
    with target.open() as book:
        query, names = entry_query(book, **given), Names(book)
        until = last_position(book)
        bound = until if query.position_until is None else min(until, query.position_until)
        last_ones = attrs.evolve(query, position_until=bound, newest_first=True, limit=lines)
        # A limit of 0 would mean all of them.
        last = list(book.entries(last_ones)) if lines else []
        for entry in reversed(last):
            _show_line(entry, names, to_read=to_read)
        say_what_is_not_settled(book)
        if follow:
            for entry in follow_log(book, query, after=until):
                _show_line(entry, names, to_read=to_read)


def _show_line(entry: Entry, names: Names, *, to_read: bool) -> None:
    if to_read:
        columns = [column for column in ENTRIES if column.heading not in _IN_KEY]
        cells = [column.text(entry) for column in names.columns(columns)]
        position, recorded, _, what, *rest = cells
        who = colour(visible(str(entry.key)), "cyan")
        click.echo("  ".join(cell for cell in (recorded, position, who, what, *rest) if cell))
    else:
        show([entry], ENTRIES, Form.JSONL, names=names)


_IN_KEY = ("consumer", "stream", "subject")
