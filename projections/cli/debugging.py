"""The commands of an investigation: what became of a sequence, what was missed, who stood still."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import click

from ledger import CursorAdvanced, CursorKey, Entry, EntryQuery, Ledger
from ledger.cli.filters import cursor_filters
from ledger.cli.output import (
    OWNER,
    Column,
    Form,
    Progress,
    colour,
    form_options,
    say_whom_it_waits_for,
    show,
    show_one,
    show_time,
)
from ledger.cli.parameters import Target, known, pass_target
from ledger.cli.times import DURATION
from ledger.log.json import unstructure
from ledger.log.text import parse_time, visible
from projections.cli.choosing import Choice, choice, cleared, watched
from projections.deliveries import Gap, Repeat
from projections.deliveries import gaps as find_gaps
from projections.deliveries import repeats as find_repeats
from projections.explanation import Verdict
from projections.explanation import explain as tell
from projections.stalls import STALLED_AFTER, ErrorStreak, Stall, error_streaks
from projections.stalls import stalls as find_stalls

__all__ = ["commands"]


@click.command()
@click.argument("consumer", shell_complete=known("consumer_id"))
@click.argument("stream", shell_complete=known("stream_name"))
@click.argument("rest", nargs=-1, metavar="[SUBJECT] SEQUENCE", shell_complete=known("subject_id"))
@form_options
@pass_target
def explain(
    target: Target, consumer: str, stream: str, rest: tuple[str, ...], form: Form | None
) -> None:
    """Tell the whole story of one sequence at one cursor; its verdict first.

    Was it delivered, how often, by which entry and whom; or skipped, and why; or is it still to
    come, and what stands in its way.
    """
    if not 1 <= len(rest) <= 2:
        raise click.UsageError("Give CONSUMER STREAM [SUBJECT] SEQUENCE.")
    *subject, number = rest
    try:
        sequence = int(number)
    except ValueError:
        raise click.UsageError(
            f"{number!r:.80} is no sequence; the last argument is one."
        ) from None
    key = CursorKey(consumer, stream, *subject)
    progress = Progress()
    with target.open() as book:
        book.get(key)
        explanation = tell(watched(book.history(key), progress), sequence)
    progress.clear()
    if form not in (None, Form.TABLE) or (form is None and not sys.stdout.isatty()):
        show_one(explanation, [], form)
        return
    verdict, *story = explanation.sentences()
    colours = {Verdict.DELIVERED: "green", Verdict.NOT_YET: "yellow"}
    click.echo(
        f"{visible(str(key))} {colour(visible(verdict), colours.get(explanation.verdict, 'red'))}"
    )
    for sentence in story:
        click.echo(f"  {visible(sentence)}")


@click.command()
@choice
@click.option(
    "--dense", is_flag=True, help="Each sequence of the stream exists: what was jumped was missed."
)
@form_options
@pass_target
def gaps(target: Target, chosen: Choice, dense: bool, form: Form | None) -> None:
    """Show what advances jumped over and nobody has gone back to since.

    Of one cursor that is named, some that are chosen, or all. A stream may be sparse, so these are
    candidates; --dense says that it is not.
    """
    with target.open() as book:
        found = _of_each(book, chosen, lambda history: find_gaps(history, dense=dense))
        show((_jump(book, gap) for gap in found), _GAPS, form, of=[Gap, *_JUMPED])


@click.command()
@choice
@form_options
@pass_target
def repeats(target: Target, chosen: Choice, form: Form | None) -> None:
    """Show what was delivered more than once, and after which reset.

    Of one cursor that is named, some that are chosen, or all.
    """
    with target.open() as book:
        show(_of_each(book, chosen, find_repeats), _REPEATS, form, of=[Repeat])


@click.command()
@cursor_filters
@click.option(
    "--after",
    type=DURATION,
    default=STALLED_AFTER,
    show_default="15m",
    help="Stalled is who stood still for so long while others of its stream went on.",
)
@click.option(
    "--errors",
    "least",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    metavar="N",
    help="List streaks of at least so many errors.",
)
@click.option("--ongoing", is_flag=True, help="Only what has not ended.")
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
    """Show who stopped while others of the same stream went on, and who kept failing.

    A cursor with nothing to do is idle, not stalled.
    """
    # Who stands still shows only beside the others of the stream.
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
        say_whom_it_waits_for(book)


commands = [explain, gaps, repeats, stalls]


def _of_each(
    book: Ledger, chosen: Choice, find: Callable[[Iterator[Entry]], Iterator[Any]]
) -> Iterator[Any]:
    progress = Progress()
    for cursor in chosen.cursors(book):
        yield from cleared(find(watched(book.history(cursor.key), progress)), progress)


# What is shown of the entry that jumped over a gap.
_JUMPED = ("recorded_at", "actor", "previous_sequence", "sequence", "delivery_id", "outcome")


def _jump(book: Ledger, gap: Gap) -> dict[str, Any]:
    """Give a gap with what the entry that jumped over it says."""
    # By its key, because the log as a whole may not be settled that far.
    at = EntryQuery(key=gap.key, position_from=gap.position, position_until=gap.position)
    [entry] = book.entries(at)
    plain: dict[str, Any] = unstructure(entry)
    said = {**plain, **plain["event"]}
    found: dict[str, Any] = unstructure(gap)
    return {**found, **{name: said[name] for name in _JUMPED}}


def _both(
    book: Ledger, query: EntryQuery, after: timedelta, least: int, progress: Progress
) -> Iterator[Stall | ErrorStreak]:
    yield from find_stalls(watched(book.entries(query), progress), after=after)
    yield from error_streaks(watched(book.entries(query), progress), least=least)


def _end(trouble: Stall | ErrorStreak) -> Any:
    return trouble.until if isinstance(trouble, Stall) else trouble.ended_at


def _part(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda found: visible(str(found[name]))


def _owner(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda found: visible(found["key"][name])


def _word(found: dict[str, Any]) -> str:
    if found["initial"]:
        return "before the first advance"
    return "missed" if found["certain"] else "candidate"


_GAPS = [
    Column("consumer", _owner("consumer_id")),
    Column("stream", _owner("stream_name")),
    Column("subject", _owner("subject_id")),
    Column("first", _part("first")),
    Column("last", _part("last")),
    Column("count", lambda found: f"{found['last'] - found['first'] + 1:,}"),
    Column("word", _word),
    Column("jumped", lambda found: f"{found['previous_sequence']} → {found['sequence']}"),
    Column("recorded", lambda found: show_time(parse_time(found["recorded_at"], "recorded_at"))),
    Column("actor", _part("actor")),
]


def _reason(repeat: Repeat) -> str:
    event = repeat.reset.event
    return "" if isinstance(event, CursorAdvanced) else visible(getattr(event, "reason", ""))


_REPEATS = [
    *OWNER,
    Column("first", lambda repeat: str(repeat.first)),
    Column("last", lambda repeat: str(repeat.last)),
    Column("times", lambda repeat: f"{repeat.deliveries:,}"),
    Column("again", lambda repeat: show_time(repeat.first_at)),
    Column("reset by", lambda repeat: visible(repeat.reset.actor)),
    Column("reset", lambda repeat: show_time(repeat.reset.recorded_at)),
    Column("reason", _reason),
]


def _trouble(trouble: Stall | ErrorStreak) -> str:
    if isinstance(trouble, Stall):
        return "stalled"
    span = f" in {_long(trouble.span)}" if trouble.span >= timedelta(minutes=1) else ""
    return colour(f"failed {trouble.count:,}×{span}", "red")


def _long(span: timedelta) -> str:
    """Give a span in its two largest units."""
    minutes, seconds = divmod(round(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number}{unit}" for number, unit in parts[:2] if number)


def _since(trouble: Stall | ErrorStreak) -> str:
    return show_time(trouble.since if isinstance(trouble, Stall) else trouble.first_at)


def _until(trouble: Stall | ErrorStreak) -> str:
    end = _end(trouble)
    return show_time(end) if end else "now"


def _about(trouble: Stall | ErrorStreak) -> str:
    if isinstance(trouble, ErrorStreak):
        if trouble.first_message == trouble.last_message:
            return visible(trouble.last_message)
        return visible(f"{trouble.first_message} … {trouble.last_message}")
    front = f"{trouble.front_consumer} got to {trouble.front}"
    return visible(f"{front}; {trouble.errors:,} errors" if trouble.errors else front)


_TROUBLES = [
    *OWNER,
    Column("what", _trouble),
    Column("at", lambda trouble: str(trouble.last_sequence)),
    Column("since", _since),
    Column("until", _until),
    Column("detail", _about),
]
