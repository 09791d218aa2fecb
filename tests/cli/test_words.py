"""A command refuses in the words that were typed, and shows no traceback of ours for any input."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.exceptions import Exit
from click.testing import CliRunner, Result

import ledger
from ledger import (
    ActorRequiredError,
    BrokenChainError,
    CursorKey,
    InvalidCursorError,
    ResetCursor,
)
from ledger.cli import program
from ledger.cli.wording import as_typed
from ledger.errors import invalid, no_ledger
from projections.cli import main
from support.depth import thorough
from support.preloaded import COMMAND

OWNER = ["webhooks", "orders"]
HUGE = "9" * 30
TOO_LARGE = str(2**63)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CURSOR_LEDGER_DB", "cursors.db")
    with ledger.open("cursors.db", actor="x") as book:
        book.advance(CursorKey(*OWNER), to=5)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, input="")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["advance", "x" * 513, "orders", "--to", "1"], "CONSUMER has 513"),
        (["advance", "webhooks", " ", "--to", "1"], "STREAM is required"),
        (["advance", *OWNER, "x" * 513, "--to", "1"], "SUBJECT has 513"),
        (["advance", *OWNER, "--to", HUGE], "--to must be"),
        (["advance", *OWNER, "--to", "6", "--delivery-id", "x" * 513], "--delivery-id has 513"),
        (["advance", *OWNER, "--to", "6", "--epoch", "-1"], "--epoch must be"),
        (["advance", *OWNER, "--to", "6", "--expect-version", "-1"], "--expect-version must be"),
        (["advance", *OWNER, "--to", "6", "--meta", "x=" + "y" * 5_000], "--meta has 5,001"),
        (["advance", *OWNER, "--to", "6", "--meta", " =x"], "--meta has a blank name"),
        (["advance", *OWNER, "--to", "6", "--actor", "x" * 513], "--actor has 513"),
        (["--actor", "x" * 513, "advance", *OWNER, "--to", "6"], "--actor has 513"),
        (["error", *OWNER, "--message", ""], "--message is required"),
        (["reset", *OWNER, "--to", "-1", "--reason", "x"], "--to must be"),
        (["reset", *OWNER, "--by", HUGE, "--reason", "x"], "--by must be"),
        (["reset", *OWNER, "--to-entry", "-1", "--reason", "x"], "--to-entry must be"),
        (["reset", *OWNER, "--to", "1", "--reason", "x" * 5_000], "--reason has 5,000"),
        (["reset", "--stream", "x" * 513, "--to", "1", "--reason", "x"], "--stream has 513"),
        (["list", "--consumer", "x" * 513], "--consumer has 513"),
        (["list", "-n", HUGE], "--limit must be"),
        (["entries", "--from-position", HUGE], "--from-position must be"),
        (["entries", "--to-position=-1"], "--to-position must be"),
        (["entries", "--covering", HUGE], "--covering must be"),
        (["entries", "--by", "x" * 513], "--by has 513"),
        (["resets", "--reason", "x" * 5_000], "--reason has 5,000"),
        (["explain", *OWNER, HUGE], "SEQUENCE must be"),
        (["tail", "--lines", HUGE], "--lines must be"),
        (["stalls", "--errors", HUGE], "--errors must be"),
        (
            ["reset", *OWNER, "--to", "1", "--reason", "x", "--expect-version", "-1"],
            "--expect-version must be",
        ),
        (["explain", *OWNER, "0"], "SEQUENCE must be"),
        (["gaps", "--subject", "x" * 513], "--subject has 513"),
        (["gaps", "webhooks", "x" * 513], "STREAM has 513"),
        (["retention", "hold", " ", "--reason", "x"], "NAME is required"),
        (["retention", "hold", "x" * 513, "--reason", "x"], "NAME has 513"),
        (["policy", "set", "require-meta", "--reason", "x"], "NAME needs the name"),
    ],
)
def test_a_refusal_names_what_was_typed(folder: Path, arguments: list[str], said: str) -> None:
    del folder
    refused = run(*arguments)
    assert refused.exit_code == 2, refused.output
    assert refused.stderr.startswith(f"cursor-ledger: {said}")


def test_advice_names_what_to_type() -> None:
    context = click.Context(main.commands["advance"], parent=click.Context(main))
    key = CursorKey(*OWNER)
    advice = {
        no_ledger(
            "x.db", "no such table"
        ): "x.db has no ledger in it. The first advance makes one.",
        BrokenChainError("webhooks/orders", "edited"): (
            "webhooks/orders: edited. Run cursor-ledger verify to see every fault."
        ),
        ActorRequiredError(ResetCursor(key, 1, "x")): (
            "A reset of webhooks/orders needs an actor: name one with --actor."
        ),
        invalid("last_sequence", "must be less."): "--to must be less.",
        # A text of one part of the subject, and what others have named so.
        invalid("metadata", "is too long.", subject="a name in metadata"): (
            "a name in --meta is too long."
        ),
        invalid("actor", "is like metadata."): "--actor is like metadata.",
        # Nothing that was typed.
        invalid("poll_s", "must be more."): "poll_s must be more.",
        # An error that was made of its message alone has no facts.
        InvalidCursorError("last_sequence is odd."): "last_sequence is odd.",
    }
    assert {error: as_typed(error, context) for error in advice} == advice


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["diff", TOO_LARGE, "1"], "EARLIER must be"),
        (["diff", "1", TOO_LARGE], "LATER must be"),
        (["gaps", "webhooks", "x" * 513], "STREAM has 513"),
        (["gaps", "--stream", "x" * 513], "--stream has 513"),
        (["tail", "-n", TOO_LARGE], "--lines must be"),
    ],
)
def test_of_several_words_for_a_field_a_refusal_names_the_one_that_was_typed(
    folder: Path, arguments: list[str], said: str
) -> None:
    del folder
    refused = run(*arguments)
    assert (refused.exit_code, refused.stderr[: len(said) + 15]) == (2, f"cursor-ledger: {said}")


def test_a_cursor_in_one_word_is_refused_under_its_option(folder: Path) -> None:
    del folder
    cursor = f"{'x' * 513}/orders"
    refused = run("reset", *OWNER, "--to-cursor", cursor, "--reason", "x")
    assert refused.exit_code == 2
    assert "Invalid value for '--to-cursor': consumer_id has 513" in refused.stderr


ODD = [
    "",
    "-1",
    HUGE,
    "٣",
    "a\0b",
    "\udcff",
    "9999-12-31T23:59:59-23:59",
    "{",
    # What is this long takes its time.
    "9" * 5_000,
    "x" * 5_000,
]
BASE = {
    "advance": [*OWNER, "--to", "9"],
    "error": [*OWNER, "-m", "x"],
    "reset": [*OWNER, "--to", "1", "--reason", "x"],
    "append": ["-"],
    "adopt": ["-"],
    "export": ["--format", "kafka"],
    "show": OWNER,
    "history": OWNER,
    "as-of": ["1h"],
    "diff": ["1"],
    "explain": [*OWNER, "2"],
    "timeline": OWNER,
    "copy": ["cursors.db", "copied.db"],
    "import": ["-"],
    "backup": ["backup.db"],
    "restore": ["copied.db"],
}
ALLOWED = {0, 1, 2, 3, 4, 5}


def interrupted(*_: object) -> None:
    raise Exit(0)


def with_odd(name: str, command: click.Command, odd: str) -> Iterator[list[str]]:
    """Yield the command with `odd` in the place of each option and argument."""
    base = BASE.get(name, [])
    for option in command.params:
        # What is followed never ends; charts take seconds, and paths are made.
        apart = option.name in {"follow", "export", "output"}
        if isinstance(option, click.Option) and not option.is_flag and not apart:
            given = option.opts[-1]
            rest = list(base)
            if given in rest:
                del rest[rest.index(given) : rest.index(given) + 2]
            yield [name, *rest, f"{given}={odd}" if given.startswith("--") else given + odd]
    for place, word in enumerate(base):
        if not word.startswith("-") and not (place and base[place - 1].startswith("-")):
            yield [name, *base[:place], odd, *base[place + 1 :]]
    yield [name, *base, odd]


@pytest.mark.parametrize("name", main.commands)
def test_odd_input_is_refused_in_a_line(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del folder
    # What is watched does not end by itself.
    monkeypatch.setattr("projections.cli.watching.rests", interrupted)
    every = thorough(1, 3)
    for nth, odd in enumerate(ODD[: thorough(len(ODD), len(ODD) - 2)]):
        # Each place gets a third of them in a quick run, and the next place another third.
        for arguments in list(with_odd(name, main.commands[name], odd))[nth % every :: every]:
            done = run(*arguments)
            assert done.exit_code in ALLOWED, (arguments, done.output[-500:])
            assert "bug in cursor-ledger" not in done.stderr, (arguments, done.stderr)


def test_a_child_survives_bytes_that_are_no_text(folder: Path) -> None:
    raw = b"\xff\xfe"
    for arguments in (
        [b"show", raw, b"orders"],
        [b"list", b"--consumer", raw],
        [b"--db", raw, b"list"],
        [b"append", raw],
        [b"advance", b"a", b"b", b"--to", raw],
        [b"reset", b"a", b"b", b"--to", b"1", b"--reason", raw, b"--new", b"--execute"],
        [raw],
    ):
        done = subprocess.run(
            [os.fsencode(COMMAND), *arguments], cwd=folder, capture_output=True, check=False
        )
        assert done.returncode in {1, 2}, (arguments, done.stderr)
        assert b"Traceback" not in done.stderr
        assert b"mistake" not in done.stderr
        assert done.stdout == b""


def test_a_mistake_of_the_program_is_a_line_that_says_how_to_report_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("division of postgresql://me:geheim@h/x")

    command = program([broken])
    done = CliRunner().invoke(command, ["broken"])
    assert done.exit_code == 70
    [told] = done.stderr.splitlines()
    assert told.startswith("cursor-ledger: this is a bug in cursor-ledger (version ")
    assert "ZeroDivisionError" in told
    assert "Please report it" in told
    assert "geheim" not in told
    monkeypatch.setenv("CURSOR_LEDGER_TRACEBACK", "1")
    assert "Traceback" in CliRunner().invoke(command, ["broken"]).stderr
