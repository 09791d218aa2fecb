"""What a terminal of 80 columns has room for where resets are verified: who it was, and why."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey, Policy, PolicyKind
from support.cursors import ORDERS
from support.screens import plain, screens
from support.ssh_keys import Keys, needs_ssh, planned

pytestmark = needs_ssh

REASON = "receiver lost 1201 to 1500 in the outage"


@pytest.fixture
def night(path: Path, keys: Keys) -> datetime:
    """Make a ledger with resets and a policy; return when the last of it was."""
    keys_there = [CursorKey("mailer", "orders"), CursorKey("crm-sync", "orders"), ORDERS]
    with ledger.open(path, actor="maria.lopez@ops") as book:
        for key in keys_there:
            book.advance(key, to=1_500)
        for key in keys_there[:2]:
            book.reset(key, to=1_200, reason=REASON)
        signed = keys.sign("ines", planned(book, ORDERS, to=1_300))
        keys.approve("omar", signed).apply(book)
        book.policies.set(Policy(PolicyKind.META, "ticket"), reason="audit of 2026")
        return book.now()


def test_an_auditor_reads_who_and_why_before_from_where_to_where(
    night: datetime, path: Path, keys: Keys
) -> None:
    command = ("resets", "--allowed-signers", keys.trusting("ines", "omar").path)
    [screen] = screens(path, [command], [80], now=night).values()
    heading, _, mailer, crm, webhooks, policy, *said = plain(screen).splitlines()
    assert heading.split() == [
        *("recorded", "UTC", "cursor", "actor", "proof", "approval", "reason"),
    ]
    assert mailer.split()[2:6] == ["mailer/orders", "mari…@ops", "asserted", "receiver"]
    assert crm.split()[2] == "crm-sync/orders"
    assert webhooks.split()[4:6] == ["ines….com", "omar….com"]
    assert "audit of" in policy
    assert said[0] == "left out: from, to, effect, result; --wide shows all"
