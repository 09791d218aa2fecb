"""What an operator reads before and after a reset is undone, and that it is so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.narrowing import Column, Layout
from ledger.cli.shown.tables import print_row
from support.clock import Clock
from support.commands import Run, lines, table
from support.screens import plain, screens

KEY = CursorKey("webhooks", "orders")
NAMES = ("webhooks", "orders")


@pytest.fixture
def rewound(target: str, clock: Clock, run: Run) -> Run:
    """Return the command, after a reset of two cursors that was meant for another."""
    with ledger.open(target, actor="web-1", clock=clock) as book:
        for key in (KEY, CursorKey("mailer", "orders")):
            for to in (1, 5, *range(6, 41)):
                book.advance(key, to=to)
            clock.tick(60)
            book.reset(key, to=1, reason="meant for another", actor="kenji@night-shift")
        book.advance(CursorKey("mailer", "orders"), to=40)
        book.heads.record("orders", "", 50)
    return run


def test_the_plan_of_an_undo_says_what_was_delivered_before(rewound: Run) -> None:
    shown = " ".join(table(rewound, "reset", *NAMES, "--undo").split())
    assert "39 sequences, 2 to 40, will be skipped" in shown
    assert "before the reset, of these: 36 delivered, 3 jumped over" in shown
    back = " ".join(table(rewound, "reset", *NAMES, "--to", 0, "--reason", "x").split())
    assert "before the reset" not in back


def test_the_refusal_of_an_undo_of_several_names_the_way_on(rewound: Run) -> None:
    refused = rewound("reset", "--undo", "--stream", "orders")
    assert refused.exit_code == 3
    assert "add --missing skip" in refused.stderr
    plan = rewound("reset", "--undo", "--stream", "orders", "--missing", "skip")
    assert plan.exit_code == 0, plan.stderr
    alone = rewound("reset", "mailer", "orders", "--undo")
    assert alone.exit_code == 3
    assert "--missing" not in alone.stderr


def test_describe_offers_the_undo_as_long_as_there_is_one(rewound: Run) -> None:
    offered = f"reset {' '.join(NAMES)} --undo"
    assert offered in table(rewound, "describe", *NAMES)
    assert "--undo" not in table(rewound, "describe", "mailer", "orders")
    rewound("reset", *NAMES, "--undo", "--execute", "--yes", "--actor", "ines")
    assert "--undo" not in table(rewound, "describe", *NAMES)


def test_describe_tells_the_time_of_the_reset_from_the_age_of_the_events(rewound: Run) -> None:
    said = " ".join(table(rewound, "describe", *NAMES).split())
    [reset] = lines(rewound, "resets", "--consumer", "webhooks")
    at = reset["recorded_at"][:19]
    assert f"to deliver again since {at}" in said
    assert "past it since 20" in said
    assert "to deliver again" not in table(rewound, "describe", "mailer", "orders")


def test_an_undone_reset_says_by_whom_and_not_that_it_was_caught_up(rewound: Run) -> None:
    rewound("reset", *NAMES, "--undo", "--execute", "--yes", "--actor", "ines")
    bad, undo = lines(rewound, "resets", "--consumer", "webhooks")
    assert (bad["undone_by"], bad["undone_position"]) == ("ines", undo["position"])
    assert bad["undone_at"] == undo["recorded_at"]
    assert undo["undone_at"] is None
    shown = rewound("resets", "--consumer", "webhooks", "--wide").stdout
    assert "undone by ines, 20" in shown
    assert "caught up" not in shown
    other = rewound("resets", "--consumer", "mailer", "--wide").stdout
    assert "caught up" in other
    assert "undone" not in other


def test_a_reset_forward_that_is_undone_says_so_too(rewound: Run) -> None:
    rewound("advance", *NAMES, "--to", 2)
    for options in (("--to", 9, "--reason", "skip"), ("--undo",)):
        rewound("reset", *NAMES, *options, "--execute", "--yes", "--actor", "ines")
    by = [each["undone_by"] for each in lines(rewound, "resets", "--consumer", "webhooks")]
    assert by == ["", "ines", ""]


@pytest.mark.parametrize("command", ["resets", "entries"])
def test_an_actor_that_is_not_there_is_answered_with_those_that_are_near(
    rewound: Run, command: str
) -> None:
    found = rewound(command, "--by", "kenji")
    assert found.exit_code == 0
    assert "None of the last actors is 'kenji'. Did you mean kenji@night-shift?" in found.stderr
    assert "Did you mean" not in rewound(command, "--by", "kenji@night-shift").stderr
    nobody = rewound(command, "--by", "zzz").stderr
    assert "None of the last actors is 'zzz'.\n" in nobody


def test_beyond_the_head_nothing_is_said_to_come_again(rewound: Run) -> None:
    beyond = table(rewound, "explain", *NAMES, 51)
    assert "It is beyond the head: orders goes up to 50" in " ".join(beyond.split())
    assert "It may have arrived" not in beyond
    assert "It may have arrived" in table(rewound, "explain", *NAMES, 45)


def test_a_cell_is_cut_before_it_is_coloured(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "l.db"
    with ledger.open(path, actor="dispatcher@web-1.eu-central-1", clock=clock) as book:
        for to in (1, 5, 9):
            book.advance(KEY, to=to, delivery_id=f"a-delivery-with-a-long-name-{to}")
        book.reset(KEY, to=2, reason="lost", actor="ines")
    asked = [("blame", *NAMES, "1..20")]
    now = datetime(2026, 5, 5, 18, tzinfo=UTC)
    for width in (60, 80):
        [coloured] = screens(path, asked, [width], now=now).values()
        [bare] = screens(path, asked, [width], now=now, NO_COLOR="1").values()
        assert re.search("\x1b\\[3", coloured)
        assert plain(coloured) == bare


def test_a_line_hours_after_the_heading_has_its_whole_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = [Column("moved", lambda moment: moment, kind=Kind.TIME), Column("key", str)]
    then = datetime(2026, 11, 30, 3, 49, tzinfo=UTC)
    layout = Layout.within(30, [then], columns, whole=True, now=then)
    for later in (timedelta(minutes=4), timedelta(hours=19), timedelta(days=1), timedelta(days=40)):
        now = then + later
        print_row(now, layout.on(now))
        assert f"{now:%d %H:%M}" in capsys.readouterr().out
    # One that has not moved since the heading is worded like those that have.
    print_row(then, layout.on(then + timedelta(days=1)))
    assert capsys.readouterr().out.startswith("11-30 03:49")
