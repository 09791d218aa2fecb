"""Watching cursors: each change is shown as it happens, until Ctrl-C, on both stores."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, RecordError
from support.clock import Clock
from support.commands import OWNER, Run, records
from support.preloaded import COMMAND

STORES = "every"

MAILER, WEBHOOKS = CursorKey("mailer", "orders"), CursorKey(*OWNER)


@contextmanager
def watching(*arguments: str) -> Iterator[Any]:
    """Run a command that watches; it must end cleanly at Ctrl-C."""
    with subprocess.Popen(
        [COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    ) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()


def told(process: Any) -> tuple[str, int, str]:
    said = json.loads(process.stdout.readline())
    return said["key"]["consumer_id"], said["last_sequence"], said["state"]


@pytest.fixture
def two(run: Run, target: str) -> Run:
    with ledger.open(target, actor="x") as book:
        book.append([AdvanceCursor(MAILER, 5), AdvanceCursor(WEBHOOKS, 5)])
        book.advance(CursorKey("mailer", "invoices"), to=1)
        book.advance(CursorKey("mailer", "orders", "eu"), to=1)
        book.heads.record("orders", "", 5)
    return run


@pytest.mark.parametrize("command", [("list", "--watch", "--jsonl"), ("watch",)])
def test_each_change_is_a_line(two: Run, target: str, command: tuple[str, ...]) -> None:
    del two
    with (
        watching(*command, "--stream", "orders") as process,
        ledger.open(target, actor="x") as book,
    ):
        assert [told(process) for _ in range(3)] == [
            ("mailer", 5, "ok"),
            ("webhooks", 5, "ok"),
            ("mailer", 1, "no-head"),
        ]
        book.advance(CursorKey("mailer", "invoices"), to=2)  # It is not watched.
        book.heads.record("orders", "", 6)
        assert [told(process), told(process)] == [
            ("mailer", 5, "behind"),
            ("webhooks", 5, "behind"),
        ]
        # It is further away, but how they do has not changed.
        book.heads.record("orders", "", 7)
        book.append([RecordError(MAILER, "HTTP 503")])
        assert told(process) == ("mailer", 5, "failing")
        book.advance(MAILER, to=7)
        assert told(process) == ("mailer", 7, "ok")
        book.advance(CursorKey("new", "orders"), to=7)
        assert told(process) == ("new", 7, "ok")


def test_one_cursor_is_watched_and_no_other(two: Run, target: str) -> None:
    missing = two("watch", "mailer", "ordrs")
    assert (missing.exit_code, missing.stdout) == (4, "")
    with watching("watch", "mailer", "orders") as process, ledger.open(target, actor="x") as book:
        assert told(process) == ("mailer", 5, "ok")
        book.advance(CursorKey("mailer", "orders", "eu"), to=2)
        book.advance(WEBHOOKS, to=6)
        book.advance(MAILER, to=6)
        assert told(process) == ("mailer", 6, "ahead")


def test_a_state_is_watched_until_it_is_left(two: Run, target: str) -> None:
    del two
    with (
        watching("list", "-w", "--state", "failing", "--jsonl") as process,
        ledger.open(target, actor="x") as book,
    ):
        time.sleep(1)
        book.advance(WEBHOOKS, to=6)
        book.record_error(MAILER, "HTTP 503")
        assert told(process) == ("mailer", 5, "failing")
        book.advance(MAILER, to=6)
        assert told(process) == ("mailer", 6, "ahead")


def test_time_makes_one_stalled(
    run: Run, target: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(target, actor="x", clock=clock) as book:
        book.advance(MAILER, to=5)
        book.heads.record("orders", "", 6)
    looks = iter(range(9))

    def passing() -> datetime:
        # Nothing is appended; the ledger's time goes on between two looks, and then it is Ctrl-C.
        if next(looks) > 6:
            raise KeyboardInterrupt
        return clock.tick(5 * 60)

    monkeypatch.setattr("ledger.cli.typed.target.ledger.open", partial(ledger.open, clock=passing))
    monkeypatch.setattr("projections.cli.watching.AGAIN_S", 0.05)
    done = run("watch", "--jsonl")
    assert [each["state"] for each in records(done)] == ["behind", "stalled"]
    assert (done.exit_code, done.stderr) == (130, "")


def test_on_a_terminal_lines_stand_below_each_other(two: Run, target: str) -> None:
    del two
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    with (
        subprocess.Popen(
            [COMMAND, "watch"], stdout=theirs, stderr=theirs, env=environment
        ) as process,
        ledger.open(target, actor="x") as book,
    ):
        os.close(theirs)
        screen = _read_until(ours, b"no head", 2)
        book.advance(WEBHOOKS, to=6)
        screen += _read_until(ours, b"ahead", 1)
        book.reset(WEBHOOKS, to=5, reason="lost", actor="ines")
        screen += _read_until(ours, b"ok", 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        os.close(ours)
    rows = screen.decode().replace("\r\n", "\n").splitlines()
    assert len(rows) == 2 + 4 + 2
    column = rows[0].index("sequence") + len("sequence") - 1
    assert [row[column] for row in rows[2:]] == list("155165")
    assert max(map(len, rows)) <= 80


def _read_until(terminal: int, sought: bytes, times: int) -> bytes:
    shown = b""
    while shown.count(sought) < times or not shown.endswith(b"\n"):
        shown += os.read(terminal, 65_536)
    return shown
