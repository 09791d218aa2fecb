"""What is typed wrong is answered with the fact, and with what to type instead."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import ledger
from ledger import CursorKey
from projections.cli import main
from support.commands import Run, lines

ANSWERS = {
    # A command that is not there: near by its letters, by its beginning, by what it is for.
    ("lst",): "No such command 'lst'. Did you mean 'list'?",
    ("stall",): "No such command 'stall'. Did you mean 'stalls'?",
    ("checkpoints",): "Did you mean 'checkpoint'?",
    ("behind",): "No such command 'behind'. Did you mean 'list' or 'lag'?",
    ("undelivered",): "No such command 'undelivered'. All of them: cursor-ledger --help",
    ("help",): "For help: cursor-ledger --help, and cursor-ledger COMMAND --help",
    ("positions", "lst"): "No such command 'lst'. Did you mean 'list'?",
    ("positions", "xyz"): "No such command 'xyz'. All of them: cursor-ledger positions --help",
    # An option that is not there: what it is called here, or what is asked instead.
    ("--verison",): "No such option '--verison'. Did you mean '--version'?",
    ("list", "--consumr", "x"): "Did you mean '--consumer'?",
    ("list", "--lim", "5"): "Did you mean '--limit'?",
    ("list", "--sorted", "x"): "No such option '--sorted'. Did you mean '--sort'?",
    ("list", "--since", "1h"): "What changed since: cursor-ledger diff 1h, and where cursors stood",
    ("lag", "--until", "1h"): "lag shows what is so now. What changed since: cursor-ledger diff 1h",
    ("diff", "--since", "1h"): "The time is an argument here: cursor-ledger diff 1h",
    ("as-of", "--since", "1h"): "The time is an argument here: cursor-ledger as-of 1h",
    ("resets", "--actor", "omar"): "No such option '--actor'. Did you mean '--by'?",
    ("advance", "a", "b", "--by", "omar"): "Did you mean '--actor'?",
    ("entries", "--from", "1h"): "Did you mean '--since' or '--from-position'?",
    ("tail", "--limit", "4"): "No such option '--limit'. Did you mean '--lines'?",
    ("tail", "--watch"): "Did you mean '--follow'?",
    ("list", "--follow"): "Did you mean '--watch'?",
    # A word too many.
    (
        "list",
        "mailer",
    ): "list takes no names as words: choose by --consumer, --stream and --subject.",
    ("verify", "mailer"): "Got unexpected extra argument (mailer)",
    ("resets", "--format", "csv"): "Did you mean '-o'?",
    ("gaps", "--fields", "x"): "Did you mean '--columns'?",
    ("resets", "--reverse"): "Did you mean '--newest-first' or '--sort'?",
    # What is left out.
    (
        "events",
        "--since",
        "1h",
    ): "Name a STREAM. What happened on all of them: cursor-ledger entries",
    ("explain", "1234"): "Which consumers have passed one: cursor-ledger events STREAM --sequence",
    ("describe",): "Missing argument 'CONSUMER'",
    ("describe", "webhooks"): "The stream is missing: name the cursor as webhooks STREAM [SUBJECT]",
    ("reset", "webhooks", "orders"): "Where to? Add exactly one of --to",
    ("reset", "webhooks", "orders", "--to", "1"): "--reason is required: say why",
    # What can never be right.
    ("entries", "--since", "25:00"): "'25:00' is not a time. Write one like",
    ("entries", "--since", "1h", "--until", "2h"): "--since is later than --until",
    ("gaps", "--until", "2h", "--since", "1h"): "--since is later than --until",
    ("list", "--limit", "-5"): "--limit must be 0 or more, and at most",
    ("stalls", "--limit", "-5"): "--limit must be 0 or more, and at most",
    ("tail", "--lines", "-1"): "-1 is not in the range x>=0",
    ("list", "--state", "failng"): "Did you mean failing?",
    ("list", "--columns", "sequnce"): "No column here is called 'sequnce'. Did you mean sequence",
    ("stalls", "--after", "15"): "'15' is not a duration. Write a number with its unit",
    ("blame", "webhooks", "orders", "9..5"): "the range 9 to 5 ends before it begins. Write 5..9.",
    ("append", "absent.jsonl"): "'absent.jsonl': No such file or directory",
    ("append", "."): "'.': Is a directory",
    ("--db", "mysql://me@host/x", "list"): "looks like a URL of 'mysql', which is neither a path",
    # What is refused, or fails, later.
    ("--db", "absent.db", "list"): "absent.db does not exist. Name a ledger with --db",
    ("--db", ".", "list"): ". is a folder; name a file in it",
    ("--db", "text", "list"): "text is not a SQLite database; it was left as it is",
    ("--db", "empty", "list"): "empty holds no ledger; it was left as it is",
    ("--db", "postgresql://me:hunter2@127.0.0.1:1/x", "list"): "Connection refused",
    ("describe", "webhoks", "orders"): "Did you mean webhooks orders?",
    ("explain", "webhooks", "orders", "0"): "offset k is sequence k + 1",
}
CODES = {
    "absent.db": 1,
    ".": 1,
    "text": 1,
    "empty": 1,
    "postgresql://me:hunter2@127.0.0.1:1/x": 1,
    "webhoks": 4,
}
"""The exit codes of those that are no wrong usage, by their second word."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no database\n")
    (tmp_path / "empty").touch()
    with ledger.open("cursor-ledger.db", actor="ines") as book:
        book.advance(CursorKey("webhooks", "orders"), to=7)
    return tmp_path


