"""The command that plans resets, and makes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import click
from click.core import ParameterSource

from ledger import CursorKey, CursorNotFoundError, Ledger
from ledger.cli.names import NewCursorError, new_option
from ledger.cli.output import CURSORS, Form, form_options, show, show_one
from ledger.cli.parameters import (
    EXIT_FAILED,
    EXIT_NO_CURSOR,
    Target,
    default_actor,
    metadata_option,
    pass_target,
)
from ledger.cli.times import MOMENT
from ledger.cli.writing import (
    actor_option,
    delivered_at_option,
    delivery_id_option,
    now_option,
    version_option,
)
from ledger.log.json import structure
from ledger.log.text import loads, show_time, visible
from projections import files
from projections.cli.choosing import Choice, choice
from projections.cli.printed_commands import Place
from projections.cli.showing_plans import Setting, confirm, show_plan
from projections.resets.plans import ImpossiblePlanError, ResetPlan

__all__ = ["reset"]


class _Key(click.ParamType[CursorKey]):
    """A cursor in one word: CONSUMER/STREAM[/SUBJECT], or JSON where a name has a slash in it."""

    name = "cursor"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CursorKey:
        """Give the key."""
        if isinstance(value, CursorKey):
            return value
        if value.startswith("{"):
            return structure(loads(value), CursorKey)
        parts = value.split("/")
        if not 2 <= len(parts) <= 3:
            self.fail(
                f"{value!r:.80} is no cursor. Give CONSUMER/STREAM[/SUBJECT] or, if a name has a "
                'slash in it, {"consumer_id": "…", "stream_name": "…", "subject_id": "…"}.',
                param,
                ctx,
            )
        return CursorKey(*parts)


@attrs.frozen
class _Then:
    """A moment, and what was typed for it: 8h ago is another one whenever it is typed."""

    at: datetime
    typed: str


class _Past(click.ParamType[_Then]):
    """A time as MOMENT has it, which remembers what was typed."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> _Then:
        """Give the moment."""
        if isinstance(value, _Then):
            return value
        return _Then(MOMENT.convert(value, param, ctx), value)


@click.command()
@choice
@click.option("--to", type=int, metavar="SEQUENCE", help="To this sequence.")
@click.option("--by", type=int, metavar="±N", help="So many sequences further, or back: --by -10.")
@click.option("--to-time", type=_Past(), help="To where it stood then: a time, or 90m, 7d ago.")
@click.option("--to-entry", type=int, metavar="POSITION", help="To where it stood at that entry.")
@click.option(
    "--to-cursor", type=_Key(), metavar="KEY", help="To where CONSUMER/STREAM[/SUBJECT] stands."
)
@click.option("--undo", is_flag=True, help="Back to where it was before its last reset.")
@click.option(
    "--from-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PLAN.jsonl",
    help="As a plan says that was exported.",
)
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PLAN.jsonl",
    help="Write the plan to a file as well.",
)
@click.option("--all", "every", is_flag=True, help="All cursors of the ledger.")
@click.option("--reason", help="Why; required but for --undo. It is kept for ever.")
@click.option("--execute", is_flag=True, help="Do it. Without this, the plan is shown.")
@click.option("--yes", is_flag=True, help="With --execute: do not ask, though nobody was shown it.")
@new_option
@delivery_id_option
@delivered_at_option
@version_option
@now_option
@actor_option
@metadata_option
@form_options
@pass_target
@click.pass_context
def reset(
    context: click.Context,
    target: Target,
    /,
    chosen: Choice,
    every: bool,
    execute: bool,
    yes: bool,
    new: bool,
    export: Path | None,
    actor: str | None,
    expect_version: int | None,
    form: Form | None,
    **given: Any,
) -> None:
    """Plan to move cursors, in either direction; with --execute, do it.

    One that is named by CONSUMER STREAM [SUBJECT], or several by options, together or not at all.
    If anything is appended to one of them after it was planned, nothing is moved (exit code 3).

    What was looked at is done at once: a plan from a file, or one cursor with --expect-version. All
    else is asked about on a terminal, and in a script is refused without --yes (exit code 2).
    """
    if given["from_file"] is not None:
        _check_only_file(context)
    else:
        _check(chosen, every=every, new=new, **given)
    if yes and not execute:
        raise click.UsageError("--yes says that it may be done; that takes --execute, too.")
    if export is not None:
        files.check(export, ledger=target.file)
    planner = actor or target.actor or default_actor()
    with target.open(actor=actor, make=execute and new, writes=execute) as book:
        plan = _plan(book, chosen, planner, new=new, **given)
        if not plan.resets:
            click.echo("cursor-ledger: no cursor fits; there is nothing to reset.", err=True)
            context.exit(EXIT_NO_CURSOR)
        if expect_version is not None:
            plan = _expecting(book, plan, expect_version)
        if export is not None:
            plan = _kept(plan, export)
        setting = _setting(target, context, export=export, actor=actor, **given)
        if not execute:
            plan.check(book)
            show_plan(plan, form, setting)
            return
        looked_at = given["from_file"] is not None or expect_version is not None
        if not (looked_at or yes or confirm(plan, setting)):
            click.echo("Nothing was changed.", err=True)
            context.exit(EXIT_FAILED)
        cursors = plan.apply(book)
        show_one(cursors[0], CURSORS, form) if len(cursors) == 1 else show(cursors, CURSORS, form)


