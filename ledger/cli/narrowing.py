"""Which columns a table has, and how wide, where not all of them fit the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from ledger.cli.colours import without_colour
from ledger.cli.layout import READABLE, TIGHT, Bounds, Kind, Part, fit, shared, together, width_of
from ledger.cli.short_times import ZONE, ShortTimes, Times, to_the_second
from ledger.law.cursor import CursorKey

__all__ = ["Column", "Layout"]


@attrs.frozen
class Column:
    """A column of a table: its heading, and the text of its cell for a value.

    The cell of a column of times is a time, None, or a word instead. Where the terminal is too
    narrow, one that is spared at 1 is left out before anything becomes hard to read, and one that
    is spared at 2 before names cannot be told apart; those that name a cursor become one column.
    Where the cell ends with a sequence, `at` returns its cursor, the sequence, and the token that
    is not shown elsewhere; or None.
    """

    heading: str
    cell: Callable[[Any], Any]
    at: Callable[[Any], tuple[CursorKey, int, str] | None] | None = None
    kind: Kind = attrs.field(default=Kind.TEXT, kw_only=True)
    spared: int = attrs.field(default=0, kw_only=True)
    of_cursor: bool = attrs.field(default=False, kw_only=True)
    bare: Column | None = attrs.field(default=None, kw_only=True)
    """The same column without what is beside its sequences, if there is something."""

    def text(self, value: object, times: Times = to_the_second) -> str:
        """Return the text of the cell for `value`, with its time as `times` words it."""
        cell = self.cell(value)
        return cell if isinstance(cell, str) else times(cell)


@attrs.frozen
class Layout:
    """The columns that are shown, with their widths, and how they word a time."""

    columns: list[Column]
    headings: list[str]
    widths: list[int]
    times: Times
    bounded: bool
    """Whether what is too long for its column is shortened."""
    cursor: str = ""
    """The cursor that all rows are of, where it has no column."""

    @classmethod
    def of(cls, page: Sequence[Any], columns: Iterable[Column], *, whole: bool) -> Layout:
        """Return the layout in which nothing of `page` is shortened.

        A table that is `whole`, because there are no more pages, has no column without any text.
        """
        return _Measured.of(page, columns, to_the_second, whole=whole).laid_out(None)

    @classmethod
    def within(
        cls,
        width: int,
        page: Sequence[Any],
        columns: Iterable[Column],
        *,
        whole: bool,
        now: datetime,
    ) -> Layout:
        """Return the layout of `page` that fits `width` with as much of it as can be read."""
        measured = _Measured.of(page, columns, to_the_second, whole=whole)
        if measured.width > width:
            for narrower, bounds in _narrower(page, measured.columns, now, whole=whole):
                measured = narrower
                if fit(measured.parts, width, bounds):
                    break
        return measured.laid_out(width)


@attrs.frozen
class _Measured:
    """Columns, and how wide each would have to be."""

    columns: list[Column]
    parts: list[Part]
    times: Times
    cursor: str = ""

    @classmethod
    def of(
        cls, page: Sequence[Any], columns: Iterable[Column], times: Times, *, whole: bool
    ) -> _Measured:
        """Measure those of `columns` that have any text; all of them if more pages come."""
        kept, parts = [], []
        for column in columns:
            texts = (without_colour(column.text(value, times)) for value in page)
            widest = max(map(width_of, texts))
            if widest or not whole:
                kept.append(column)
                parts.append(Part(column.kind, width_of(column.heading), widest))
        return cls(kept, parts, times)

    @property
    def width(self) -> int:
        return together(part.natural for part in self.parts)

    def laid_out(self, width: int | None) -> Layout:
        """Return the layout that these columns have in `width`."""
        naturals = [part.natural for part in self.parts]
        return Layout(
            self.columns,
            [column.heading for column in self.columns],
            naturals if width is None else shared(self.parts, width),
            self.times,
            bounded=width is not None,
            cursor=self.cursor,
        )


def _narrower(
    page: Sequence[Any], columns: Iterable[Column], now: datetime, *, whole: bool
) -> Iterator[tuple[_Measured, Bounds]]:
    """Yield narrower and narrower tables, with the bounds at which each will do."""
    columns = list(columns)
    cells = [column.cell for column in columns if column.kind is Kind.TIME]
    told = [cell(value) for value in page for cell in cells]
    times = ShortTimes.fit_for((time for time in told if isinstance(time, datetime)), now)

    cursor = ""

    def measure() -> _Measured:
        measured = _Measured.of(page, _zoned(columns), times, whole=whole)
        return attrs.evolve(measured, cursor=cursor)

    yield measure(), READABLE
    if whole and len(page) > 1 and len(cursors := {_cursor(columns, value) for value in page}) == 1:
        [cursor] = cursors
        columns = [column for column in columns if not column.of_cursor]
        yield measure(), READABLE
    for spared in [column for column in reversed(columns) if column.spared == 1]:
        columns.remove(spared)
        yield measure(), READABLE
    if sum(column.of_cursor for column in columns) > 1:
        columns = list(_joined(columns))
        yield measure(), READABLE
    yield measure(), TIGHT
    for spared in [column for column in reversed(columns) if column.spared == 2]:
        columns.remove(spared)
        yield measure(), TIGHT
    if any(column.bare for column in columns):
        columns = [column.bare or column for column in columns]
        yield measure(), TIGHT


def _zoned(columns: Iterable[Column]) -> Iterator[Column]:
    """Name the zone of the times in the heading of the first of them."""
    zone = f" {ZONE}"
    for column in columns:
        if column.kind is Kind.TIME:
            yield attrs.evolve(column, heading=column.heading + zone)
            zone = ""
        else:
            yield column


def _joined(columns: Iterable[Column]) -> Iterator[Column]:
    """Make one column of those that name a cursor, where the first of them stands."""
    columns = list(columns)
    names = [column for column in columns if column.of_cursor]
    for column in columns:
        if column is names[0]:
            yield Column("cursor", partial(_cursor, names), kind=Kind.CURSOR)
        elif column not in names:
            yield column


def _cursor(columns: Iterable[Column], value: object) -> str:
    """Return the name of the cursor that a row is of."""
    names = (column.text(value) for column in columns if column.of_cursor)
    return "/".join(name for name in names if name)
