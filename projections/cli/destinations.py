"""Which token a reset goes to, in a stream whose positions are tokens."""

from __future__ import annotations

import attrs

from ledger import Ledger
from ledger.cli.sources import Names, token_at
from ledger.positions import PositionMapping
from projections.resets.plans import PlannedReset, ResetPlan

__all__ = ["with_tokens"]


def with_tokens(book: Ledger, plan: ResetPlan, names: Names) -> ResetPlan:
    """Return `plan` with the token of each place in a stream of tokens, if it names none.

    A consumer goes on after the cursor's token, so a reset without one would send it to the
    beginning.

    Raises InvalidCursorError if no token was confirmed there.
    """

    def named(planned: PlannedReset) -> PlannedReset:
        key = planned.key
        if planned.delivery_id or not planned.sequence:
            return planned
        if names.mapping(key.consumer_id, key.stream_name) is not PositionMapping.TOKENS:
            return planned
        return attrs.evolve(planned, delivery_id=token_at(book, key, planned.sequence))

    resets = tuple(map(named, plan.resets))
    return plan if resets == plan.resets else attrs.evolve(plan, resets=resets)
