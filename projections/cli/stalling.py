"""The command that finds cursors that stood still or kept failing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from ledger import CursorQuery, Entry, EntryQuery
from ledger.cli.shown.colours import without_colour
from ledger.cli.shown.columns import OWNER
from ledger.cli.shown.forms import Form, fitting, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.shapes import Shape
from ledger.cli.shown.tables import Column, colour
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import cursor_filters
from ledger.cli.typed.options import own_limit_option, sort_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.cli.typed.times import DURATION
from ledger.law import fields
from ledger.law.reserved import HEAD, is_reserved
from ledger.log.plain import unstructure
from ledger.log.text import visible
from ledger.positions import PositionMapping
from projections.cli.bounding import bounds
from projections.cli.progressing import progress_over
from projections.cli.spans import shown_span
from projections.lately import lately
from projections.ongoing import Ongoing
from projections.searching import Wanted
from projections.stalls import STALLED_AFTER, Stall
from projections.stalls import stalls as find_stalls
from projections.streaks import ErrorStreak, Streaks

__all__ = ["stalls"]


@click.command()
@cursor_filters
@click.option(
    "--after",
    type=DURATION,
    default=shown_span(STALLED_AFTER),
    show_default=True,
    help="A cursor is stalled if it stood still for this long while others of its stream advanced.",
)
@click.option(
    "--errors",
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
@bounds("Only stalls behind at least this many sequences; streaks go by --errors.")
@sort_option
@own_limit_option
@form_options
@pass_target
def stalls(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    after: timedelta,
    errors: int,
    siblings: bool,
    ongoing: bool,
    wanted: Wanted,
    form: Form | None,
) -> None:
    """Show cursors that stood still while others of their stream advanced, or kept failing.

    A cursor with nothing to do is idle, not stalled. Where the head of a stream is recorded, it
    says whether there was something to do. All that the log knows of is shown; with --ongoing, only
    what goes on now. A table has first what goes on, the longest first, and then what has ended,
    the longest first; with --sort -since, the newest first. Other forms have it as the log does.
    """
    errors = fields.sequence(errors, "errors", least=1)
    # A cursor stands still in comparison with the others of its stream only.
    query = CursorQuery(stream_name=stream, subject_id=subject, reserved=True)
    with target.open() as book, progress_over(lambda: book.cursors(query)) as progress:
        names = Names(book)
        found: Iterable[Stall | ErrorStreak]
        if ongoing:
            now = Ongoing(book, query)
            found = [*now.stalls(after, siblings=siblings), *now.streaks(errors)]
        else:
            of_streams = EntryQuery(stream_name=stream, subject_id=subject)
            # Whether a cursor has siblings in other subjects, entries of any time may say.
            if wanted.since is None or siblings:
                entries = progress.counted(book.entries(of_streams))
            else:
                # How many these are is not known before they are read.
                entries = lately(book, of_streams, wanted.since)
            found = _troubles(entries, after, errors, siblings=siblings)
        chosen = (
            trouble
            for trouble in found
            if (consumer == trouble.key.consumer_id if consumer else _is_shown(trouble))
            and _is_wanted(trouble, wanted)
            and _can_be_compared(trouble, names)
        )
        is_table = fitting(form) in {Form.TABLE, Form.WIDE} and not Shape.current().sort
        troubles = progress.cleared(_worst_first(chosen) if is_table else chosen)
        show(troubles, _TROUBLES, form, of=_IN_CSV, plain=_plain, names=names)
        say_what_is_not_settled(book)


def _troubles(
    entries: Iterable[Entry], after: timedelta, least: int, *, siblings: bool
) -> Iterator[Stall | ErrorStreak]:
    """Yield the stalls, and then the streaks; `entries` are read once."""
    streaks, ended = Streaks(least), list[ErrorStreak]()

    def noted() -> Iterator[Entry]:
        for entry in entries:
            streak = streaks.note(entry)
            if streak is not None:
                ended.append(streak)
            yield entry

    yield from find_stalls(noted(), after=after, siblings=siblings)
    yield from ended
    yield from streaks.ongoing()


def _is_shown(trouble: Stall | ErrorStreak) -> bool:
    """Return whether it is shown if its consumer is not named: the ledger's own are not."""
    return not is_reserved(trouble.key.consumer_id)


def _is_wanted(trouble: Stall | ErrorStreak, wanted: Wanted) -> bool:
    """Return whether it lasted at a wanted time and, if it is a stall, is large enough."""
    end, behind = _end(trouble), wanted.least
    if isinstance(trouble, Stall):
        behind = trouble.front - trouble.last_sequence
    return (
        behind >= wanted.least
        and (wanted.since is None or end is None or end >= wanted.since)
        and (wanted.until is None or _since(trouble) <= wanted.until)
    )


def _can_be_compared(trouble: Stall | ErrorStreak, names: Names) -> bool:
    """Return whether it compares no numbers of tokens: with `--subject`, no entry says so."""
    if isinstance(trouble, ErrorStreak):
        return True
    key = trouble.key
    return names.mapping(key.consumer_id, key.stream_name) is not PositionMapping.TOKENS


def _end(trouble: Stall | ErrorStreak) -> datetime | None:
    return trouble.until if isinstance(trouble, Stall) else trouble.ended_at


_IN_CSV: list[type | str] = [Stall, ErrorStreak, "problem"]


def _plain(trouble: Stall | ErrorStreak) -> dict[str, Any]:
    return {**unstructure(trouble), "problem": without_colour(_trouble(trouble))}


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


def _terse_trouble(trouble: Stall | ErrorStreak) -> str:
    """Return the same without how long it took, which the times say as well."""
    return "stalled" if isinstance(trouble, Stall) else colour(f"failed {trouble.count:,}×", "red")


def _tersely_about(trouble: Stall | ErrorStreak) -> str:
    """Return the same with what matters first, because the end may be cut."""
    if isinstance(trouble, ErrorStreak):
        return visible(trouble.last_message)
    who = "head" if trouble.front_consumer == HEAD else trouble.front_consumer
    errors = f", {trouble.errors:,} error{'' if trouble.errors == 1 else 's'}"
    return visible(f"{who} at {trouble.front}{errors if trouble.errors else ''}")


def _worst_first(troubles: Iterable[Stall | ErrorStreak]) -> list[Stall | ErrorStreak]:
    """Return what goes on, the longest first, and then what has ended, the longest first."""

    def rank(trouble: Stall | ErrorStreak) -> tuple[bool, float]:
        since, end = _since(trouble), _end(trouble)
        return (True, (since - end).total_seconds()) if end else (False, since.timestamp())

    return sorted(troubles, key=rank)


_TROUBLES = [
    *OWNER,
    Column(
        "problem",
        _trouble,
        kind=Kind.WORDS,
        terse=Column("problem", _terse_trouble, kind=Kind.WORDS),
    ),
    Column(
        "sequence",
        lambda trouble: str(trouble.last_sequence),
        lambda trouble: (trouble.key, trouble.last_sequence, ""),
        kind=Kind.NUMBER,
        spared=1,
        field="last_sequence",
    ),
    Column("since", _since, kind=Kind.TIME),
    # Whether it goes on is the question; where the cursor stands, list says as well.
    Column("until", _until, kind=Kind.TIME, spared=2),
    Column("detail", _about, terse=Column("detail", _tersely_about)),
]
