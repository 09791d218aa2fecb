"""Where a reset goes in a stream whose positions are not sequences."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import click

from ledger import CursorKey, Ledger
from ledger.cli.sources import Names, Position, sequence_of, token_at
from ledger.positions import PositionMapping
from projections.resets.plans import PlannedReset, ResetPlan

__all__ = ["the_sequence", "with_tokens"]


def the_sequence(book: Ledger, keys: Iterable[CursorKey], typed: Position) -> int:
    """Return the sequence that was typed for the cursors of `keys`.

    Raises InvalidCursorError, and UsageError if it is not the same for all of them.
    """
    found = {sequence_of(book, key, typed) for key in keys}
    if len(found) != 1:
        raise click.UsageError(
            f"{typed.word!r:.80} is another sequence for each of these cursors. Reset them one by "
            "one."
        )
    return found.pop()


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
