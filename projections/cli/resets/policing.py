"""What `resets` says of policies: which resets were made against one that was in force."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any, assert_never

import attrs

from ledger import Ledger, PolicyChange, PolicyKind
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column, colour
from ledger.law.fields import is_seen
from ledger.log.text import visible
from projections.cli.resets.signing import Signing
from projections.resets.plans import ResetPlan
from projections.resets.policies import PolicyHistory
from projections.resets.views import RecordedReset

__all__ = ["Inspector", "named"]


@attrs.frozen(kw_only=True)
class Inspector:
    """Looks at each listed reset: whether it carries what policies asked for then."""

    only: bool = False
    """Whether those are left out that meet every policy."""
    _found: dict[int, tuple[PolicyChange, ...]] = attrs.field(factory=dict, init=False)

    def looked_at(self, book: Ledger, resets: Iterable[RecordedReset]) -> Iterator[RecordedReset]:
        """Yield `resets`, or only those that were made against a policy; remember these."""
        history = PolicyHistory.of(book)
        if not history.changes:
            return iter(() if self.only else resets)
        return self._each(history, resets)

    def _each(
        self, history: PolicyHistory, resets: Iterable[RecordedReset]
    ) -> Iterator[RecordedReset]:
        for reset in resets:
            if unmet := history.unmet(reset):
                self._found[reset.position] = unmet
            if unmet or not self.only:
                yield reset

    def plain(self, reset: RecordedReset) -> dict[str, Any]:
        """Return what JSON has of it, where only such resets are listed."""
        return {"unmet": [str(each.policy) for each in self._found[reset.position]]}

    @property
    def columns(self) -> list[Column]:
        """What a table has of it, where only such resets are listed."""
        return [Column("unmet", lambda reset: named(self._found[reset.position]), kind=Kind.WORDS)]

    def tell(self) -> bool:
        """Print which of the listed resets were made against a policy; return whether any was."""
        for position, unmet in list(self._found.items())[:_TOLD_MAX]:
            each = "; ".join(visible(str(policy)) for policy in unmet)
            say(f"AGAINST A POLICY: the reset at position {position}, while {each}.", err=True)
        if len(self._found) > _TOLD_MAX:
            say(f"AGAINST A POLICY: {len(self._found):,} resets in all.", err=True)
        return bool(self._found)


def say_unmet(book: Ledger, plan: ResetPlan, signing: Signing) -> None:
    """Print which policies in force will refuse a plan as it is now."""
    signed = plan.signatures is not None or signing.sign is not None
    approved = signing.approve is not None or signing.approval is not None
    for change in book.policies.in_force():
        match change.policy.kind:
            case PolicyKind.SIGNATURE:
                meets, add = signed, "--sign KEY"
            case PolicyKind.APPROVAL:
                meets, add = signed and approved, "--sign KEY, --approved-by NAME and --approve KEY"
            case PolicyKind.META:
                name = change.policy.name
                meets = all(is_seen(reset.metadata.get(name, "")) for reset in plan.resets)
                add = f"--meta {shlex.quote(f'{name}=VALUE')}"
            case _:
                assert_never(change.policy.kind)
        if not meets:
            say(f"To execute it, add {visible(add)}, because {visible(str(change))}.", err=True)


def named(unmet: Iterable[PolicyChange]) -> str:
    """Return the names of policies, in words."""
    return colour(", ".join(visible(str(each.policy)) for each in unmet), "red")


_TOLD_MAX = 10
