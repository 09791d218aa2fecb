"""Files that are written are private, whole or not there, and never over something else."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, InvalidCursorError, Ledger, files
from projections import ResetPlan, draw, timeline
from support.commands import COMMAND as STARTED_ANEW
from support.cursors import ORDERS
from support.preloaded import COMMAND

Writer = Callable[[Path], None]
RESET = ("reset", "webhooks", "orders", "customer-7", "--to", "1", "--reason", "x")
TIMELINE = ("timeline", "webhooks", "orders", "customer-7")


@pytest.fixture
def book(path: Path) -> Iterator[Ledger]:
    with ledger.open(path, actor="tester") as book:
        book.advance(ORDERS, to=5)
        yield book


@pytest.fixture(params=["save", "draw", "--export", "-o"])
def write(request: pytest.FixtureRequest, book: Ledger, path: Path) -> Writer:
    """Return a way to write a file; a way of the command runs in a process of its own."""

    def run(destination: Path, *arguments: str) -> None:
        done = subprocess.run(
            [COMMAND, "--db", path, *arguments, destination],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 2:
            raise InvalidCursorError(done.stderr)
        if done.returncode:
            raise OSError(done.stderr)

    life = timeline(book.history(ORDERS))
    ways: dict[str, Writer] = {
        "save": ResetPlan.make(book, [ORDERS], to=1, reason="x").save,
        "draw": lambda destination: draw(life, destination),
        "--export": lambda destination: run(destination, *RESET, "--export"),
        "-o": lambda destination: run(destination, *TIMELINE, "-o"),
    }
    return ways[str(request.param)]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# --- private ---


def test_only_the_owner_may_read_it_whatever_the_umask(write: Writer, tmp_path: Path) -> None:
    file = tmp_path / "written.svg"
    before = os.umask(0)
    try:
        write(file)
        assert mode(file) == 0o600
        file.chmod(0o666)
        os.umask(0o777)
        write(file)
    finally:
        os.umask(before)
    assert mode(file) == 0o600


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
def test_it_is_private_from_its_first_byte_and_on_the_disk_before_it_has_its_name(
    book: Ledger, path: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan.jsonl"
    book.advance(ORDERS, to=6)
    done = subprocess.run(
        [
            *("strace", "-f", "-e", "trace=openat,rename,renameat,renameat2,fsync,write"),
            *(STARTED_ANEW, "--db", path, *RESET, "--export", file),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr and not file.exists():
        pytest.skip("nobody may trace here")
    calls = done.stderr.splitlines()
    [made] = [n for n, call in enumerate(calls) if "openat" in call and _FRESH.search(call)]
    number = calls[made].rpartition("= ")[2]
    written = [
        n for n, call in enumerate(calls) if f"write({number}, " in call and "plan/1" in call
    ]
    synced = [n for n, call in enumerate(calls) if f"fsync({number})" in call]
    [named] = [n for n, call in enumerate(calls) if "rename" in call and '"plan.jsonl"' in call]
    folder = [n for n, call in enumerate(calls[named:], named) if "fsync" in call]
    assert made < min(written) <= max(written) < min(synced) < named < min(folder)


_FRESH = re.compile(r"(O_TMPFILE|\.part).*0600\) = \d")


# --- never over something else ---


@pytest.fixture(
    params=[
        "the ledger",
        "its log",
        "its memory",
        "a journal",
        "a hard link",
        "of its log",
        "of its memory",
    ]
)
def part(request: pytest.FixtureRequest, path: Path, tmp_path: Path) -> Path:
    """Return the name of a part of an open ledger, or of a hard link to one."""
    names = {"": path, "-wal": Path(f"{path}-wal"), "-shm": Path(f"{path}-shm")}
    links = {suffix: tmp_path / f"link{suffix or '.svg'}.svg" for suffix in names}
    for suffix, link in links.items():
        if names[suffix].exists():
            link.hardlink_to(names[suffix])
    return {
        "the ledger": path,
        "its log": names["-wal"],
        "its memory": names["-shm"],
        "a journal": Path(f"{path}-journal"),
        "a hard link": links[""],
        "of its log": links["-wal"],
        "of its memory": links["-shm"],
    }[str(request.param)]


def test_a_ledger_and_its_parts_are_never_written_over(
    book: Ledger, write: Writer, part: Path, tmp_path: Path
) -> None:
    was = part.lstat() if part.exists() else None
    # To be told by its name first would show nothing about a drawing.
    with pytest.raises(InvalidCursorError):
        write(part)
    if was is None:
        assert not part.exists()
    else:
        assert os.path.samestat(was, part.lstat())
    book.advance(ORDERS, to=6)
    assert book.verify().ok
    assert not list(tmp_path.glob("*.part"))


def test_no_database_of_anybody_is_written_over(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as raw:
        raw.execute("CREATE TABLE orders (id)")
        raw.execute("PRAGMA journal_mode = wal")
        raw.execute("INSERT INTO orders VALUES (1)")
        raw.commit()
        log = tmp_path / "kept.log"
        log.write_bytes(Path(f"{other}-wal").read_bytes())
    for file in (other, log, Path(f"{other}-wal"), Path(f"{other}-journal")):
        with pytest.raises(InvalidCursorError, match="Choose another name"):
            files.write(file, b"x")
    with closing(sqlite3.connect(other)) as raw:
        assert raw.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_looking_at_a_database_takes_no_locks_from_this_process(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    attempt = (
        f"import sqlite3; sqlite3.connect({str(file)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    )
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.execute("CREATE TABLE orders (id)")
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(InvalidCursorError, match="open in this process"):
            files.write(file, b"x")
        other = subprocess.run(
            [sys.executable, "-c", attempt], capture_output=True, text=True, check=False
        )
        assert "database is locked" in other.stderr


@pytest.mark.parametrize("kind", ["link", "lost link", "folder", "pipe", "socket", "device"])
def test_what_is_no_plain_file_is_refused_and_left_as_it_is(
    write: Writer, tmp_path: Path, kind: str
) -> None:
    place, victim = tmp_path / "it.svg", tmp_path / "victim"
    match kind:
        case "link":
            victim.write_text("precious")
            place.symlink_to(victim)
        case "lost link":
            place.symlink_to(victim)
        case "folder":
            place.mkdir()
        case "pipe":
            os.mkfifo(place)
        case "socket":
            with closing(socket.socket(socket.AF_UNIX)) as listener:
                listener.bind(str(place))
        case "device":
            try:
                os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("only root makes devices")
    was = place.lstat()
    # The command itself refuses a folder in other words.
    with pytest.raises(InvalidCursorError, match=r"name (a|the) file|is a directory"):
        write(place)
    assert os.path.samestat(was, place.lstat())
    assert not victim.exists() or victim.read_text() == "precious"
    assert list(tmp_path.glob(".*")) == []


def test_a_hyphen_names_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidCursorError, match=r"\./- does"):
        files.write("-", b"x")
    with pytest.raises(InvalidCursorError):
        files.write("/dev/stdout", b"x")
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_folder_the_error_says_which(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        files.write(tmp_path / "no" / "plan.jsonl", b"x")
    assert error.value.filename == str(tmp_path / "no")


def test_a_hard_link_keeps_what_it_has(tmp_path: Path) -> None:
    file, other = tmp_path / "plan.jsonl", tmp_path / "kept"
    file.write_text("old")
    other.hardlink_to(file)
    files.write(file, b"new")
    assert (file.read_text(), other.read_text()) == ("new", "old")


# --- whole, or not at all ---


def test_parts_are_written_together_and_what_they_raise_leaves_what_was_there(
    tmp_path: Path,
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"new"
        raise ArithmeticError

    file = tmp_path / "parts"
    file.write_text("old")
    with pytest.raises(ArithmeticError):
        files.write(file, parts())
    assert file.read_text() == "old"
    files.write(file, iter([b"n", b"", b"ew"]))
    assert file.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["parts"]


SAVE_FOR_EVER = """
import sys
from ledger import files
old, new = (line.encode() * 400_000 for line in ("old\\n", "new\\n"))
print("begun", flush=True)
while True:
    files.write(sys.argv[1], new)
    files.write(sys.argv[1], old)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_it_leaves_the_old_file_or_the_new(
    tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "plan.jsonl"
    whole = {b"old\n" * 400_000, b"new\n" * 400_000}
    seen = set()
    for n in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, file],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.01 + n * 0.01)
            process.send_signal(number)
        assert process.returncode != 0
        if file.exists():
            assert file.read_bytes() in whole
            assert mode(file) == 0o600
            seen.add(file.read_bytes())
        left = [other for other in tmp_path.iterdir() if other != file]
        if number is signal.SIGINT or hasattr(os, "O_TMPFILE"):
            # Between its two names a kill may still come: the file is whole then, and private.
            assert len(left) <= 1
        for other in left:
            assert number is not signal.SIGINT
            assert mode(other) == 0o600
            other.unlink()
    assert seen


