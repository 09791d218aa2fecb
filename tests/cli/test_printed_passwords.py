"""The command that a plan prints never has the password of a database in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.commands import OWNER, Run
from support.printed_commands import in_a_shell, last_entry, printed

STORES = "postgres"

RESET = ("reset", *OWNER, "--to", "1", "--reason", "x")


@pytest.fixture(
    params=["postgres:geheim@", "postgres@ password=geheim", "postgres@ %70assword=geheim"]
)
def secret(request: pytest.FixtureRequest, target: str) -> str:
    user, _, option = str(request.param).partition(" ")
    url = target.replace("postgres@", user, 1) + ("&" + option if option else "")
    if "geheim" not in url or user not in url:
        pytest.skip("the URL of this server has no user to give a password to")
    return url


def test_from_a_variable_it_is_taken_from_the_variable_again(
    run: Run, secret: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURSOR_LEDGER_DB", secret)
    run("advance", *OWNER, "--to", 5)
    plan = run(*RESET)
    assert "geheim" not in plan.output
    done = in_a_shell(printed(plan.stderr), path.with_name("elsewhere"), CURSOR_LEDGER_DB=secret)
    assert done.returncode == 0, done.stderr
    assert last_entry(run, *OWNER)["event"]["sequence"] == 1
    for other in ("", "absent.db"):
        elsewhere = path.with_name("elsewhere")
        refused = in_a_shell(printed(plan.stderr), elsewhere, CURSOR_LEDGER_DB=other)
        assert refused.returncode in {1, 2}


@pytest.mark.parametrize("behind", [False, True])
def test_a_typed_one_is_left_out_and_that_is_said(
    run: Run, secret: str, target: str, *, behind: bool
) -> None:
    run("advance", *OWNER, "--to", 5)
    db = ("--db", secret)
    plan = run(*RESET, *db) if behind else run(*db, *RESET)
    assert "geheim" not in plan.output
    assert "The command leaves the password out" in plan.stderr
    assert target in printed(plan.stderr)
