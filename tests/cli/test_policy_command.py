"""policy: what each reset must carry, set, dropped and listed; and what resets says of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import ledger
from ledger import ResetCursor
from ledger.cli.typed.target import default_actor
from support.commands import OWNER, Run, records
from support.cursors import ORDERS
from support.ssh_keys import Keys, needs_ssh
from support.unjudged import append_unjudged

STORES = "every"

SET = ("policy", "set", "require-meta", "ticket", "--reason", "audit of 2026", "--actor", "ines")
DROP = ("policy", "drop", "require-meta", "ticket", "--reason", "tracker down", "--actor", "omar")
RESET = ("reset", *OWNER, "--to", "1", "--reason", "lost", "--execute", "--yes")


@pytest.fixture
def strict(run: Run, target: str) -> Run:
    with ledger.open(target, actor="tester") as book:
        book.advance(ledger.CursorKey(*OWNER), to=44)
        append_unjudged(book, ResetCursor(ORDERS, 1, "before all"))
    assert run(*SET).exit_code == 0
    return run


def said(text: str) -> str:
    return " ".join(text.split())


def test_it_is_set_listed_and_dropped(strict: Run) -> None:
    [listed] = records(strict("policy", "list"))
    assert (listed["kind"], listed["name"]) == ("require-meta", "ticket")
    assert (listed["in_force"], listed["actor"], listed["reason"]) == (
        *(True, "ines"),
        "audit of 2026",
    )
    again = strict(*SET)
    assert again.exit_code == 0
    assert records(again) == [listed]
    assert "was in force already; nothing was recorded" in said(again.stderr)
    dropped = records(strict(*DROP))
    assert records(strict("policy", "list")) == dropped
    assert (dropped[0]["in_force"], dropped[0]["actor"]) == (False, "omar")
    assert "DROPPED" in strict("policy", "list", "--table").stdout
    assert len(records(strict("history", "cursor-ledger/policy", "require-meta", "ticket"))) == 2


def test_a_ledger_without_policies_says_so(run: Run, target: str) -> None:
    ledger.open(target).close()
    listed = run("policy", "list", "--table")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "none was ever set" in listed.stderr
    assert run("policy", "list", "--csv").stdout.startswith("kind,name,in_force,position")


def test_a_reset_is_refused_with_what_to_type(strict: Run) -> None:
    refused = strict(*RESET)
    assert (refused.exit_code, refused.stdout) == (3, "")
    told = said(refused.stderr)
    assert "require-meta ticket is in force, set by ines at " in told
    assert "reset --meta ticket=…" in told
    assert strict(*RESET, "--meta", "ticket=OPS-7").exit_code == 0
    assert strict(*DROP).exit_code == 0
    assert strict(*RESET).exit_code == 0


def test_a_plan_says_before_what_it_lacks(strict: Run) -> None:
    plan = strict(*RESET[:-2])
    assert plan.exit_code == 0
    told = (
        "To execute it, add --meta ticket=VALUE, because require-meta ticket is in force, set by "
    )
    assert told in said(plan.stderr)
    assert "To execute it, add" not in strict(*RESET[:-2], "--meta", "ticket=OPS-7").stderr


def test_the_user_who_runs_the_command_is_its_actor(
    strict: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CURSOR_LEDGER_ACTOR")
    assert strict(*DROP[:-2]).exit_code == 0
    for what in ("hold", "release"):
        assert strict("retention", what, "lawsuit", "--reason", "a letter").exit_code == 0
    last = records(strict("entries", "--newest-first", "-n", 3))
    assert {entry["actor"] for entry in last} == {default_actor()}


@needs_ssh
def test_a_plan_that_is_signed_and_approved_by_options_lacks_nothing(
    strict: Run, keys: Keys, path: Path
) -> None:
    assert strict(*DROP).exit_code == 0
    strict("policy", "set", "require-approval", "--reason", "two pairs of eyes")
    file, key = path.with_name("plan.jsonl"), keys.folder / "ines"
    export = (*RESET[:-2], "--export", file, "--sign", key)
    told = "add --sign KEY, --approved-by NAME and --approve KEY, because require-approval is in"
    assert told in said(strict(*export).stderr)
    approve = ("--approve", keys.folder / "omar", "--approved-by", "omar")
    assert "To execute it, add" not in strict(*export, *approve).stderr
    own = ("--approve", key, "--approved-by", "omar")
    refused = strict(*RESET, "--sign", key, *own)
    assert refused.exit_code != 0
    assert strict(*RESET, "--sign", key, *approve).exit_code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("set", "require-luck", "--reason", "x"), 2, "is not one of"),
        (("set", "require-meta", "--reason", "x"), 2, "require-meta ticket"),
        (("set", "require-signature", "ticket", "--reason", "x"), 2, "is for require-meta"),
        (("set", "require-signature"), 2, "Missing option '--reason'"),
        (("set", "require-signature", "--reason", " "), 3, "needs a reason"),
        (("drop", "require-meta", "tiket", "--reason", "x"), 2, "In force: require-meta ticket"),
        (("drop", "require-signature", "--reason", "x"), 2, "In force: require-meta ticket"),
        (("set", "require-meta", "cursor-ledger/x", "--reason", "x"), 2, "keeps for itself"),
    ],
)
def test_what_means_nothing_is_refused(
    strict: Run, words: tuple[str, ...], code: int, told: str
) -> None:
    before = strict("entries").stdout
    refused = strict("policy", *words)
    assert refused.exit_code == code, refused.output
    assert told in said(refused.stderr)
    assert strict("entries").stdout == before


def test_a_policy_is_not_reset_by_reset(strict: Run) -> None:
    refused = strict(
        *("reset", "cursor-ledger/policy", "require-meta", "ticket", "--to", "0"),
        *("--reason", "x", "--execute", "--yes"),
    )
    assert refused.exit_code == 2
    assert "policy drop" in said(refused.stderr)


def test_resets_lists_each_change_and_is_loud_where_a_reset_was_made_against_it(
    strict: Run, target: str, keys: Keys
) -> None:
    assert "AGAINST" not in strict("resets").stderr
    with ledger.open(target) as book:
        append_unjudged(book, ResetCursor(ORDERS, 1, "an older version"))
    assert strict(*DROP).exit_code == 0
    listed = strict("resets")
    assert listed.exit_code == 0
    assert [each["effect"] for each in records(listed)][1::2] == ["policy set", "policy DROPPED"]
    assert [each["passed_over"] for each in records(listed)][1::2] == [None, None]
    told = (
        "AGAINST A POLICY: the reset at position 4, while require-meta ticket is in force, set by "
        "ines at "
    )
    assert told in said(listed.stderr)
    only = strict("resets", "--against-policy")
    assert only.exit_code == 5
    [found] = records(only)
    assert (found["position"], found["unmet"]) == (4, ["require-meta ticket"])
    assert "unmet" not in records(listed)[0]
    assert "require-meta ticket" in strict("resets", "--against-policy", "--table").stdout
    allowed = ("--allowed-signers", keys.trusting("ines").path)
    audited = strict("resets", *allowed)
    assert audited.exit_code == 5
    assert told in said(audited.stderr)
    # What was asked for has none.
    assert strict("resets", *allowed, "--consumer", "mailer").exit_code == 0
    refused = strict("resets", "--groups", "--against-policy")
    assert refused.exit_code == 2


def test_a_report_names_them_first(strict: Run, target: str, path: Path) -> None:
    with ledger.open(target) as book:
        append_unjudged(book, ResetCursor(ORDERS, 1, "an older version"))
    strict(*DROP)
    file = path.with_name("report.csv")
    done = strict("resets", "--report", file)
    assert done.exit_code == 5
    assert done.stderr.startswith("AGAINST A POLICY: 1 of 4, at position 4\n")
    assert "POLICY DROPPED: 1 of 4, at position 5\n" in done.stderr
    assert "without a ticket: 2 of 4, at position 2, 4\n" in done.stderr
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["against_policy"] for row in rows] == ["", "", "require-meta ticket", ""]
    assert [row["missing"] for row in rows][1::2] == ["", ""]
    page = path.with_name("report.html")
    assert strict("resets", "--report", page).exit_code == 5
    assert "require-meta ticket DROPPED by omar at " in page.read_text()


@needs_ssh
def test_unapproved_resets_are_chosen(strict: Run, keys: Keys) -> None:
    allowed = ("--allowed-signers", keys.trusting("ines", "omar").path)
    sign = ("--sign", keys.folder / "ines", "--meta", "ticket=OPS-7")
    approve = ("--approve", keys.folder / "omar", "--approved-by", "omar")
    assert strict(*RESET, *sign).exit_code == 0
    assert strict(*RESET, *sign, *approve).exit_code == 0
    found = records(strict("resets", *allowed, "--proof", "unapproved", "--consumer", OWNER[0]))
    assert [each["proof"] for each in found] == ["asserted", "signed"]
    found = records(strict("resets", *allowed, "--proof", "approved"))
    assert [each["approver"] for each in found] == ["omar@example.com"]
