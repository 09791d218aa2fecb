"""Whether a history of concurrent calls on one cursor is as if they had come one after the other.

The search of Wing and Gong ("Testing and verifying concurrent objects", 1993), which remembers
where it has been, as Lowe does ("Testing for linearizability", 2017). What a cursor is, the plain
model of model.py says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs

from support.model import Model

UNKNOWN = "unknown"
"""The answer to a call that was never answered: it came to pass at some time, or never."""

NOT_FOUND = "CursorNotFoundError"

State: TypeAlias = tuple[tuple[str, Any], ...] | None


@attrs.frozen
class Call:
    """What was asked of one cursor, when, and what came of it, when.

    An answer is (sequence, epoch, version), the name of the error that it was refused with, or
    `UNKNOWN`.
    """

    ask: dict[str, Any] | None
    """As `Model.apply` takes it; None for a get."""
    invoked: float
    responded: float = math.inf
    answer: Any = UNKNOWN


def step(state: State, ask: dict[str, Any] | None) -> tuple[State, Any]:
    """Return the state after a call, and the answer that is due."""
    model = Model()
    if state is not None:
        model.cursors["it"] = dict(state)
    refused = "" if ask is None else model.apply(key="it", **ask)
    after = model.cursors.get("it")
    if after is None:
        return None, refused or NOT_FOUND
    return tuple(after.items()), refused or (after["at"], after["epoch"], after["version"])


def linearizable(calls: Sequence[Call]) -> bool:
    """Return whether there is an order, true to real time, in which every answer is due."""
    history = sorted(calls, key=lambda call: call.invoked)
    answered = sum(1 << n for n, call in enumerate(history) if call.answer != UNKNOWN)
    ahead: list[tuple[int, State]] = [(0, None)]
    been = set(ahead)
    while ahead:
        done, state = ahead.pop()
        if done & answered == answered:
            return True
        left = [(n, call) for n, call in enumerate(history) if not done >> n & 1]
        # A call that was made only after another was answered cannot come before that one.
        first_end = min(call.responded for _, call in left)
        for n, call in left:
            if call.invoked > first_end:
                break
            after, due = step(state, call.ask)
            place = (done | 1 << n, after)
            if call.answer in (due, UNKNOWN) and place not in been:
                been.add(place)
                ahead.append(place)
    return False
