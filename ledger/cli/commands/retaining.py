"""The commands that say how long entries are kept, and hold them longer."""

from __future__ import annotations

from datetime import timedelta

import click

from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.typed.keys import known_rules
from ledger.cli.typed.options import actor_option, own_limit_option, sort_option
from ledger.cli.typed.target import Target, pass_target
from ledger.cli.typed.times import DURATION
from ledger.exchange.retention import Rule, rules, shown_span
from ledger.exchange.retention import hold as hold_entries
from ledger.exchange.retention import keep as keep_entries
from ledger.exchange.retention import release as release_entries
from ledger.law.reserved import HOLD
from ledger.log.text import visible

__all__ = ["retention"]

_reason = click.option("--reason", required=True, help="Why. Kept for ever.")


@click.group()
def retention() -> None:
    """Show or say how long entries are kept at least, and hold them longer, for prune.

    Without a rule, nothing is removed. What is said here is kept in the ledger, with who has said
    it and why, also when it is changed.
    """


@retention.command("list")
@sort_option
@own_limit_option
@form_options
@pass_target
def list_rules(target: Target, form: Form | None) -> None:
    """List how long entries are kept, and the holds that are in force."""
    with target.open() as book:
        show(rules(book), _RULES, form, of=[Rule])


@retention.command()
@click.argument("span", type=DURATION)
@_reason
@actor_option
@pass_target
def keep(target: Target, span: timedelta, reason: str, actor: str | None) -> None:
    """Keep entries for SPAN at least, such as 365d. A shorter SPAN is possible, and is kept too."""
    with target.open(actor=actor, make=True) as book:
        cursor = keep_entries(book, span, reason=reason)
    kept = timedelta(seconds=cursor.last_sequence)
    say(f"entries are kept for {shown_span(kept)} at least", err=True)


@retention.command()
@click.argument("name", shell_complete=known_rules(HOLD, "stream_name"))
@_reason
@actor_option
@pass_target
def hold(target: Target, name: str, reason: str, actor: str | None) -> None:
    """Have nothing removed until the hold NAME is released, as for a lawsuit."""
    with target.open(actor=actor, make=True) as book:
        hold_entries(book, name, reason=reason)
    say(f"{visible(name)} holds all entries, until it is released", err=True)


@retention.command()
@click.argument("name", shell_complete=known_rules(HOLD, "stream_name"))
@_reason
@actor_option
@pass_target
def release(target: Target, name: str, reason: str, actor: str | None) -> None:
    """End the hold NAME."""
    with target.open(actor=actor, writes=True) as book:
        release_entries(book, name, reason=reason)
    say(f"{visible(name)} holds no longer", err=True)


_RULES = [
    Column("rule", lambda rule: rule.rule, kind=Kind.WORDS),
    Column("name", lambda rule: visible(rule.name), kind=Kind.NAME),
    Column("days", lambda rule: "" if rule.days is None else f"{rule.days:g}", kind=Kind.NUMBER),
    Column("since", lambda rule: rule.since, kind=Kind.TIME, field="since"),
    Column("actor", lambda rule: visible(rule.actor), kind=Kind.NAME),
    Column("reason", lambda rule: visible(rule.reason), kind=Kind.WORDS),
]
