"""A reset to a moment at which a cursor has no place says what to type instead."""

from __future__ import annotations

import pytest

import ledger
from ledger import CursorKey
from support.commands import Run, lines

WHY = ("--reason", "x")
SKIP = "add --missing skip, which leaves out such cursors"
ZERO = "--missing zero, which resets them to 0."
THEN = [("--to-time", "8h"), ("--to-entry", "1"), ("--to-stream-time", "8h")]


@pytest.fixture
def later(run: Run, target: str) -> Run:
    """Return the command, with cursors of which one is at position 1, and none is old."""
    with ledger.open(target, actor="web-1") as book:
        for consumer in ("mailer", "webhooks"):
            book.advance(CursorKey(consumer, "orders"), to=9)
    return run


@pytest.mark.parametrize("then", THEN, ids=" ".join)
def test_of_several_both_ways_are_named_and_lead_on(later: Run, then: tuple[str, str]) -> None:
    refused = later("reset", "--all", *then, *WHY)
    assert refused.exit_code == 3
    said = " ".join(refused.stderr.split())
    assert f"To plan it all the same, {SKIP}, or {ZERO}" in said
    assert len(lines(later, "reset", "--all", *then, *WHY, "--missing", "zero")) == 2
    skipped = later("reset", "--all", *then, *WHY, "--missing", "skip")
    assert "left out: " in skipped.stderr
    assert "--missing" not in skipped.stderr


def test_one_cursor_is_not_left_out(later: Run) -> None:
    refused = later("reset", "webhooks", "orders", "--to-time", "8h", *WHY)
    assert "add --missing zero, which resets it to 0." in refused.stderr
    assert "--missing skip" not in refused.stderr


def test_what_was_started_is_not_sent_to_zero(later: Run, target: str) -> None:
    with ledger.open(target, actor="web-1") as book:
        book.start(CursorKey("archive", "orders"), at=9, reason="moved here")
    refused = later("reset", "--all", "--to-time", "8h", *WHY)
    assert f"{SKIP}.\n" in refused.stderr
    assert "--missing zero" not in refused.stderr
    zero = later("reset", "--all", "--to-time", "8h", *WHY, "--missing", "zero")
    assert f"{SKIP}.\n" in zero.stderr
    alone = later("reset", "archive", "orders", "--to-time", "8h", *WHY)
    assert alone.exit_code == 3
    assert "--missing" not in alone.stderr
