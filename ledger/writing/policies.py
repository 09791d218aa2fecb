"""A policy is set or dropped: in a transaction that nobody else appends beside.

All who append are kept out for that moment. Each reset is therefore judged by the policies that
are in force when it is committed, and its position is behind the change, or before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ledger.errors import InvalidCursorError, LedgerError
from ledger.law import fields
from ledger.law.policies import Policy, PolicyChange, in_force
from ledger.law.requests import ResetCursor
from ledger.stores import Transaction
from ledger.writing.commit import draft_of, note_refusal

__all__ = ["change"]


def change(
    transaction: Transaction,
    policy: Policy,
    request: ResetCursor,
    *,
    actor: str,
    clock: Callable[[], datetime],
) -> tuple[PolicyChange | None, int]:
    """Append `request`, which sets `policy` or drops it; nothing if it is set already.

    Return what was in force before, and the version that the cursor of the policy has then, 0 if
    nothing was appended.

    Raises InvalidCursorError if it is not in force and to be dropped, ActorRequiredError.
    """
    with _refusal_noted(request, actor), transaction.everything():
        transaction.hold((request.key,))
        policies = in_force(transaction.policies())
        before = next((each for each in policies if each.policy == policy), None)
        if before is not None and request.last_sequence:
            return before, 0
        if before is None and not request.last_sequence:
            others = ", ".join(str(each.policy) for each in policies) or "none"
            raise InvalidCursorError(
                f"{policy} is not in force, so it cannot be dropped. In force: {others}."
            )
        now = fields.moment(clock(), "the ledger's clock")
        draft = draft_of(transaction.head(request.key), request, actor, now)
        head, _ = draft
        transaction.append((draft,), (head,))
        return before, head.cursor.version


@contextmanager
def _refusal_noted(request: ResetCursor, actor: str) -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        note_refusal(error, request.key, request.last_sequence, request.actor or actor)
        raise
