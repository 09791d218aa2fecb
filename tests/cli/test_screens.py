"""What every command shows on terminals of 60 to 200 columns, read from a real one."""

from __future__ import annotations

import difflib
import json
import os
import pty
import random
import shutil
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from wcwidth import wcswidth

import ledger
from ledger import CursorKey, CursorReset, EntryQuery, Ledger, Outcome
from projections.resets.marks import BATCH
from support.clock import Clock
from support.commands import Run
from support.nights import MORNING, a_night
from support.places import TOP
from support.preloaded import COMMAND
from support.screen_commands import COMMANDS, LONG, OWNER, WIDTHS
from support.screens import plain, screens

GOLDEN = TOP / "tests/golden/screens.txt"
NOW = datetime(2025, 8, 25, 9, tzinfo=UTC)

AT_NIGHT = [
    ("list",),
    ("list", "--sort", "behind"),
    ("list", "--state", "failing", "--state", "stalled"),
    ("list", "--wide", "--state", "stalled"),
    ("show", "billing", "payments"),
    ("describe", "billing", "payments"),
    ("describe", "webhooks", "payments"),
    ("describe", "注文処理システム", "注文", "eu"),
    ("events", "payments", "--since", "2025-08-24T02:20:00Z"),
    ("events", "注文", "--since", "2025-08-24T02:20:00Z", "--reserved"),
]
"""What is asked of another ledger, in which a few of thirty cursors are in trouble."""

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


def and_more(book: Ledger, clock: Clock) -> None:
    """Append what has screens of its own: heads, positions, a group of resets, a takeover."""
    clock.tick(60)
    book.heads.record("orders", "", 10**9 + 500)
    book.heads.record(LONG, "customer-12", 10**8 + 12_345)
    book.positions.declare("audit", "zero-based")
    clock.tick(60)
    book.append(
        ledger.ResetCursor(
            CursorKey("webhooks", stream), 7, "two at once, by a script", metadata={BATCH: "b"}
        )
        for stream in ("orders", "payments")
    )
    book.consumer(CursorKey("mailer", "orders"), take_over="a new version was deployed")


def hand_over(book: Ledger, folder: Path) -> None:
    """Write the resets as evidence, and a proof of the first, by a key that is always the same."""
    key = ledger.SigningKey("example.com/warehouse/cursors", bytes(31) + b"\1")
    kept = book.checkpoint()
    note = key.sign(ledger.TreeHead(key.name, kept.entries, kept.root).text)
    resets = EntryQuery(kinds=(CursorReset,))
    (folder / "vkey").write_text(key.verifier.text)
    (folder / "bundle").write_bytes(b"".join(book.evidence(note, resets)))
    first = next(book.entries(resets))
    (folder / "proof").write_text(book.prove(first.position, note).text)


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    """Return the ledger of the screens, at a path that is as long as on every machine."""
    folder = Path(tempfile.mkdtemp(prefix="screens-", dir="/tmp"))
    clock = Clock()
    clock.now = datetime(2025, 8, 24, 1, 2, 3, tzinfo=UTC)
    with ledger.open(
        folder / "ledger.db", actor="dispatcher@web-1.eu-central-1", clock=clock
    ) as book:
        thirty_cursors(book, clock)
        and_more(book, clock)
        hand_over(book, folder)
    rows = [("mailer", "orders", "", 7), ("mailer", LONG, "customer-99", 41), ("mailer", "", "", 1)]
    names = ("consumer_id", "stream_name", "subject_id", "sequence")
    lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
    (folder / "adopted.jsonl").write_text("\n".join(lines))
    yield folder / "ledger.db"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def shown(file: Path) -> dict[str, str]:
    """Return what each command shows at each width."""
    night = file.with_name("night.db")
    a_night(night, Clock())
    return {
        f"$ {' '.join(typed)}  # in {width} columns": plain(screen).replace(
            str(file.parent),
            "/tmp/screens-________",
        )
        for place, commands, now, before in (
            (file, COMMANDS, NOW, ()),
            (night, AT_NIGHT, MORNING, ("--db", "night.db")),
        )
        for (command, width), screen in screens(place, commands, WIDTHS, now=now).items()
        for typed in [(*before, *command)]
    }


def test_the_screens_are_as_they_were(shown: dict[str, str]) -> None:
    now = "\n".join(f"{command}\n{screen}" for command, screen in shown.items())
    if os.environ.get("CURSOR_LEDGER_WRITE_GOLDEN"):
        GOLDEN.write_text(now, "utf-8")
    before = GOLDEN.read_text("utf-8")
    assert now == before, "\n".join(difflib.unified_diff(before.split("\n"), now.split("\n")))


def test_a_screen_in_colour_is_the_same_without_its_colours(
    file: Path, shown: dict[str, str]
) -> None:
    bare = screens(file, COMMANDS, [80], now=NOW, NO_COLOR="1")
    for (command, width), screen in bare.items():
        assert "\x1b" not in screen
        said = screen.replace(str(file.parent), "/tmp/screens-________")
        assert said == shown[f"$ {' '.join(command)}  # in {width} columns"], command


def test_no_line_is_wider_than_the_terminal(shown: dict[str, str]) -> None:
    for command, screen in shown.items():
        width = int(command.rsplit(" ", 2)[1])
        # A command that is there to be copied is not broken.
        lines = [
            line
            for line in screen.splitlines()
            if not line.startswith(("  cursor-ledger ", "  --execute "))
        ]
        # Nor is a word: a name, a digest, or the path of a file.
        lines = [line for line in lines if " " in line.strip()]
        # Nor is a template, which the user has laid out.
        if "--template" not in command and "--wide" not in command:
            assert max(map(wcswidth, lines), default=0) <= width, command


def test_numbers_stand_right_and_a_wide_table_shows_all(shown: dict[str, str], file: Path) -> None:
    narrow = next(screen for command, screen in shown.items() if command.startswith("$ list"))
    [screen] = screens(file, [("list", "--wide")], [60], now=NOW).values()
    wide = plain(screen).splitlines()
    assert len(wide) == len(narrow.splitlines()) > 20
    assert " ".join(wide[0].split()) == (
        "consumer stream subject sequence head behind since age moved state delivery delivered "
        "version epoch updated last error"
    )
    right = wide[0].index("sequence") + len("sequence")
    assert all(line[right - 1] != " " for line in wide[2:] if line.isascii())
    assert "…" not in "".join(wide)


@pytest.mark.parametrize("width", [60, 132])
def test_a_real_terminal_says_how_wide_it_is(file: Path, width: int) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    environment = {**os.environ, "TERM": "xterm-256color", "CURSOR_LEDGER_DB": str(file)}
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
