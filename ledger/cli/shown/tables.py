"""Tables, printed as their values come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import attrs
import click

from ledger.cli.process.encodings import encodable, encodes_all
from ledger.cli.shown.colours import colour, recoloured, without_colour
from ledger.cli.shown.layout import ELLIPSIS, GAP, Kind, padded, shortened
from ledger.cli.shown.narrowing import Column, Layout
from ledger.cli.shown.terminals import terminal_width
from ledger.opening import utc_now

__all__ = ["Column", "Layout", "colour", "print_row", "print_table", "terminal_width"]

PAGE_ROWS = 500


def print_table(
    values: Iterator[Any], columns: Sequence[Column], none: str, width: int | None = None
) -> Layout | None:
    """Print `values` as they come, a page at a time; where there are none, `none` on stderr.

    No line is longer than `width`; without it, nothing is shortened. Return the layout of the
    lines, None where there are none, so that `print_row` can add to them.
    """
    # A page at a time, so that a table of a million rows starts at once and fits in memory. The
    # first one says how wide each column is.
    page = list(islice(values, PAGE_ROWS))
    if not page:
        if none:
            click.echo(none, err=True)
        return None
    whole = len(page) < PAGE_ROWS
    if not encodes_all():
        columns = [attrs.evolve(column, cell=partial(_encodable, column)) for column in columns]
    if width is None:
        layout = Layout.of(page, columns, whole=whole)
    else:
        layout = Layout.within(width, page, columns, whole=whole, now=utc_now())
    if layout.cursor:
        cursor = shortened(layout.cursor, width or 0, Kind.CURSOR)
        click.echo(cursor if encodes_all() else cursor.replace(ELLIPSIS, "~"))
    click.echo(_line(layout.headings, layout))
    click.echo((" " * GAP).join("-" * width for width in layout.widths))
    while page:
        for value in page:
            print_row(value, layout)
        page = list(islice(values, PAGE_ROWS))
    return layout


def print_row(value: object, layout: Layout) -> None:
    """Print one more line of a table."""
    texts = [column.text(value, layout.times, layout.ages) for column in layout.columns]
    click.echo(_line(texts, layout))


def _line(texts: Sequence[str], layout: Layout) -> str:
    cells = []
    for text, column, width in zip(texts, layout.columns, layout.widths, strict=True):
        plain = without_colour(text)
        # A time without its end is none. Hours after the heading, it may need more of its date.
        if layout.bounded and column.kind not in {Kind.TIME, Kind.AGE}:
            plain = shortened(plain, width, column.kind)
            if not plain.isascii() and not encodes_all():
                plain = plain.replace(ELLIPSIS, "~")
        cell = padded(plain, width, column.kind)
        cells.append(cell.replace(plain, recoloured(plain, text), 1) if plain else cell)
    return (" " * GAP).join(cells).rstrip()


def _encodable(column: Column, value: object) -> object:
    """Return the cell as the output can show it, so that its width is known."""
    cell = column.cell(value)
    return recoloured(encodable(without_colour(cell)), cell) if isinstance(cell, str) else cell
