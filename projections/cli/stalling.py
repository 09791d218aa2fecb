"""The command that finds cursors that stood still or kept failing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

import click

from ledger import EntryQuery
from ledger.cli.columns import OWNER
from ledger.cli.filters import cursor_filters
from ledger.cli.forms import Form, form_options, show
from ledger.cli.layout import Kind
from ledger.cli.progress import Progress
from ledger.cli.sources import Names
from ledger.cli.tables import Column, colour
from ledger.cli.target import Target, pass_target
from ledger.cli.times import DURATION
from ledger.cli.waiting import say_what_is_not_settled
from ledger.law.reserved import HEAD, is_reserved
from ledger.log.text import visible
from ledger.positions import PositionMapping
from projections.cli.choosing import cleared, watched
from projections.cli.spans import shown_span
from projections.stalls import STALLED_AFTER, Stall
from projections.stalls import stalls as find_stalls
from projections.streaks import ErrorStreak, error_streaks

__all__ = ["stalls"]


@click.command()
@cursor_filters
@click.option(
    "--after",
    type=DURATION,
    default=STALLED_AFTER,
    show_default="15m",
    help="A cursor is stalled if it stood still for this long while others of its stream advanced.",
)
@click.option(
    "--errors",
    "least",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    metavar="N",
    help="List streaks of at least this many errors.",
)
@click.option(
    "--siblings",
    is_flag=True,
    help="Compare a cursor that has no head, and is the only one of its subject, with the other "
    "subjects of its consumer.",
)
@click.option("--ongoing", is_flag=True, help="Only stalls and streaks that have not ended.")
@form_options
@pass_target
def stalls(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    after: timedelta,
    least: int,
    siblings: bool,
    ongoing: bool,
    form: Form | None,
) -> None:
    """Show cursors that stood still while others of their stream advanced, or kept failing.

    A cursor with nothing to do is idle, not stalled. Where the head of a stream is recorded, it
    says whether there was something to do.
    """
    # A cursor stands still in comparison with the others of its stream only.
    query = EntryQuery(stream_name=stream, subject_id=subject)
    progress = Progress()
    with target.open() as book:
        names = Names(book)
        found: Iterator[Stall | ErrorStreak] = chain(
            find_stalls(watched(book.entries(query), progress), after=after, siblings=siblings),
            error_streaks(watched(book.entries(query), progress), least=least),
        )
        chosen = (
            trouble
            for trouble in found
            if (consumer == trouble.key.consumer_id if consumer else _is_shown(trouble))
            and not (ongoing and _end(trouble))
            and _can_be_compared(trouble, names)
        )
        troubles = cleared(chosen, progress)
        show(troubles, _TROUBLES, form, of=[Stall, ErrorStreak], names=names)
        say_what_is_not_settled(book)


def _is_shown(trouble: Stall | ErrorStreak) -> bool:
    """Say whether it is shown unless its consumer is named: the ledger's own are not."""
    return not is_reserved(trouble.key.consumer_id)


def _can_be_compared(trouble: Stall | ErrorStreak, names: Names) -> bool:
    """Say whether it compares no numbers of tokens: with `--subject`, no entry says so."""
    if isinstance(trouble, ErrorStreak):
        return True
    key = trouble.key
    return names.mapping(key.consumer_id, key.stream_name) is not PositionMapping.TOKENS


def _end(trouble: Stall | ErrorStreak) -> datetime | None:
    return trouble.until if isinstance(trouble, Stall) else trouble.ended_at


def _trouble(trouble: Stall | ErrorStreak) -> str:
    if isinstance(trouble, Stall):
        return "stalled"
    span = f" in {shown_span(trouble.span)}" if trouble.span >= timedelta(minutes=1) else ""
    return colour(f"failed {trouble.count:,}×{span}", "red")


def _since(trouble: Stall | ErrorStreak) -> datetime:
    return trouble.since if isinstance(trouble, Stall) else trouble.first_at


def _until(trouble: Stall | ErrorStreak) -> datetime | str:
    return _end(trouble) or "ongoing"


def _about(trouble: Stall | ErrorStreak) -> str:
    if isinstance(trouble, ErrorStreak):
        if trouble.first_message == trouble.last_message:
            return visible(trouble.last_message)
        return visible(f"{trouble.first_message} … {trouble.last_message}")
    front = (
        f"the stream goes up to {trouble.front}"
        if trouble.front_consumer == HEAD
        else f"{trouble.front_consumer} advanced to {trouble.front}"
    )
    errors = f"{trouble.errors:,} error{'' if trouble.errors == 1 else 's'}"
    return visible(f"{front}; {errors} meanwhile" if trouble.errors else front)


_TROUBLES = [
    *OWNER,
    Column("problem", _trouble, kind=Kind.WORDS),
    Column(
        "sequence",
        lambda trouble: str(trouble.last_sequence),
        lambda trouble: (trouble.key, trouble.last_sequence, ""),
        kind=Kind.NUMBER,
    ),
    Column("since", _since, kind=Kind.TIME),
    Column("until", _until, kind=Kind.TIME, spared=1),
    Column("detail", _about),
]