@pytest.mark.parametrize("typed", ANSWERS, ids=" ".join)
def test_a_mistake_is_answered_with_what_to_type(
    run: Run, folder: Path, typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURSOR_LEDGER_DB", str(folder / "cursor-ledger.db"))
    refused = run(*typed)
    assert ANSWERS[typed] in " ".join(refused.stderr.split())
    assert "hunter2" not in refused.output
    assert refused.stdout == ""
    code = CODES.get(typed[1], 2) if len(typed) > 2 else 2
    assert (refused.exit_code, refused.exception.__class__) == (code, SystemExit)


@pytest.mark.parametrize("typed", [("resets", "--ticket"), ("status", "--since"), ("show", "-x")])
def test_an_option_that_nothing_is_like_is_answered_with_no_other(
    run: Run, typed: tuple[str, str]
) -> None:
    refused = run(*typed)
    assert refused.exit_code == 2
    assert refused.stderr.endswith(f"Error: No such option '{typed[1]}'.\n")


def test_a_span_of_one_moment_is_a_span(run: Run) -> None:
    run("advance", "mailer", "jobs", "--to", 1, "--now", "2026-03-01T10:00:00Z")
    moment = lines(run, "entries")[0]["recorded_at"]
    assert len(lines(run, "entries", "--since", moment, "--until", moment)) == 1


def test_the_help_ends_with_questions_that_can_be_typed_as_they_stand(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURSOR_LEDGER_DB", str(folder / "cursor-ledger.db"))
    with ledger.open("cursor-ledger.db", actor="ines") as book:
        book.advance(CursorKey("webhooks", "orders"), to=2_000)
        book.reset(CursorKey("webhooks", "orders"), to=1_999, reason="lost")
    said = run("--help").stdout
    asked = [
        re.split(r"\s{2,}", line.strip()) for line in said.partition("Questions:")[2].split("\n")
    ]
    typed = [words for _, words in filter(lambda row: len(row) == 2, asked)]
    assert len(typed) == len(main.questions) == 7
    # On a screen of 24 lines, they are what is seen of it, with the exit codes before.
    assert said.rstrip().splitlines()[-8] == "Questions:"
    for words in typed:
        program, *rest = words.split()
        assert program == "cursor-ledger"
        answered = run(*rest)
        assert answered.exit_code == 0, (words, answered.output)
    assert all(f"{words}" in run("man").stdout.replace("\\-", "-") for words in typed)


def test_no_two_commands_have_one_letter_for_different_things() -> None:
    meant: dict[str, set[str]] = {}
    for command in main.commands.values():
        for each in command.params:
            short = [name for name in each.opts if re.fullmatch("-[a-zA-Z]", name)]
            for letter in short if isinstance(each, click.Option) else []:
                meant.setdefault(letter, set()).add(each.name or "")
    # timeline draws into a file, and tail counts lines.
    assert meant.pop("-o") == {"form", "output"}
    assert meant.pop("-n") == {"limit", "lines"}
    assert all(len(names) == 1 for names in meant.values()), meant
