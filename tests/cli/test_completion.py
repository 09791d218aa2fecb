"""Names from the log that a shell completes run nothing, in real shells on real terminals."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from support.depth import thorough
from support.preloaded import COMMAND
from support.shells import SHELLS, Shell, missing

# Each begins in its own way, so that one TAB puts all of it into the command line.
HOSTILE = [
    "ha$(touch canary)",
    "hb`touch canary`",
    "hc;touch canary;",
    "hd\ntouch canary\n",
    "he&touch canary",
    "hf|touch canary",
    "hg>canary",
    "hh'$(touch canary)'",
    'hi"$(touch canary)"',
    "hj\\;touch canary",
    "hk\rtouch canary\r",
    "hl\x1b]0;pwned\x07",
    "hm\u202epwned",
    "hn(touch canary)",
    "ho<(touch canary)",
    "hp,$(touch canary)",
    "hq\tpwned",
    "hr*",
    "hs{canary,x}",
    "ht!touch",
    "hu\\",
    "hv\u3164pwned",
    "hw" + "w" * 500,
    "hx#(touch canary)",
    "hy\x9bpwned",
    "hz\nplain,$(touch canary)\nplain\n$(touch canary)\n_",
]
LEADING = [
    "-pwned",
    "~root",
    "=ls",
    "*",
    "?",
    "$(touch canary)",
    "`touch canary`",
    "%1",
    "!!",
    "<x",
]
HARMLESS = [
    "ka with spaces",
    "kb:with:colons",
    "kc=with=signs",
    "kd@host.example",
    "ke/with/slashes",
    "kf-with_others.v2+x%20",
    "kgZoë注文",
    "kh two  blanks:x@y z",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ledger.open(tmp_path / "cursor-ledger.db", actor="stranger") as book:
        for name in (*HOSTILE, *LEADING, *HARMLESS):
            book.advance(CursorKey(name, "orders"), to=1)
    return tmp_path


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, folder: Path) -> Iterator[Shell]:
    if why := missing(request.param):
        pytest.skip(why)
    with Shell(request.param, folder) as shell:
        yield shell


def listed(shell: Shell, typed: str) -> list[str]:
    """Type a command, complete it and run it; return the consumers that it lists."""
    # A name that was cut is answered with those that are near, which would be on the terminal.
    shell.run(f"cursor-ledger list --jsonl --consumer {typed} > answer 2> told")
    lines = (shell.folder / "answer").read_text().splitlines()
    return [json.loads(line)["key"]["consumer_id"] for line in lines]


def test_a_hostile_name_runs_nothing_when_it_is_completed(shell: Shell) -> None:
    before = len(shell.seen)
    for name in HOSTILE[: thorough(len(HOSTILE), 5)]:
        assert listed(shell, f"{name[:2]}\t") == [], name
    shell.run("cursor-ledger list --consumer \t\t\x15")
    assert not (shell.folder / "canary").exists()
    assert b"pwned" not in shell.seen[before:]


def test_a_harmless_name_reaches_the_command_whole(shell: Shell) -> None:
    for name in HARMLESS[: thorough(len(HARMLESS), 3)]:
        assert listed(shell, f"{name[:2]}\t") == [name]


def test_a_name_is_completed_behind_what_was_quoted_before(shell: Shell) -> None:
    assert listed(shell, "ka\\ wi\t") == ["ka with spaces"]
    assert listed(shell, "'ka wi\t") == ["ka with spaces"]
    assert listed(shell, '"ka wi\t') == ["ka with spaces"]


def complete(shell: str, folder: Path, *words: str, **environment: str) -> list[str]:
    """Return the lines of the reply that a shell's script gets."""
    done = subprocess.run(
        [COMMAND],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={
            **os.environ,
            "_CURSOR_LEDGER_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(words) if shell == "zsh" else "\n".join(words),
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
            **environment,
        },
    )
    assert done.stderr == ""
    return done.stdout.strip().splitlines()


