"""Tables for a terminal, and their colours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import attrs
import click

from ledger.law.cursor import CursorKey

__all__ = ["Column", "colour", "print_table"]

PAGE_ROWS = 500


@attrs.frozen
class Column:
    """A column of a table: its heading, and the text of its cell for a value.

    Where the cell ends with a sequence, `at` returns its cursor, the sequence, and the token that
    is not shown elsewhere; or None.
    """

    heading: str
    cell: Callable[[Any], str]
    at: Callable[[Any], tuple[CursorKey, int, str] | None] | None = None


def print_table(values: Iterator[Any], columns: list[Column], none: str) -> None:
    """Print `values` as they come, a page at a time; where there are none, `none` on stderr."""
    from tabulate import tabulate

    first = True
    # A page at a time, so that a table of a million rows starts at once and fits in memory.
    while page := list(islice(values, PAGE_ROWS)):
        cells = [[column.cell(value) for value in page] for column in columns]
        shown = list(zip(columns, cells, strict=True))
        if first and len(page) < PAGE_ROWS:
            # The table is complete: a column without any text is left out.
            shown = [(column, texts) for column, texts in shown if any(texts)]
        table = tabulate(
            list(zip(*(texts for _, texts in shown), strict=True)),
            headers=[column.heading for column, _ in shown],
            tablefmt="simple",
            disable_numparse=True,
        )
        for line in table.splitlines()[0 if first else 2 :]:
            click.echo(line.rstrip())
        first = False
    if first and none:
        click.echo(none, err=True)


def colour(text: str, name: str) -> str:
    """Return `text` in a colour on a terminal, unless NO_COLOR is set."""
    if not text or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return click.style(text, fg=name)
