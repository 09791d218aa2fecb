"""The command that finds cursors that stood still or kept failing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import click

from ledger import EntryQuery, Ledger
from ledger.cli.columns import OWNER
from ledger.cli.filters import cursor_filters
from ledger.cli.forms import Form, form_options, show
from ledger.cli.layout import Kind
from ledger.cli.progress import Progress
from ledger.cli.tables import Column, colour
from ledger.cli.target import Target, pass_target
from ledger.cli.times import DURATION
from ledger.cli.waiting import say_what_is_not_settled
from ledger.log.text import visible
from projections.cli.choosing import cleared, watched
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
    ongoing: bool,
    form: Form | None,
) -> None:
    """Show cursors that stood still while others of their stream advanced, or kept failing.

    A cursor with nothing to do is idle, not stalled.
    """
    # A cursor stands still in comparison with the others of its stream only.
    query = EntryQuery(stream_name=stream, subject_id=subject)
    progress = Progress()
    with target.open() as book:
        found: Iterator[Stall | ErrorStreak] = _both(book, query, after, least, progress)
        chosen = (
            trouble
            for trouble in found
            if consumer in ("", trouble.key.consumer_id) and not (ongoing and _end(trouble))
        )
        show(cleared(chosen, progress), _TROUBLES, form, of=[Stall, ErrorStreak])
        say_what_is_not_settled(book)


def _both(
    book: Ledger, query: EntryQuery, after: timedelta, least: int, progress: Progress
) -> Iterator[Stall | ErrorStreak]:
    yield from find_stalls(watched(book.entries(query), progress), after=after)
    yield from error_streaks(watched(book.entries(query), progress), least=least)


def _end(trouble: Stall | ErrorStreak) -> datetime | None:
    return trouble.until if isinstance(trouble, Stall) else trouble.ended_at


def _trouble(trouble: Stall | ErrorStreak) -> str:
    if isinstance(trouble, Stall):
        return "stalled"
    span = f" in {_long(trouble.span)}" if trouble.span >= timedelta(minutes=1) else ""
    return colour(f"failed {trouble.count:,}×{span}", "red")


def _long(span: timedelta) -> str:
    """Return a span in its two largest units."""
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number}{unit}" for number, unit in parts[:2] if number)


def _since(trouble: Stall | ErrorStreak) -> datetime:
    return trouble.since if isinstance(trouble, Stall) else trouble.first_at


def _until(trouble: Stall | ErrorStreak) -> datetime | str:
    return _end(trouble) or "ongoing"


def _about(trouble: Stall | ErrorStreak) -> str:
    if isinstance(trouble, ErrorStreak):
        if trouble.first_message == trouble.last_message:
            return visible(trouble.last_message)
        return visible(f"{trouble.first_message} … {trouble.last_message}")
    front = f"{trouble.front_consumer} advanced to {trouble.front}"
    errors = f"{trouble.errors:,} error{'' if trouble.errors == 1 else 's'}"
    return visible(f"{front}; {errors} meanwhile" if trouble.errors else front)


_TROUBLES = [
    *OWNER,
    Column("problem", _trouble, Kind.WORDS),
    Column("sequence", lambda trouble: str(trouble.last_sequence), Kind.NUMBER),
    Column("since", _since, Kind.TIME),
    Column("until", _until, Kind.TIME, spared=1),
    Column("detail", _about),
]
