"""The commands of an audit: who reset what, where cursors stood, and what changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ledger import Cursor, EntryQuery
from ledger.cli.filters import cursor_filters, limit_option
from ledger.cli.output import (
    CURSORS,
    OWNER,
    Column,
    Form,
    Progress,
    form_options,
    say_whom_it_waits_for,
    show,
    show_one,
    show_time,
    with_metadata,
)
from ledger.cli.parameters import EXIT_NO_CURSOR, Target, pass_target
from ledger.cli.times import MOMENT, MOMENT_OR_POSITION
from ledger.log.text import visible
from projections.cli.choosing import Choice, choice, cleared
from projections.cursors import Change, Moment, cursors_as_of, diff, last_position
from projections.cursors import as_of as cursor_as_of
from projections.resets.views import Direction, RecordedReset
from projections.resets.views import resets as find_resets

__all__ = ["commands"]


@click.command()
@cursor_filters
@click.option("--by", "actor", default="", metavar="ACTOR", help="Only those of this actor.")
@click.option("--since", type=MOMENT, help="Recorded at this time or later: a time, or 90m, 7d.")
@click.option("--until", type=MOMENT, help="Recorded at this time or earlier.")
@click.option("--reason", default="", metavar="TEXT", help="Only with this text in the reason.")
@click.option(
    "--direction",
    type=click.Choice([str(direction) for direction in Direction]),
    help="Only those that went this way.",
)
@click.option("--newest-first", is_flag=True, help="Begin with the last one.")
@limit_option
@form_options
@pass_target
def resets(
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    actor: str,
    since: datetime | None,
    until: datetime | None,
    reason: str,
    direction: str | None,
    newest_first: bool,
    limit: int,
    form: Form | None,
) -> None:
    """Show who reset which cursor, when, from where to where, why, and what came of it."""
    query = EntryQuery(
        consumer_id=consumer,
        stream_name=stream,
        subject_id=subject,
        actor=actor,
        recorded_from=since,
        recorded_until=until,
        newest_first=newest_first,
        limit=limit,
    )
    towards = None if direction is None else Direction(direction)
    with target.open() as book:
        show(
            find_resets(book, query, reason=reason, direction=towards),
            _RESETS,
            form,
            of=[RecordedReset],
        )
        say_whom_it_waits_for(book)


@click.command("as-of")
@click.argument("moment", type=MOMENT_OR_POSITION)
@choice
@form_options
@pass_target
@click.pass_context
def as_of(
    context: click.Context, target: Target, moment: Moment, chosen: Choice, form: Form | None
) -> None:
    """Show where cursors stood at MOMENT: one that is named, some that are chosen, or all.

    MOMENT is a time, how long ago (90m, 7d), or a bare number: a position of the log.
    """
    progress = Progress()
    with target.open() as book:
        if chosen.key is None:
            then = cursors_as_of(book, moment, chosen.query)
            show(cleared(_counted(then, progress), progress), CURSORS, form, of=[Cursor])
            say_whom_it_waits_for(book)
            return
        book.get(chosen.key)
        cursor = cursor_as_of(book, chosen.key, moment)
        if cursor is None:
            click.echo(
                f"cursor-ledger: {visible(str(chosen.key))} had no entry yet then.", err=True
            )
            context.exit(EXIT_NO_CURSOR)
        show_one(cursor, CURSORS, form)


@click.command("diff")
@click.argument("earlier", type=MOMENT_OR_POSITION)
@click.argument("later", type=MOMENT_OR_POSITION, required=False)
@cursor_filters
@form_options
@pass_target
def show_diff(
    target: Target,
    earlier: Moment,
    later: Moment | None,
    consumer: str,
    stream: str,
    subject: str,
    form: Form | None,
) -> None:
    """Show what changed between two moments, cursor by cursor.

    A moment is a time, how long ago (90m, 7d), or a bare number: a position of the log. Without
    LATER, it is up to now.
    """
    chosen = Choice(consumer, stream, subject, named=False)
    progress = Progress()
    with target.open() as book:
        changes = diff(book, earlier, last_position(book) if later is None else later, chosen.query)
        show(cleared(_counted(changes, progress), progress), _CHANGES, form, of=[Change])
        say_whom_it_waits_for(book)


commands = [resets, as_of, show_diff]


def _counted(values: Any, progress: Progress) -> Any:
    for count, value in enumerate(values, 1):
        progress.say(f"{count:,} cursors looked at")
        yield value


def _effect(reset: RecordedReset) -> str:
    if reset.delivered_again is not None:
        return f"{len(reset.delivered_again):,} again"
    return f"{len(reset.passed_over):,} over" if reset.passed_over is not None else "none"


def _outcome(reset: RecordedReset) -> str:
    if reset.direction is not Direction.BACK:
        return ""
    return f"back {show_time(reset.back_at)}" if reset.back_at else "not back"


def _standing(cursor: Cursor | None) -> str:
    return "–" if cursor is None else str(cursor.last_sequence)


_RESETS = [
    Column("recorded", lambda reset: show_time(reset.recorded_at)),
    *OWNER,
    Column("from", lambda reset: str(reset.previous_sequence)),
    Column("to", lambda reset: str(reset.sequence)),
    Column("effect", _effect),
    Column("outcome", _outcome),
    Column("actor", lambda reset: visible(reset.actor)),
    Column("reason", lambda reset: with_metadata(reset.reason, reset.metadata)),
]

_CHANGES = [
    *OWNER,
    Column("from", lambda change: _standing(change.before)),
    Column("to", lambda change: _standing(change.after)),
    Column("moved", lambda change: f"{change.moved:+,}" if change.moved else "0"),
    Column("entries", lambda change: f"{change.entries:,}"),
    Column("resets", lambda change: f"{change.resets:,}" if change.resets else ""),
]