@pytest.mark.parametrize("there", [None, b"old"])
def test_a_full_disk_leaves_what_was_there(
    book: Ledger, path: Path, tmp_path: Path, there: bytes | None
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "plan.jsonl"
    if there is not None:
        file.write_bytes(there)
    book.append([AdvanceCursor(CursorKey(f"tenant-{n}", "jobs"), 1) for n in range(60)])
    done = subprocess.run(
        [
            *(STARTED_ANEW, "--db", path, "reset", "--stream", "jobs", "--to", "0"),
            *("--reason", "x" * 4_000, "--export", file),
        ],
        capture_output=True,
        text=True,
        check=False,
        # More than the parts of the ledger have, and less than the plan.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "the plan is written to" not in done.stderr
    assert (file.read_bytes() if file.exists() else None) == there
    assert [other.name for other in folder.iterdir()] == ([file.name] if there else [])


def test_where_files_must_have_names_the_same_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    file = tmp_path / "plan.jsonl"
    before = os.umask(0o777)
    try:
        files.write(file, b"old")
    finally:
        os.umask(before)
    assert (file.read_bytes(), mode(file)) == (b"old", 0o600)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            files.write(file, b"new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_plan_that_could_not_be_kept_is_not_carried_out(path: Path, tmp_path: Path) -> None:
    with ledger.open(path, actor="tester") as book:
        book.advance(ORDERS, to=5)
    options = ("--export", tmp_path / "no" / "plan", "--execute", "--yes")
    done = subprocess.run(
        [COMMAND, "--db", path, *RESET, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    shown = subprocess.run(
        [COMMAND, "--db", path, "list"], capture_output=True, text=True, check=True
    )
    assert json.loads(shown.stdout)["last_sequence"] == 5
