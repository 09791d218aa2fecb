"""What is asked at three in the morning, on 80 columns: who is behind, stuck, moved, and why."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from datetime import timedelta
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.clock import Clock
from support.commands import Run, lines, table
from support.nights import LONG, MORNING, WAREHOUSE
from support.places import TOP
from support.screens import plain, screens

WEB = CursorKey("webhooks", "orders")
STUCK = CursorKey(WAREHOUSE, LONG, "eu-central-1/customer-12")
BILLING = CursorKey("billing-reconciliation", "payments")
TIME = re.compile(r"\d\d \d\d:\d\d")
DEEP = (LONG, "eu-central-1/customer-12")
CONSUMERS = (WAREHOUSE, "billing-reconciliation", "search-index", "注文処理システム")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a ledger in which one has stalled for five hours, one fails, and one was stalled."""
    clock = Clock()
    clock.now = MORNING - timedelta(hours=6)
    path = tmp_path / "night.db"
    with ledger.open(path, actor="dispatcher@web-1.eu-central-1", clock=clock) as book:
        for consumer in CONSUMERS:
            book.advance(CursorKey(consumer, *DEEP), to=22_000_000)
        book.advance(WEB, to=1_233)
        book.advance(BILLING, to=7)
        clock.tick(3_600)
        book.heads.record(*DEEP, 22_750_000)
        for consumer in CONSUMERS[1:]:
            book.advance(CursorKey(consumer, *DEEP), to=22_700_000)
        # Stood still for two hours, which is over.
        book.heads.record("orders", "", 1_235)
        clock.tick(7_200)
        book.record_error(WEB, "order 1234: HTTP 422")
        book.record_error(WEB, "order 1234: HTTP 422")
        clock.tick(120)
        book.advance(WEB, to=1_235, delivery_id="ord-1235")
        clock.tick(3_600)
        for _ in range(12):
            clock.tick(60)
            book.record_error(BILLING, "HTTP 503 from https://billing.example.com/v2/charges")
        book.consumer(BILLING, take_over="deploy 1.4.2")
    return path


def screen(place: Path, *command: str, width: int = 80) -> list[str]:
    [shown] = screens(place, [command], [width], now=MORNING).values()
    return plain(shown).splitlines()


def test_each_part_of_a_name_is_told_apart_where_names_are_shortened(place: Path) -> None:
    rows = screen(place, "list", "--sort", "behind")
    names = [row.split("  ")[0] for row in rows[2:]]
    deep = [name.split("/") for name in names if name.count("/") == 2]
    assert len(deep) == len(CONSUMERS)
    # Which consumer, of which stream, for which customer: none of them is gone.
    assert len({consumer for consumer, _, _ in deep}) == len(CONSUMERS)
    for _, stream, subject in deep:
        assert stream[:2] == LONG[:2]
        assert stream[-2:] == LONG[-2:]
        assert subject.startswith("eu")
        assert subject.endswith("12")


def test_stalls_begin_with_what_goes_on_and_has_gone_on_for_longest(place: Path) -> None:
    head, _, *rows, left_out = screen(place, "stalls")
    assert left_out.startswith("left out: ")
    assert head.split()[:5] == ["cursor", "problem", "since", "UTC", "until"]
    ends = ["ongoing" if "ongoing" in row else "ended" for row in rows]
    assert ends == sorted(ends, reverse=True)
    assert set(ends) == {"ongoing", "ended"}
    started = [TIME.findall(row)[0] for row in rows if "ongoing" in row]
    assert started == sorted(started)
    # Of what has ended, the stall of two hours is before the errors of two minutes.
    over = [row.split()[1] for row in rows if "ongoing" not in row]
    assert over == ["stalled", "failed"]
    # A column that was asked for goes before that.
    by_since = screen(place, "stalls", "--sort=-since", "--columns", "since,problem")[2:]
    assert by_since == sorted(by_since, reverse=True)


def test_stalls_in_other_forms_come_as_the_log_has_them(place: Path, run: Run) -> None:
    found = lines(run, "--db", place, "stalls")
    assert [each["problem"].split()[0] for each in found][-1] == "failed"
    ended = [bool(each.get("until") or each.get("ended_at")) for each in found]
    # The one that has ended was found first, because it had ended first.
    assert ended[0]
    assert ended != sorted(ended)


def test_describe_says_since_when_a_cursor_is_stalled_as_stalls_does(place: Path) -> None:
    [state] = [row for row in screen(place, "describe", str(STUCK)) if "state" in row]
    [row] = [row for row in screen(place, "stalls", "--wide", "--ongoing") if WAREHOUSE in row]
    since = state.split("stalled since ")[1]
    assert since == "2025-08-23T22:00:00Z"
    assert since in row


def test_an_advance_over_several_says_that_its_outcome_is_that_of_the_last(place: Path) -> None:
    rows = screen(place, "events", "orders", "--since", "1000d", "--columns", "passed,outcome")
    cells = [row.split(maxsplit=1) for row in rows[2:]]
    assert ["1234–1235", "last delivered"] in cells
    told = " ".join(screen(place, "explain", "webhooks", "orders", "1234"))
    assert "NOT DELIVERED" in told
    assert told.count("order 1234: HTTP 422") == 1
    # Of one sequence there is no last.
    assert "last" not in " ".join(screen(place, "events", "payments", "--kind", "error"))


