"""What an interrupted command says of what it has appended is true, whenever it is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey
from ledger.cli.commands import bulk
from ledger.cli.shown.progress import Progress
from projections.cli import main
from projections.following import rests

COMMAND = Path(sys.executable).with_name("cursor-ledger")
JOBS = CursorKey("mailer", "jobs")
LINES = 4_000
MOMENTS = 10
# A shell shows both as 130; a second interrupt may end a program that is ending.
INTERRUPTED = {130, -signal.SIGINT}


def line(sequence: int) -> str:
    key = {"consumer_id": "mailer", "stream_name": "jobs"}
    # Every seventh is refused.
    op = {
        "op": "advance",
        "advance": {"key": key, "last_sequence": sequence if sequence % 7 else 0},
    }
    return json.dumps(op) + "\n"


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "CURSOR_LEDGER_DB": "cursors.db"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell started in the background ignore SIGINT, and so do their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    )


def interrupt(process: subprocess.Popen[str], *, after_s: float, times: int) -> tuple[str, str]:
    """Interrupt a process, and give what it has printed."""
    time.sleep(after_s)
    for _ in range(times):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
    return process.communicate(timeout=60)


def sequences(folder: Path) -> list[int]:
    with ledger.open(folder / "cursors.db") as book:
        assert book.verify().ok
        return [entry.event.sequence for entry in book.history(JOBS)]  # type: ignore[union-attr]


WHOLE = [sequence for sequence in range(1, LINES + 1) if sequence % 7]
STOPPED = re.compile(
    r"(?:stopped: |interrupted; )([\d,]+) appended(?:, ([\d,]+) refused)?(?: \(perhaps [^)]+\))? "
    r"up to line (\d+); "
    r"(?:continue with --from-line (\d+)|lines (\d+) to (\d+) may have been appended, too. Compare "
    r"with: cursor-ledger entries --newest-first -n (\d+))\.?\n"
)


@pytest.mark.slow("it interrupts files of 4,000 lines at ten moments")
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_file_goes_on_where_it_says(tmp_path: Path, times: int) -> None:
    said: Counter[str] = Counter()
    for moment in range(MOMENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        (folder / "requests.jsonl").write_text("".join(map(line, range(1, LINES + 1))))
        process = start(folder, "append", "requests.jsonl")
        while not (folder / "cursors.db-wal").exists():
            assert process.poll() is None
        listed, told = interrupt(process, after_s=moment * 0.02, times=times)
        there = sequences(folder)
        found = STOPPED.search(told)
        if found is None:
            # It had not begun, or was done.
            assert there in ([], WHOLE)
            assert ("nothing was appended" in told) == (there == []), told
            said["at an end"] += 1
            continue
        assert process.returncode in INTERRUPTED, told
        appended, refused, up_to, onward, first, last, _ = found.groups()
        count = int(appended.replace(",", ""))
        up_to = int(up_to)
        if onward is None:
            said["unknown"] += 1
            assert there[:count] == [known for known in WHOLE if known <= up_to]
            assert all(int(first) <= more <= int(last) for more in there[count:])
            continue
        said["known"] += 1
        assert there == [known for known in WHOLE if known <= up_to]
        assert len(there) == count
        # A second interrupt may come while refusals are listed; they are counted all the same.
        unlisted = int((refused or "0").replace(",", "")) - len(listed.splitlines())
        assert unlisted == 0 if times == 1 else unlisted >= 0
        assert int(onward) == up_to + 1
        rest = start(folder, "append", "requests.jsonl", "--from-line", onward)
        rest.communicate(timeout=60)
        assert rest.returncode == (3 if any(n % 7 == 0 for n in range(up_to + 1, LINES + 1)) else 0)
        assert sequences(folder) == WHOLE
    assert said["known"] >= (1 if times == 1 else 0), said
    assert not (times == 1 and said["unknown"]), said


@pytest.mark.slow("it interrupts commands at ten moments")
@pytest.mark.parametrize(
    "command",
    [
        ("advance", "mailer", "jobs", "--to", "2"),
        ("reset", "mailer", "jobs", "--to", "0", "--reason", "x", "--execute", "--yes"),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_command_says_whether_it_has_appended(
    tmp_path: Path, command: tuple[str, ...], times: int
) -> None:
    said: Counter[str] = Counter()
    for moment in range(MOMENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        with ledger.open(folder / "cursors.db", actor="x") as book:
            book.advance(JOBS, to=1)
        process = start(folder, *command)
        while not (folder / "cursors.db-wal").exists() and process.poll() is None:
            pass
        printed, told = interrupt(process, after_s=moment * 0.002, times=times)
        appended = len(sequences(folder)) - 1
        if process.returncode == 0:
            assert (appended, bool(printed)) == (1, True), told
            said["done"] += 1
        elif "nothing was appended" in told:
            assert (appended, printed) == (0, "")
            assert process.returncode in INTERRUPTED
            said["nothing"] += 1
        elif "the request was appended" in told:
            assert appended == 1
            assert process.returncode in INTERRUPTED
            said["appended"] += 1
        elif "not known" in told:
            assert process.returncode in INTERRUPTED
            said["unknown"] += 1
        else:
            # Python itself was ending, behind all that the program does.
            assert (appended, bool(printed)) == (1, True), told
            said["ending"] += 1
    assert said["nothing"] + said["appended"] + said["done"] >= MOMENTS // 2, said


@pytest.mark.parametrize(
    ("interrupts", "said"),
    [
        (1, "stopped: 7 appended, 1 refused up to line 8; continue with --from-line 9"),
        (2, "interrupted; 7 appended, 1 refused (perhaps not all of them are listed) up to line 8"),
    ],
)
def test_what_was_appended_is_told_once_however_often_it_is_interrupted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    interrupts: int,
    said: str,
) -> None:
    clear = Progress.clear
    to_come = iter([KeyboardInterrupt] * interrupts)

    def interrupted(progress: Progress) -> None:
        clear(progress)
        for interrupt in to_come:
            raise interrupt

    monkeypatch.setattr(bulk, "BATCH_LINES", 4)
    monkeypatch.setattr(Progress, "clear", interrupted)
    requests = tmp_path / "requests.jsonl"
    # The seventh is refused, so the progress is cleared after the second batch, and at the end.
    requests.write_text("".join(map(line, range(1, 20))))
    with pytest.raises(SystemExit) as end:
        main(["--db", str(tmp_path / "cursors.db"), "append", str(requests)])
    told = capfd.readouterr().err
    assert said in told
    assert told.count(" appended") == 1
    assert end.value.code == 130
    assert sequences(tmp_path) == [1, 2, 3, 4, 5, 6, 8]


def test_an_interrupt_that_makes_a_lock_fail_is_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = threading.Lock()

    def interrupted(_: object) -> int:
        with lock:
            lock.release()  # As threading.Condition does while it waits.
            raise KeyboardInterrupt

    monkeypatch.setattr("projections.cli.watching.last_position", interrupted)
    path = str(tmp_path / "cursors.db")
    with ledger.open(path, actor="tester") as book:
        book.advance(JOBS, to=1)
    with pytest.raises(SystemExit) as end:
        main(["--db", path, "watch"])
    assert (end.value.code, capfd.readouterr().err) == (130, "")


@pytest.mark.parametrize("command", [["watch"], ["tail", "-f"]])
def test_a_ctrl_c_that_python_drops_ends_a_command_that_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    class Deleted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def rested(*arguments: Any) -> bool:
        dropped.append(Deleted())
        dropped.clear()
        return rests(*arguments)

    dropped: list[Deleted] = []
    unheard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    for module in ("projections.cli.watching", "projections.following"):
        monkeypatch.setattr(f"{module}.rests", rested)
    path = str(tmp_path / "cursors.db")
    with ledger.open(path, actor="tester") as book:
        book.advance(JOBS, to=1)
    with pytest.raises(SystemExit) as end:
        main(["--db", path, *command])
    assert end.value.code == 130
    assert len(unheard) == 1
