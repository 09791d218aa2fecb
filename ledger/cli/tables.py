"""Tables, printed as their values come."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from ledger.cli.colours import colour, recoloured, without_colour
from ledger.cli.layout import GAP, Kind, padded, shortened
from ledger.cli.narrowing import Column, Layout

__all__ = ["Column", "colour", "print_table", "terminal_width"]

PAGE_ROWS = 500


def print_table(
    values: Iterator[Any], columns: Sequence[Column], none: str, width: int | None = None
) -> None:
    """Print `values` as they come, a page at a time; where there are none, `none` on stderr.

    No line is longer than `width`; without it, nothing is shortened.
    """
    # A page at a time, so that a table of a million rows starts at once and fits in memory. The
    # first one says how wide each column is.
    page = list(islice(values, PAGE_ROWS))
    if not page:
        if none:
            click.echo(none, err=True)
        return
    whole = len(page) < PAGE_ROWS
    if width is None:
        layout = Layout.of(page, columns, whole=whole)
    else:
        layout = Layout.within(width, page, columns, whole=whole, now=datetime.now(UTC))
    if layout.cursor:
        click.echo(shortened(layout.cursor, width or 0, Kind.NAME))
    click.echo(_line(layout.headings, layout))
    click.echo((" " * GAP).join("-" * width for width in layout.widths))
    while page:
        for value in page:
            texts = [column.text(value, layout.times) for column in layout.columns]
            click.echo(_line(texts, layout))
        page = list(islice(values, PAGE_ROWS))


def _line(texts: Sequence[str], layout: Layout) -> str:
    cells = []
    for text, column, width in zip(texts, layout.columns, layout.widths, strict=True):
        plain = without_colour(text)
        if layout.bounded:
            plain = shortened(plain, width, column.kind)
        cell = padded(plain, width, column.kind)
        cells.append(cell.replace(plain, recoloured(plain, text), 1) if plain else cell)
    return (" " * GAP).join(cells).rstrip()


def terminal_width() -> int | None:
    """Return how many columns the terminal has; None if it does not say, or the output is a file.

    COLUMNS goes before what the terminal says.
    """
    if not sys.stdout.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None
