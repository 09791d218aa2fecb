"""What is only read is not changed by one byte, and can be read where nothing may be written."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ledger
from ledger.stores.sqlite import migrations
from support.children import child
from support.commands import Run
from support.cursors import JOBS, ORDERS

READS = """
book.get(jobs), list(book.cursors()), list(book.entries()), list(book.history(jobs))
assert book.verify().ok
book.checkpoint(), book.horizon()
"""


def looks(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return digest, time and inode of all files except the index of the log: it is no evidence."""
    return {
        file.name: (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
            file.stat().st_ino,
        )
        for file in folder.iterdir()
        if not file.name.endswith("-shm")
    }


def closed(path: Path) -> None:
    with ledger.open(path, actor="x") as book:
        book.advance(JOBS, to=7)
        book.reset(JOBS, to=3, reason="x")


def killed(path: Path) -> None:
    script = """
    import signal
    book = ledger.open(sys.argv[1], actor="x")
    book.advance(jobs, to=7)
    book.reset(jobs, to=3, reason="x")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(AssertionError):
        child(script, path)
    assert path.with_name(path.name + "-wal").stat().st_size


def killed_and_without_its_index(path: Path) -> None:
    killed(path)
    path.with_name(path.name + "-shm").unlink()


def without_a_log(path: Path) -> None:
    closed(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)


def of_the_schema_before(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "SCHEMAS", migrations.SCHEMAS[:1])
        patch.setattr(migrations, "LATER", ())
        closed(path)


MADE = [closed, killed, killed_and_without_its_index, without_a_log, of_the_schema_before]


@pytest.mark.parametrize("made", MADE)
def test_reading_changes_nothing_and_the_first_append_what_it_has_to(
    path: Path, made: Callable[[Path], None]
) -> None:
    made(path)
    before = looks(path.parent)
    with ledger.open(path) as book, book._store.snapshot(), book._store.snapshot():
        assert book.get(JOBS).version == 2
        assert len(list(book.entries())) == len(list(book.history(JOBS))) == 2
        assert len(list(book.cursors())) == 1
        assert book.verify().ok
        assert book.checkpoint().entries == 2
        assert not book.immutable
    assert looks(path.parent) == before
    with ledger.open(path) as book, book._store.snapshot():
        assert book.get(JOBS).version == 2
        assert book.advance(JOBS, to=4).version == 3
        assert book.verify().ok
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert not migrations.pending(raw)
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


CURSOR = (JOBS.consumer_id, JOBS.stream_name)
COMMANDS = [
    ["list"],
    ["show", *CURSOR],
    ["history", *CURSOR],
    ["entries"],
    ["status"],
    ["verify"],
    ["checkpoint"],
    ["resets"],
    ["gaps"],
    ["explain", *CURSOR, "2"],
    ["reset", *CURSOR, "--to", "1", "--reason", "x"],
]


@pytest.mark.parametrize("made", MADE)
def test_a_command_that_reads_changes_nothing(
    run: Run, path: Path, made: Callable[[Path], None]
) -> None:
    made(path)
    before = looks(path.parent)
    for command in COMMANDS:
        done = run(*command)
        assert (done.exit_code, done.stderr if done.exit_code else "") == (0, "")
        assert looks(path.parent) == before, command


def test_an_older_file_may_be_lent_a_connection_to_read(older: Path) -> None:
    before = looks(older.parent)
    with ledger.open(older) as book, closing(sqlite3.connect(older)) as connection:
        assert book.using(connection).get(JOBS).version == 1
        assert book.using(connection).verify().ok
    assert looks(older.parent) == before


# --- where nothing may be written ---


Under = list[str]

READ_THERE = """
from pathlib import Path
with ledger.open(sys.argv[1]) as book:
    print(book.get(jobs).version, len(list(book.entries())), book.verify().ok, book.immutable)
    with ledger.open(":memory:") as copy:
        print(book.copy_to(copy).entries, copy.verify() == book.verify())
    try:
        book.advance(jobs, to=9)
    except ledger.StorageError as error:
        print(error)
    print(book.get(jobs).version)