def test_events_are_those_of_one_consumer_if_that_is_asked(place: Path, run: Run) -> None:
    found = lines(run, "--db", place, "events", *DEEP, "--consumer", "search-index")
    assert {each["key"]["consumer_id"] for each in found} == {"search-index"}
    assert len(found) == 2
    assert {each["event"]["outcome"] for each in found} == {"delivered"}
    near = run("--db", place, "events", *DEEP, "--consumer", "search", "--table")
    assert "No cursor has the consumer 'search'. Did you mean search-index?" in near.stderr


def test_the_actor_of_a_takeover_is_shown_on_the_narrowest_screen(place: Path) -> None:
    head, _, row, *_ = screen(place, "resets", "--takeovers", width=60)
    assert "actor" in head
    assert "reason" in head
    assert "dispa" in row


def test_the_actor_of_a_group_reset_and_its_name_are_shown_in_80_columns(place: Path) -> None:
    with ledger.open(place, actor="omar@ops.example.com") as book:
        book.append(
            ledger.ResetCursor(key, 1, "replay after the schema change of 1.4.2, as agreed")
            for key in (STUCK, BILLING)
        )
    head, *rows = screen(place, "resets", "--groups")
    assert {"position", "actor", "reason"} <= set(head.split())
    rows = [row for row in rows if "replay" in row]
    assert len(rows) == 2
    assert all("omar" in row for row in rows)


def test_a_cursor_that_is_asked_for_in_one_word_keeps_its_names(place: Path) -> None:
    *_, row = screen(place, "lag", "--columns", "cursor,last_sequence,behind,since", width=60)[:3]
    assert re.match(r"\S+…\S+/com\S*…\S*v2/eu\S*…\S*12 ", row)


def test_the_entries_of_the_ledger_itself_are_named_and_can_be_left_out(
    place: Path, run: Run
) -> None:
    every = run("--db", place, "entries", "--table")
    assert "2 of these are the ledger's own: --no-reserved leaves them out" in every.stderr
    left = run("--db", place, "entries", "--table", "--no-reserved")
    assert left.stderr == ""
    assert "head" not in left.stdout
    # A reader who names the consumer knows; a script wants nothing to be said.
    assert run("--db", place, "entries", "--consumer", "cursor-ledger/head", "--table").stderr == ""
    assert run("--db", place, "entries").stderr == ""
    assert len(lines(run, "--db", place, "entries")) == every.stdout.count("\n") - 2


@pytest.mark.parametrize("command", [("entries", "--limit"), ("tail", "--lines")])
def test_what_is_left_out_does_not_count(run: Run, command: tuple[str, str]) -> None:
    for to in (1, 2, 3):
        run("advance", "mailer", "jobs", "--to", to)
        run("heads", "jobs", "--to", to + 5)
    name, limit = command
    found = lines(run, name, "--no-reserved", limit, 2)
    assert [each["event"]["sequence"] for each in found] == (
        [1, 2] if name == "entries" else [2, 3]
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("billing", "payments"), "Did you mean billing-reconciliation payments"),
        (("Warehouse", "company"), f"Did you mean {WAREHOUSE} {LONG} eu-central-1/customer-12"),
        ((WAREHOUSE, LONG), f"Did you mean {WAREHOUSE} {LONG} eu-central-1/customer-12"),
    ],
)
def test_the_beginning_of_a_name_is_near_it(
    place: Path, run: Run, typed: tuple[str, str], meant: str
) -> None:
    # Others are near it, letter by letter.
    run("--db", place, "advance", "mailer", "payments", "--to", 1)
    assert meant in run("--db", place, "describe", *typed).stderr


def test_a_part_of_a_name_is_near_it_where_nothing_else_is(place: Path, run: Run) -> None:
    found = run("--db", place, "list", "--consumer", "sync")
    assert f"No cursor has the consumer 'sync'. Did you mean {WAREHOUSE}?" in found.stderr
    assert "Did you mean" not in run("--db", place, "list", "--consumer", "qqq").stderr


def test_a_group_that_is_not_there_is_answered_with_how_to_find_one(run: Run) -> None:
    run("advance", "mailer", "jobs", "--to", 1)
    refused = run("reset", "--undo", "--group", 1)
    assert refused.exit_code == 3
    assert "no reset was made at position 1." in refused.stderr
    assert "cursor-ledger resets --groups shows the position of each group." in refused.stderr
    assert "To undo the others" not in refused.stderr


def test_lag_and_a_wide_list_say_the_same_since_and_age(place: Path, run: Run) -> None:
    columns = ("--columns", "consumer,stream,behind,since,age,state")
    listed = table(run, "--db", place, "list", *columns)
    # How often a cursor failed, lag says too; a list has the error.
    lagging = table(run, "--db", place, "lag", *columns)
    assert [row.split()[:6] for row in listed.splitlines()] == [
        row.split()[:6] for row in lagging.splitlines()
    ]


def test_what_describe_says_is_paged_where_the_screen_is_too_low(place: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (8, 80))
    pager = place.with_name("pager")
    pager.write_text("#!/bin/sh\necho '<paged>'\ncat\n")
    pager.chmod(0o755)
    environment = {
        **os.environ,
        "PYTHONPATH": str(TOP),
        "TERM": "xterm",
        "CURSOR_LEDGER_DB": str(place),
        "CURSOR_LEDGER_PAGER": str(pager),
    }
    environment.pop("COLUMNS", None)
    environment.pop("LINES", None)
    run = [sys.executable, "-c", "from projections.cli import main; main()"]
    with subprocess.Popen([*run, "describe", str(BILLING)], stdout=theirs, env=environment):
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 65_536):
                printed += chunk
        except OSError:
            pass  # That is how a terminal reports that everybody has left.
        os.close(ours)
    assert printed.decode().startswith("<paged>\r\nbilling-reconciliation/payments\r\n")
