"""The command of an audit: who reset which cursor, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import attrs
import click

from ledger import EntryQuery, Ledger
from ledger.cli.columns import OWNER, show_time, with_metadata
from ledger.cli.filters import cursor_filters
from ledger.cli.forms import Form, form_options, show
from ledger.cli.options import limit_option
from ledger.cli.tables import Column
from ledger.cli.target import Target, pass_target
from ledger.cli.times import MOMENT
from ledger.cli.waiting import say_what_is_not_settled
from ledger.log.text import visible
from projections.resets.grouped import ResetGroup, reset_groups
from projections.resets.groups import group_at
from projections.resets.marks import BATCH, PLAN, PLANNED_AT
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
@click.option("--groups", is_flag=True, help="Show resets that were made together as one line.")
@click.option(
    "--group",
    type=int,
    metavar="POSITION",
    help="Only resets that were made together with the one at this position.",
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
    groups: bool,
    group: int | None,
    newest_first: bool,
    limit: int,
    form: Form | None,
) -> None:
    """Show who reset which cursor, when, from where to where, why, and with what result.

    A POSITION is one of the log, as entries shows it; a group is named by that of any of its
    resets, and --groups shows the first.
    """
    if groups and group is not None:
        raise click.UsageError("--groups shows all groups, and --group the resets of one.")
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
        if groups:
            found = reset_groups(book, query, reason=reason, direction=towards)
            show(found, _GROUPS, form, of=[ResetGroup])
        elif group is not None:
            every = attrs.evolve(query, limit=0)
            one = _of_group(book, group, find_resets(book, every, reason=reason, direction=towards))
            show(islice(one, limit or None), _RESETS, form, of=[RecordedReset])
        else:
            show(
                find_resets(book, query, reason=reason, direction=towards),
                _RESETS,
                form,
                of=[RecordedReset],
            )
        say_what_is_not_settled(book)


def _of_group(
    book: Ledger, position: int, found: Iterator[RecordedReset]
) -> Iterator[RecordedReset]:
    group = group_at(book, position)
    together = set(group.positions.values()) if group else set()
    return (reset for reset in found if reset.position in together)


def _effect(reset: RecordedReset) -> str:
    if reset.delivered_again is not None:
        return f"{len(reset.delivered_again):,} to deliver again"
    return f"{len(reset.passed_over):,} skipped" if reset.passed_over is not None else "none"


def _result(reset: RecordedReset) -> str:
    if reset.direction is not Direction.BACK:
        return ""
    return f"caught up {show_time(reset.back_at)}" if reset.back_at else "not caught up yet"


_RESETS = [
    Column("recorded", lambda reset: show_time(reset.recorded_at)),
    *OWNER,
    Column("from", lambda reset: str(reset.previous_sequence)),
    Column("to", lambda reset: str(reset.sequence)),
    Column("effect", _effect),
    Column("result", _result),
    Column("actor", lambda reset: visible(reset.actor)),
    Column("reason", lambda reset: with_metadata(reset.reason, reset.metadata)),
]


def _outcome(group: ResetGroup) -> str:
    if group.undone:
        return "undone" if group.undone == group.resets else f"{group.undone:,} undone"
    return f"{group.back:,} of {group.rewound:,} caught up" if group.rewound else ""


_LONG = {BATCH, PLAN, PLANNED_AT}


def _why(group: ResetGroup) -> str:
    # The position names the group, and JSON has all of it.
    pairs = {name: value for name, value in group.metadata.items() if name not in _LONG}
    return with_metadata(group.reason, pairs)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


_GROUPS = [
    Column("recorded", lambda group: show_time(group.recorded_at)),
    Column("position", lambda group: str(group.position)),
    Column("consumer", lambda group: visible(group.consumer_id) or "several"),
    Column("stream", lambda group: visible(group.stream_name) or "several"),
    Column("cursors", lambda group: f"{group.resets:,}"),
    Column("delivered again", lambda group: _count(group.delivered_again)),
    Column("skipped", lambda group: _count(group.passed_over)),
    Column("result", _outcome),
    Column("actor", lambda group: visible(group.actor)),
    Column("reason", _why),
]
