"""How a plan is shown, and how a person is asked whether to apply it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import attrs
import click

from ledger import CursorKey
from ledger.cli.shown.forms import Form, fitting, show, show_one, show_table
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import Shape
from ledger.cli.shown.tables import Column
from ledger.cli.typed.sources import Names
from ledger.log.text import show_time, visible
from projections.cli.resets.printed_commands import Place, to_apply, to_reset
from projections.ranges import Range
from projections.resets.plans import PlannedReset, ResetPlan

__all__ = ["Setting", "confirm", "say_left_out", "show_plan"]


@attrs.frozen(kw_only=True)
class Setting:
    """What stands around a plan: its ledger, its file, and what the times that were typed came to.

    `beside` are the options that were given beside a plan from a file.
    """

    place: Place
    file: Path | None = None
    beside: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    names: Names
    before: Mapping[str, int] = {}
    """What had become of what an undo skips."""
    passed: Callable[[], Mapping[CursorKey, int]] = dict
    """Looks up the recorded heads that the plan goes beyond, by cursor."""

    def say(self, plan: ResetPlan) -> None:
        """Print beside the plan where it comes from and what it leaves out."""
        for time in self.times:
            say(visible(time), err=True)
        say_left_out(plan)
        at = f" at {show_time(plan.planned_at)}" if plan.digest and plan.planned_at else ""
        say(
            f"planned by {visible(plan.planned_by) or 'an unnamed actor'}{at} for the ledger "
            f"{visible(self.place.shown)}",
            err=True,
        )
        if plan.digest:
            say(f"digest of the plan: {plan.digest}", err=True)


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
        _show_text(plan, setting)
    setting.say(plan)
    click.echo(f"Reset {what}? [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_plan(plan: ResetPlan, form: Form | None, setting: Setting) -> None:
    """Show the plan, and how to do it."""
    if fitting(form) in {Form.TABLE, Form.WIDE}:
        if len(plan.resets) == 1:
            Shape.current().needs_records()
        _show_text(plan, setting, form)
    else:
        passed = setting.passed()

        def plain(planned: PlannedReset) -> dict[str, object]:
            return {**planned.plain, "head_passed": passed.get(planned.key)}

        if len(plan.resets) == 1:
            show_one(plan.resets[0], [], form, plain=plain, names=setting.names)
        else:
            show(plan.resets, [], form, plain=plain, names=setting.names)
    setting.say(plan)
    command: str | None = None
    if setting.file is not None:
        command = to_apply(setting.place, setting.file, setting.beside)
    elif len(plan.resets) == 1:
        command = to_reset(setting.place, plan.resets[0], actor=plan.planned_by)
    if command is None:
        say(
            "Nothing was changed. To do exactly this, run it again with --export FILE, and run the "
            "command that it prints.",
            err=True,
        )
        return
    click.echo(f"Nothing was changed. To do it:\n  {command}", err=True)
    if setting.place.incomplete:
        say("The command leaves the password out: set PGPASSWORD, or use ~/.pgpass.", err=True)


def say_left_out(plan: ResetPlan) -> None:
    """Print which cursors the plan leaves out, and why."""
    for left in plan.left_out:
        say(f"left out: {visible(left.why)}", err=True)


def _show_text(plan: ResetPlan, setting: Setting, form: Form | None = None) -> None:
    """Print the plan for people; before a question, only as the table that it is."""
    names, passed = setting.names, setting.passed()
    if len(plan.resets) > 1:
        rows = [_Row.of(planned, names) for planned in plan.resets]
        rows.append(_Row.sum_of(rows))
        if sys.stdout is sys.stderr:
            show_table(rows, _PLAN)
        else:
            show(rows, _PLAN, form)
        if staying := sum(planned.sequence == planned.previous_sequence for planned in plan.resets):
            say(f"{staying:,} of these: {_STAYS}")
        if passed:
            heads = dict.fromkeys(_head(names, key, head) for key, head in passed.items())
            more = f", and {len(heads) - _HEADS_MAX:,} more" if len(heads) > _HEADS_MAX else ""
            first = ", ".join([*heads][:_HEADS_MAX])
            say(f"{len(passed):,} of these: beyond the recorded head: {first}{more}")
        for reason in dict.fromkeys(planned.reason for planned in plan.resets):
            say(f"reason  {visible(reason)}", hanging=8)
        return
    [planned] = plan.resets
    at = f"version {planned.version}" if planned.version else "a new cursor"
    say(f"{visible(str(planned.key))}, {at}")
    _line(f"from    {names.with_it(planned.key, planned.previous_sequence)}")
    to = names.with_it(planned.key, planned.sequence, planned.delivery_id)
    _line(f"to      {to}")
    _line(f"effect  {_effect(planned)}{_known(setting.before)}")
    for key, head in passed.items():
        _line(f"beyond  the recorded head: {_head(names, key, head)}")
    _line(f"reason  {visible(planned.reason)}")
    for name, value in planned.metadata.items():
        _line(f"{visible(name):<6}  {visible(value)}")


def _line(text: str) -> None:
    say(text, indent=2, hanging=8)


def _head(names: Names, key: CursorKey, head: int) -> str:
    place = "/".join(filter(None, (key.stream_name, key.subject_id)))
    return f"{visible(place)} goes up to {names.with_it(key, head)}"


def _effect(planned: PlannedReset) -> str:
    if planned.delivered_again is not None:
        return f"{planned.delivered_again}, will be delivered again"
    if planned.passed_over is not None:
        return f"{planned.passed_over}, will be skipped"
    return _STAYS


def _known(before: Mapping[str, int]) -> str:
    known = [f"{count:,} {word}" for word, count in sorted(before.items())]
    return f"; before the reset, of these: {', '.join(known)}" if known else ""


_HEADS_MAX = 3
_STAYS = "the sequence stays; the epoch increases, so consumers must read the cursor again"


@attrs.frozen(kw_only=True)
class _Row:
    """A line of the table of a plan: one reset, or the sum of all."""

    consumer: str
    stream: str = ""
    subject: str = ""
    version: str = ""
    start: str = ""
    end: str = ""
    again: int
    over: int

    @classmethod
    def of(cls, planned: PlannedReset, names: Names) -> _Row:
        return cls(
            consumer=visible(planned.key.consumer_id),
            stream=visible(planned.key.stream_name),
            subject=visible(planned.key.subject_id),
            version=str(planned.version or "new"),
            start=names.with_it(planned.key, planned.previous_sequence),
            end=names.with_it(planned.key, planned.sequence, planned.delivery_id),
            again=_length(planned.delivered_again),
            over=_length(planned.passed_over),
        )

    @classmethod
    def sum_of(cls, rows: Sequence[_Row]) -> _Row:
        return cls(
            consumer=f"sum of {len(rows):,}",
            again=sum(row.again for row in rows),
            over=sum(row.over for row in rows),
        )


def _length(crossed: Range | None) -> int:
    return 0 if crossed is None else len(crossed)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


_PLAN = [
    Column("consumer", lambda row: row.consumer, kind=Kind.NAME, of_cursor=True),
    Column("stream", lambda row: row.stream, kind=Kind.NAME, of_cursor=True),
    Column("subject", lambda row: row.subject, kind=Kind.NAME, of_cursor=True),
    Column("version", lambda row: row.version, kind=Kind.NUMBER, spared=1),
    Column("from", lambda row: row.start, kind=Kind.NUMBER),
    Column("to", lambda row: row.end, kind=Kind.NUMBER),
    Column(
        "delivered again", lambda row: _count(row.again), kind=Kind.NUMBER, field="delivered_again"
    ),
    Column("skipped", lambda row: _count(row.over), kind=Kind.NUMBER, field="passed_over"),
]
