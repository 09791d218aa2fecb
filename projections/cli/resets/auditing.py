"""The command of an audit: who reset which cursor, and why."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import click
from click.core import ParameterSource

from ledger import EntryQuery
from ledger.cli.process.exits import EXIT_NOT_VERIFIED
from ledger.cli.shown.columns import OWNER, with_metadata
from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import cursor_filters
from ledger.cli.typed.keys import known_actors
from ledger.cli.typed.options import limit_option, since_option, sort_option, until_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.log.plain import unstructure
from ledger.log.text import visible
from projections.cli.resets.grouping import of_group, show_groups
from projections.cli.resets.outcomes import effect_of, result_of
from projections.cli.resets.policing import Inspector
from projections.cli.resets.signatures import FIELDS, Auditor, auditor_options
from projections.cli.resets.summing import Sum
from projections.resets.grouped import reset_groups
from projections.resets.views import Direction, RecordedReset
from projections.resets.views import resets as find_resets

__all__ = ["resets"]


@click.command()
@cursor_filters
@click.option(
    "--by",
    "actor",
    default="",
    metavar="ACTOR",
    shell_complete=known_actors,
    help="Only resets of this actor.",
)
@since_option
@until_option
@click.option(
    "--reason", default="", metavar="TEXT", help="Only resets whose reason contains this text."
)
@click.option(
    "--direction",
    type=click.Choice([str(direction) for direction in Direction]),
    help="Only resets in this direction.",
)
@click.option(
    "--authenticated",
    default="",
    metavar="ROLE",
    help="Only resets with this role logged in, as PostgreSQL noted it.",
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
@click.option(
    "--against-policy",
    is_flag=True,
    help="Only resets that lack what a policy required when they were made.",
)
@auditor_options
@click.option(
    "--report",
    "to_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a report of all resets from --since to --until for an auditor: .csv, .html to "
    "print, .txt.",
)
@click.option(
    "--bom", is_flag=True, help="With --report FILE.csv: mark it as UTF-8, as Excel needs it."
)
@click.option("--newest-first", is_flag=True, help="Show the newest reset first.")
@sort_option
@limit_option
@form_options
@pass_target
@click.pass_context
def resets(
    context: click.Context,
    target: Target,
    /,
    auditor: Auditor,
    consumer: str,
    stream: str,
    subject: str,
    actor: str,
    since: datetime | None,
    until: datetime | None,
    reason: str,
    direction: str | None,
    authenticated: str,
    takeovers: bool,
    groups: bool,
    group: int | None,
    against_policy: bool,
    newest_first: bool,
    limit: int,
    form: Form | None,
    to_file: Path | None,
    bom: bool,
) -> None:
    """Show who reset which cursor, when, from where to where, why, and with what result.

    A takeover by a consumer is a reset to where its cursor stands. As there may be many of them,
    and they move nothing, they are listed apart, by --takeovers.

    A group is named by the position of any of its resets, as entries shows it; --groups shows that
    of the first.

    With --allowed-signers, it is verified who has signed each reset, and standard error names each
    signature that does not hold (exit code 5). It always names a reset that lacks what a policy
    required when it was made; with --allowed-signers or --against-policy, the exit code is 5.
    """
    _check(
        takeovers=takeovers, groups=groups, group=group, looks=auditor.looks, only=against_policy
    )
    if groups and authenticated:
        raise click.UsageError("--groups has no logins: leave it out, or --authenticated.")
    if bom and to_file is None:
        raise click.UsageError("--bom is for --report FILE.csv.")
    if to_file is not None:
        _write_report(context, target, auditor, to_file, since=since, until=until, bom=bom)
        return
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
    inspector, counted = Inspector(only=against_policy), Sum()
    with target.open() as book:
        if authenticated and book.session_users(()) is None:
            raise click.UsageError(_NO_LOGINS)
        if groups:
            show_groups(reset_groups(book, query, reason=reason, direction=towards), form)
        else:
            every = attrs.evolve(query, limit=0)
            found = find_resets(
                book,
                every,
                reason=reason,
                direction=towards,
                authenticated=authenticated,
                takeovers=takeovers,
            )
            if group is not None:
                found = of_group(book, group, found)
            found = inspector.looked_at(book, found)
            if auditor.looks:
                found = auditor.looked_at(book, found)
            columns = _TAKEOVERS if takeovers else _RESETS
            more = inspector.columns if against_policy else []
            show(
                counted.over(islice(found, query.limit or None)),
                _with_proof(columns, auditor, more),
                form,
                of=[
                    *(RecordedReset, "effect", "result"),
                    *(FIELDS if auditor.looks else ()),
                    *(["unmet"] if against_policy else ()),
                ],
                plain=partial(_plain, auditor, inspector),
                names=Names(book),
            )
            counted.tell(form, takeovers=takeovers)
        say_what_is_not_settled(book)
        one = attrs.evolve(query, limit=1)
        if not takeovers and any(find_resets(book, one, reason=reason, takeovers=True)):
            say("takeovers are left out: --takeovers lists them", err=True)
    against = inspector.tell()
    auditor.tell(context)
    if against and (auditor.looks or against_policy):
        context.exit(EXIT_NOT_VERIFIED)


def _check(*, takeovers: bool, groups: bool, group: int | None, looks: bool, only: bool) -> None:
    """Refuse options that contradict each other. Raises UsageError."""
    if [takeovers, groups, group is not None].count(True) > 1:
        raise click.UsageError(
            "--groups shows all groups, --group the resets of one, --takeovers what is in none: "
            "choose one of them."
        )
    if groups and looks:
        raise click.UsageError("--groups has no signatures: leave it out, or --allowed-signers.")
    if groups and only:
        raise click.UsageError("--groups shows no policies: leave it out, or --against-policy.")


_NO_LOGINS = (
    "nobody is known to have logged in here: to a file nobody does. On PostgreSQL, open the ledger "
    "once as the owner of its tables, and GRANT SELECT ON ledger_sessions."
)

# A report is of all resets of a period.
_BESIDE_A_REPORT = {
    *("to_file", "bom", "since", "until"),
    *("allowed_signers", "principals", "revoked", "signed_for"),
}


def _write_report(
    context: click.Context,
    target: Target,
    auditor: Auditor,
    file: Path,
    *,
    since: datetime | None,
    until: datetime | None,
    bom: bool,
) -> None:
    for option in context.command.params:
        name = option.name or ""
        typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if typed and option.expose_value and name not in _BESIDE_A_REPORT:
            raise click.UsageError(
                "--report is of all resets of a period, so that none is missing. Leave out "
                f"{'the form' if name == 'form' else option.opts[0]}."
            )
    # Few ask for it.
    from projections.cli.resets import reporting

    reporting.check(file, bom=bom, target=target)
    with target.open() as book:
        made = reporting.report(book, file, auditor, since=since, until=until, bom=bom)
        say_what_is_not_settled(book)
    if made.bad or made.against_policy:
        context.exit(EXIT_NOT_VERIFIED)


def _with_proof(columns: list[Column], auditor: Auditor, more: list[Column]) -> list[Column]:
    # What is long comes last.
    return [*columns[:-1], *(auditor.columns if auditor.looks else ()), *more, columns[-1]]


def _plain(auditor: Auditor, inspector: Inspector, reset: RecordedReset) -> dict[str, Any]:
    more = auditor.plain(reset) if auditor.looks else {}
    if inspector.only:
        more |= inspector.plain(reset)
    return {**unstructure(reset), "effect": effect_of(reset), "result": result_of(reset), **more}


# Nothing of it is shown where nothing is noted.
_AUTHENTICATED = Column(
    "authenticated", lambda reset: visible(reset.authenticated), kind=Kind.NAME, spared=2
)

_TAKEOVERS = [
    Column("recorded", lambda reset: reset.recorded_at, kind=Kind.TIME),
    *OWNER,
    Column(
        "at",
        lambda reset: str(reset.sequence),
        lambda reset: (reset.key, reset.sequence, ""),
        kind=Kind.NUMBER,
        spared=2,
        field="sequence",
    ),
    Column("epoch", lambda reset: f"{reset.epoch - 1} → {reset.epoch}", kind=Kind.WORDS, spared=1),
    # The question is who it was: where the cursor stood is left out before the actor.
    Column("actor", lambda reset: visible(reset.actor), kind=Kind.NAME),
    _AUTHENTICATED,
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
        spared=2,
        field="previous_sequence",
    ),
    Column(
        "to",
        lambda reset: str(reset.sequence),
        lambda reset: (reset.key, reset.sequence, ""),
        kind=Kind.NUMBER,
        spared=3,
        field="sequence",
    ),
    Column("effect", effect_of, kind=Kind.WORDS, spared=1),
    Column("result", result_of, kind=Kind.WORDS, spared=1),
    # The questions are who it was, and why: where the cursor went is left out before they are cut
    # so short that nobody can tell; of the two, the reason is cut first.
    Column("actor", lambda reset: visible(reset.actor), kind=Kind.NAME),
    _AUTHENTICATED,
    Column("reason", lambda reset: with_metadata(reset.reason, reset.metadata)),
]
