"""Backups and restores are killed, interrupted and starved: there is the old ledger, or the new."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey
from support.commands import COMMAND
from support.cursors import ORDERS

MOMENTS = 50

KILLED = """
import ledger, os, sys
book = ledger.open(sys.argv[1])
book.advance(ledger.CursorKey("mailer", "jobs"), to=9)
os._exit(0)
"""


@pytest.fixture
def copy(path: Path) -> Path:
    """Return a backup over 3,000 entries, of a ledger that has 1,000 more by then."""
    with ledger.open(path, actor="tester") as book:
        for start in range(1, 3_000, 1_000):
            book.append([AdvanceCursor(ORDERS, n) for n in range(start, start + 1_000)])
        copy = path.with_name("backup.db")
        subprocess.run([COMMAND, "--db", path, "backup", copy], check=True, capture_output=True)
        book.append([AdvanceCursor(CursorKey("c", "s", str(n)), 1) for n in range(1_000)])
    return copy


def entries(path: Path) -> int:
    with ledger.open(path) as book:
        found = book.verify()
        assert found.ok, found.faults
        return found.entries


def struck(command: list[object], after_s: float, number: signal.Signals) -> tuple[int, str]:
    """Return how a command ends that is sent a signal after so many seconds."""
    with subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    ) as process:
        time.sleep(after_s)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


def lasts_s(command: list[object]) -> float:
    began = time.monotonic()
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    return time.monotonic() - began


@pytest.mark.slow("it strikes backups at fifty moments")
@pytest.mark.usefixtures("copy")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_backup_that_is_struck_is_whole_or_not_there(
    path: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    there: Counter[bool] = Counter()
    left = 0
    whole_s = lasts_s([COMMAND, "--db", path, "backup", folder / "first.db"])
    (folder / "first.db").unlink()
    for nth in range(MOMENTS):
        file = folder / f"{nth}.db"
        struck([COMMAND, "--db", path, "backup", file], whole_s * nth / MOMENTS, number)
        there[file.exists()] += 1
        if file.exists():
            assert entries(file) == 4_000
            file.unlink()
        for part in folder.iterdir():
            # Only a kill leaves something, which is private, and has a name of its own.
            assert number is signal.SIGKILL, part
            assert part.name.startswith(".cursor-ledger-")
            assert part.stat().st_mode & 0o077 == 0
            part.unlink()
            left += 1
        assert entries(path) == 4_000
    assert there[False] > 5


@pytest.mark.slow("it strikes restores at fifty moments")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_restore_that_is_struck_leaves_the_old_ledger_or_the_new(
    copy: Path, path: Path, tmp_path: Path, number: signal.Signals
) -> None:
    found: Counter[int] = Counter()
    original = tmp_path / "original.db"
    shutil.copy(path, original)
    whole_s = 0.0
    for nth in range(-1, MOMENTS):
        folder = tmp_path / f"at{nth}"
        folder.mkdir()
        place = folder / "cursors.db"
        shutil.copy(original, place)
        # A log that is not yet in the file, as a killed writer leaves it.
        subprocess.run([COMMAND.with_name("python"), "-c", KILLED, place], check=True)
        command: list[object] = [COMMAND, "--db", place, "restore", copy, "--lose", "1001"]
        if nth < 0:
            whole_s = lasts_s(command)
            continue
        # Most of it is the start and the check; what matters is in the second half.
        code, said = struck(command, whole_s * (0.4 + 1.2 * nth / MOMENTS), number)
        size = entries(place)
        assert size in (3_000, 4_001), size
        found[size] += 1
        kept = [each for each in folder.iterdir() if ".before-restore-" in each.name]
        if size == 3_000:
            assert len(kept) == 1
            assert entries(kept[0]) == 4_001
        if number is signal.SIGINT:
            assert not list(folder.glob(".cursor-ledger-*"))
            if "interrupted; " in said:
                assert ("the backup is in its place" in said) == (size == 3_000), said
            assert code in (0, 130, -signal.SIGINT)
        # The same command completes it.
        if size == 4_001:
            subprocess.run([*map(str, command)], check=True, capture_output=True)
            assert entries(place) == 3_000
        shutil.rmtree(folder)
    assert found[4_001] > 3
    assert found[3_000] > 3


# --- no room ---


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Path, list[str]]:
    """Return a folder, and what to put before a command so that it is a disk of 360 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    under = [
        *("unshare", "--mount", "sh", "-c"),
        f'mount -t tmpfs -o size=360k tmpfs "{folder}" && sh -c "$1"',
        "sh",
    ]
    tried = [*under, "true"]
    if (
        shutil.which("unshare") is None
        or subprocess.run(tried, check=False, capture_output=True).returncode
    ):
        pytest.skip("a small disk is mounted by unshare, which this user may not do")
    return folder, under


def test_on_a_full_disk_nothing_is_backed_up_and_nothing_restored(
    copy: Path, path: Path, small_disk: tuple[Path, list[str]]
) -> None:
    folder, under = small_disk
    assert path.stat().st_size > copy.stat().st_size > 360 * 1_024
    script = f"""
        {COMMAND} --db {path} backup {folder}/b.db; echo $?
        ls -A {folder}
        {COMMAND} --db {folder}/small.db advance mailer jobs --to 7 > /dev/null
        {COMMAND} --db {folder}/small.db restore {copy} --lose 1; echo $?
        {COMMAND} --db {folder}/small.db show mailer jobs --template '{{last_sequence}}'
        ls -A {folder}
    """
    done = subprocess.run([*under, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "7", "small.db"]
    assert done.stderr.count("the disk is full") == 2
    assert "Traceback" not in done.stderr
    assert entries(path) == 4_000


def test_what_fails_while_it_is_copied_leaves_nothing(copy: Path, path: Path) -> None:
    folder = path.with_name("limited")
    folder.mkdir()
    before = path.read_bytes()
    for command in (
        f"{COMMAND} --db {path} backup {folder}/b.db",
        f"{COMMAND} --db {folder}/c.db restore {copy}",
        f"{COMMAND} --db {path} restore {copy} --lose 1000",
    ):
        done = subprocess.run(
            # In blocks of 1,024 bytes; more than a log's index has, and less than the copy.
            ["bash", "-c", f"trap '' XFSZ; ulimit -f 100; {command}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert list(folder.iterdir()) == []
    assert path.read_bytes() == before
    assert os.listdir(path.parent).count("cursors.db") == 1  # noqa: PTH208
    assert not list(path.parent.glob(".cursor-ledger-*"))
