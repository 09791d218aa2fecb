"""What every command that prints a table shows on terminals of 60 to 200 columns."""

from __future__ import annotations

import difflib
import os
import pty
import random
import subprocess
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wcwidth import wcswidth

import ledger
from ledger import CursorKey, Ledger, Outcome
from support.clock import Clock
from support.commands import Run
from support.places import TOP

GOLDEN = TOP / "tests/golden/screens.txt"
COMMAND = Path(sys.executable).with_name("cursor-ledger")
WIDTHS = (60, 80, 100, 200)

LONG = "company.fulfilment.shipments.v2"
OWNER = ("warehouse-sync-us-east-1", LONG, "customer-12")
COMMANDS = [
    ("list",),
    ("list", "--stream", LONG),
    ("show", *OWNER),
    ("history", *OWNER),
    ("history", "mailer", "orders"),
    ("entries", "--limit", "12"),
    ("entries", "--kind", "error"),
    ("resets",),
    ("gaps",),
    ("repeats",),
    ("stalls", "--after", "30m"),
    ("diff", "40"),
    ("as-of", "40"),
    ("reset", "--stream", LONG, "--by", "-2", "--reason", "the receiver lost two of each"),
]
"""All that print a table, but not what differs from run to run."""

CONSUMERS = ("webhooks", "search-index", OWNER[0], "mailer", "注文処理システム")


def thirty_cursors(book: Ledger, clock: Clock) -> None:
    """Append what happens to thirty cursors in a day."""
    chance = random.Random(2)
    for number in range(30):
        consumer = CONSUMERS[2] if number == 12 else chance.choice(CONSUMERS)
        stream = LONG if number % 3 == 0 else chance.choice(["orders", "payments"])
        key = CursorKey(consumer, stream, f"customer-{number}" if number % 2 == 0 else "")
        start = book.find(key)
        at = (start.last_sequence if start else 0) + 10 ** chance.randint(0, 8)
        clock.tick(chance.randint(1, 3_000))
        book.advance(key, to=at, delivery_id=f"msg-{chance.getrandbits(60):015x}")
        if number % 4 == 0:
            for _ in range(2):
                clock.tick(600)
                book.record_error(
                    key,
                    "HTTP 503 from https://hooks.example.com/v2/receiver: upstream connect error "
                    "or disconnect/reset before headers. Reset reason: connection termination",
                )
        if number % 6 == 0:
            clock.tick(60)
            reason = "receiver lost the last of them; see the ticket, and its long discussion"
            ticket = {"ticket": f"OPS-{number}"}
            book.reset(key, to=at - 1, reason=reason, actor="ines", metadata=ticket)
            clock.tick(60)
            book.advance(key, to=at, outcome=Outcome.SKIPPED)
    for to in (1, 2, 5):
        clock.tick(90)
        book.advance(CursorKey("mailer", "orders"), to=10**9 + to, delivery_id=f"m-{to}")


@pytest.fixture
def shown(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Give what each command shows at each width."""
    clock = Clock()
    # A year that is over: its times are told with the year on every day to come.
    clock.now = datetime(2025, 8, 24, 1, 2, 3, tzinfo=UTC)
    with ledger.open(path, actor="dispatcher@web-1.eu-central-1", clock=clock) as book:
        thirty_cursors(book, clock)
    screens = {}
    for command in COMMANDS:
        for width in WIDTHS:
            monkeypatch.setattr("ledger.cli.forms.terminal_width", lambda width=width: width)
            done = run(*command, "--table")
            assert done.exit_code == 0, done.output
            screens[f"$ {' '.join(command)}  # in {width} columns"] = done.stdout
    return screens


def test_the_screens_are_as_they_were(shown: dict[str, str]) -> None:
    now = "\n".join(f"{command}\n{screen}" for command, screen in shown.items())
    if os.environ.get("CURSOR_LEDGER_WRITE_GOLDEN"):
        GOLDEN.write_text(now, "utf-8")
    before = GOLDEN.read_text("utf-8")
    assert now == before, "\n".join(difflib.unified_diff(before.split("\n"), now.split("\n")))


def test_no_line_is_wider_than_the_terminal(shown: dict[str, str]) -> None:
    for command, screen in shown.items():
        width = int(command.rsplit(" ", 2)[1])
        lines = screen.splitlines()
        # The sentences of a plan are no table.
        table = [line for line in lines if not line.startswith(("planned by", "digest of"))]
        assert max(map(wcswidth, table), default=0) <= width, command


def test_numbers_stand_right_and_a_wide_table_shows_all(shown: dict[str, str], run: Run) -> None:
    narrow = next(screen for command, screen in shown.items() if command.startswith("$ list"))
    wide = run("list", "--wide").stdout.splitlines()
    assert len(wide) == len(narrow.splitlines()) > 20
    assert " ".join(wide[0].split()) == (
        "consumer stream subject sequence delivery delivered version epoch updated last error"
    )
    right = wide[0].index("sequence") + len("sequence")
    assert all(line[right - 1] != " " for line in wide[2:] if line.isascii())
    assert "…" not in "".join(wide)


@pytest.mark.parametrize("width", [60, 132])
def test_a_real_terminal_says_how_wide_it_is(shown: dict[str, str], path: Path, width: int) -> None:
    del shown
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    environment = {**os.environ, "TERM": "xterm-256color", "CURSOR_LEDGER_DB": str(path)}
    for name in ("COLUMNS", "NO_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen([COMMAND, "entries", "--kind", "reset"], stdout=theirs, env=environment):
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 65_536):
                printed += chunk
        except OSError:
            pass  # That is how a terminal reports that everybody has left.
        os.close(ours)
    lines = printed.decode().replace("\x1b[33m", "").replace("\x1b[0m", "").splitlines()
    assert len(lines) > 6
    assert "\x1b" in printed.decode()
    assert width - 12 < max(map(wcswidth, lines)) <= width


def test_the_form_is_an_option_or_set_for_all_commands(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("advance", "mailer", "orders", "--to", 7)
    heading = run("list", "-o", "csv").stdout.splitlines()[0]
    assert heading == run("list", "--csv").stdout.splitlines()[0]
    monkeypatch.setenv("CURSOR_LEDGER_FORMAT", "csv")
    assert run("list").stdout.splitlines()[0] == heading
    assert run("list", "-o", "jsonl").stdout.startswith("{")
    monkeypatch.setenv("CURSOR_LEDGER_FORMAT", "xml")
    refused = run("list")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "CURSOR_LEDGER_FORMAT is xml; it may be table, wide" in refused.stderr
