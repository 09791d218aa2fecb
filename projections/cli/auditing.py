"""The command of an audit: who reset which cursor, and why."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import attrs
import click

from ledger import EntryQuery
from ledger.cli.columns import OWNER, show_time, with_metadata
from ledger.cli.filters import cursor_filters
from ledger.cli.forms import Form, form_options, show
from ledger.cli.layout import Kind
from ledger.cli.options import limit_option
from ledger.cli.sources import Names
from ledger.cli.tables import Column
from ledger.cli.target import Target, pass_target
from ledger.cli.times import MOMENT
from ledger.cli.waiting import say_what_is_not_settled
from ledger.log.text import visible
from projections.cli.grouping import of_group, show_groups
from projections.resets.grouped import reset_groups
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
@click.option(
    "--takeovers", is_flag=True, help="Only takeovers by consumers, which are left out otherwise."
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
    takeovers: bool,
    groups: bool,
    group: int | None,
    newest_first: bool,
    limit: int,
    form: Form | None,
) -> None:
    """Show who reset which cursor, when, from where to where, why, and with what result.

    A takeover by a consumer is a reset to where its cursor stands. As there may be many of them,
    and they move nothing, they are listed apart, by --takeovers.

    A group is named by the position of any of its resets, as entries shows it; --groups shows that
    of the first.
    """
    if [takeovers, groups, group is not None].count(True) > 1:
        raise click.UsageError(
            "--groups shows all groups, --group the resets of one, --takeovers what is in none: "
            "choose one of them."
        )
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
            show_groups(reset_groups(book, query, reason=reason, direction=towards), form)
        else:
            every = query if group is None else attrs.evolve(query, limit=0)
            found = find_resets(book, every, reason=reason, direction=towards, takeovers=takeovers)
            chosen = found if group is None else islice(of_group(book, group, found), limit or None)
            columns = _TAKEOVERS if takeovers else _RESETS
            show(chosen, columns, form, of=[RecordedReset], names=Names(book))
        say_what_is_not_settled(book)
        one = attrs.evolve(query, limit=1)
        if not takeovers and any(find_resets(book, one, reason=reason, takeovers=True)):
            click.echo("takeovers are left out: --takeovers lists them", err=True)


def _effect(reset: RecordedReset) -> str:
    if reset.delivered_again is not None:
        return f"{len(reset.delivered_again):,} to deliver again"
    return f"{len(reset.passed_over):,} skipped" if reset.passed_over is not None else "none"


def _result(reset: RecordedReset) -> str:
    if reset.direction is not Direction.BACK:
        return ""
    return f"caught up {show_time(reset.back_at)}" if reset.back_at else "not caught up yet"


_TAKEOVERS = [
    Column("recorded", lambda reset: reset.recorded_at, kind=Kind.TIME),
    *OWNER,
    Column(
        "at",
        lambda reset: str(reset.sequence),
        lambda reset: (reset.key, reset.sequence, ""),
        kind=Kind.NUMBER,
    ),
    Column("epoch", lambda reset: f"{reset.epoch - 1} → {reset.epoch}", kind=Kind.WORDS, spared=1),
    Column("actor", lambda reset: visible(reset.actor), kind=Kind.NAME, spared=2),
    Column("reason", lambda reset: visible(reset.reason)),
]

_RESETS = [
    Column("recorded", lambda reset: reset.recorded_at, kind=Kind.TIME),
    *OWNER,
    Column(
        "from",
        lambda reset: str(reset.previous_sequence),
        lambda reset: (reset.key, reset.previous_sequence, ""),
        kind=Kind.NUMBER,
    ),
    Column(
        "to",
        lambda reset: str(reset.sequence),
        lambda reset: (reset.key, reset.sequence, ""),
        kind=Kind.NUMBER,
    ),
    Column("effect", _effect, kind=Kind.WORDS, spared=1),
    Column("result", _result, kind=Kind.WORDS, spared=1),
    Column("actor", lambda reset: visible(reset.actor), kind=Kind.NAME, spared=2),
    Column("reason", lambda reset: with_metadata(reset.reason, reset.metadata)),
]
