"""The command line: what it prints, where, and how it exits."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ledger
from ledger import CursorKey
from ledger.cli.shown.tables import colour
from ledger.log.text import visible
from projections.cli import main
from support.commands import OWNER, Run, line, records
from support.preloaded import COMMAND

STORES = "every"


@pytest.fixture
def run(target: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CURSOR_LEDGER_DB", target)
    monkeypatch.setenv("CURSOR_LEDGER_ACTOR", "ops@desk")

    def run(*arguments: object, text: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=text)

    return run


def test_a_command_appends_and_prints_the_cursor_as_a_json_line(run: Run) -> None:
    done = run("advance", *OWNER, "--to", 44, "--delivery-id", "m-44", "--meta", "ticket=OPS-12")
    assert done.exit_code == 0
    [cursor] = records(done)
    assert cursor["last_sequence"] == 44
    assert cursor["key"] == {
        "consumer_id": "webhooks",
        "stream_name": "orders",
        "subject_id": "",
    }
    [entry] = records(run("history", *OWNER))
    assert (entry["actor"], entry["metadata"]) == ("ops@desk", {"ticket": "OPS-12"})


def test_a_reset_is_a_plan_until_it_is_executed(run: Run) -> None:
    run("advance", *OWNER, "--to", 44)
    reset = ("reset", *OWNER, "--to", 41, "--reason", "lost 42", "--actor", "ines")
    [plan] = records(run(*reset))
    assert (plan["previous_sequence"], plan["sequence"], plan["version"]) == (44, 41, 1)
    assert plan["delivered_again"] == {"first": 42, "last": 44}
    assert records(run("show", *OWNER))[0]["last_sequence"] == 44
    [after] = records(run(*reset, "--execute", "--expect-version", plan["version"]))
    assert (after["last_sequence"], after["epoch"]) == (41, 1)
    [entry] = records(run("entries", "--kind", "reset"))
    assert (entry["actor"], entry["event"]["reason"]) == ("ines", "lost 42")


def test_a_plan_is_void_once_something_else_was_appended(run: Run) -> None:
    run("advance", *OWNER, "--to", 44)
    run("advance", *OWNER, "--to", 45)
    for extra in ([], ["--execute"]):
        late = run("reset", *OWNER, "--to", 1, "--reason", "x", "--expect-version", 1, *extra)
        assert late.exit_code == 3
        assert "is at version 2, not 1" in late.stderr
    assert len(records(run("history", *OWNER))) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["advance", *OWNER, "--to", "1"], 3, "would move it back"),
        (["advance", *OWNER, "--to", "5", "--delivery-id", "other"], 3, "another delivery"),
        (["advance", *OWNER, "--to", "9", "--epoch", "7"], 3, "epoch 0"),
        (["advance", *OWNER, "--to", "9", "--expect-version", "7"], 3, "version 1, not 7"),
        (["advance", *OWNER, "--to", "0"], 2, "--to must be from 1"),
        (["advance", *OWNER, "--to", "9" * 30], 2, "--to must be from 1"),
        (["advance", *OWNER, "--to", "seven"], 2, "not a valid integer"),
        (["advance", *OWNER], 2, "--to"),
        (["advance", " ", "orders", "--to", "6"], 2, "CONSUMER is required"),
        (["advance", "w" * 513, "orders", "--to", "6"], 2, "at most 512"),
        (["advance", *OWNER, "a", "b", "--to", "6"], 2, "unexpected extra argument"),
        (["advance", *OWNER, "--to", "6", "--meta", "ticket"], 2, "NAME=VALUE"),
        (["advance", *OWNER, "--to", "6", "--outcome", "lost"], 2, "lost"),
        (["advance", *OWNER, "--to", "6", "--now", "yesterday"], 2, "is not a time"),
        (["advance", *OWNER, "--to", "6", "--now", "2026-05-05T16:00:01"], 2, "is not a time"),
        (["reset", *OWNER, "--to", "1", "--reason", " "], 3, "needs a reason"),
        (["reset", *OWNER, "--to", "1"], 2, "--reason"),
        (["reset", *OWNER, "--to", "-1", "--reason", "x"], 2, "from 0"),
        (["reset", *OWNER, "--to", "1", "--reason", "x" * 4_097, "--execute"], 2, "at most 4,096"),
        (["error", *OWNER, "-m", " "], 2, "--message is required"),
        (["error", *OWNER], 2, "--message"),
        (["show", "webhooks", "invoices"], 4, "has no cursor"),
        (["history", "webhooks", "invoices"], 4, "has no cursor"),
        (["show", "webhooks"], 2, "STREAM"),
        (["list", "--limit", "many"], 2, "not a valid integer"),
        (["entries", "--kind", "move"], 2, "move"),
        (["entries", "--since", "90"], 2, "90m"),
        (["entries", "--since", "999999999w"], 2, "too long ago"),
        (["entries", "--from-position", "-1"], 2, "--from-position must be from 0"),
        (["entries", "--covering", "-1"], 2, "covering must be from 0"),
        (["append", "no-such-file"], 2, "No such file"),
        (["verify", "--against", __file__], 2, "not JSON"),
        (["--busy-timeout", "-1", "list"], 2, "range"),
        (["--db", "no/such/folder/x.db", "advance", *OWNER, "--to", "1"], 1, "does not exist"),
        (["--db", "absent.db", "list"], 1, "does not exist"),
        (
            ["--db", "postgresql://me:geheim@nowhere.invalid/x", "list"],
            1,
            "could not run the statement",
        ),
        (["--db", "", "list"], 2, "--db must be a path"),
        (["--db", ":memory:", "advance", *OWNER, "--to", "1"], 2, "would be gone"),
        (["--db", "mysql://me:geheim@h/x", "list"], 2, "looks like a URL of 'mysql'"),
        (["copy", "absent.db", "other.db"], 1, "absent.db does not exist. SOURCE must be"),
        (["copy", "", "absent.db"], 2, "SOURCE must be a path"),
        (["--actor", "a" * 513, "list"], 2, "--actor has 513 characters; at most 512"),
        (["--actor", " ", "list"], 2, "--actor is blank"),
        (["advance", *OWNER, "--to", "9", "--actor", ""], 2, "--actor is blank"),
        (["list", "--db", "absent.db"], 1, "absent.db does not exist"),
        (["rewind"], 2, "No such command"),
    ],
)
def test_bad_input_is_refused_with_its_exit_code_and_changes_nothing(
    run: Run, arguments: list[str], code: int, said: str
) -> None:
    run("advance", *OWNER, "--to", 5, "--delivery-id", "m-5")
    refused = run(*arguments)
    assert refused.exit_code == code, refused.output
    assert said in refused.stderr
    assert "geheim" not in refused.stderr
    assert refused.stdout == ""
    assert [entry["position"] for entry in records(run("entries"))] == [1]
    assert not Path("absent.db").exists()


def test_wide_characters_stay_in_line(run: Run) -> None:
    run("advance", "Zoë", "注文", "--to", 5)
    run("advance", "b", "orders", "--to", 5)
    [_, _, plain, wide] = run("list", "--table").stdout.splitlines()
    # Each takes two columns, so there are as many characters less before what comes behind.
    assert wide.index("5") == plain.index("5") - len("注文")


def test_nothing_is_coloured_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour("", "red") == ""
    assert colour("x", "red") != "x"


def test_results_take_the_form_that_is_asked_for(run: Run) -> None:
    run("advance", *OWNER, "--to", 5)
    run("error", *OWNER, "-m", "=cmd()")
    assert [cursor["version"] for cursor in json.loads(run("list", "--json").stdout)] == [2]
    assert json.loads(run("show", *OWNER, "--json").stdout)["version"] == 2
    assert json.loads(run("list", "--stream", "none", "--json").stdout) == []
    assert json.loads(run("verify", "--jsonl").stdout)["ok"]
    table = run("list", "--table").stdout.splitlines()
    assert table[0].split()[:3] == ["consumer", "stream", "sequence"]
    assert "=cmd()" in table[2]
    rows = list(csv.DictReader(io.StringIO(run("entries", "--csv").stdout)))
    assert [row["sequence"] for row in rows] == ["5", ""]
    assert rows[1]["message"] == "'=cmd()"


def test_a_long_table_goes_on_page_after_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.cli.shown.tables.PAGE_ROWS", 2)
    for sequence in range(1, 6):
        run("advance", *OWNER, "--to", sequence)
    run("error", *OWNER, "-m", "the last")
    heading, _, *rows = run("entries", "--table").stdout.splitlines()
    # What stands in a later page only needs its column as well.
    assert heading.split()[4:] == ["subject", "version", "event", "detail", "actor"]
    assert len(rows) == 6
    assert "the last" in rows[-1]


def test_text_from_the_log_cannot_command_the_terminal(run: Run) -> None:
    hostile = "\x1b[2Jgone\r\x9b31m \u202elive\u2066 \u200bname"
    run("error", *OWNER, "-m", hostile)
    for form in ("--table", "--csv", "--jsonl", "--json"):
        shown = run("list", form).stdout
        assert not set(shown) & set("\x1b\r\x9b\u202e\u2066\u200b")
    assert records(run("show", *OWNER))[0]["last_error"] == hostile
    assert visible("\x1b[2J\u202e\n") == r"\x1b[2J\u202e\n"


def test_filters_choose_entries(run: Run) -> None:
    for sequence in (5, 9):
        run("advance", *OWNER, "--to", sequence)
    run("advance", "mailer", "orders", "--to", 7, "--actor", "m-1")
    chosen = {
        ("--covering", "6"): [2, 3],
        ("--by", "m-1"): [3],
        ("--consumer", "webhooks", "--newest-first", "-n", "1"): [2],
        ("--from-position", "2", "--to-position", "2"): [2],
        ("--since", "1h"): [1, 2, 3],
        ("--until", "1h"): [],
    }
    for options, positions in chosen.items():
        found = records(run("entries", *options))
        assert [entry["position"] for entry in found] == positions, options


def test_append_lists_what_it_refuses_and_appends_the_rest(run: Run) -> None:
    text = "\n".join(
        [line(1), "", line("2"), '{"op": "advance"', line(2), line(1), '{"op": "get"}', line(3)]
    )
    done = run("append", "-", text=text)
    assert done.exit_code == 3
    assert [(row["line"], row["error"]) for row in records(done)] == [
        (3, "InvalidCursorError"),
        (4, "InvalidCursorError"),
        (6, "NonMonotonicCursorError"),
        (7, "InvalidCursorError"),
    ]
    assert "3 appended, 4 refused" in done.stderr
    assert records(run("show", "mailer", "jobs"))[0]["last_sequence"] == 3


def test_append_takes_all_or_nothing_if_it_is_told_to(run: Run) -> None:
    bad = run("append", "-", "--atomic", text="\n".join([line(1), line(2), "{}", line(1)]))
    assert (bad.exit_code, [row["line"] for row in records(bad)]) == (3, [3])
    back = run("append", "-", "--atomic", text="\n".join([line(1), "", line(2), line(1)]))
    assert (back.exit_code, [row["line"] for row in records(back)]) == (3, [4])
    assert records(run("entries")) == []
    good = run("append", "-", "--atomic", text="\n".join([line(1), line(2)]))
    assert good.exit_code == 0
    assert len(records(run("entries"))) == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b'{"op": "advance", "advance": "\xff"}',
        b"[" * 100_000,
        b"1" * 10_000,
        b'"' + b"x" * 2_000_000 + b'"',
        b'{"op": "advance", "op": "reset", "advance": {}}',
        b"\0",
    ],
)
def test_append_survives_a_line_of_anything(run: Run, raw: bytes) -> None:
    done = run("append", "-", text=raw + b"\n" + line(1).encode())
    assert done.exit_code == 3, done.output
    assert [row["line"] for row in records(done)] == [1]
    assert records(run("show", "mailer", "jobs"))[0]["last_sequence"] == 1


def test_append_goes_on_from_a_line(run: Run) -> None:
    text = "\n".join(line(sequence) for sequence in range(1, 6))
    run("append", "-", "--from-line", 4, text=text)
    assert [entry["event"]["sequence"] for entry in records(run("entries"))] == [4, 5]


def test_an_interrupted_append_says_where_to_go_on(run: Run, target: str) -> None:
    with subprocess.Popen(
        [COMMAND, "append", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        # Tests that a shell started in the background ignore SIGINT, and so do their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    ) as process:
        assert process.stdin is not None
        process.stdin.write("\n".join(line(sequence) for sequence in range(1, 701)) + "\n")
        process.stdin.flush()
        # The first 500 lines are one transaction; the rest waits for more.
        with ledger.open(target) as book:
            while not list(book.cursors()):
                pass
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        _, told = process.communicate()
    assert process.returncode == 130
    assert "500 appended up to line 500; continue with --from-line 501" in told
    assert records(run("show", "mailer", "jobs"))[0]["last_sequence"] == 500


def test_output_that_nobody_reads_to_its_end_is_no_error_to_speak_of(run: Run) -> None:
    for sequence in range(1, 4):
        run("advance", *OWNER, "--to", sequence)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{COMMAND}' entries | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode in {0, 1}


def test_help_is_there_for_every_command(run: Run) -> None:
    for command in main.commands:
        shown = run(command, "--help")
        assert shown.exit_code == 0
        assert shown.stdout.startswith("Usage: cursor-ledger " + command)
    assert "0 done, 1 failed" in " ".join(run("--help").stdout.split())
    assert run("--version").stdout.startswith("cursor-ledger ")


@pytest.fixture
def cursors(run: Run) -> None:
    for consumer, stream in (("mailer", "orders"), ("mapper", "jobs"), ("webhooks", "orders")):
        run("advance", consumer, stream, "--to", 1)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_cursors(cursors: None, shell: str) -> None:
    del cursors

    def complete(*words: str) -> str:
        environment = {
            **os.environ,
            "_CURSOR_LEDGER_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": "\n".join(words) if shell == "fish" else " ".join(words),
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
        }
        return subprocess.run(
            [COMMAND], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "history" in complete("cursor-ledger", "hist")
    offered = complete("cursor-ledger", "show", "ma")
    assert "mailer" in offered
    assert "mapper" in offered
    assert "webhooks" not in offered
    assert "jobs" in complete("cursor-ledger", "show", "mapper", "j")


def test_the_ledger_may_be_named_behind_the_command(run: Run, tmp_path: Path) -> None:
    run("advance", *OWNER, "--to", 3)
    other = tmp_path / "other.db"
    assert run("advance", *OWNER, "--to", 7, "--db", other).exit_code == 0
    assert [record["last_sequence"] for record in records(run("list", "--db", other))] == [7]
    assert [record["last_sequence"] for record in records(run("list"))] == [3]


def test_the_key_in_a_command_is_the_key_in_the_library(run: Run, target: str) -> None:
    run("advance", "webhooks", " orders ", "customer-7", "--to", 3)
    with ledger.open(target) as book:
        assert book.get(CursorKey("webhooks", "orders", "customer-7")).last_sequence == 3
