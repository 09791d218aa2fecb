"""The commands about what each reset must carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.forms import Form, form_options, show, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column, colour
from ledger.cli.typed.keys import known_rules
from ledger.cli.typed.options import actor_option, metadata_option, own_limit_option, sort_option
from ledger.cli.typed.target import Target, pass_target
from ledger.law.policies import Policy, PolicyChange, PolicyKind
from ledger.law.reserved import POLICY
from ledger.log.plain import unstructure
from ledger.log.text import visible

__all__ = ["policy"]


@click.group()
def policy() -> None:
    """Show, set or drop the policies: what each reset must carry.

    \b
    require-signature  the planner's signature: reset --sign KEY
    require-approval   that, and one by another key: reset --approve KEY
    require-meta NAME  metadata of this name: reset --meta ticket=OPS-12

    A reset without it is refused, with exit code 3, whoever makes it and by whatever program of
    this version. Takeovers by consumers, which move nothing, are not, nor is what import brings.
    Each change stays in the log with its actor and its reason: resets lists it, and a report names
    it, and what was made against a policy.
    """


@policy.command("list")
@sort_option
@own_limit_option
@form_options
@pass_target
def list_policies(target: Target, form: Form | None) -> None:
    """List each policy that was ever set: whether it is in force, and who changed it last."""
    with target.open() as book:
        show(
            book.policies.all(),
            _CHANGES,
            form,
            of=_FIELDS,
            plain=_plain,
            none="none was ever set: a reset needs a reason and an actor, and nothing else",
        )


def _change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        form_options,
        metadata_option,
        actor_option,
        click.option("--reason", required=True, help="Why. Kept for ever."),
        click.argument("name", default="", shell_complete=known_rules(POLICY, "subject_id")),
        click.argument("kind", type=click.Choice([str(kind) for kind in PolicyKind])),
    ):
        command = option(command)
    return command


@policy.command("set")
@_change_options
@pass_target
def set_policy(
    target: Target,
    /,
    kind: str,
    name: str,
    reason: str,
    actor: str | None,
    metadata: Mapping[str, str],
    form: Form | None,
) -> None:
    """Require something of each reset from now on.

    NAME is the name of the metadata that require-meta asks for. All who append wait until the
    policy is set, so it holds for each reset that is committed after it. To set again what is in
    force changes nothing.
    """
    wanted = Policy(PolicyKind(kind), name)
    with target.open(actor=actor, make=True) as book:
        before = {change.position for change in book.policies.all()}
        watch = Watch.current()
        change = watch.watched(lambda: book.policies.set(wanted, reason=reason, metadata=metadata))
        if change.position in before:
            watch.commits = 0
        show_one(change, _CHANGES, form, plain=_plain)
    if change.position in before:
        say(f"{visible(str(wanted))} was in force already; nothing was recorded", err=True)


@policy.command("drop")
@_change_options
@pass_target
def drop_policy(
    target: Target,
    /,
    kind: str,
    name: str,
    reason: str,
    actor: str | None,
    metadata: Mapping[str, str],
    form: Form | None,
) -> None:
    """Require it no longer, and say who has decided that, and why.

    Everybody who may set a policy can drop it. The log keeps for ever that they did, and
    resets and its report name it.
    """
    with target.open(actor=actor, writes=True) as book:
        unwanted = Policy(PolicyKind(kind), name)
        change = Watch.current().watched(
            lambda: book.policies.drop(unwanted, reason=reason, metadata=metadata)
        )
        show_one(change, _CHANGES, form, plain=_plain)


def _plain(change: PolicyChange) -> dict[str, Any]:
    plain = unstructure(change)
    return {**plain.pop("policy"), **plain}


def _state(change: PolicyChange) -> str:
    return "in force" if change.in_force else colour("DROPPED", "red")


_FIELDS = ("kind", "name", "in_force", "position", "recorded_at", "actor", "reason")

_CHANGES = [
    Column("policy", lambda change: change.policy.kind.value, kind=Kind.WORDS, field="kind"),
    Column("name", lambda change: visible(change.policy.name), kind=Kind.NAME),
    Column("state", _state, kind=Kind.WORDS, field="in_force"),
    Column("recorded", lambda change: change.recorded_at, kind=Kind.TIME),
    Column("position", lambda change: str(change.position), kind=Kind.NUMBER, spared=1),
    Column("actor", lambda change: visible(change.actor), kind=Kind.NAME),
    Column("reason", lambda change: visible(change.reason)),
]
