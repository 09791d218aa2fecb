"""What the command shows of a group: one table, one line, one command to undo it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ledger
from ledger import CursorKey
from projections import ResetPlan
from support.commands import Run, records
from support.printed_commands import in_a_shell, printed

STORES = "every"

TOPIC = ("--consumer", "mailer", "--stream", "orders")
WHY = ("--reason", "lost")


def places(run: Run, *options: str) -> dict[str, int]:
    found = records(run("list", *(options or ("--consumer", "mailer", "--stream", "orders"))))
    return {cursor["key"]["subject_id"]: cursor["last_sequence"] for cursor in found}


def planned(result: Any) -> dict[str, int]:
    assert result.exit_code == 0, result.stderr
    return {reset["key"]["subject_id"]: reset["sequence"] for reset in records(result)}


BEFORE = {str(partition): 100 + partition for partition in range(12)}


def test_one_table_shows_each_cursor_and_the_sum(topic: Run) -> None:
    how = ("--to", "0=90", "--to", "1=1101", "--to", "2=102", "--missing", "zero", "--to", "12=4")
    shown = topic("reset", *TOPIC, *how, *WHY, "--table")
    heading, _, *lines = shown.stdout.splitlines()
    assert heading.split("  ")[0] == "consumer"
    staying = (
        "1 of these: the sequence stays; the epoch increases, so consumers must read the "
        "cursor again"
    )
    assert [line.split() for line in lines] == [
        ["mailer", "orders", "0", "1", "100", "90", "10"],
        ["mailer", "orders", "1", "1", "101", "1101", "1,000"],
        ["mailer", "orders", "2", "1", "102", "102"],
        ["mailer", "orders", "12", "new", "0", "4", "4"],
        ["sum", "of", "4", "10", "1,004"],
        [*staying.split()],
        ["reason", "lost"],
    ]
    again = heading.index("delivered again") + len("delivered again")
    # Numbers stand right, below their headings.
    assert lines[0][:again].endswith(" 10")
    assert (lines[1][again - 3 : again], lines[1][again:].strip()) == ("   ", "1,000")
    assert (lines[4][:again].split()[-1], lines[4][again:].strip()) == ("10", "1,004")


# --- as it was seen ---


def test_a_group_in_a_file_is_done_as_it_was_seen_or_not_at_all(topic: Run, path: Path) -> None:
    targets = [word for p in range(12) for word in ("--to", f"{p}={p}")]
    file = path.with_name("plan.jsonl")
    plan = topic("reset", *TOPIC, *targets, *WHY, "--export", file)
    command = printed(plan.stderr)
    topic("error", "mailer", "orders", "11", "-m", "HTTP 503")
    refused = in_a_shell(command, path.with_name("elsewhere"))
    assert refused.returncode == 3
    assert "mailer/orders/11 is at version 2, not 1" in refused.stderr
    assert places(topic) == BEFORE
    plan = topic("reset", *TOPIC, *targets, *WHY, "--export", file)
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"))
    assert done.returncode == 0, done.stderr
    assert places(topic) == planned(plan) == {str(p): p for p in range(12)}


def test_a_plan_for_one_cursor_of_a_file_prints_the_command(topic: Run, path: Path) -> None:
    plan = topic("reset", "mailer", "orders", "--to", "a=b=3", "--missing", "zero", *WHY)
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"))
    assert done.returncode == 0, done.stderr
    assert places(topic)["a=b"] == 3


# --- undone ---


def test_a_group_is_one_line_and_its_undo_is_one_command(topic: Run, path: Path) -> None:
    topic("reset", *TOPIC, "--to", "0", *WHY, "--meta", "ticket=7", "--execute", "--yes")
    topic("reset", "search", "orders", "3", "--to", "1", *WHY, "--execute", "--yes")
    group, alone = records(topic("resets", "--groups"))
    assert (group["resets"], group["delivered_again"], group["rewound"]) == (12, 1266, 12)
    assert (alone["resets"], alone["consumer_id"]) == (1, "search")
    position = group["position"]
    assert len(records(topic("resets", "--group", position + 3))) == 12
    assert len(records(topic("resets", "--group", position, "-n", 5))) == 5
    assert records(topic("resets", "--group", 1)) == []
    table = topic("resets", "--groups", "--table").stdout.splitlines()
    assert f" {position} " in table[2]
    assert " 0 of 12 " in table[2]
    assert "[ticket=7]" in table[2]
    undo = topic("reset", "--undo", "--group", position, "--export", path.with_name("undo.jsonl"))
    assert planned(undo) == BEFORE
    done = in_a_shell(printed(undo.stderr), path.with_name("elsewhere"))
    assert done.returncode == 0, done.stderr
    assert places(topic) == BEFORE
    assert {c["last_delivery_id"] for c in records(topic("list", *TOPIC))} == {"late"}
    table = topic("resets", "--groups", "--table").stdout.splitlines()
    assert " undone " in table[2]
    assert f"undoes the group of resets at position {position} by ops@desk" in table[4]
    # It is not undone twice.
    again = topic("reset", "--undo", "--group", position, "--execute", "--yes")
    assert again.exit_code == 3
    assert "was reset again" in again.stderr


def test_an_undo_leaves_out_who_has_caught_up(topic: Run) -> None:
    topic("reset", *TOPIC, "--to", "0", *WHY, "--execute", "--yes")
    topic("advance", "mailer", "orders", "4", "--to", "104")
    position = records(topic("resets", "--groups"))[0]["position"]
    refused = topic("reset", "--undo", "--group", position)
    assert refused.exit_code == 3
    assert "mailer/orders/4" in refused.stderr
    done = topic("reset", "--undo", "--group", position, "--missing", "skip", "--execute", "--yes")
    assert done.exit_code == 0
    assert places(topic) == BEFORE


def test_the_groups_have_all_forms(topic: Run) -> None:
    assert topic("resets", "--groups", "--csv").stdout.startswith("position,last_position,")
    assert json.loads(topic("resets", "--groups", "--json").stdout) == []
    topic("reset", *TOPIC, "--to", "0", *WHY, "--execute", "--yes")
    assert len(json.loads(topic("resets", "--groups", "--json").stdout)) == 1
    assert topic("resets", "--groups", "--group", "1").exit_code == 2
    assert records(topic("resets", "--groups", "--by", "nobody")) == []
    assert len(records(topic("resets", "--groups", "--direction", "back"))) == 1


def test_the_command_makes_what_the_library_makes(topic: Run, target: str) -> None:
    keys = [CursorKey("mailer", "orders", str(p)) for p in (7, 8)]
    shown = records(topic("reset", *TOPIC, "--to", "7=1", "--to", "8=2", *WHY))
    with ledger.open(target) as book:
        plan = ResetPlan.make(book, to=dict(zip(keys, (1, 2), strict=True)), reason="lost")
    for one, other in zip(shown, plan.resets, strict=True):
        told = {**one, "metadata": None}
        assert told == {**other.plain, "metadata": None, "head_passed": None}
