"""Commands on PostgreSQL: what they make, what they wait for, and what they never show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ledger
from support.commands import OWNER, Run, records
from support.cursors import JOBS
from support.preloaded import COMMAND
from support.servers import connect

STORES = "postgres"


@pytest.mark.makes_ledgers
@pytest.mark.parametrize(
    "command", [["list"], ["verify"], ["status"], ["reset", *OWNER, "--to", "1", "--reason", "x"]]
)
@pytest.mark.makes_ledgers
def test_a_command_that_reads_makes_nothing(run: Run, target: str, command: list[str]) -> None:
    refused = run(*command)
    assert refused.exit_code == 1
    assert "holds no ledger" in refused.stderr
    with connect(target) as raw:
        schema = target.rpartition("=")[2]
        there = raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    assert there is None


def test_a_held_cursor_is_busy_and_its_reader_is_told_whom_it_waits_for(
    run: Run, target: str
) -> None:
    assert run("advance", *OWNER, "--to", 5).exit_code == 0
    options: dict[str, Any] = {"autocommit": False, "application_name": "billing\x1b[2J"}
    with ledger.open(target, actor="tester") as book, connect(target, **options) as caller:
        lent = book.using(caller)
        lent.advance(ledger.CursorKey(*OWNER), to=6)
        lent.advance(JOBS, to=1)
        busy = run("--busy-timeout", 0.1, "advance", *OWNER, "--to", 7)
        assert busy.exit_code == 75
        assert "try again" in busy.stderr
        assert run("advance", "mapper", "jobs", "--to", 1).exit_code == 0
        shown = run("entries")
        assert [entry["position"] for entry in records(shown)] == [1]
        assert "the log is settled up to position 1 of 4; later entries" in shown.stderr
        assert f"process {caller.info.backend_pid}" in shown.stderr
        assert "\x1b" not in shown.stderr
        [status] = records(run("status"))
        assert (status["position"], status["last"]) == (1, 4)
        assert status["waiting"][0]["process"] == caller.info.backend_pid
        assert "waiting for" in run("status", "--table").stdout
        caller.commit()
    shown = run("entries")
    assert [entry["position"] for entry in records(shown)] == [1, 2, 3, 4]
    assert shown.stderr == ""


def test_a_password_is_never_shown(target: str) -> None:
    with_password = target.replace("postgres@", "postgres:geheim@", 1)
    if "geheim" not in with_password:
        pytest.skip("the URL of this server has no user to give a password to")
    said = ""
    for url in (with_password, with_password.replace("/postgres?", "/absent?")):
        for command in (["advance", *OWNER, "--to", "1"], ["list"], ["verify"], ["status"]):
            done = subprocess.run(
                [COMMAND, "--db", url, *command], capture_output=True, text=True, check=False
            )
            said += done.stdout + done.stderr
    assert "absent" in said
    assert "geheim" not in said


def test_without_the_driver_the_extra_is_named(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['psycopg'] = None; from projections.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "--db", "postgresql://nowhere.invalid/x", "list"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "pip install '.[postgres]'" in done.stderr
