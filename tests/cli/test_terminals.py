"""Every command on a terminal in colour, where a pipe would not show what fails."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

import ledger
from ledger import CursorKey, Outcome
from ledger.evidence.key_files import make_key
from ledger.exchange import retention
from ledger.exchange.exporting import json_line
from projections.cli import main
from support.clock import Clock
from support.preloaded import COMMAND

HOOKS = ("webhooks", "orders")
RESET = ("reset", *HOOKS, "--to", "3", "--reason", "lost")

COMMANDS: list[tuple[str, ...]] = [
    ("adopt", "rows.jsonl"),
    ("advance", "search", "orders", "--to", "7"),
    ("append", "requests.jsonl"),
    ("archive", "--sign", "key", "-o", "archive.jsonl"),
    ("prune", "old.jsonl", "--vkey", "vkey", "--reason", "x"),
    ("retention", "keep", "30d", "--reason", "x"),
    ("retention", "list"),
    ("as-of", "4"),
    ("backup", "backup.db"),
    ("blame", *HOOKS, "1..9"),
    ("checkpoint",),
    ("copy", "cursors.db", "copy.db"),
    ("cosign", "note", "--key", "witness", "--vkey", "vkey"),
    ("describe", *HOOKS),
    ("describe", "stalled", "orders"),
    ("diff", "4"),
    ("entries",),
    ("error", "search", "orders", "-m", "HTTP 503"),
    ("events", "orders"),
    ("evidence", "--checkpoint", "note", "-o", "evidence.jsonl"),
    ("explain", *HOOKS, "3"),
    ("explain", *HOOKS, "6"),
    ("export", "--format", "kafka", "--stream", "clicks"),
    ("export", "--format", "csv"),
    ("gaps",),
    ("heads",),
    ("heads", "parcels", "--to", "9"),
    ("history", *HOOKS),
    ("history", "started", "clicks", "0"),
    ("import", "log.jsonl"),
    ("key", "show", "key"),
    ("lag",),
    ("lag", "--group"),
    ("lag", "--group", "--sort", "state"),
    ("lag", "--heads", "heads.csv"),
    ("list",),
    ("list", "--sort", "behind"),
    ("man", "show"),
    ("policy", "list"),
    ("positions", "list"),
    ("positions", "declare", "orders", "zero-based"),
    ("proof", "3", "--checkpoint", "note"),
    ("repeats",),
    RESET,
    ("reset", "--undo", *HOOKS, "--reason", "not lost"),
    ("reset", "--targets", "targets.csv", "--reason", "lost"),
    (*RESET, "--execute", "--yes"),
    ("resets",),
    ("resets", "--groups"),
    ("resets", "--allowed-signers", "allowed"),
    ("resets", "--takeovers"),
    ("restore", "kept.db"),
    ("show", *HOOKS),
    ("stalls",),
    ("start", "archive", "orders", "--at", "4", "--reason", "moved", "--new"),
    ("status",),
    ("tail",),
    ("tiles", "published", "--checkpoint", "note"),
    ("timeline", *HOOKS),
    ("verify",),
    ("verify-evidence", "bundle", "--vkey", "vkey", "--checkpoint", "note"),
    ("verify-evidence", "bundle", "--vkey", "vkey", "--entries"),
    ("verify-proof", "proof", "--vkey", "vkey", "--origin", "example.org/log"),
]

FILES = {
    "rows.jsonl": (
        '{"consumer_id": "new", "stream_name": "orders", "subject_id": "", "sequence": 4}\n'
        '{"consumer_id": "ok", "stream_name": "orders", "subject_id": "", "sequence": 44}\n'
    ),
    "requests.jsonl": (
        '{"op": "advance", "advance": {"key": {"consumer_id": "a", "stream_name": "b"}, '
        '"last_sequence": 4}}\n'
    ),
    "heads.csv": "stream,subject,sequence\nunknown,,9\n",
    "allowed": "",
    "targets.csv": "consumer,stream,subject,to\nwebhooks,orders,,2\nok,orders,,3\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files, and a ledger with all kinds of entries and lags."""
    clock = Clock()
    clock.now = datetime(2025, 8, 24, tzinfo=UTC)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    path = tmp_path / "cursors.db"
    with ledger.open(path, actor="tester", clock=clock) as book:
        for stream in ("orders", "clicks"):
            book.heads.record(stream, "", 44)
        for consumer, to in (("ahead", 45), ("ok", 44), ("stalled", 41), ("behind", 40)):
            book.advance(CursorKey(consumer, "orders"), to=to)
        book.advance(CursorKey("no-head", "unknown"), to=4)
        hooks = CursorKey(*HOOKS)
        for to in (1, 4, 7):
            clock.tick(600)
            book.advance(hooks, to=to, delivery_id=f"msg-{to}")
        book.reset(hooks, to=4, reason="the receiver lost three")
        book.advance(hooks, to=6, outcome=Outcome.SKIPPED)
        for _ in range(3):
            book.record_error(hooks, "HTTP 503")
        book.consumer(CursorKey("stalled", "orders"), take_over="deploy 1.4.2")
        book.start(CursorKey("started", "clicks", "0"), at=7, reason="moved", source="kafka")
        retention.keep(book, timedelta(days=30), reason="a rule")
        key = make_key(tmp_path / "key", "example.org/log")
        book.archive(book.sign(tmp_path / "key"), tmp_path / "old.jsonl", [key.verifier])
    with ledger.open(path, actor="tester") as book:
        book.advance(CursorKey("behind", "orders"), to=42)
        (tmp_path / "vkey").write_text(key.verifier.text)
        note = book.sign(tmp_path / "key")
        (tmp_path / "note").write_text(note)
        ledger.make_witness(tmp_path / "witness", "example.net/ines")
        (tmp_path / "proof").write_text(book.prove(3, note).text)
        (tmp_path / "log.jsonl").write_text("".join(map(json_line, book.entries())))
        with ledger.open(tmp_path / "kept.db") as kept:
            book.copy_to(kept)
        (tmp_path / "bundle").write_bytes(b"".join(book.evidence(note)))
    return tmp_path


