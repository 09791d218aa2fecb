"""The command of an audit: who reset which cursor, and why."""

from __future__ import annotations

from datetime import datetime

import click

from ledger import EntryQuery
from ledger.cli.columns import OWNER, show_time, with_metadata
from ledger.cli.filters import cursor_filters
from ledger.cli.forms import Form, form_options, show
from ledger.cli.layout import Kind
from ledger.cli.options import limit_option
from ledger.cli.tables import Column
from ledger.cli.target import Target, pass_target
from ledger.cli.times import MOMENT
from ledger.cli.waiting import say_what_is_not_settled
from ledger.log.text import visible
from projections.resets.views import Direction, RecordedReset
from projections.resets.views import resets as find_resets

__all__ = ["resets"]


@click.command()
@cursor_filters
@click.option("--by", "actor", default="", metavar="ACTOR", help="Only resets of this actor.")
@click.option(
    "--since", type=MOMENT, help="Recorded at this time or later: a time, or a time ago (90m, 7d)."
)
@click.option("--until", type=MOMENT, help="Recorded at this time or earlier.")
@click.option(
    "--reason", default="", metavar="TEXT", help="Only resets whose reason contains this text."
)
@click.option(
    "--direction",
    type=click.Choice([str(direction) for direction in Direction]),
    help="Only resets in this direction.",
)
@click.option("--newest-first", is_flag=True, help="Show the newest reset first.")
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
    """Show who reset which cursor, when, from where to where, why, and with what result."""
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
        say_what_is_not_settled(book)


def _effect(reset: RecordedReset) -> str:
    if reset.delivered_again is not None:
        return f"{len(reset.delivered_again):,} to deliver again"
    return f"{len(reset.passed_over):,} skipped" if reset.passed_over is not None else "none"


def _result(reset: RecordedReset) -> str:
    if reset.direction is not Direction.BACK:
        return ""
    return f"caught up {show_time(reset.back_at)}" if reset.back_at else "not caught up yet"


_RESETS = [
    Column("recorded", lambda reset: reset.recorded_at, Kind.TIME),
    *OWNER,
    Column("from", lambda reset: str(reset.previous_sequence), Kind.NUMBER),
    Column("to", lambda reset: str(reset.sequence), Kind.NUMBER),
    Column("effect", _effect, Kind.WORDS, spared=1),
    Column("result", _result, Kind.WORDS, spared=1),
    Column("actor", lambda reset: visible(reset.actor), Kind.NAME),
    Column("reason", lambda reset: with_metadata(reset.reason, reset.metadata)),
]
