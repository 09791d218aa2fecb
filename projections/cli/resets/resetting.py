"""The command that plans resets, and makes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import click

from ledger import Cursor, Ledger, files
from ledger.cli.process.exits import EXIT_FAILED, EXIT_NO_CURSOR
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.columns import CURSORS
from ledger.cli.shown.forms import Form, form_options, show, show_one
from ledger.cli.shown.sentences import say
from ledger.cli.typed.names import new_option
from ledger.cli.typed.options import (
    actor_option,
    delivered_at_option,
    delivery_id_option,
    metadata_option,
    now_option,
    version_option,
)
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, default_actor, pass_target
from ledger.log.text import visible
from projections.cli.choosing import Choice, choice
from projections.cli.resets.applied import unless_applied
from projections.cli.resets.planning import Asked, check_only_file
from projections.cli.resets.printed_commands import Place
from projections.cli.resets.reset_values import GOAL, KEY, PAST
from projections.cli.resets.showing_plans import Setting, confirm, say_left_out, show_plan
from projections.cli.resets.signing import Signing, signing_options
from projections.resets.beyond import heads_passed
from projections.resets.missing import Missing
from projections.resets.plans import ResetPlan
from projections.resets.skipped import before_the_undone

__all__ = ["reset"]


@click.command()
@choice
@click.option(
    "--to",
    type=GOAL,
    multiple=True,
    metavar="[SUBJECT=]SEQUENCE",
    help="Reset to this sequence; with SUBJECT=, the cursors of this subject. Repeatable. Or to a "
    "position, if the stream has them: offset:43, next-offset:44, lsn:0/16B3748, token:evt_9a.",
)
@click.option(
    "--targets",
    type=click.File("rb"),
    metavar="FILE",
    help="Reset each cursor to its own sequence: CSV or JSON lines of consumer, stream, subject, "
    "to; or Kafka's topic,partition,offset.",
)
@click.option(
    "--by", type=int, metavar="±N", help="Reset by this many sequences, forward or back: --by -10."
)
@click.option(
    "--to-time", type=PAST, help="Reset to where it was at this time, or a time ago (90m, 7d)."
)
@click.option(
    "--to-stream-time",
    type=PAST,
    help="Reset to where the head of its stream was at this time, or a time ago.",
)
@click.option(
    "--to-entry",
    type=int,
    metavar="POSITION",
    help="Reset to where it was at this position of the log.",
)
@click.option(
    "--to-cursor",
    type=KEY,
    metavar="KEY",
    help="Reset to where the cursor CONSUMER/STREAM[/SUBJECT] is.",
)
@click.option("--undo", is_flag=True, help="Reset to where it was before its last reset.")
@click.option(
    "--group",
    type=int,
    metavar="POSITION",
    help="With --undo: all resets that were made together with the one at this position.",
)
@click.option(
    "--missing",
    type=click.Choice([str(each) for each in Missing]),
    help="A cursor that does not exist, or did not then: count it as at 0, leave it out, or refuse "
    "the plan, which is the default.",
)
@click.option(
    "--from-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PLAN.jsonl",
    help="Apply a plan that was exported.",
)
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PLAN.jsonl",
    help="Write the plan to this file.",
)
@signing_options
@click.option("--all", "every", is_flag=True, help="Reset all cursors of the ledger.")
@click.option("--reason", help="Why. Required, except with --undo; kept for ever.")
@click.option("--execute", is_flag=True, help="Reset. Without this, the plan is only shown.")
@click.option(
    "--yes",
    is_flag=True,
    help="With --execute: reset without asking, even if nobody has seen the plan.",
)
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
    signing: Signing,
    every: bool,
    execute: bool,
    yes: bool,
    new: bool,
    from_file: Path | None,
    export: Path | None,
    actor: str | None,
    metadata: dict[str, str],
    expect_version: int | None,
    form: Form | None,
    **given: Any,
) -> None:
    """Plan to reset cursors, forward or back; with --execute, reset them.

    One cursor is named by CONSUMER STREAM [SUBJECT]; several are chosen by options, and are reset
    together or not at all. If anything is appended to one of them after the plan was made, nothing
    is reset (exit code 3). With --yes, a plan that nobody was shown, or signed, is executed even
    then, except with --by and --undo, because these go from where a cursor stands.

    A plan that somebody has seen is applied at once: a plan from a file, or one cursor with
    --expect-version. Otherwise a terminal is asked, and a script is refused without --yes (exit
    code 2).

    --sign keeps a signature over the plan in its entries, which resets --allowed-signers verifies.
    To sign on another machine, write the plan by --export and its text by --to-sign.
    """
    if from_file is not None:
        check_only_file(context)
    asked = Asked(chosen=chosen, every=every, new=new, metadata=metadata, **given)
    if from_file is None:
        asked.check()
    if yes and not execute:
        raise click.UsageError("--yes has no effect without --execute; add --execute.")
    signing.check(file=from_file or export, execute=execute, metadata=bool(metadata and from_file))
    if export is not None:
        files.check(export, ledger=target.file)
    planner = actor or target.actor or default_actor()
    with target.open(actor=actor, make=execute and new, writes=execute) as book:
        names = Names(book)
        plan = (
            signing.with_expiry(asked.plan(book, planner))
            if from_file is None
            else ResetPlan.load(from_file).adding(metadata)
        )
        if not plan.resets:
            say_left_out(plan)
            Watch.current().nothing_found = True
            say("cursor-ledger: no cursor matches; there is nothing to reset.", err=True)
            context.exit(EXIT_NO_CURSOR)
        if expect_version is not None:
            plan = _expecting(book, plan, expect_version)
        if export is not None:
            plan = _kept(plan, export)
        plan = signing.given(plan)
        signing.write_text(plan)
        file = from_file or export
        setting = Setting(
            place=Place.of(target, context),
            file=file,
            beside=(
                *(() if from_file is None else _beside(actor, metadata)),
                *(() if file is None else signing.words(file)),
            ),
            names=names,
            times=asked.times,
            before=before_the_undone(book, plan.resets[0]) if len(plan.resets) == 1 else {},
            passed=partial(heads_passed, book, plan.resets),
        )
        if not execute:
            with unless_applied(book, plan):
                plan.check(book)
            show_plan(plan, form, setting)
            # Only who plans needs to know it before.
            from projections.cli.resets.policing import say_unmet

            say_unmet(book, plan, signing)
            signing.keep(plan, file)
            return
        looked_at = from_file is not None or expect_version is not None
        if not (looked_at or yes or confirm(plan, setting)):
            say("Nothing was changed.", err=True)
            context.exit(EXIT_FAILED)
        # Running consumers move their cursors all the time, and nobody has seen where from.
        unseen = yes and not looked_at and export is None
        plan = signing.made(plan)
        anyway = unseen and asked.holds_anyway and plan.signatures is None
        with unless_applied(book, plan):
            cursors = plan.apply(book, if_unchanged=not anyway)
        _show(cursors, form, names)


def _show(cursors: list[Cursor], form: Form | None, names: Names) -> None:
    if len(cursors) == 1:
        show_one(cursors[0], CURSORS, form, names=names)
    else:
        show(cursors, CURSORS, form, names=names)


def _kept(plan: ResetPlan, file: Path) -> ResetPlan:
    """Return the plan that is in the file now: that is the one to be shown, or done."""
    plan.save(file)
    say(f"the plan is written to {visible(str(file))}", err=True)
    return ResetPlan.load(file)


def _beside(actor: str | None, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the options that were given beside a plan from a file."""
    named = [] if actor is None else ["--actor", actor]
    pairs = [word for name, value in metadata.items() for word in ("--meta", f"{name}={value}")]
    return (*named, *pairs)


def _expecting(book: Ledger, plan: ResetPlan, version: int) -> ResetPlan:
    if len(plan.resets) != 1:
        raise click.UsageError(
            "--expect-version is for one cursor; a plan in a file has the versions of all."
        )
    ResetPlan((attrs.evolve(plan.resets[0], version=version, head=None),)).check(book)
    return plan