def on_terminal(
    command: tuple[str, ...], folder: Path, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Return how a command ends on a terminal of 100 columns, and all that it shows there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    shown = b""
    with subprocess.Popen(
        [COMMAND, *command],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=folder,
    ) as process:
        os.close(theirs)
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:
            pass  # That is how a terminal reports that everybody has left.
        os.close(ours)
    return process.returncode, shown.decode()


def surroundings() -> dict[str, str]:
    left_out = ("COLUMNS", "NO_COLOR", "CURSOR_LEDGER_FORMAT")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {
        **kept,
        "TERM": "xterm-256color",
        # Nobody is there to type.
        "CURSOR_LEDGER_PAGER": "cat",
        "CURSOR_LEDGER_DB": "cursors.db",
        "CURSOR_LEDGER_ACTOR": "ops@desk",
    }


def test_a_bundle_of_evidence_is_not_shown_on_a_terminal(folder: Path) -> None:
    command = ("evidence", "--checkpoint", "note", "-o", "-")
    code, shown = on_terminal(command, folder, surroundings())
    assert code == 2
    assert "name a file with -o FILE" in shown
    assert "cursor-ledger-evidence" not in shown


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_is_shown_on_a_terminal(command: tuple[str, ...], folder: Path) -> None:
    code, shown = on_terminal(command, folder, surroundings())
    assert (code, "Traceback" in shown) == (0, False), shown
    assert shown.strip() or command[0] == "gaps"


def test_no_command_is_left_out() -> None:
    # What is watched does not end; test_watching.py has it on a terminal.
    assert {command[0] for command in COMMANDS} == set(main.commands) - {"watch"}


GROUPS = [name for name, command in main.commands.items() if isinstance(command, click.Group)]


def test_every_group_is_found() -> None:
    assert {*GROUPS} == {"key", "policy", "positions", "retention"}


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_a_group_without_a_command_prints_its_help_once(group: str, tmp_path: Path) -> None:
    typed = (group,) if group else ()
    code, shown = on_terminal(typed, tmp_path, surroundings())
    _, asked = on_terminal((*typed, "--help"), tmp_path, surroundings())
    assert (code, shown) == (2, asked)
    assert "Error:" not in shown


def test_lag_has_a_colour_for_what_wants_looking_at_and_none_for_the_rest(folder: Path) -> None:
    _, shown = on_terminal(("lag",), folder, surroundings())
    for said in ("failing 3×", "stalled"):
        assert f"\x1b[31m{said}\x1b[0m" in shown
    assert "\x1b[33mbehind\x1b[0m" in shown
    for said in ("ok", "no head", "ahead"):
        assert said in shown
        assert f"m{said}" not in shown
    _, plain = on_terminal(("lag",), folder, {**surroundings(), "NO_COLOR": "1"})
    assert "\x1b" not in plain
