"""How a plan is shown, and how a person is asked whether to apply it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import attrs
import click

from ledger.cli.columns import OWNER
from ledger.cli.forms import Form, fitting, show, show_one
from ledger.cli.layout import Kind
from ledger.cli.tables import Column
from ledger.log.text import show_time, visible
from projections.cli.printed_commands import Place, to_apply, to_reset
from projections.resets.plans import PlannedReset, ResetPlan

__all__ = ["Setting", "confirm", "show_plan"]


@attrs.frozen(kw_only=True)
class Setting:
    """What stands around a plan: its ledger, its file, and what the times that were typed came to.

    `beside` are the options that were given beside a plan from a file.
    """

    place: Place
    file: Path | None = None
    beside: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    def say(self, plan: ResetPlan) -> None:
        """Say it beside the plan."""
        for time in self.times:
            click.echo(visible(time), err=True)
        at = f" at {show_time(plan.planned_at)}" if plan.digest and plan.planned_at else ""
        click.echo(
            f"planned by {visible(plan.planned_by) or 'an unnamed actor'}{at} for the ledger "
            f"{visible(self.place.shown)}",
            err=True,
        )
        if plan.digest:
            click.echo(f"digest of the plan: {plan.digest}", err=True)


def confirm(plan: ResetPlan, setting: Setting) -> bool:
    """Show the plan, and ask on the terminal whether it is to be done.

    Raises UsageError where there is nobody to ask.
    """
    count = len(plan.resets)
    what = "1 cursor" if count == 1 else f"{count:,} cursors"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(
            f"--execute would reset {what} by a plan that nobody has seen, and without a terminal "
            "nobody can be asked. Run it without --execute, look at the plan, and run the command "
            "that it prints; or add --yes."
        )
    # Standard output is for the result.
    with redirect_stdout(sys.stderr):
        _show_text(plan)
    setting.say(plan)
    click.echo(f"Reset {what}? [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_plan(plan: ResetPlan, form: Form | None, setting: Setting) -> None:
    """Show the plan, and how to do it."""
    if fitting(form) in {Form.TABLE, Form.WIDE}:
        _show_text(plan)
    elif len(plan.resets) == 1:
        show_one(plan.resets[0], _PLAN, form, plain=_plain)
    else:
        show(plan.resets, _PLAN, form, plain=_plain)
    setting.say(plan)
    command: str | None = None
    if setting.file is not None:
        command = to_apply(setting.place, setting.file, setting.beside)
    elif len(plan.resets) == 1:
        command = to_reset(setting.place, plan.resets[0], actor=plan.planned_by)
    if command is None:
        click.echo(
            "Nothing was changed. To do exactly this, run it again with --export FILE, and run the "
            "command that it prints.",
            err=True,
        )
        return
    click.echo(f"Nothing was changed. To do it:\n  {command}", err=True)
    if setting.place.incomplete:
        click.echo(
            "The command leaves the password out: set PGPASSWORD, or use ~/.pgpass.", err=True
        )


def _show_text(plan: ResetPlan) -> None:
    if len(plan.resets) == 1:
        [planned] = plan.resets
        at = f"version {planned.version}" if planned.version else "a new cursor"
        click.echo(f"{visible(str(planned.key))}, {at}")
        click.echo(f"  from    {planned.previous_sequence}")
        click.echo(f"  to      {planned.sequence}")
        click.echo(f"  effect  {_effect(planned)}")
        click.echo(f"  reason  {visible(planned.reason)}")
        for name, value in planned.metadata.items():
            click.echo(f"  {visible(name):<6}  {visible(value)}")
    else:
        show(plan.resets, _PLAN, Form.TABLE)


def _plain(planned: PlannedReset) -> dict[str, object]:
    return planned.plain


def _effect(planned: PlannedReset) -> str:
    if planned.delivered_again is not None:
        return f"{planned.delivered_again}, will be delivered again"
    if planned.passed_over is not None:
        return f"{planned.passed_over}, will be skipped"
    return "the sequence stays; the epoch increases, so consumers must read the cursor again"


_PLAN = [
    *OWNER,
    Column("version", lambda planned: str(planned.version), Kind.NUMBER, spared=1),
    Column("from", lambda planned: str(planned.previous_sequence), Kind.NUMBER),
    Column("to", lambda planned: str(planned.sequence), Kind.NUMBER),
    Column("effect", _effect),
]
