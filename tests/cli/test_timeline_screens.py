"""A timeline fits its screen, and says how much of it does not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.clock import Clock
from support.screens import plain, screens

NOW = datetime(2026, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(("height", "width"), [(24, 80), (20, 60), (50, 100)])
def test_nothing_scrolls_away_and_what_is_left_out_is_counted(
    tmp_path: Path, height: int, width: int
) -> None:
    clock, key = Clock(), CursorKey("mailer", "orders")
    with ledger.open(tmp_path / "l.db", actor="ines", clock=clock) as book:
        for number in range(1, 40):
            clock.tick(60)
            book.advance(key, to=number * 10)
            book.record_error(key, f"the receiver was down for the {number}th time, as it often is")
    command = ("timeline", "mailer", "orders")
    found = screens(tmp_path / "l.db", [command], [width], now=NOW, height=height)
    lines = plain(found[command, width]).splitlines()
    # The last line is where the shell asks again.
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    listed = sum(line.startswith("05 ") for line in lines)
    left_out = re.search(r"(\d+) of (\d+) marks are not listed", " ".join(lines[-2:]))
    assert left_out is not None
    assert listed + int(left_out[1]) == int(left_out[2]) == 78
    [wide] = screens(
        tmp_path / "l.db", [(*command, "--wide")], [width], now=NOW, height=height
    ).values()
    assert "not listed" not in wide
    assert wide.count("2026-05-05T") == 78
