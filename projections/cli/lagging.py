"""The command that says how far cursors are behind, and whether that is too far."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import BinaryIO, TypeAlias

import attrs
import click

from ledger import CursorNotFoundError, Ledger
from ledger.cli.process.exits import EXIT_BEHIND
from ledger.cli.process.streams import flush_output
from ledger.cli.shown.columns import OWNER
from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import NAMES, note_sort, words_and_headings
from ledger.cli.shown.tables import Column, colour
from ledger.cli.typed.options import limit_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.cli.typed.times import DURATION
from ledger.log.text import visible
from projections.cli.choosing import Choice, choice, order
from projections.cli.head_files import read_heads
from projections.cli.rows import COLOURS, shown_behind
from projections.cli.spans import shown_age, shown_span
from projections.lag import Lag, LagState
from projections.lag import lag as find_lag
from projections.lag_sums import WORST_FIRST, GroupLag, group_lag
from projections.stalls import STALLED_AFTER

__all__ = ["lag"]

Behind: TypeAlias = Lag | GroupLag


_WORDS = ("name", "behind", "age", "state")


def _ordered(context: click.Context, parameter: click.Parameter, word: str) -> str:
    """Return what to sort by, or note it where it is a column of any table."""
    if word in _WORDS:
        return word
    note_sort(context, parameter, NAMES.convert(word, parameter, context))
    return "name"


@click.command()
@choice
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in LagState]),
    multiple=True,
    help="Only those in this state. Repeatable.",
)
@click.option("--group", is_flag=True, help="Show the sums of each consumer over its subjects.")
@click.option(
    "--sort",
    default="name",
    show_default=True,
    metavar="WORD",
    shell_complete=words_and_headings(_WORDS),
    is_eager=True,
    callback=_ordered,
    help="By behind, age or state, the worst first; by name; or by other columns, as in list: "
    "at,-head.",
)
@limit_option
@click.option(
    "--heads",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="Heads, instead of those in the ledger: CSV, or a JSON object a line, with stream, "
    "subject and sequence. - is standard input.",
)
@click.option(
    "--stream-heads",
    is_flag=True,
    help="Compare a subject that has no head with the head of its whole stream.",
)
@click.option(
    "--stalled-after",
    type=DURATION,
    default=shown_span(STALLED_AFTER),
    show_default=True,
    help="A cursor is stalled if it stood still for this long while it was behind.",
)
@click.option(
    "--max-behind",
    type=click.IntRange(0),
    metavar="N",
    help="Show only what is further behind, and exit with 6 if anything is.",
)
@click.option(
    "--max-age",
    type=DURATION,
    metavar="DURATION",
    help="Show only what has been behind for longer, and exit with 6 if anything has.",
)
@form_options
@pass_target
@click.pass_context
def lag(
    context: click.Context,
    target: Target,
    /,
    chosen: Choice,
    states: tuple[str, ...],
    group: bool,
    sort: str,
    limit: int,
    file: BinaryIO | None,
    stream_heads: bool,
    stalled_after: timedelta,
    max_behind: int | None,
    max_age: timedelta | None,
    form: Form | None,
) -> None:
    """Show how far each cursor is behind the head of its stream, and since when.

    Heads are recorded by producers, or with `heads`. The age is that of the oldest event that the
    consumer has not confirmed, by the ledger's own time; no clock of the consumer is asked. After a
    reset back, that is an event to deliver again, as old as it is: since when the cursor stands
    there is told by list and by stalls.
    """
    if file is not None and max_age is not None:
        raise click.UsageError("Heads from a file have no history, so --max-age cannot go by them.")
    bounds = _Bounds(max_behind, max_age)
    given = None if file is None else read_heads(file)
    with target.open() as book:
        every = heapq.merge(
            *(
                find_lag(
                    book, query, heads=given, stream_heads=stream_heads, stalled_after=stalled_after
                )
                for query in chosen.queries
            ),
            key=lambda each: order(each.key),
        )
        found = bounds.counted(_named(chosen, book, every))
        judged: Iterator[Behind] = group_lag(found) if group else found
        rows = bounds.beyond(each for each in judged if not states or each.state.value in states)
        if sort != "name":
            rows = iter(sorted(rows, key=_WORST[sort]))
        show(
            islice(rows, min(limit, sys.maxsize)) if limit > 0 else rows,
            _GROUPS if group else _LAGS,
            form,
            of=[GroupLag if group else Lag],
            none="" if bounds.are_given else "none",
            names=Names(book),
        )
    if bounds.are_given:
        bounds.conclude()
        if bounds.found:
            flush_output()
            context.exit(EXIT_BEHIND)


def _named(chosen: Choice, book: Ledger, lags: Iterable[Lag]) -> Iterable[Lag]:
    """Yield only that of the cursor that was named, if one was. Raises CursorNotFoundError."""
    if chosen.key is None:
        return lags
    book.get(chosen.key)
    return (each for each in lags if each.key == chosen.key)


@attrs.define
class _Bounds:
    """How far cursors may be behind, and what was found."""

    behind: int | None
    age: timedelta | None
    found: int = 0
    """How many are beyond them."""
    cursors: int = 0
    headless: int = 0

    @property
    def are_given(self) -> bool:
        """Whether there are any."""
        return self.behind is not None or self.age is not None

    def counted(self, lags: Iterable[Lag]) -> Iterator[Lag]:
        """Yield all, and count what can be judged."""
        for each in lags:
            self.cursors += 1
            self.headless += each.head is None
            yield each

    def beyond(self, lags: Iterable[Behind]) -> Iterator[Behind]:
        """Yield what is beyond the bounds; all where there are none."""
        for each in lags:
            if not self.are_given or self._is_beyond(each):
                self.found += 1
                yield each

    def conclude(self) -> None:
        """Print what could not be judged: an alert that judges nothing must not be silent.

        Raises CursorNotFoundError, click.ClickException.
        """
        if not self.cursors:
            raise CursorNotFoundError("No cursor is chosen by these options, so none was judged.")
        if self.headless == self.cursors:
            raise click.ClickException(
                "No head is recorded for any of these cursors, so none was judged. Record heads "
                "with: heads STREAM [SUBJECT] --to SEQUENCE; or give some with --heads FILE."
            )
        if self.headless:
            say(
                f"not judged, because they have no head: {self.headless:,} of {self.cursors:,}",
                err=True,
            )

    def _is_beyond(self, each: Behind) -> bool:
        return (self.behind is not None and (each.behind or 0) > self.behind) or (
            self.age is not None and timedelta(seconds=each.age_s or 0) > self.age
        )


_WORST: dict[str, Callable[[Behind], int]] = {
    "behind": lambda each: -(each.behind or 0),
    "age": lambda each: -1 - each.age_s if each.age_s is not None else 0,
    "state": lambda each: WORST_FIRST.index(each.state),
}


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _behind(each: Behind) -> str:
    return shown_behind(each) if isinstance(each, Lag) else _number(each.behind)


def _state(each: Behind) -> str:
    said = "no head" if each.state is LagState.NO_HEAD else each.state.value
    if isinstance(each, Lag) and each.errors:
        said += f" {each.errors:,}×"
    if isinstance(each, GroupLag) and each.in_state < each.cursors:
        said += f" ({each.in_state:,} of {each.cursors:,})"
    return colour(said, COLOURS.get(each.state, ""))


_FROM_BEHIND = [
    Column("behind", _behind, kind=Kind.NUMBER),
    Column("since", lambda each: each.since, kind=Kind.TIME, spared=1),
    Column("age", lambda each: shown_age(each.age_s), kind=Kind.NUMBER, field="age_s"),
    Column("state", _state, kind=Kind.WORDS),
]


_LAGS = [
    *OWNER,
    Column(
        "at",
        lambda each: str(each.last_sequence),
        lambda each: (each.key, each.last_sequence, ""),
        kind=Kind.NUMBER,
        field="last_sequence",
    ),
    Column(
        "head",
        lambda each: "" if each.head is None else str(each.head),
        lambda each: None if each.head is None else (each.key, each.head, ""),
        kind=Kind.NUMBER,
        spared=2,
    ),
    *_FROM_BEHIND,
    Column("last error", lambda each: visible(each.last_error), spared=1),
]

_GROUPS = [
    Column("consumer", lambda each: visible(each.consumer_id), kind=Kind.NAME, of_cursor=True),
    Column("stream", lambda each: visible(each.stream_name), kind=Kind.NAME, of_cursor=True),
    Column("cursors", lambda each: _number(each.cursors), kind=Kind.NUMBER),
    *_FROM_BEHIND,
]
