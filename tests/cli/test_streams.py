"""Exit codes hold when standard input, output or error is closed, full, or read by nobody."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey
from ledger.exchange.exporting import json_line
from projections.cli import main
from support.depth import everything
from support.preloaded import COMMAND

OWNER = ["webhooks", "orders"]

# A command that appends; one that ends otherwise than well; and all others, which only read.
APPENDING = {
    "advance": [*OWNER, "--to", "9"],
    "error": [*OWNER, "-m", "HTTP 503"],
    "start": ["new", "orders", "--at", "41", "--reason", "x"],
    "reset": [*OWNER, "--to", "1", "--reason", "x", "--execute"],
    "heads": ["orders", "--to", "9"],
    "append": ["refused.jsonl"],
    "adopt": ["adopted.jsonl", "--reason", "x", "--execute"],
    "positions": ["declare", "orders", "zero-based"],
    "policy": ["set", "require-signature", "--reason", "x"],
    "retention": ["keep", "30d", "--reason", "x"],
}
OTHERS = {
    "append": ["absent.jsonl"],
    "adopt": ["adopted.jsonl"],
    "positions": ["list"],
    "policy": ["list"],
    "export": ["--format", "jsonl"],
    "show": OWNER,
    "list": ["--csv"],
    "describe": OWNER,
    "events": [OWNER[1]],
    "history": OWNER,
    "entries": ["--table"],
    "status": [],
    "verify": [],
    "checkpoint": [],
    "man": ["show"],
    "proof": ["2", "--origin", "example.org/log"],
    "key": ["show", "absent.key"],
    "verify-proof": ["absent.proof", "--vkey", "x", "--origin", "x"],
    "tiles": ["published", "--checkpoint", "absent.note"],
    "cosign": ["absent.note", "--key", "x", "--vkey", "x", "--origin", "x"],
    "evidence": ["--checkpoint", "absent.note", "-o", "-"],
    "prune": ["log.jsonl", "--vkey", "x", "--reason", "x"],
    "retention": ["list"],
    "archive": ["--checkpoint", "absent.note", "--vkey", "x", "-o", "absent.jsonl"],
    "verify-evidence": ["absent.jsonl", "--vkey", "x", "--origin", "x"],
    "copy": ["cursors.db", "copied.db"],
    "import": ["log.jsonl"],
    "backup": ["backup.db"],
    "restore": ["kept.db"],
    "reset": [*OWNER, "--to", "1", "--reason", "x"],
    "resets": [],
    "as-of": ["1h"],
    "diff": ["1"],
    "explain": [*OWNER, "2"],
    "blame": [*OWNER, "1..5"],
    "gaps": OWNER,
    "repeats": OWNER,
    "stalls": [],
    "heads": [],
    "lag": [],
    "tail": [],
    "timeline": OWNER,
    "--help": [],
    "--version": [],
}
FAILING = {
    "show": ["nobody", "orders"],
    "watch": ["nobody", "orders"],
    "advance": [*OWNER, "--to", "1"],
    "list": ["--limit", "x"],
    "error": ["--help"],
}
COMMANDS = [
    [name, *arguments]
    for commands in (APPENDING, OTHERS, FAILING)
    for name, arguments in commands.items()
]
FULL = Path("/dev/full").exists()
UNWRITABLE = [">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"]
UNWRITABLE += [">/dev/full", ">/dev/full 2>/dev/full", ">/dev/full 2>&-"] if FULL else []
# Every command is tried with these, and a few with all; a quick run tries the few with these, and
# every other command with one of them.
SHORT = ["<&- >&- 2>&-", ">/dev/full", "2>/dev/full"]
THOROUGH = ("advance", "append", "list", "verify")
HARMLESS = ["<&-", "2>&-", "<&- 2>&-"] + (["2>/dev/full"] if FULL else [])


def line(sequence: int) -> str:
    key = {"consumer_id": "mailer", "stream_name": "jobs"}
    return json.dumps({"op": "advance", "advance": {"key": key, "last_sequence": sequence}}) + "\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    (folder / "refused.jsonl").write_text(line(1) + line(2) + "{}\n" + line(1))
    begin = {"consumer_id": "new", "stream_name": "orders", "sequence": 5}
    (folder / "adopted.jsonl").write_text(json.dumps(begin) + "\n")
    with ledger.open(folder / "cursors.db", actor="x") as book:
        book.advance(CursorKey(*OWNER), to=2)
        book.advance(CursorKey(*OWNER), to=5)
        (folder / "log.jsonl").write_text("".join(map(json_line, book.entries())))
        with ledger.open(folder / "kept.db") as kept:
            book.copy_to(kept)
    return folder


def positions(folder: Path) -> int:
    with ledger.open(folder / "cursors.db") as book:
        return len(list(book.entries()))


def ran(
    original: Path, folder: Path, arguments: Sequence[str], streams: str
) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run a command in a copy of the folder; return how it ends, and the number of entries then."""
    shutil.copytree(original, folder)
    done = subprocess.run(
        ["bash", "-c", f'"$@" {streams}', "bash", COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "CURSOR_LEDGER_DB": "cursors.db"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done, positions(folder)


@pytest.mark.slow("it starts many processes")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_an_exit_code_holds_whatever_becomes_of_the_streams(
    original: Path, tmp_path: Path, arguments: list[str]
) -> None:
    usual, after = ran(original, tmp_path / "usual", arguments, "")
    assert "Traceback" not in usual.stderr
    appends = after > positions(original)
    if everything():
        few, of_others = UNWRITABLE + HARMLESS, SHORT
    else:
        nth = COMMANDS.index(arguments) % len(SHORT)
        few, of_others = SHORT, [SHORT[nth]]
    tried = [
        streams
        for streams in UNWRITABLE + HARMLESS
        if streams in (few if arguments[0] in THOROUGH else of_others)
    ]
    with ThreadPoolExecutor(4) as threads:
        runs = {
            streams: threads.submit(ran, original, tmp_path / f"run-{number}", arguments, streams)
            for number, streams in enumerate(tried)
        }
    for streams, future in runs.items():
        done, there = future.result()
        code = usual.returncode
        if streams in UNWRITABLE and usual.stdout:
            code = 74 if appends else 1
        assert done.returncode == code, (streams, done.stderr)
        assert there == after, streams
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        if code in {1, 74} and code != usual.returncode and "2>" not in streams:
            assert "input or output failed" in done.stderr
            said = "started" if arguments[0] == "adopt" else "appended"
            assert (said in done.stderr) == appends


@pytest.mark.parametrize("form", ["--table", "--json", "--csv"])
def test_faults_are_told_by_the_exit_code_also_where_nobody_reads_them(
    original: Path, tmp_path: Path, form: str
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(original, damaged)
    with closing(sqlite3.connect(damaged / "cursors.db", isolation_level=None)) as raw:
        raw.execute("UPDATE ledger_cursors SET last_sequence = 99")
    for nth, streams in enumerate((*UNWRITABLE, *HARMLESS)):
        done, _ = ran(damaged, tmp_path / str(nth), ["verify", form], streams)
        assert done.returncode == 5, (streams, done.stderr)
        assert "2>" in streams or "1 fault in 2 entries of" in done.stderr, streams


def test_every_command_is_tried() -> None:
    assert {command for command, *_ in COMMANDS} >= set(main.commands)


def test_an_append_whose_output_fails_says_where_to_go_on(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(original, folder)
    lines = [line(number) if number % 2 else "{}\n" for number in range(1, 2_001)]
    (folder / "requests.jsonl").write_text("".join(lines))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{COMMAND}' append requests.jsonl | head -1"],
        cwd=folder,
        env={**os.environ, "CURSOR_LEDGER_DB": "cursors.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 74
    told, failed = done.stderr.splitlines()
    assert failed == "cursor-ledger: input or output failed: Broken pipe."
    said = (
        "stopped: {0} appended, {0} refused (perhaps not all of them are listed) up to line {1}; "
    )
    there = positions(folder) - positions(original)
    assert told == said.format(there, 2 * there) + f"continue with --from-line {2 * there + 1}"


def test_no_file_or_connection_becomes_a_standard_stream(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done, _ = ran(original, folder, ["advance", *OWNER, "--to", "9"], "<&- >&- 2>&-")
    assert done.returncode == 74
    with ledger.open(folder / "cursors.db") as book:
        assert book.verify().ok


def test_append_from_a_closed_input_fails_in_a_line(original: Path, tmp_path: Path) -> None:
    done, there = ran(original, tmp_path / "run", ["append", "-"], "<&-")
    assert done.returncode == 1
    assert there == positions(original)
    assert "Bad file descriptor" in done.stderr
    assert "Traceback" not in done.stderr
