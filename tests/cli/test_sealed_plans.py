"""A plan in a file is for one ledger, and what was done by it names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey, DivergedError
from projections import ResetPlan, resets
from support.commands import OWNER, Run, records
from support.plan_files import EXPORT
from support.targets import new_target

STORES = "every"


def test_a_plan_is_not_applied_to_another_ledger(
    three: Run, plan: Path, kind: str, path: Path
) -> None:
    with new_target(kind, path.with_name("other.db")) as other:
        for name, to in (("webhooks", 44), ("mailer", 7), ("search", 9)):
            three("--db", other, "advance", name, "orders", "--to", to)
        for extra in ([], ["--execute"]):
            refused = three("--db", other, "reset", "--from-file", plan, *extra)
            assert refused.exit_code == 3
            assert "the plan was made for another ledger" in refused.stderr
        assert records(three("--db", other, "resets")) == []


def test_a_copy_is_known_apart_by_its_id_or_else_by_the_cursors(
    target: str, kind: str, path: Path
) -> None:
    key, first, new = CursorKey(*OWNER), CursorKey("a", "b"), CursorKey("not", "there")
    with (
        new_target(kind, path.with_name("copy.db")) as copy,
        ledger.open(target, actor="tester") as book,
        ledger.open(copy, actor="tester") as other,
    ):
        book.advance(first, to=1)
        book.copy_to(other)
        book.advance(key, to=5)
        other.advance(key, to=5)
        plan = ResetPlan.make(book, [key], to=1, reason="x")
        for attempt in (plan.check, plan.apply):
            with pytest.raises(DivergedError, match="another ledger"):
                attempt(other)
        assert list(resets(other)) == []
        making = ResetPlan.make(book, [new], to=1, reason="x")
        if kind == "sqlite":
            # Files have no id, and what is to be made has no history.
            making.check(other)
        else:
            with pytest.raises(DivergedError, match="another ledger"):
                making.check(other)
        plan.apply(book)


def test_a_plan_for_an_empty_ledger_fits_it_when_it_has_entries(target: str) -> None:
    with ledger.open(target, actor="tester") as book:
        plan = ResetPlan.make(book, [CursorKey(*OWNER)], to=1, reason="x")
        book.advance(CursorKey("a", "b"), to=1)
        again = ResetPlan.of_lines(plan.lines())
        assert again == plan
        assert again.apply(book)[0].last_sequence == 1


def test_a_plan_that_was_made_by_hand_names_no_ledger(target: str) -> None:
    key = CursorKey(*OWNER)
    with ledger.open(target, actor="tester") as book:
        book.advance(key, to=5)
        planned = ResetPlan.make(book, [key], to=1, reason="x").resets
        [after] = ResetPlan(planned).apply(book)
        assert after.last_sequence == 1


# --- what is recorded ---


def test_each_entry_names_the_plan_its_planner_and_who_applied_it(three: Run, plan: Path) -> None:
    shown = three("reset", "--from-file", plan)
    assert "planned by ines at 20" in shown.stderr
    digest = json.loads(plan.read_text().splitlines()[0])["digest"]
    assert f"digest of the plan: {digest}\n" in shown.stderr
    three("reset", "--from-file", plan, "--execute", "--actor", "omar", "--meta", "approved=eve")
    entries = records(three("entries", "--kind", "reset"))
    assert len(entries) == 3
    for entry in entries:
        assert entry["actor"] == "omar"
        assert sorted(entry["metadata"]) == [
            *("approved", "cursor-ledger/batch", "plan", "planned_at", "planned_by", "ticket"),
        ]
        assert entry["metadata"]["plan"] == digest
        assert entry["metadata"]["planned_by"] == "ines"
        assert entry["metadata"]["approved"] == "eve"


def test_a_plan_that_was_applied_before_says_so_and_by_whom(three: Run, plan: Path) -> None:
    three("reset", "--from-file", plan, "--execute", "--actor", "omar")
    before = records(three("entries"))
    for extra in ([], ["--execute"]):
        again = three("reset", "--from-file", plan, *extra)
        assert again.exit_code == 3
        assert "this plan was applied before, at 20" in again.stderr
        assert "by omar" in again.stderr
    assert records(three("entries")) == before


def test_a_cursor_that_another_reset_has_moved_is_not_said_to_be_where_the_plan_put_it(
    three: Run, plan: Path
) -> None:
    three(*("reset", *OWNER, "--to", 3, "--reason", "by hand", "--execute", "--yes"))
    refused = three("reset", "--from-file", plan, "--execute")
    assert refused.exit_code == 3
    assert "something was appended to it in between" in refused.stderr


def test_what_is_exported_and_executed_at_once_names_its_plan_too(three: Run, path: Path) -> None:
    file = path.with_name("plan.jsonl")
    three(*EXPORT, "--export", file, "--execute", "--yes")
    digest = json.loads(file.read_text().splitlines()[0])["digest"]
    assert {reset["metadata"]["plan"] for reset in records(three("resets"))} == {digest}


def test_the_command_of_a_plan_has_what_was_given_beside_it(three: Run, plan: Path) -> None:
    shown = three("reset", "--from-file", plan, "--actor", "omar", "--meta", "approved=by eve")
    assert shown.stderr.endswith("--actor omar --meta 'approved=by eve' --execute\n")
    assert records(shown)[0]["metadata"]["approved"] == "by eve"


@pytest.mark.parametrize("name", ["ticket", "plan", "planned_by", "planned_at"])
def test_metadata_beside_a_plan_replaces_nothing_in_it(three: Run, plan: Path, name: str) -> None:
    for extra in ([], ["--execute"]):
        refused = three("reset", "--from-file", plan, "--meta", f"{name}=x", *extra)
        assert refused.exit_code == 2
        assert f"--meta '{name}' is in the plan already" in refused.stderr
    assert records(three("resets")) == []


def test_what_the_entries_would_have_no_room_for_is_refused_when_it_is_planned(
    three: Run, path: Path
) -> None:
    def planned(*metadata: tuple[str, str]) -> Any:
        given = [part for name, value in metadata for part in ("--meta", f"{name}={value}")]
        return three("reset", *OWNER, "--to", 1, "--reason", "x", *given, "--export", file)

    file = path.with_name("plan.jsonl")
    many = [(f"n{n}", "x") for n in range(14)]
    refused = planned(*many)
    assert refused.exit_code == 2
    assert "with plan, planned_by, planned_at, which the entries of a plan" in refused.stderr
    assert "metadata has more than 16 pairs" in refused.stderr
    assert planned(("long", "x" * 4_000)).exit_code == 2
    assert planned(("plan", "x")).exit_code == 2
    assert not file.exists()
    assert planned(*many[:13]).exit_code == 0
    beside = three("reset", "--from-file", file, "--execute", "--meta", "one=more")
    assert beside.exit_code == 2
    assert three("reset", "--from-file", file, "--execute").exit_code == 0
    assert len(records(three("resets"))[0]["metadata"]) == 16
