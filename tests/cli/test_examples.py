"""The examples in the help of commands do what they say, when they are typed as they stand."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ledger
from ledger import CursorKey
from ledger.exchange import retention
from ledger.exchange.exporting import json_line
from ledger.log.plain import unstructure
from ledger.log.text import dumps
from projections.cli import main
from support.commands import line
from support.preloaded import programs

KEY = CursorKey("webhooks", "orders", "customer-7")
TOP = Path(__file__).resolve().parents[2]

GROUPS = """\
GROUP  TOPIC    PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID
batch  ledgers  0          5               9               4    -            -     -
"""


def examples(command: click.Command) -> list[str]:
    """Return the lines under Examples, without what is said of them."""
    lines = (command.epilog or "").partition("Examples:\n")[2].splitlines()
    return [each.strip() for each in lines if not each.strip().startswith("#")]


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command that has a help of its own: groups, and what is in them."""
    for name, command in main.commands.items():
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())


COMMANDS = dict(commands())


def cases() -> Iterator[tuple[str, str]]:
    for name, command in COMMANDS.items():
        for example in examples(command):
            yield name, example


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CURSOR_LEDGER_DB", raising=False)
    now = datetime.now(UTC)
    times = iter(now - timedelta(minutes=70 - number) for number in range(60))
    with ledger.open("cursor-ledger.db", actor="ines", clock=lambda: next(times)) as book:
        for sequence in (41, 42, 43, 44):
            book.advance(KEY, to=sequence, delivery_id=f"msg-{sequence}")
        kept = dumps(unstructure(book.checkpoint()))
        vkey = ledger.make_key("orders.key", "example.com/orders").verifier.text
        older = book.sign("orders.key")
        ledger.make_witness("ines.key", "example.net/ines")
        ledger.cosign("ines.key", older, [ledger.VerifierKey.parse(vkey)], at=now)
        book.reset(KEY, to=41, reason="receiver lost 42")
        book.advance(KEY, to=42, delivery_id="msg-42")
        retention.keep(book, timedelta(minutes=1), reason="the policy of 2026")
        with ledger.open("older.db") as older_book:
            book.copy_to(older_book)
        book.positions.declare("ledgers", "zero-based")
        book.advance(CursorKey("mailer", "invoices", "0"), to=7)
        book.heads.record("orders", "customer-7", 44)
        with ledger.open("newest.db") as newest:
            book.copy_to(newest)
        lines = "".join(map(json_line, book.entries()))
        note = book.sign("orders.key")
        (tmp_path / "orders.vkey").write_text(f"{vkey}\n")
        (tmp_path / "older.note").write_text(older)
        (tmp_path / "signed.note").write_text(note)
        (tmp_path / "3.tlog-proof").write_text(book.prove(3, note).text)
        for name, signed in (("orders.jsonl", note), ("old.jsonl", older)):
            with (tmp_path / name).open("wb") as bundle:
                bundle.writelines(book.evidence(signed))
        (tmp_path / "grown.txt").write_text(book.prove_growth(older, note).text)
    (tmp_path / "kept.json").write_text(f"{kept}\n")
    (tmp_path / "log.jsonl").write_text(lines)
    (tmp_path / "requests.jsonl").write_text(line(3) + "\n" + line(4) + "\n")
    (tmp_path / "groups.txt").write_text(GROUPS)
    return tmp_path


# Lists of what there may be none of; and a drawing.
MAY_BE_EMPTY = {"gaps", "stalls", "timeline", "diff", "as-of", "lag", "policy", "policy list"}

BEFORE = {
    "policy drop": "policy set require-meta ticket --reason 'audit of 2026'",
    "retention release": "retention hold case-7 --reason 'a lawsuit'",
}
"""What has to be there, and would keep other examples from what they do."""


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_shows_one_to_three_examples_of_itself(name: str) -> None:
    found = examples(COMMANDS[name])
    assert 1 <= len(found) <= 3
    for example in found:
        assert example.startswith(f"cursor-ledger {name}")
        assert len(example) <= 100
    shown = CliRunner().invoke(main, [*name.split(), "--help"], terminal_width=80).stdout
    assert all(f"\n    {example}\n" in f"{shown}\n" for example in found)


@pytest.mark.parametrize(("name", "example"), list(cases()), ids=lambda case: case)
def test_an_example_does_what_it_says(folder: Path, name: str, example: str) -> None:
    words = shlex.split(example)[1:]
    if "-f" in words or name == "watch":
        _follow(folder, words)
        return
    if name in BEFORE:
        assert CliRunner().invoke(main, shlex.split(BEFORE[name])).exit_code == 0
    before = CliRunner().invoke(main, ["entries"]).stdout
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.output or name in MAY_BE_EMPTY, example
    if name == "timeline" and "-o" in words:
        assert (folder / words[-1]).stat().st_size > 10_000
    appends = name in {"advance", "error", "append", "start"} or "--execute" in words
    appends = appends or (name == "heads" and "--to" in words) or "declare" in words
    appends = appends or bool({"set", "drop", "release"}.intersection(words[:2]))
    appends = appends or "--lose" in words or "keep" in words or "hold" in words
    assert (CliRunner().invoke(main, ["entries"]).stdout != before) == appends


def _follow(folder: Path, words: list[str]) -> None:
    """Run what never ends, until it has shown something, and interrupt it."""
    program = "from projections.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [programs() / "python", "-c", program, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "webhooks" in process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
