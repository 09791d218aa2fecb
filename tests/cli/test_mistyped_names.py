"""A name that no cursor has makes none by mistake, and is answered with those that were meant."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey
from ledger.cli.typed import names
from support.commands import OWNER, Run, records

STORES = "every"


@pytest.fixture
def full(run: Run) -> Run:
    run("advance", *OWNER, "--to", 44)
    run("advance", "mailer", "orders", "eu", "--to", 7)
    run("advance", "mail server", "jobs", "--to", 3)
    return run


TYPED = {
    ("orders", "webhooks"): "Did you mean webhooks orders?",
    ("webhook", "order"): "Did you mean webhooks orders?",
    ("order", "webhook"): "Did you mean webhooks orders?",
    ("WebHooks", "Orders"): "Did you mean webhooks orders?",
    ("mailer", "orders"): "Did you mean mailer orders eu?",
    ("eu", "mailer", "orders"): "Did you mean mailer orders eu?",
    ("mail", "server", "jobs"): "Did you mean 'mail server' jobs?",
}


@pytest.mark.parametrize(
    "command",
    [
        ["show"],
        ["history"],
        ["gaps"],
        ["repeats"],
        ["timeline"],
        ["as-of", "1"],
        ["reset", "--undo"],
        ["reset", "--to-entry", "1", "--reason", "x"],
        ["reset", "--to", "1", "--reason", "x"],
        ["reset", "--to", "1", "--reason", "x", "--execute", "--yes"],
    ],
)
def test_a_name_that_no_cursor_has_is_answered_with_the_one_that_was_meant(
    full: Run, command: list[str]
) -> None:
    for typed, meant in TYPED.items():
        refused = full(*command, *typed)
        assert refused.exit_code == 4, refused.output
        assert f"{'/'.join(typed)} has no cursor" in refused.stderr
        assert meant in refused.stderr
    assert len(records(full("entries"))) == 3


@pytest.mark.parametrize("command", [["show"], ["reset", "--to", "1", "--reason", "x"]])
@pytest.mark.parametrize(
    "typed", ["wareho…ast-1/compan…ts.v2", "wareho...ast-1/compan...ts.v2", "warehouse-sync-u…/…v2"]
)
def test_a_name_that_a_table_has_shortened_is_answered_with_the_whole_one(
    run: Run, command: list[str], typed: str
) -> None:
    for consumer, stream in (
        ("warehouse-sync-us-east-1", "company.fulfilment.shipments.v2"),
        ("warehouse-sync-eu-west-1", "company.fulfilment.shipments.v1"),
    ):
        run("advance", consumer, stream, "--to", 7)
    refused = run(*command, typed)
    assert refused.exit_code == 4, refused.output
    meant = "warehouse-sync-us-east-1 company.fulfilment.shipments.v2"
    assert f"Did you mean {meant}" in refused.stderr


def test_explain_and_a_goal_are_answered_too(full: Run) -> None:
    assert "Did you mean webhooks orders?" in full("explain", "orders", "webhooks", 43).stderr
    goal = ("--to-cursor", "orders/webhooks", "--reason", "x")
    assert "Did you mean webhooks orders?" in full("reset", *OWNER, *goal).stderr


def test_a_database_of_the_command_itself_is_looked_at(full: Run, target: str) -> None:
    found = full("--db", "absent.db", "show", "orders", "webhooks", "--db", target)
    assert "Did you mean webhooks orders?" in found.stderr


def test_a_reset_makes_a_cursor_only_if_it_is_said_to_be_new(full: Run) -> None:
    reset = ("reset", "archive", "invoices", "--to", 5, "--reason", "moved here")
    refused = full(*reset, "--execute", "--yes")
    assert refused.exit_code == 4
    assert refused.stderr == (
        "cursor-ledger: archive/invoices has no cursor: nothing was ever appended for it. "
        "To make it, add --new.\n"
    )
    [plan] = records(full(*reset, "--new"))
    assert (plan["version"], plan["sequence"]) == (0, 5)
    [made] = records(full(*reset, "--new", "--execute", "--yes"))
    assert (made["last_sequence"], made["version"]) == (5, 1)
    again = full(*reset, "--new", "--execute", "--yes")
    assert again.exit_code == 3
    assert "archive/invoices is not new: it is at 5, version 1" in again.stderr
    assert len(records(full("history", "archive", "invoices"))) == 1


def test_new_is_for_one_cursor_that_is_named(full: Run) -> None:
    refused = full("reset", "--all", "--to", 5, "--reason", "x", "--new")
    assert (refused.exit_code, "--new makes one cursor" in refused.stderr) == (2, True)


@pytest.mark.parametrize("command", [["advance", "--to", "9"], ["error", "-m", "HTTP 503"]])
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("orders", "webhooks"), "webhooks orders"),
        (("orders", "mailer", "eu"), "mailer orders eu"),
        (("mail", "server", "jobs"), "'mail server' jobs"),
    ],
)
def test_words_in_the_wrong_order_make_no_cursor_unless_it_is_said_to_be_new(
    full: Run, command: list[str], typed: tuple[str, ...], meant: str
) -> None:
    refused = full(*command, *typed)
    assert refused.exit_code == 4
    assert f"To make it, add --new. Did you mean {meant}?" in refused.stderr
    assert len(records(full("entries"))) == 3
    assert full(*command, *typed, "--new").exit_code == 0
    # It is there now, and needs no option any more.
    assert full(*command, *typed).exit_code == 0
    assert len(records(full("history", *typed))) == 2


def test_a_first_advance_makes_its_cursor_as_ever(full: Run) -> None:
    for typed in (("webhook", "orders"), ("webhooks", "orders", "eu"), ("mailer", "orders")):
        assert full("advance", *typed, "--to", 1).exit_code == 0
    assert len(records(full("list"))) == 6


def test_what_a_terminal_would_not_show_as_it_is_is_not_suggested(full: Run) -> None:
    full("advance", "web\x1b[2Jhooks", "bills", "--to", 1)
    full("advance", "$(touch x); billing", "bills", "--to", 1)
    refused = full("show", "webhooks", "bills")
    assert "\x1b" not in refused.stderr
    assert "x1b" not in refused.stderr
    refused = full("show", "touch x); billing", "bills")
    assert "Did you mean '$(touch x); billing' bills?" in refused.stderr


def test_of_many_cursors_the_likest_are_named_and_not_all_are_read(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(target, actor="tester") as book:
        book.append([AdvanceCursor(CursorKey(f"tenant-{n:05}", "orders"), 1) for n in range(3_000)])
        read = 0
        cursors = book.cursors

        def counted(query: ledger.CursorQuery) -> object:
            nonlocal read
            for cursor in cursors(query):
                read += 1
                yield cursor

        monkeypatch.setattr(book, "cursors", counted)
        said = names.suggestion(lambda: nullcontext(book), CursorKey("tenant-0042", "orders"))
    assert said.startswith(" Did you mean tenant-00042 orders or ")
    assert said.count(" or ") == 2
    assert read <= 3 * names.LOOKED_AT_MAX


def test_a_ledger_that_is_not_there_is_not_made_by_looking(tmp_path: Path, run: Run) -> None:
    absent = tmp_path / "absent.db"
    for command in (["show"], ["reset", "--to", "1", "--reason", "x", "--execute", "--yes"]):
        assert run("--db", absent, *command, *OWNER).exit_code == 1
    assert not absent.exists()
