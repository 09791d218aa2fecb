"""The command that lists cursors, and leads with how they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import attrs
import click

from ledger import Cursor, CursorQuery
from ledger.cli.shown.columns import CURSORS
from ledger.cli.shown.forms import Form, fitting, form_options, show
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import NAMES, Shape, note_sort, words_and_headings
from ledger.cli.typed.filters import cursor_filters
from ledger.cli.typed.options import limit_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from projections.cli.rows import ADDED, WIDE, Rows, plain
from projections.lag import LagState
from projections.overview import ORDERS, CursorOverview, ordered, overview

__all__ = ["list_cursors"]

_SUMMED_UP = {"behind", "state"}
"""The orders by which somebody asks who is in trouble, so that level cursors are summed up."""


def _order(context: click.Context, parameter: click.Parameter, word: str) -> str:
    """Return what to sort by, or note it where it is a column of any table."""
    if word in ORDERS:
        return word
    names = NAMES.convert(word, parameter, context)
    note_sort(context, parameter, tuple(map(_field, names)))
    return "name"


def _field(typed: str) -> str:
    """Return the name in JSON of a column that only a wide table has, or else what was typed."""
    down, name = ("-", typed[1:]) if typed.startswith("-") else ("", typed)
    fields = {column.heading: column.name for column in CURSORS}
    return down + fields.get(name.strip().lower(), name)


@click.command("list")
@cursor_filters
@click.option(
    "--reserved", is_flag=True, help="Also cursors of the ledger's own, such as heads of streams."
)
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in LagState]),
    multiple=True,
    help="Only those in this state. Repeatable.",
)
@click.option(
    "--sort",
    default="name",
    show_default=True,
    metavar="WORD",
    shell_complete=words_and_headings(ORDERS),
    # Before --limit, which then is about what is sorted.
    is_eager=True,
    callback=_order,
    help="By behind, moved or state, the worst first; by name; or by other columns, with a minus "
    "the highest first: stream,-version.",
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="With --sort behind or state: list level cursors as well, which a table sums up.",
)
@click.option("-w", "--watch", is_flag=True, help="Keep running, and show each change.")
@limit_option
@form_options
@pass_target
def list_cursors(
    target: Target,
    /,
    consumer: str,
    stream: str,
    subject: str,
    reserved: bool,
    states: tuple[str, ...],
    sort: str,
    every: bool,
    watch: bool,
    limit: int,
    form: Form | None,
) -> None:
    """List the cursors, and how they do: how far behind, since when they stand still, how failing.

    How far a cursor is behind is known where the head of its stream is recorded: `heads` does that.
    A cursor has moved when it came to where it stands. With --wide, `since` and `age` are those of
    `lag`: how long the oldest of what it is behind has been there.
    """
    query = CursorQuery(
        consumer_id=consumer,
        stream_name=stream,
        subject_id=subject,
        limit=limit,
        reserved=reserved,
    )
    if sort != "name" or states:
        # All are read to be sorted or chosen, and the limit is for what is left of them.
        query = attrs.evolve(query, limit=0)
    with target.open() as book:
        if watch:
            if limit > 0 or Shape.current().limit:
                raise click.UsageError("--watch shows every change; leave --limit out.")
            if Shape.current().sort:
                words = ", ".join(ORDERS)
                raise click.UsageError(f"With --watch, --sort takes one of {words}.")
            # Imported here, because a list needs none of it.
            from projections.cli.watching import watch_rows

            found = lambda: ordered(overview(book, query), sort)  # noqa: E731 - a look, each time
            watch_rows(book, found, Rows(book, query), form, states=states)
            return
        listed = _Listed(overview(book, query), states)
        rows: Iterable[CursorOverview] = ordered(listed, sort)
        asked = every or LagState.OK in states
        sums_up = fitting(form) is Form.TABLE and sort in _SUMMED_UP and not asked
        if sums_up:
            rows = listed.troubled(rows)
        # What was asked for by name may be a column that only a wide table has.
        wide = fitting(form) is Form.WIDE or bool(Shape.current().columns)
        table = Rows(book, query)
        columns = table.filled(WIDE) if wide else table.columns()
        show(
            islice(rows, limit) if limit > 0 else rows,
            columns,
            form,
            of=[Cursor, *ADDED],
            none="" if listed.level else "none",
            plain=plain,
            names=Names(book),
        )
    listed.conclude(by_behind=sort == "behind")


@attrs.define
class _Listed:
    """The rows that are chosen, and what is to be said of them behind the table."""

    _rows: Iterable[CursorOverview]
    _states: tuple[str, ...]
    _found: int = 0
    _with_head: int = 0
    level: int = 0

    def __iter__(self) -> Iterator[CursorOverview]:
        for row in self._rows:
            self._found += 1
            self._with_head += row.lag.head is not None
            if not self._states or row.state.value in self._states:
                yield row

    def troubled(self, rows: Iterable[CursorOverview]) -> list[CursorOverview]:
        """Return all but those that are level, and count those."""
        every = list(rows)
        troubled = [row for row in every if row.state is not LagState.OK]
        self.level = len(every) - len(troubled)
        return troubled

    def conclude(self, *, by_behind: bool) -> None:
        """Print what the table does not show, and what cannot be known."""
        if self.level:
            more = "" if self.level == self._found else " more"
            are = "is" if self.level == 1 else "are"
            say(f"{self.level:,}{more} {are} level: --all lists them", err=True)
        if by_behind and self._found and not self._with_head:
            say(
                "How far these cursors are behind is not known, because no head is recorded for "
                "any of them. Record heads with: heads STREAM [SUBJECT] --to SEQUENCE",
                err=True,
            )