# With a plan in a file these have a say; all others would be passed over.
_BESIDE_A_FILE = {"actor", "execute", "form", "from_file", "metadata", "yes"}


def _check_only_file(context: click.Context) -> None:
    for option in context.command.params:
        name = option.name or ""
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and (
            name not in _BESIDE_A_FILE and option.expose_value
        ):
            given = (
                option.opts[0] if isinstance(option, click.Option) else option.human_readable_name
            )
            raise click.UsageError(
                f"--from-file has all of the plan in it: which cursors, where to, why. Leave out "
                f"{given}, or plan anew."
            )


def _check(chosen: Choice, *, every: bool, new: bool, **given: Any) -> None:
    goals = ("to", "by", "to_time", "to_entry", "to_cursor", "undo")
    count = sum(given[name] is not None and given[name] is not False for name in goals)
    selected = chosen.named or bool(chosen.consumer or chosen.stream or chosen.subject)
    if not (selected or every):
        raise click.UsageError(
            "Which cursors? Name one by CONSUMER STREAM [SUBJECT], choose some by --consumer, "
            "--stream or --subject, or give --all."
        )
    if new and not chosen.named:
        raise click.UsageError("--new is for one cursor: name it by CONSUMER STREAM [SUBJECT].")
    if every and selected:
        raise click.UsageError("--all is all; leave it out to choose some.")
    if count != 1:
        raise click.UsageError(
            "Where to? Give exactly one of --to, --by, --to-time, --to-entry, --to-cursor, --undo."
        )
    if given["reason"] is None and not given["undo"]:
        raise click.UsageError("--reason is required: it is kept for ever, so say why.")
    if given["undo"] and (given["delivery_id"] or given["delivered_at"]):
        raise click.UsageError("--undo brings back the delivery that was there before.")


def _expect(book: Ledger, key: CursorKey, *, new: bool, undo: bool) -> None:
    """Refuse to make a cursor that is not said to be new, and to reset one that is."""
    try:
        current = book.get(key)
    except CursorNotFoundError:
        if new or undo:
            return
        raise NewCursorError(key) from None
    if new:
        raise ImpossiblePlanError(
            f"{key} is not new: it is at {current.last_sequence}, version {current.version}. "
            "Leave out --new to reset it."
        )


def _plan(
    book: Ledger,
    chosen: Choice,
    planner: str,
    *,
    new: bool,
    to: int | None,
    by: int | None,
    to_time: _Then | None,
    to_entry: int | None,
    to_cursor: CursorKey | None,
    undo: bool,
    from_file: Path | None,
    reason: str | None,
    delivery_id: str,
    delivered_at: datetime | None,
    now: datetime | None,
    metadata: dict[str, str],
) -> ResetPlan:
    if from_file is not None:
        return ResetPlan.load(from_file).adding(metadata)
    if chosen.key is not None:
        _expect(book, chosen.key, new=new, undo=undo)
    keys: Iterable[CursorKey] = (
        [chosen.key] if chosen.key else (cursor.key for cursor in chosen.cursors(book))
    )
    if undo:
        return ResetPlan.undo(
            book, keys, reason=reason or "", now=now, metadata=metadata, planned_by=planner
        )
    return ResetPlan.make(
        book,
        keys,
        reason=reason or "",
        to=to,
        by=by,
        as_of=to_time.at if to_time is not None else to_entry,
        like=to_cursor,
        delivery_id=delivery_id,
        delivered_at=delivered_at,
        now=now,
        metadata=metadata,
        planned_by=planner,
    )


def _kept(plan: ResetPlan, file: Path) -> ResetPlan:
    """Return the plan that is in the file now: that is the one to be shown, or done."""
    plan.save(file)
    click.echo(f"the plan is in {visible(str(file))}", err=True)
    return ResetPlan.load(file)


def _setting(
    target: Target,
    context: click.Context,
    *,
    export: Path | None,
    from_file: Path | None,
    actor: str | None,
    metadata: dict[str, str],
    to_time: _Then | None,
    **_: Any,
) -> Setting:
    beside: list[str] = []
    if from_file is not None:
        beside += ["--actor", actor] if actor is not None else []
        for name, value in metadata.items():
            beside += ["--meta", f"{name}={value}"]
    times = [] if to_time is None else [f"--to-time {to_time.typed} is {show_time(to_time.at)}"]
    return Setting(
        place=Place.of(target, context),
        file=from_file or export,
        beside=tuple(beside),
        times=tuple(times),
    )


def _expecting(book: Ledger, plan: ResetPlan, version: int) -> ResetPlan:
    if len(plan.resets) != 1:
        raise click.UsageError("--expect-version is for one cursor; a plan in a file has all.")
    ResetPlan((attrs.evolve(plan.resets[0], version=version, head=None),)).check(book)
    return plan
