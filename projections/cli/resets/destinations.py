"""Which token a reset goes to, where it was typed."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ledger import CursorKey
from ledger.cli.typed.sources import Position
from projections.resets.plans import ResetPlan

__all__ = ["with_typed_tokens"]

_TOKEN = "token:"  # noqa: S105


def with_typed_tokens(plan: ResetPlan, typed: Mapping[CursorKey, int | Position]) -> ResetPlan:
    """Return `plan` with each token that was typed, not another one of the same sequence.

    After a reset, a source may have named other tokens, or the same ones in another order.
    """
    tokens = {
        key: position.word.removeprefix(_TOKEN).strip()
        for key, position in typed.items()
        if isinstance(position, Position) and position.word.startswith(_TOKEN)
    }
    if not tokens:
        return plan
    resets = (
        attrs.evolve(reset, delivery_id=tokens.get(reset.key, reset.delivery_id))
        for reset in plan.resets
    )
    return attrs.evolve(plan, resets=tuple(resets))
