"""Which columns a table has, and how wide, where not all of them fit the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from ledger.cli.shown.colours import without_colour
from ledger.cli.shown.layout import (
    READABLE,
    TIGHT,
    Bounds,
    Kind,
    Part,
    fit,
    shared,
    together,
    width_of,
)
from ledger.cli.shown.short_times import Ages, ShortTimes, Times, exact_times, to_the_second
from ledger.cli.shown.zones import current_zone
from ledger.law import paths
from ledger.law.cursor import CursorKey

__all__ = ["Column", "Layout"]


_IN_JSON = {
    "consumer": "consumer_id",
    "stream": "stream_name",
    "subject": "subject_id",
    "recorded": "recorded_at",
}
"""What tables call otherwise than JSON, whatever they are about."""


@attrs.frozen
class Column:
    """A column of a table: its heading, and the text of its cell for a value.

    The cell of a column of times or ages is a time, None, or a word instead. Where the terminal is
    too narrow, one that is spared at 1 is left out before anything becomes hard to read, one at 2
    before names cannot be told apart, and one at 3 after those; those that name a cursor become one
    column. Where the cell ends with a sequence, `at` returns its cursor, the sequence, and the
    token that is not shown elsewhere; or None.
    """

    heading: str
    cell: Callable[[Any], Any]
    at: Callable[[Any], tuple[CursorKey, int, str] | None] | None = None
    kind: Kind = attrs.field(default=Kind.TEXT, kw_only=True)
    spared: int = attrs.field(default=0, kw_only=True)
    of_cursor: bool = attrs.field(default=False, kw_only=True)
    bare: Column | None = attrs.field(default=None, kw_only=True)
    """The same column without what is beside its sequences, if there is something."""
    terse: Column | None = attrs.field(default=None, kw_only=True)
    """The same column in fewer words, for a terminal that has no room for all of them."""
    field: str = attrs.field(default="", kw_only=True)
    """What it is called in JSON, if it has another name there."""
    kept: bool = attrs.field(default=False, kw_only=True)
    """Whether it is shown although all of its cells are empty, because it was asked for."""

    @property
    def forms(self) -> Iterator[Column]:
        """The column, and those that may stand in its place where there is less room."""
        yield self
        yield from (each for each in (self.bare, self.terse) if each is not None)

    @property
    def name(self) -> str:
        """What it is called in JSON."""
        return self.field or _IN_JSON.get(self.heading) or self.heading.replace(" ", "_")

    def text(self, value: object, times: Times = to_the_second, ages: Times = to_the_second) -> str:
        """Return the text of the cell for `value`, with its time as `times` or `ages` word it."""
        cell = self.cell(value)
        if isinstance(cell, str):
            return cell
        return ages(cell) if self.kind is Kind.AGE else times(cell)


@attrs.frozen
class Layout:
    """The columns that are shown, with their widths, and how they word a time."""

    columns: list[Column]
    headings: list[str]
    widths: list[int]
    times: Times
    ages: Times
    bounded: bool
    """Whether what is too long for its column is shortened."""
    cursor: str = ""
    """The cursor that all rows are of, where it has no column."""
    left_out: tuple[str, ...] = ()
    """The headings of columns for which there was no room."""

    @classmethod
    def of(cls, page: Sequence[Any], columns: Iterable[Column], *, whole: bool) -> Layout:
        """Return the layout in which nothing of `page` is shortened.

        A table that is `whole`, because there are no more pages, has no column without any text.
        """
        exact = exact_times()
        return _Measured.of(page, columns, exact, exact, whole=whole).laid_out(None)

    def on(self, now: datetime) -> Layout:
        """Return the layout of more lines of the same table, which are printed at `now`."""
        times = self.times
        return attrs.evolve(self, times=times.on(now)) if isinstance(times, ShortTimes) else self

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
        measured = _Measured.of(page, columns, exact_times(), Ages(now), whole=whole)
        every = measured.columns
        if measured.width > width:
            for narrower, bounds in _narrower(page, measured.columns, now, whole=whole):
                measured = narrower
                if fit(measured.parts, width, bounds):
                    break
        # The heading of a time may have its zone, but its cell is the same.
        there = {column.cell for column in measured.columns}
        left_out = (
            column.heading
            for column in every
            if not column.of_cursor and not there & {each.cell for each in column.forms}
        )
        return attrs.evolve(measured.laid_out(width), left_out=tuple(left_out))


@attrs.frozen
class _Measured:
    """Columns, and how wide each would have to be."""

    columns: list[Column]
    parts: list[Part]
    times: Times
    ages: Times
    cursor: str = ""

    @classmethod
    def of(
        cls,
        page: Sequence[Any],
        columns: Iterable[Column],
        times: Times,
        ages: Times,
        *,
        whole: bool,
    ) -> _Measured:
        """Measure those of `columns` that have any text; all of them if more pages come."""
        kept, parts = [], []
        for column in columns:
            texts = (without_colour(column.text(value, times, ages)) for value in page)
            widest = max(map(width_of, texts))
            if widest or column.kept or not whole:
                kept.append(column)
                parts.append(Part(column.kind, width_of(column.heading), widest))
        return cls(kept, parts, times, ages)

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
            self.ages,
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
        measured = _Measured.of(page, _zoned(columns), times, Ages(now), whole=whole)
        return attrs.evolve(measured, cursor=cursor)

    yield measure(), READABLE
    if any(column.terse for column in columns):
        columns = [column.terse or column for column in columns]
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
    for level in (2, 3):
        for spared in [column for column in reversed(columns) if column.spared == level]:
            columns.remove(spared)
            yield measure(), TIGHT
    if any(column.bare for column in columns):
        columns = [column.bare or column for column in columns]
        yield measure(), TIGHT


def _zoned(columns: Iterable[Column]) -> Iterator[Column]:
    """Name the zone of the times in the heading of the first of them."""
    zone = f" {current_zone().heading}"
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
    return paths.joined(names)