"""


@pytest.fixture(params=["a folder without permission", "a file without", "a read-only medium"])
def closed_place(request: pytest.FixtureRequest, path: Path) -> Iterator[Under]:
    """Yield the words before a command that keep it from writing to the file, or beside it."""
    if request.param == "a read-only medium":
        folder = path.parent
        mounted = f'mount --bind "{folder}" "{folder}" && mount -o remount,bind,ro "{folder}"'
        under = ["unshare", "--mount", "sh", "-c", f'{mounted} && exec "$@"', "sh"]
        if (
            shutil.which("unshare") is None
            or subprocess.run([*under, "true"], check=False, capture_output=True).returncode
        ):
            pytest.skip("a read-only medium is mounted by unshare, which this user may not do")
        yield under
        return
    under = request.getfixturevalue("humbly")
    changed = path.parent if request.param == "a folder without permission" else path
    yield [*under, "sh", "-c", f'chmod a-w "{changed}" && exec "$@"', "sh"]
    changed.chmod(0o755)


@pytest.mark.parametrize("made", [closed, of_the_schema_before, without_a_log])
def test_evidence_can_be_read_and_copied_where_nothing_may_be_written(
    path: Path, made: Callable[[Path], None], closed_place: Under
) -> None:
    made(path)
    before = looks(path.parent)
    read, copied, refused, again = child(READ_THERE, path, under=closed_place)
    assert read.startswith("2 2 True")
    if made is not without_a_log:
        assert read == "2 2 True True"
    assert copied == "2 True"
    assert "cannot be written to by this user; nothing was appended" in refused
    assert again == "2"
    assert looks(path.parent) == before
    assert not list(path.parent.glob("*-shm"))


def test_a_command_says_so(path: Path, closed_place: Under) -> None:
    closed(path)
    program = "from projections.cli import main; main()"
    command = [sys.executable, "-c", program, "--db", str(path), "list", "--jsonl"]
    done = subprocess.run([*closed_place, *command], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert "is opened without locks, as a file that does not change" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_in_an_unread_log_is_not_passed_over(path: Path, closed_place: Under) -> None:
    killed_and_without_its_index(path)
    before = looks(path.parent)
    script = """
    try:
        with ledger.open(sys.argv[1]) as book:
            print(book.get(jobs).version)
    except ledger.StorageError as error:
        print(error)
    """
    [said] = child(script, path, under=closed_place)
    # A file in a folder that may be written to can be read with its log.
    assert said == "2" or "-wal, which holds what was written last" in said
    assert said == "2" or "Copy both files" in said
    assert looks(path.parent) == before


READ_ON = """
import sys, ledger
from ledger.stores.sqlite import watching
watching.LOOK_AGAIN_S = 0.0
jobs = ledger.CursorKey("mailer", "jobs")
with ledger.open(sys.argv[1]) as book:
    begun = book.entries()
    next(begun)
    print(book.get(jobs).version, book.immutable, flush=True)
    for _ in range(2):
        sys.stdin.readline()
        for deed in (lambda: book.get(jobs), book.verify, lambda: list(book.cursors())):
            try:
                print(deed(), flush=True)
            except ledger.StorageError as error:
                print(error, flush=True)
"""


def test_if_somebody_else_writes_all_the_same_it_is_noticed(path: Path, humbly: Under) -> None:
    closed(path)
    path.chmod(0o444)
    command = [*humbly, sys.executable, "-c", READ_ON, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "2 True\n"
        path.chmod(0o644)
        with ledger.open(path) as book:
            book.advance(ORDERS, to=1)
            # What it has written is in the log, and then in the file itself.
            reader.stdin.write("\n")
            during = [reader.stdout.readline() for _ in range(3)]
        reader.stdin.write("\n")
        after = [reader.stdout.readline() for _ in range(3)]
    assert all("written to by somebody else" in said for said in (*during, *after))
