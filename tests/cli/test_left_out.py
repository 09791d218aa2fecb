"""A table that has no room for a column says so, whichever command prints it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.screens import plain, screens

COMMANDS = [
    ("entries", "--covering", "1234", "--stream", "orders"),
    ("history", "webhooks", "orders", "customer-7"),
    ("gaps",),
    ("repeats",),
    ("as-of", "now"),
    ("resets",),
]


@pytest.fixture
def night(path: Path) -> datetime:
    """Make a ledger with something in each table; return when the last of it was."""
    with ledger.open(path, actor="dispatcher@web-1.example.com") as book:
        for subject in ("customer-7", "customer-8"):
            key = CursorKey("webhooks", "orders", subject)
            book.advance(key, to=1_500)
            book.reset(key, to=1_200, reason="receiver lost 1201 to 1500 in the outage")
            book.advance(key, to=1_500)
        return book.now()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_has_no_room_is_named(night: datetime, path: Path, command: tuple[str, ...]) -> None:
    [narrow] = screens(path, [command], [58], now=night).values()
    [wide] = screens(path, [(*command, "--wide")], [58], now=night).values()
    said = " ".join(plain(narrow).splitlines())
    left_out = said.partition("left out: ")[2].partition(";")[0]
    assert left_out, said
    assert "--wide shows all" in said
    assert all(heading in plain(wide) for heading in left_out.split(", "))
    assert "left out: " not in plain(wide)
