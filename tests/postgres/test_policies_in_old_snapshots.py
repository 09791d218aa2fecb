"""A transaction that does not see a policy: what it resets is found, and at the default refused."""

from __future__ import annotations

import psycopg
import pytest

from ledger import Ledger, Policy, PolicyKind, PolicyUnmetError
from projections import PolicyHistory, resets
from support.cursors import JOBS, ORDERS

TICKET = Policy(PolicyKind.META, "ticket")


@pytest.mark.parametrize(
    ("level", "sees"),
    [
        (psycopg.IsolationLevel.READ_COMMITTED, True),
        (psycopg.IsolationLevel.REPEATABLE_READ, False),
        (psycopg.IsolationLevel.SERIALIZABLE, False),
    ],
)
def test_a_policy_is_seen_or_the_reset_is_named(
    book: Ledger, target: str, level: psycopg.IsolationLevel, sees: bool
) -> None:
    book.advance(ORDERS, to=44)
    with psycopg.connect(target.partition("?")[0]) as connection:
        connection.isolation_level = level
        connection.execute("SELECT 1")
        book.policies.set(TICKET, reason="audit")
        lent = book.using(connection)
        if sees:
            with pytest.raises(PolicyUnmetError):
                lent.reset(JOBS, to=1, reason="lost")
            return
        lent.reset(JOBS, to=1, reason="lost")
        connection.commit()
    history = PolicyHistory.of(book)
    found = {reset.key: [each.policy for each in history.unmet(reset)] for reset in resets(book)}
    assert found[JOBS] == [TICKET]
    assert book.verify().ok