def test_only_harmless_names_are_offered(folder: Path) -> None:
    offered = complete("zsh", folder, "cursor-ledger", "show", "")
    assert offered[1::3] == sorted(HARMLESS)


def test_a_stream_is_offered_of_the_consumer_that_was_typed(folder: Path) -> None:
    with ledger.open(folder / "cursor-ledger.db", actor="x") as book:
        book.advance(CursorKey("mailer", "jobs"), to=1)
    for command in (["show", "mailer"], ["reset", "mailer"], ["entries", "--consumer", "mailer"]):
        option = ["--stream"] if command[0] == "entries" else []
        assert complete("fish", folder, "cursor-ledger", *command, *option, "j") == ["plain,jobs"]
        # The next word would not be completed from the streams of others.
    assert complete("fish", folder, "cursor-ledger", "show", "mailer", "o") == []


def test_a_command_completes_from_the_ledger_that_it_names(folder: Path) -> None:
    other = folder / "other.db"
    with ledger.open(other, actor="x") as book:
        book.advance(CursorKey("elsewhere", "jobs"), to=1)
    words = ("show", "--db", str(other), "else")
    assert complete("bash", folder, "cursor-ledger", *words) == ["plain,elsewhere"]


def test_a_cursor_is_offered_in_one_word_as_it_is_printed(folder: Path) -> None:
    with ledger.open(folder / "cursor-ledger.db", actor="x") as book:
        book.advance(CursorKey("mailer", "jobs/eu", "a"), to=1)
        book.advance(CursorKey("mailer", "jobs"), to=1)
        book.advance(CursorKey("mailer", "hx;touch canary"), to=1)
        book.advance(CursorKey("mail/er", "jobs"), to=1)
    offered = ["plain,mailer/jobs", "plain,mailer/jobs%2Feu/a"]
    for command in (["show"], ["gaps"], ["reset"], ["as-of", "now"], ["explain"]):
        assert complete("fish", folder, "cursor-ledger", *command, "mailer/") == offered
    assert complete("fish", folder, "cursor-ledger", "show", "mailer/jobs%2") == offered[1:]
    assert complete("fish", folder, "cursor-ledger", "show", "mail%2Fer/") == [
        "plain,mail%2Fer/jobs"
    ]
    # An option takes one name as it stands.
    assert complete("fish", folder, "cursor-ledger", "list", "--consumer", "mailer/") == []


VALUES = {
    ("entries", "--by", "str"): ["stranger"],
    ("resets", "--by", "str"): ["stranger"],
    ("advance", "a", "b", "--actor", "str"): ["stranger"],
    ("--actor", "str"): ["stranger"],
    ("entries", "--by", "evil"): [],
    ("entries", "--since", "to"): ["today"],
    ("resets", "--until", "y"): ["yesterday"],
    ("as-of", "n"): ["now"],
    ("diff", "2"): ["24h"],
    ("stalls", "--after", "1"): ["15m", "1h"],
    ("advance", "a", "b", "--to", "off"): ["offset:"],
    ("lag", "--state", "be"): ["behind"],
    ("entries", "--kind", "re"): ["reset"],
    ("advance", "a", "b", "--outcome", "s"): ["skipped", "suppressed"],
    ("list", "-o", "js"): ["json", "jsonl"],
    ("as-of", "now", "--columns", "se"): ["sequence"],
    ("gaps", "--sort", "ve"): ["verdict"],
    ("adopt", "x", "--columns", "li"): ["line"],
    ("show", "a", "b", "--columns", "last"): ["last error"],
    ("list", "--columns", "s"): ["stream", "subject", "sequence", "since", "state"],
    ("list", "--columns", "be"): ["behind"],
    ("list", "--sort", "be"): ["behind"],
    ("list", "--sort", "s"): ["state", "stream", "subject", "sequence", "since"],
    ("lag", "--sort", "a"): ["age", "at"],
    ("events", "a", "--consumer", "ma"): ["mailer"],
    ("resets", "--columns", "re"): ["recorded", "reason", "result"],
}


