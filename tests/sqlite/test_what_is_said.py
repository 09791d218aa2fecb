"""What an error of SQLite's says is true: who holds the file, whether the disk is full."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import ledger
from ledger import LedgerBusyError, SchemaVersionError, StorageError
from ledger.stores.sqlite import holders
from support.children import child
from support.cursors import JOBS, ORDERS
from support.failing import run

on_linux = pytest.mark.skipif(
    not Path("/proc/locks").exists(), reason="only Linux lists who has locked what"
)

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        yield holder.pid
        holder.stdin.close()


@on_linux
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_busy_names_the_process_that_holds_the_file(path: Path, mode: str) -> None:
    ledger.open(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA journal_mode = {mode}")
    with (
        ledger.open(path, busy_timeout_s=0.01) as book,
        held_by_another_process(path) as process,
    ):
        with pytest.raises(LedgerBusyError) as refused:
            book.advance(JOBS, to=1)
        name = Path(f"/proc/{process}/comm").read_text().strip()
        assert f"has been held by process {process} ({name})" in str(refused.value)
        # To look has not dropped what this process has locked: it can still write, and be refused.
        with pytest.raises(LedgerBusyError):
            book.advance(JOBS, to=1)
    with ledger.open(path) as book:
        assert book.advance(JOBS, to=1).version == 1


@on_linux
def test_busy_says_that_this_process_holds_it_itself(path: Path) -> None:
    with (
        ledger.open(path, busy_timeout_s=0.01) as book,
        ledger.open(path, busy_timeout_s=0.01) as other,
        closing(sqlite3.connect(path, isolation_level=None)) as raw,
    ):
        book.advance(JOBS, to=1)
        raw.execute("BEGIN IMMEDIATE")
        for one in (book, other):
            with pytest.raises(LedgerBusyError, match="another connection of this process"):
                one.advance(JOBS, to=2)
        assert raw.in_transaction
        # The lock is still there for others, too.
        script = """
        with ledger.open(sys.argv[1], busy_timeout_s=0.01) as book:
            try:
                book.advance(jobs, to=2)
            except ledger.LedgerBusyError as error:
                print(error)
        """
        [said] = child(script, path)
        assert f"process {os.getpid()} (" in said


def test_where_it_cannot_be_known_it_is_another_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "_LOCKS", (("-nothing", 120),))
    with (
        ledger.open(path, busy_timeout_s=0.01) as book,
        held_by_another_process(path),
        pytest.raises(LedgerBusyError, match="has been held by another writer for longer"),
    ):
        book.advance(JOBS, to=1)


def test_a_thread_that_holds_it_is_called_one(path: Path) -> None:
    within, leave = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        within.set()
        leave.wait(60)

    with ledger.open(path, busy_timeout_s=0.01) as book:
        thread = threading.Thread(target=lambda: book._store.write(hold))
        thread.start()
        within.wait(60)
        with pytest.raises(LedgerBusyError, match="by another thread"):
            book.advance(JOBS, to=1)
        leave.set()
        thread.join()


# --- a disk that is full ---


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Path, list[str]]:
    """Return a folder, and the words before a command that make it a disk of 512 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = f'mount -t tmpfs -o size=512k tmpfs "{folder}"'
    under = ["unshare", "--mount", "sh", "-c", f'{mounted} && exec "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*under, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("a small disk is mounted by unshare, which this user may not do")
    return folder, under


FILL = """
def fill(room=0):
    with open(os.path.dirname(sys.argv[1]) + "/rest", "wb", buffering=0) as rest:
        try:
            while True:
                rest.write(bytes(4_096))
        except OSError:
            rest.truncate(max(0, rest.tell() - room))
"""


def test_an_append_to_a_full_disk_says_so_and_has_appended_nothing(
    small_disk: tuple[Path, list[str]],
) -> None:
    folder, under = small_disk
    script = """
    with ledger.open(sys.argv[1]) as book:
        book.advance(jobs, to=1)
        fill()
        try:
            at = 1
            while True:
                at = book.advance(jobs, to=at + 1, delivery_id="x" * 500).last_sequence
        except ledger.StorageError as error:
            print(type(error).__name__, error)
        print(book.get(jobs).last_sequence == at, book.verify().ok)
        os.unlink(os.path.dirname(sys.argv[1]) + "/rest")
        print(book.advance(jobs, to=9_999).last_sequence)
    """
    said, *rest = child(FILL + textwrap.dedent(script), folder / "x.db", under=under)
    assert said.startswith("StorageError")
    assert "the disk is full. Nothing was appended; make room" in said
    assert rest == ["True True", "9999"]


@pytest.mark.parametrize("room", [0, 8_192, 16_384])
def test_opening_without_room_for_the_log_and_its_index_says_that_the_disk_is_full(
    small_disk: tuple[Path, list[str]], room: int
) -> None:
    folder, under = small_disk
    script = f"""
    with ledger.open(sys.argv[1]) as book:
        book.advance(jobs, to=1)
    fill({room})
    try:
        with ledger.open(sys.argv[1]) as book:
            book.advance(jobs, to=2)
    except ledger.StorageError as error:
        print(error)
    """
    [said] = child(FILL + textwrap.dedent(script), folder / "x.db", under=under)
    assert "the disk is full" in said


def test_an_error_of_the_disk_is_not_called_a_full_one(path: Path) -> None:
    script = """
    with ledger.open(sys.argv[1]) as book:
        book.advance(jobs, to=1)
        fail("write", "-wal", errno.EIO)
        try:
            book.advance(jobs, to=2)
        except ledger.StorageError as error:
            print(error)
    """
    said = run(script, path).stdout
    assert "could not be read or written by the operating system" in said
    assert "full" not in said
    assert not re.search("nothing was appended", said, re.IGNORECASE)


def test_a_caller_that_lent_a_connection_is_told_that_its_whole_transaction_is_gone(
    path: Path,
) -> None:
    with (
        ledger.open(path) as book,
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        connection.execute(
            "CREATE TEMP TRIGGER gone BEFORE INSERT ON main.ledger_events WHEN NEW.sequence = 2"
            " BEGIN SELECT RAISE(ROLLBACK, 'gone'); END"
        )
        connection.execute("BEGIN IMMEDIATE")
        lent = book.using(connection)
        lent.advance(ORDERS, to=1)
        with pytest.raises(StorageError, match="rolled back the whole transaction"):
            lent.advance(ORDERS, to=2)
        assert not connection.in_transaction
        assert not list(book.entries())


def test_a_ledger_whose_tables_are_gone_says_where_it_was(path: Path) -> None:
    with ledger.open(path, actor="x") as book:
        book.advance(JOBS, to=1)
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("DROP VIEW ledger_log")
            raw.execute("DROP TABLE ledger_events")
            raw.execute("DROP TABLE ledger_cursors")
        with pytest.raises(SchemaVersionError, match="has no ledger in it") as caught:
            list(book.cursors())
    assert caught.value.place == str(path)
