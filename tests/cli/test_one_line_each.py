"""What a spreadsheet, a script and a narrow terminal get of each line of an audit."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import ledger
from ledger import CursorKey
from projections.cli import main
from support.clock import Clock
from support.commands import Run, lines, table
from support.screens import plain, screens

KEY = CursorKey("webhooks", "orders", "eu")
NAMES = ("webhooks", "orders", "eu")


def cells(run: Run, *arguments: object) -> list[dict[str, Any]]:
    done = run(*arguments, "--csv")
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.fixture
def audited(target: str, clock: Clock, run: Run) -> Run:
    """Return the command, after jumps, a reset back, errors, and a cursor ahead of its head."""
    with ledger.open(target, actor="web-1", clock=clock) as book:
        for to in (1, 5, 9):
            book.advance(KEY, to=to, delivery_id=f"msg-{to}")
        clock.tick(60)
        book.reset(KEY, to=8, reason="lost", actor="ines")
        for _ in range(3):
            clock.tick(1_800)
            book.record_error(KEY, "HTTP 503")
        book.heads.record("orders", "eu", 6)
    return run


def test_a_line_of_blame_has_a_cell_for_each_fact(audited: Run) -> None:
    rows = cells(audited, "blame", *NAMES, "1..12")
    assert not any("{" in cell for row in rows for cell in row.values())
    assert [(row["first"], row["outcome"], row["position"], row["actor"]) for row in rows] == [
        ("1", "delivered", "1", "web-1"),
        ("2", "jumped over", "2", "web-1"),
        ("5", "delivered", "2", "web-1"),
        ("6", "jumped over", "3", "web-1"),
        ("9", "delivered", "3", "web-1"),
        ("10", "never passed", "", ""),
    ]
    assert rows[0]["delivery_id"] == "msg-1"
    assert rows[0]["recorded_at"].startswith("20")
    said = lines(audited, "blame", *NAMES, "1..12")
    assert [each["outcome"] for each in said] == [row["outcome"] for row in rows]
    assert said[0]["entry"]["position"] == said[0]["position"] == 1
    assert said[0]["how"] == "landed"


def test_a_line_of_diff_has_a_cell_for_each_fact(audited: Run) -> None:
    audited("advance", "mailer", "orders", "us", "--to", 3)
    row, new = cells(audited, "diff", "2")
    assert not any("{" in cell for cell in row.values())
    assert (row["before_last_sequence"], row["after_last_sequence"]) == ("5", "8")
    assert (row["consumer_id"], row["after_last_error"]) == ("webhooks", "HTTP 503")
    assert (new["before_version"], new["after_version"]) == ("", "1")
    [change, _] = lines(audited, "diff", "2")
    assert change["after"]["last_sequence"] == 8
    chosen = audited("diff", "2", "--csv", "--columns", "after.last_sequence,before_version").stdout
    assert chosen.splitlines()[1] == "8,2"


def test_resets_and_stalls_say_in_csv_what_their_tables_say(audited: Run) -> None:
    [reset] = cells(audited, "resets")
    assert (reset["effect"], reset["result"]) == ("1 to deliver again", "not caught up yet")
    found = cells(audited, "stalls")
    assert [each["problem"] for each in found] == ["failed 3× in 1h"]


@pytest.mark.parametrize("command", [("list",), ("lag",), ("entries",), ("gaps",)])
def test_a_cursor_in_one_word_is_a_column_by_the_name_that_tables_give_it(
    audited: Run, command: tuple[str, ...]
) -> None:
    shown = table(audited, *command, "--columns", "cursor,stream")
    assert shown.split()[:2] == ["cursor", "stream"]
    assert "webhooks/orders/eu" in shown
    done = audited(*command, "--columns", "cursor", "--csv", "--sort", "cursor")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "cursor"
    assert "webhooks/orders/eu" in done.stdout.splitlines()
    assert "webhooks/orders/eu\n" in audited(*command, "--template", "{cursor}").stdout
    assert all("cursor" not in each for each in lines(audited, *command))


def test_one_ahead_says_by_how_much(audited: Run) -> None:
    [listed] = lines(audited, "list", "--limit", 1)
    [lagging] = lines(audited, "lag")
    assert (listed["behind"], listed["ahead"]) == (lagging["behind"], lagging["ahead"]) == (0, 2)
    audited("heads", "orders", "eu", "--to", 20)
    assert lines(audited, "lag")[0]["ahead"] == 0


def test_a_narrow_table_of_resets_keeps_the_actor_and_says_what_it_left_out(
    tmp_path: Path,
) -> None:
    path, clock = tmp_path / "l.db", Clock()
    with ledger.open(path, actor="dispatcher@web-1.eu-central-1", clock=clock) as book:
        for consumer in ("webhooks", "search-index"):
            key = CursorKey(consumer, "company.fulfilment.shipments.v2.eu-central-1")
            book.advance(key, to=1_419)
            book.reset(key, to=1, reason="the receiver lost some " * 5, actor="kenji@night-shift")
    now = datetime(2026, 5, 5, 18, tzinfo=UTC)
    shown = screens(path, [("resets",)], [60, 80, 400], now=now)
    left_out = {60: "from, to, effect, result", 80: "effect, result"}
    for (_, width), screen in shown.items():
        assert "actor" in plain(screen).splitlines()[0]
        assert ("left out: " in plain(screen)) is (width in left_out)
        if width in left_out:
            assert f"left out: {left_out[width]}; --wide shows all" in plain(screen)


def _commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += _commands(inner, (*path, name))
    return found


def test_no_help_is_wider_than_a_terminal_of_80_columns() -> None:
    paths = [path for path, _ in _commands(main)]
    assert len(paths) > 30
    for path in paths:
        shown = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).stdout
        assert [line for line in shown.splitlines() if len(line) > 80] == [], path
