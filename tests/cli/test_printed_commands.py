"""The command that a plan prints does what the plan said, or refuses: run in a real shell."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.commands import OWNER, Run, records
from support.printed_commands import in_a_shell, last_entry, printed

HOSTILE = 'it\'s "lost"; $(touch gone) `touch gone` \\ & | * ~ ! # € \t'.strip()


@pytest.fixture
def full(run: Run) -> Run:
    for to in (41, 44):
        run("advance", *OWNER, "--to", to, "--delivery-id", f"m-{to}")
    run("advance", "mailer", "orders", "--to", 7)
    return run


GOALS = [
    ["--to", "3"],
    ["--by", "-4"],
    ["--to-entry", "1"],
    ["--to-time", "2999-01-01T00:00:00Z"],
    ["--to-time", "1s"],
    ["--to-cursor", "mailer/orders"],
    ["--undo"],
    ["--to", "3", "--delivery-id", HOSTILE, "--delivered-at", "8h", "--now", "90m"],
    ["--to", "44", "--meta", f"note={HOSTILE}", "--meta", "a b=c=d"],
]


@pytest.mark.parametrize(
    ("goal", "shell"), [(goal, ("sh", "bash")[n % 2]) for n, goal in enumerate(GOALS)]
)
def test_it_makes_the_reset_that_was_planned(
    full: Run, target: str, path: Path, goal: list[str], shell: str
) -> None:
    with ledger.open(target, actor="tester") as book:
        book.reset(CursorKey(*OWNER), to=41, reason="lost", actor="ines")
    if "1s" in goal:
        time.sleep(1.1)  # A second ago it stands here.
    plan = full("reset", *OWNER, *goal, "--reason", HOSTILE, "--actor", "in es")
    [planned] = records(plan)
    # What the goal was relative to moves on; what was planned stays.
    full("advance", "mailer", "orders", "--to", 30)
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"), shell)
    assert done.returncode == 0, done.stderr
    entry = last_entry(full, *OWNER)
    made = {**entry["event"], "actor": entry["actor"], "metadata": entry["metadata"]}
    occurred = made.pop("occurred_at")
    assert planned["occurred_at"] in {None, occurred}
    told = ("previous_sequence", "sequence", "reason", "delivery_id", "delivered_at", "metadata")
    assert made == {
        "tag": "cursor.reset.v1",
        "actor": "in es",
        **{name: planned[name] for name in told},
    }


@pytest.mark.parametrize("goal", [["--to", "3"], ["--undo"], ["--to-cursor", "mailer/orders"]])
def test_it_refuses_once_the_cursor_is_another(full: Run, path: Path, goal: list[str]) -> None:
    full("reset", *OWNER, "--to", 2, "--reason", "lost", "--execute", "--yes")
    plan = full("reset", *OWNER, *goal, "--reason", "x")
    full("advance", *OWNER, "--to", 45)
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"))
    assert done.returncode == 3
    assert "is at version 4, not 3" in done.stderr
    assert last_entry(full, *OWNER)["event"]["sequence"] == 45


@pytest.mark.parametrize(
    "names",
    [
        ("--undo", "-h"),
        ("$(touch gone)", "a'b", "c d"),
        ("-", "--", "--all"),
        ("naïve/€", '{"a": 1}', "\\"),
    ],
)
def test_names_are_quoted_and_a_new_cursor_is_made_once(
    full: Run, path: Path, names: tuple[str, ...]
) -> None:
    plan = full("reset", "--to", "3", "--reason", "x", "--new", "--", *names)
    command = printed(plan.stderr)
    done = in_a_shell(command, path.with_name("elsewhere"))
    assert done.returncode == 0, done.stderr
    assert last_entry(full, "--", *names)["event"]["sequence"] == 3
    assert in_a_shell(command, path.with_name("elsewhere")).returncode == 3
    assert len(records(full("history", "--", *names))) == 1


def test_where_a_ledger_is_gone_it_makes_none(run: Run, path: Path) -> None:
    here = path.with_name("here.db")
    run("--db", here, "advance", *OWNER, "--to", 5)
    plan = run("--db", here, "reset", *OWNER, "--to", 1, "--reason", "x")
    here.unlink()
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"))
    assert done.returncode == 1
    assert not here.exists()


def test_the_plan_says_what_the_time_is_and_who_planned_it_for_which_ledger(
    full: Run, target: str
) -> None:
    for form in ("--table", "--jsonl", "--json"):
        said = full("reset", *OWNER, "--to-time", "0s", "--reason", "x", "--actor", "ines", form)
        time, planned, *_ = said.stderr.splitlines()
        assert time.startswith("--to-time 0s is 20")
        assert planned.startswith("planned by ines for the ledger ")
        assert planned.endswith(f"the ledger {target}")


@pytest.mark.parametrize("chosen", [("--stream", "orders"), ("--all",), OWNER])
def test_a_plan_in_a_file_is_applied_by_the_command(
    full: Run, path: Path, chosen: tuple[str, ...]
) -> None:
    goal = ("--by", "-1") if chosen == OWNER else ("--to-cursor", "webhooks/orders")
    folder = path.with_name("plans of ines")
    folder.mkdir()
    plan = full("reset", *chosen, *goal, "--reason", HOSTILE, "--export", folder / "it's.jsonl")
    planned = records(plan)
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"))
    assert done.returncode == 0, done.stderr
    for reset in planned:
        entry = last_entry(full, *filter(None, reset["key"].values()))
        assert entry["event"]["sequence"] == reset["sequence"]
        assert entry["event"]["reason"] == HOSTILE
    assert in_a_shell(printed(plan.stderr), path.with_name("elsewhere")).returncode == 3


@pytest.mark.parametrize(
    "command",
    [
        ("--stream", "orders", "--to-time", "0s", "--reason", "x"),
        (*OWNER, "--to", "1", "--reason", "two\nlines"),
        (*OWNER, "--to", "1", "--reason", "x", "--meta", "note=\x1b[2J"),
    ],
)
def test_what_no_command_can_say_is_to_be_kept_in_a_file(
    full: Run, command: tuple[str, ...]
) -> None:
    plan = full("reset", *command)
    assert "run it again with --export FILE" in plan.stderr
    assert "  cursor-ledger" not in plan.stderr
    assert "\x1b" not in plan.stderr
