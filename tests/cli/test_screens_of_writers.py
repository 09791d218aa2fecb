"""What the commands that write show on terminals of 60 to 200 columns."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wcwidth import wcswidth

import ledger
from ledger import CursorKey
from ledger.evidence.key_files import make_files
from projections.cli import main
from support.clock import Clock
from support.places import TOP
from support.screen_commands import COMMANDS, OWNER, WIDTHS, WRITING
from support.screens import plain, screens

GOLDEN = TOP / "tests/golden/screens_of_writers.txt"
NOW = datetime(2025, 8, 25, 9, tzinfo=UTC)

REQUESTS = [
    {"op": "advance", "advance": {"key": CursorKey("mailer", "orders"), "last_sequence": 9}},
    {"op": "advance", "advance": {"key": CursorKey("mailer", "orders"), "last_sequence": 8}},
]
WATCHED = {"watch"}
"""What does not end; test_watching.py has it on a terminal."""

OF_TODAY = re.compile(r'(?<="taken_at":")[^"]+|(?<=before-restore-)\w+')
"""What the files of a backup tell by the clock of the machine."""


def written(folder: Path) -> None:
    """Write a ledger of a few entries, and the files that the commands read."""
    clock = Clock()
    clock.now = datetime(2025, 8, 24, 1, 2, 3, tzinfo=UTC)
    key = ledger.SigningKey("example.com/warehouse/cursors", bytes(31) + b"\1")
    with ledger.open(folder / "ledger.db", actor="dispatcher@web-1", clock=clock) as book:
        for sequence in (41, 42, 45):
            clock.tick(600)
            book.advance(CursorKey(*OWNER), to=sequence, delivery_id=f"msg-{sequence}")
        kept = book.checkpoint()
        note = key.sign(ledger.TreeHead(key.name, kept.entries, kept.root).text)
        (folder / "bundle").write_bytes(b"".join(book.evidence(note)))
    make_files(folder / "key", key, note)
    (folder / "note").write_text(note)
    (folder / "vkey").write_text(key.verifier.text)
    rows = [{"consumer_id": "mailer", "stream_name": "payments", "sequence": 7}]
    (folder / "adopted.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = [json.dumps(each, default=vars_of) for each in REQUESTS]
    (folder / "requests.jsonl").write_text("\n".join(lines))


def vars_of(key: CursorKey) -> dict[str, str]:
    return {"consumer_id": key.consumer_id, "stream_name": key.stream_name}


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """Return what each command shows at each width."""
    found = {}
    for width in WIDTHS:
        # At a path that is as long as on every machine.
        folder = Path(tempfile.mkdtemp(prefix="screens-", dir="/tmp"))
        try:
            written(folder)
            here = screens(folder / "ledger.db", WRITING, [width], now=NOW)
        finally:
            shutil.rmtree(folder)
        for (command, _), screen in here.items():
            said = plain(screen).replace(str(folder), "/tmp/screens-________")
            found[f"$ {' '.join(command)}  # in {width} columns"] = OF_TODAY.sub("…", said)
    return found


def test_the_screens_are_as_they_were(shown: dict[str, str]) -> None:
    now = "\n".join(f"{command}\n{screen}" for command, screen in shown.items())
    if os.environ.get("CURSOR_LEDGER_WRITE_GOLDEN"):
        GOLDEN.write_text(now, "utf-8")
    before = GOLDEN.read_text("utf-8")
    assert now == before, "\n".join(difflib.unified_diff(before.split("\n"), now.split("\n")))


def test_every_command_has_its_screens() -> None:
    shown = {command[0] for command in (*COMMANDS, *WRITING)}
    assert shown == set(main.commands) - WATCHED


def test_no_sentence_and_no_table_is_wider_than_the_terminal(shown: dict[str, str]) -> None:
    for command, screen in shown.items():
        width = int(command.split()[-2])
        # JSON, proofs and keys are for programs, and a word is never broken.
        lines = [line for line in screen.splitlines() if " " in line.strip() and line[0] != "{"]
        if not command.startswith(("$ proof 1", "$ key show", "$ archive", "$ copy")):
            assert max(map(wcswidth, lines), default=0) <= width, command
