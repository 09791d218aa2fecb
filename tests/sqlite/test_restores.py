"""A restore puts a backup in the place of a ledger, and says before what that takes back."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import sqlite3
import stat
import subprocess
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import ledger
from ledger import StorageError
from ledger.exchange.restoring import Replacement
from ledger.stores.sqlite import backup
from support.backups import entries, go_on, kept
from support.commands import COMMAND, Run
from support.cursors import JOBS, ORDERS


def test_it_goes_back_only_when_told_how_many_entries_are_lost(
    copy: Path, path: Path, run: Run
) -> None:
    go_on(path)
    before = path.read_bytes()
    for lose in ([], ["--lose", "3"], ["--lose", "5"], ["--lose", "unknown"], ["--lose", "0"]):
        refused = run("restore", copy, *lose)
        assert (refused.exit_code, refused.stdout) == (3, ""), lose
        assert "the ledger has 4 entries more than the 7 of the backup" in refused.stderr
        assert "4 cursors go back:" in refused.stderr
        said = refused.stderr.splitlines()
        assert "  webhooks/orders/customer-7 from 9 to 4: 5 are delivered again" in said
        assert "  mailer/jobs from 20 to 7: 13 are delivered again" in said
        assert "  new/orders from 1 to nothing: the backup has no entry of it" in said
        assert "nothing was changed. To restore the backup all the same, add --lose 4." in (
            refused.stderr
        )
        assert path.read_bytes() == before
        assert kept(path) == []
    done = run("restore", copy, "--lose", "4")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["entries"] == 7
    assert entries(path) == 7
    [old] = kept(path)
    assert f"what is lost: cursor-ledger --db {old} entries --from-position 8" in done.stderr
    lost = run("--db", old, "entries", "--from-position", "8", "--jsonl")
    assert len(lost.stdout.splitlines()) == 4
    assert entries(old) == 11
    # What was lost comes back with its positions and digests.
    again = run("--db", old, "export")
    assert run("import", "-", text=again.stdout_bytes).exit_code == 0
    assert entries(path) == 11


def test_where_nothing_is_lost_nobody_is_asked(copy: Path, path: Path, run: Run) -> None:
    for _ in range(2):
        done = run("restore", copy)
        assert (done.exit_code, "go back" in done.stderr) == (0, False), done.output
    assert len(kept(path)) == 2
    # A backup may be ahead of a ledger that was put back before.
    go_on(path)
    later = copy.with_name("tuesday.db")
    assert run("backup", later).exit_code == 0
    assert run("restore", copy, "--lose", "4").exit_code == 0
    done = run("restore", later)
    assert done.exit_code == 0, done.output
    assert entries(path) == 11
    assert [entries(old) for old in kept(path)] == [7, 7, 11, 7]


def test_an_id_that_the_ledger_got_after_the_backup_stays(copy: Path, path: Path, run: Run) -> None:
    with ledger.open(path) as book:
        given = book.identify()
    go_on(path)
    assert run("restore", copy, "--lose", "4").exit_code == 0
    with ledger.open(path) as book:
        assert book.identity() == given
        assert book.verify().ok
    assert entries(path) == 7
    # The backup itself is left as it was, and another history is another ledger.
    with ledger.open(copy) as book:
        assert book.identity() == ""
        book.advance(JOBS, to=99)
    go_on(path)
    assert run("restore", copy, "--lose", "4").exit_code == 0
    with ledger.open(path) as book:
        assert book.identity() == ""


def test_it_makes_a_ledger_where_there_is_none(
    copy: Path, path: Path, run: Run, tmp_path: Path
) -> None:
    new = tmp_path / "new.db"
    done = run("--db", new, "restore", copy)
    assert (done.exit_code, "kept" in done.stderr) == (0, False)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    assert entries(new) == entries(path) == 7
    new.unlink()
    new.touch()
    assert run("--db", new, "restore", copy).exit_code == 0
    assert entries(new) == 7
    missing = run("--db", tmp_path / "no" / "new.db", "restore", copy)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "does not exist. Make it first." in missing.stderr


def test_the_log_of_the_old_file_is_not_replayed_into_the_new_one(
    copy: Path, path: Path, run: Run
) -> None:
    script = (
        "import ledger, os, sys\n"
        "book = ledger.open(sys.argv[1])\n"
        "for to in range(30, 40): book.advance(ledger.CursorKey('mailer', 'jobs'), to=to)\n"
        "os._exit(0)\n"
    )
    python = COMMAND.with_name("python")
    subprocess.run([python, "-c", script, path], check=True)
    log = path.with_name(f"{path.name}-wal")
    assert log.stat().st_size > 0
    done = run("restore", copy, "--lose", "10")
    assert done.exit_code == 0, done.output
    assert not log.exists()
    assert entries(path) == 7
    # All of it is in what is kept.
    [old] = kept(path)
    assert entries(old) == 17
    # The same where there is only a log left, of a file that is gone.
    subprocess.run([python, "-c", script, path], check=True)
    path.unlink()
    assert log.exists()
    assert run("restore", copy).exit_code == 0
    assert entries(path) == 7
    assert kept(path)[-1].name.endswith("-wal")


def test_while_somebody_has_it_open_nothing_is_restored(copy: Path, path: Path, run: Run) -> None:
    script = (
        "import ledger, sys\n"
        "book = ledger.open(sys.argv[1])\n"
        "book.advance(ledger.CursorKey('mailer', 'jobs'), to=30)\n"
        "print('open', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(book.advance(ledger.CursorKey('mailer', 'jobs'), to=31).last_sequence)\n"
        "book.close()\n"
    )
    with subprocess.Popen(
        [COMMAND.with_name("python"), "-c", script, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        busy = run("--busy-timeout", "0.2", "restore", copy, "--lose", "1")
        assert (busy.exit_code, busy.stdout) == (75, "")
        if Path("/proc/locks").exists():
            assert f"is open in process {other.pid} (python" in busy.stderr
        assert "Stop all programs that use it" in busy.stderr
        assert kept(path) == []
        said, _ = other.communicate("go on\n", timeout=60)
        assert said == "31\n"
    assert entries(path) == 9
    assert run("restore", copy, "--lose", "2").exit_code == 0


def test_a_ledger_that_only_reads_notices_that_its_file_was_replaced(
    copy: Path, path: Path, run: Run
) -> None:
    assert run("restore", copy).exit_code == 0  # It has no write-ahead log from here on.
    with ledger.open(path) as book:
        assert book.get(ORDERS).last_sequence == 4
        assert run("restore", copy).exit_code == 0
        time.sleep(0.15)
        with pytest.raises(StorageError, match="replaced by another file"):
            book.get(ORDERS)
        with pytest.raises(StorageError, match="replaced by another file"):
            book.advance(ORDERS, to=9)
    assert entries(path) == 7


def test_one_who_waits_to_write_does_not_write_to_the_old_file(
    copy: Path, path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("restore", copy).exit_code == 0
    went: list[object] = []
    with ledger.open(path, actor="x", busy_timeout_s=30) as book:
        # It reads only, so it holds nothing; and it writes while the old file is held.
        assert book.get(JOBS).version == 2

        def append() -> None:
            try:
                went.append(book.advance(JOBS, to=99))
            except StorageError as error:
                went.append(error)

        writer = threading.Thread(target=append)
        last_entry = backup.last_entry

        def look(connection: sqlite3.Connection, path: str) -> object:
            writer.start()
            time.sleep(0.3)
            assert went == []
            return last_entry(connection, path)

        monkeypatch.setattr(backup, "last_entry", look)
        wanted = Replacement(backup=str(copy), path=str(path), busy_timeout_s=5)
        with wanted.prepared(lambda *_: None) as ready:
            ready.put(ready.compared())
        writer.join()
    [said] = went
    assert isinstance(said, StorageError)
    assert "replaced by another file" in str(said)
    assert entries(path) == 7
    assert [entries(old) for old in kept(path)] == [7, 7]


def test_what_is_appended_after_the_comparison_is_not_lost(copy: Path, path: Path) -> None:
    wanted = Replacement(backup=str(copy), path=str(path), busy_timeout_s=1)
    with wanted.prepared(lambda *_: None) as ready:
        before = ready.compared()
        with ledger.open(path, actor="x") as book:
            book.advance(JOBS, to=99)
        with pytest.raises(ledger.LedgerBusyError, match="somebody has appended"):
            ready.put(before)
    assert entries(path) == 8
    assert kept(path) == []


# --- what a signer will say ---


def test_it_tells_whether_a_key_can_sign_on(
    copy: Path, path: Path, run: Run, tmp_path: Path
) -> None:
    keys = [str(tmp_path / name) for name in ("early.key", "late.key")]
    for key in keys:
        ledger.make_key(key, "example.com/orders")
    with ledger.open(path) as book:
        book.sign(keys[0])
    go_on(path)
    with ledger.open(path) as book:
        book.sign(keys[1])
    signed = Path(f"{keys[1]}.signed").read_bytes()
    done = run("restore", copy, "--lose", "4", "--key", keys[0], "--key", keys[1])
    assert done.exit_code == 0, done.output
    early, late = [line for line in done.stderr.splitlines() if ".key has signed" in line]
    assert early.startswith(f"{keys[0]} has signed 7 entries of example.com/orders")
    assert early.endswith("it can sign on")
    assert late.startswith(f"{keys[1]} has signed 11 entries of example.com/orders")
    assert "the backup has 7: 4 that were signed are lost. It will refuse to sign" in late
    # It is as it was told.
    assert run("checkpoint", "--sign", keys[0]).exit_code == 0
    assert run("checkpoint", "--sign", keys[1]).exit_code == 3
    assert Path(f"{keys[1]}.signed").read_bytes() == signed
    # Another history of the same length is none of what was signed.
    go_on(path)
    other = tmp_path / "other.db"
    assert run("backup", other).exit_code == 0
    told = run("restore", other, "--key", keys[1])
    assert "they are not those that the backup begins with" in told.stderr
    assert run("checkpoint", "--sign", keys[1]).exit_code == 3


def test_another_history_is_told_from_an_older_backup(
    copy: Path, path: Path, run: Run, tmp_path: Path
) -> None:
    go_on(path)
    other = tmp_path / "other.db"
    assert run("--db", other, "restore", copy).exit_code == 0
    with ledger.open(other, actor="x") as book:
        book.advance(ORDERS, to=77)
    told = run("restore", other)
    assert told.exit_code == 3
    assert (
        "the backup is of another history: both begin with 7 entries, after which the ledger has "
        "4 of its own, and the backup 1"
    ) in told.stderr
    assert "--lose 4" in told.stderr


# --- on a terminal ---

CTRL_C = b"\x03"


def answered(command: list[object], answer: bytes) -> tuple[int, str]:
    """Return how a command ends that is answered on a terminal, and what it shows there.

    A Ctrl-C is repeated, as people do it: Python does not see one that comes between its last look
    for signals and the wait for input, until there is input.
    """
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [*map(str, command)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # With its own terminal, Ctrl-C interrupts it.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
    ) as it:
        os.close(theirs)
        with suppress(OSError):
            while True:
                if not select.select([ours], [], [], 2)[0]:
                    if answer == CTRL_C and b"type 4:" in shown:
                        os.write(ours, answer)
                    continue
                if not (chunk := os.read(ours, 65_536)):
                    break
                shown += chunk
                if shown.rstrip().endswith(b"type 4:"):
                    os.write(ours, answer)
        os.close(ours)
    return it.returncode, " ".join(shown.decode().split())


def test_a_terminal_is_asked_for_the_number(copy: Path, path: Path) -> None:
    go_on(path)
    command = [COMMAND, "--db", path, "restore", copy]
    for answer in (b"y\n", b"\n", b"3\n", b"44\n", b"\x04"):
        code, shown = answered(command, answer)
        assert (code, "Nothing was changed." in shown) == (1, True), (answer, shown)
    code, shown = answered(command, CTRL_C)
    assert code == 130
    assert entries(path) == 11
    code, shown = answered(command, b"4\n")
    assert code == 0, shown
    assert entries(path) == 7


def test_a_second_name_that_a_kill_has_left_is_removed(copy: Path, path: Path, run: Run) -> None:
    go_on(path)
    assert run("restore", copy, "--lose", "4").exit_code == 0
    [old] = kept(path)
    # A kill between the two last steps of another one: the ledger has two names.
    second = path.with_name(f"{path.name}.before-restore-20260505T160000Z")
    second.hardlink_to(path)
    stranger = path.with_name(f"{path.name}.before-restore-of-mine")
    stranger.symlink_to(path)
    assert run("restore", copy).exit_code == 0
    assert not second.exists()
    assert stranger.is_symlink()
    assert entries(old) == 11
    assert not any(each.samefile(path) for each in kept(path) if not each.is_symlink())
