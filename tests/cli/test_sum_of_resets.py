"""Below a table of resets stands what they come to."""

from __future__ import annotations

import pytest

from support.commands import Run


@pytest.fixture
def several(run: Run) -> Run:
    for stream in ("orders", "payments"):
        run("advance", "mailer", stream, "--to", 1_500)
        run("reset", "mailer", stream, "--to", 200, "--reason", "lost", "--execute", "--yes")
    run("reset", "mailer", "orders", "--to", 300, "--reason", "poison", "--execute", "--yes")
    run("policy", "set", "require-meta", "ticket", "--reason", "audit")
    return run


def test_a_table_of_resets_ends_with_how_much_they_moved(several: Run) -> None:
    said = several("resets", "--reason", "o", "--table").stderr.splitlines()
    assert said[0] == "3 resets of 2 cursors: 2,600 to deliver again, 100 skipped"
    said = several("resets", "--stream", "orders", "--wide").stderr.splitlines()
    assert said[0] == "2 resets of 1 cursor: 1,300 to deliver again, 100 skipped"
    said = several("resets", "--limit", 2, "--table").stderr.splitlines()
    assert said[0] == "2 resets of 2 cursors: 2,600 to deliver again"


def test_the_sum_says_what_each_row_is(several: Run) -> None:
    shown = several("resets", "--table")
    assert len(shown.stdout.splitlines()) == 2 + 4
    assert " ".join(shown.stderr.splitlines()) == (
        "3 resets of 2 cursors: 2,600 to deliver again, 100 skipped; 1 change of a policy"
    )
    several("policy", "drop", "require-meta", "ticket", "--reason", "audit is over")
    several("heads", "orders", "--to", 9)
    head = ("cursor-ledger/head", "orders")
    several("reset", *head, "--to", 3, "--reason", "anew", "--execute", "--yes")
    shown = several("resets", "--table")
    assert len(shown.stdout.splitlines()) == 2 + 6
    assert " ".join(shown.stderr.splitlines()) == (
        "3 resets of 2 cursors: 2,600 to deliver again, 100 skipped; 2 changes of policies; "
        "1 reset of the ledger's own"
    )
    shown = several("resets", "--reason", "audit", "--table")
    assert shown.stderr == "2 changes of policies\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--jsonl"],
        ["--csv"],
        ["--stream", "payments", "--table"],
        ["--takeovers", "--table"],
        # All are counted where a column is sorted by, and not all are shown.
        ["--sort", "to", "--limit", "2", "--table"],
    ],
    ids=" ".join,
)
def test_what_is_no_table_of_several_has_no_sum(several: Run, options: list[str]) -> None:
    assert " resets of " not in several("resets", *options).stderr