@pytest.mark.parametrize("words", list(VALUES), ids=" ".join)
def test_what_an_option_takes_is_offered(folder: Path, words: tuple[str, ...]) -> None:
    with ledger.open(folder / "cursor-ledger.db", actor="evil;touch canary") as book:
        book.advance(CursorKey("mailer", "jobs"), to=1)
    offered = complete("bash", folder, "cursor-ledger", *words)
    values = [line.partition(",")[2].replace("\\", "") for line in offered]
    assert values == VALUES[words]


TYPED = {
    "list --csv --columns seq\t": "key,last_sequence",
    "list --csv --sort beh\t": "mailer",
    "list --columns consumer -o cs\t": "mailer",
    "list -o csv --state no\t": "mailer",
    "entries --csv --since yest\t": "position,",
    "resets --csv --by stran\t": "lost it",
    "entries --csv --kind res\t": "lost it",
    "list --csv --db oth\t": "elsewhere",
    "show --csv mailer/\t": "mailer",
}
"""What is typed with TAB, and what then stands in the CSV that the completed command writes."""


def test_values_are_completed_where_they_are_typed(shell: Shell) -> None:
    with ledger.open(shell.folder / "cursor-ledger.db", actor="stranger") as book:
        book.advance(CursorKey("mailer", "jobs"), to=2)
        book.reset(CursorKey("mailer", "jobs"), to=1, reason="lost it")
    with ledger.open(shell.folder / "other.db", actor="x") as book:
        book.advance(CursorKey("elsewhere", "jobs"), to=1)
    for typed, found in TYPED.items():
        shell.run(f"cursor-ledger {typed} > answer")
        assert found.rpartition(",")[2] in (shell.folder / "answer").read_text(), typed


def test_a_file_is_completed_by_the_shell(folder: Path) -> None:
    for words in (("--db", "cur"), ("show", "--db", "cur"), ("append", "cur")):
        assert complete("bash", folder, "cursor-ledger", *words) == ["file,cur"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_completion_makes_and_changes_no_file(folder: Path) -> None:
    before = contents(folder)
    assert complete("bash", folder, "cursor-ledger", "show", "ke") == ["plain,ke/with/slashes"]
    assert contents(folder) == before
    assert complete("bash", folder, "cursor-ledger", "show", "--db", "absent.db", "k") == []
    assert contents(folder) == before


def test_completion_reads_beside_a_writer(folder: Path) -> None:
    with ledger.open(folder / "cursor-ledger.db", actor="x") as book:
        book.advance(CursorKey("just-now", "jobs"), to=1)
        offered = complete("bash", folder, "cursor-ledger", "show", "just")
    assert offered == ["plain,just-now"]


ENDLESS = (
    "CREATE VIEW ledger_cursors AS WITH RECURSIVE n (consumer_id, stream_name, subject_id) AS "
    "(SELECT '', '', '' UNION ALL SELECT consumer_id, stream_name, subject_id FROM n) "
    "SELECT * FROM n WHERE stream_name = 'never'"
)


def test_a_database_that_cannot_be_read_completes_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database\n" * 1_000)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with ledger.open(tmp_path / "damaged", actor="x") as book:
        for number in range(2_000):
            book.submit(ledger.AdvanceCursor(CursorKey(f"c{number}", "jobs"), 1))
    with (tmp_path / "damaged").open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xa5" * 40_000)
    with sqlite3.connect(tmp_path / "endless") as connection:
        connection.execute(ENDLESS)
    connection.close()
    for name in ("text", "empty", "folder", "pipe", "damaged", "endless", "a\udcffb", "", "-"):
        words = ("cursor-ledger", "show", "c")
        offered = complete("fish", tmp_path, *words, CURSOR_LEDGER_DB=name)
        assert all(line.startswith("plain,c") for line in offered), name


def test_a_server_that_does_not_answer_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"
        assert complete("fish", tmp_path, "cursor-ledger", "show", "c", CURSOR_LEDGER_DB=url) == []
