"""Adopting is stopped, killed, and starved of output; the same command again completes it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger import CursorKey, CursorStarted, Ledger
from support.commands import COMMAND as STARTED_ANEW
from support.commands import Run
from support.preloaded import COMMAND

STORES = "every"

ROWS = 3_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "offsets.csv"
    path.write_text("".join(f"mailer,orders,{number},{number}\n" for number in range(ROWS)))
    return path


def adopting(
    target: str, file: Path, stdout: int = subprocess.PIPE, command: Path = COMMAND
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [command, "--db", target, "adopt", file, "--execute"],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CURSOR_LEDGER_ACTOR": "ops@desk"},
    )


def wait_for(book: Ledger, number: int) -> None:
    key = CursorKey("mailer", "orders", str(number))
    deadline = time.monotonic() + 60
    while book.find(key) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def completed(book: Ledger, run: Run, file: Path) -> None:
    """Run the command again, and find every cursor started once."""
    again = run("adopt", file, "--execute")
    assert again.exit_code == 0, again.stderr
    entries = list(book.entries())
    assert len(entries) == ROWS
    assert {(entry.version, type(entry.event)) for entry in entries} == {(1, CursorStarted)}
    assert {
        int(entry.key.subject_id): entry.event.sequence
        for entry in entries
        if isinstance(entry.event, CursorStarted)
    } == {number: number for number in range(ROWS)}
    assert book.verify().ok


@pytest.mark.slow("it interrupts or kills commands at many moments")
def test_after_a_kill_the_same_command_starts_what_is_missing(
    book: Ledger, target: str, file: Path, run: Run
) -> None:
    with adopting(target, file, subprocess.DEVNULL, STARTED_ANEW) as process:
        wait_for(book, 999)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert 0 < len(list(book.entries())) < ROWS
    completed(book, run, file)


@pytest.mark.slow("it interrupts or kills commands at many moments")
def test_after_an_interrupt_it_says_how_to_go_on(
    book: Ledger, target: str, file: Path, run: Run
) -> None:
    with adopting(target, file, stdout=subprocess.DEVNULL) as process:
        wait_for(book, 999)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    started = re.search(r"stopped: ([\d,]+) started, .* Run the same command again", said)
    assert started is not None, said
    assert int(started[1].replace(",", "")) <= len(list(book.entries())) < ROWS
    assert "Traceback" not in said
    completed(book, run, file)


@pytest.mark.slow("it starts many processes")
def test_two_at_once_start_each_cursor_once(
    book: Ledger, target: str, file: Path, run: Run
) -> None:
    both = [adopting(target, file, stdout=subprocess.DEVNULL) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    completed(book, run, file)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_rows_that_cannot_be_printed_were_started_all_the_same(
    book: Ledger, target: str, file: Path, run: Run
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with adopting(target, file, stdout=full) as process:
            _, said = process.communicate(timeout=60)
    finally:
        os.close(full)
    assert process.returncode == 74, said
    assert "stopped: " in said
    completed(book, run, file)


def test_a_source_that_ends_badly_starts_nothing(book: Ledger, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "cursors.json"
    record = '{"consumer_id": "mailer", "stream_name": "orders", "sequence": 1},\n'
    file.write_text("[\n" + record * 2_000 + "oh no")
    assert run("adopt", file, "--execute").exit_code == 2
    assert list(book.entries()) == []


def memory_kib(target: str, file: Path) -> int:
    """Return the peak memory of adopting, which runs in a child process of its own."""
    script = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    command = [sys.executable, "-c", script, str(STARTED_ANEW), "--db", target, "adopt", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow("it measures memory over long logs")
def test_a_long_source_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    target = str(tmp_path / "none.db")
    group = "g" * 400
    lines = [f"{group},orders,{number},{number}\n" for number in range(10_000)]
    short, long = tmp_path / "short.csv", tmp_path / "long.csv"
    short.write_text("".join(lines[:1_000]))
    # 8 MB, of which half repeats the rest: a row may be repeated by the last one.
    long.write_text("".join(lines) * 2)
    assert memory_kib(target, long) - memory_kib(target, short) < 6 * 1024
