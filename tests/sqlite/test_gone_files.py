"""A file that goes, or that another one replaces, is not appended to and not read any more."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import Ledger, StorageError
from ledger.stores.sqlite import watching
from support.children import child
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.failing import run


@pytest.fixture
def time_flies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each look at the file that is made now and then be due."""
    monkeypatch.setattr(watching, "LOOK_AGAIN_S", 0.0)


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def with_its_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.mkdir()


def replaced(path: Path) -> None:
    other = path.with_name("other.db")
    with ledger.open(other) as book:
        book.advance(ORDERS, to=99)
    other.replace(path)


def linked(path: Path) -> None:
    moved(path)
    path.symlink_to("nowhere.db")


GONE = [deleted, moved, with_its_folder, replaced, linked]


@pytest.mark.usefixtures("time_flies")
@pytest.mark.parametrize("goes", GONE)
def test_what_is_gone_is_neither_appended_to_nor_read(
    tmp_path: Path, goes: Callable[[Path], None]
) -> None:
    path = tmp_path / "folder" / "cursors.db"
    path.parent.mkdir()
    with ledger.open(path, actor="x") as book:
        book.advance(ORDERS, to=1)
        begun = book.entries()
        with book._store.snapshot(), book._store.snapshot():
            pass  # This leaves idle connections.
        goes(path)
        for deed in (
            lambda: book.advance(ORDERS, to=2),
            lambda: book.submit(ledger.AdvanceCursor(ORDERS, 2)).result(),
            lambda: book.get(ORDERS),
            lambda: next(begun),
            book.verify,
            book.rebuild,
            lambda: book.advance(ORDERS, to=2),
        ):
            with pytest.raises(StorageError, match="deleted, moved or replaced"):
                deed()
    if goes is replaced:
        # As the error says; or SQLite would take what is in the old log for part of the new file.
        for companion in path.parent.glob("*.db-*"):
            companion.unlink()
        with ledger.open(path) as other:
            assert other.get(ORDERS).last_sequence == 99
            assert other.verify().entries == 1


@pytest.mark.parametrize("goes", GONE)
def test_a_write_looks_at_once_and_a_read_soon(
    tmp_path: Path, goes: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Clock().now.timestamp()
    monkeypatch.setattr(watching, "monotonic", lambda: now)
    path = tmp_path / "folder" / "cursors.db"
    path.parent.mkdir()
    with ledger.open(path) as book:
        book.advance(ORDERS, to=1)
        book.get(ORDERS)
        goes(path)
        with pytest.raises(StorageError, match="deleted, moved or replaced"):
            book.advance(ORDERS, to=2)
        book.get(ORDERS)
        now += watching.LOOK_AGAIN_S
        for _ in range(2):
            with pytest.raises(StorageError, match="deleted, moved or replaced"):
                book.get(ORDERS)


@pytest.mark.usefixtures("time_flies")
def test_closing_what_is_gone_leaves_alone_what_is_there_now(path: Path) -> None:
    with ledger.open(path) as gone:
        gone.advance(ORDERS, to=1)
        replaced(path)
        for companion in path.parent.glob("*.db-*"):
            companion.unlink()
        with ledger.open(path) as there:
            assert there.advance(ORDERS, to=100).version == 2
            with pytest.raises(StorageError, match="deleted, moved or replaced"):
                gone.advance(ORDERS, to=2)
            gone.close()
            # It has its log still, or this would be refused.
            assert there.advance(ORDERS, to=101).version == 3
    with ledger.open(path) as book:
        assert book.get(ORDERS).last_sequence == 101
        assert book.verify().ok


@pytest.mark.usefixtures("time_flies")
def test_it_goes_on_when_the_same_file_is_back(book: Ledger, path: Path) -> None:
    book.advance(ORDERS, to=1)
    path.rename(path.with_name("aside"))
    with pytest.raises(StorageError):
        book.advance(ORDERS, to=2)
    path.with_name("aside").rename(path)
    assert book.advance(ORDERS, to=2).version == 2
    assert book.verify().ok


@pytest.mark.parametrize("goes", [deleted, moved, replaced, linked])
def test_nothing_is_appended_through_a_lent_connection_either(
    book: Ledger, path: Path, goes: Callable[[Path], None]
) -> None:
    book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        lent = book.using(connection)
        goes(path)
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="deleted, moved or replaced"):
            lent.advance(ORDERS, to=2)
        connection.execute("COMMIT")


@pytest.mark.usefixtures("time_flies")
@pytest.mark.parametrize("end", ["-wal", "-shm"])
@pytest.mark.parametrize("again", [False, True])
def test_a_companion_that_is_gone_is_noticed(path: Path, end: str, again: bool) -> None:
    with ledger.open(path) as book:
        book.advance(ORDERS, to=1)
        companion = path.with_name(path.name + end)
        copy = companion.read_bytes()
        companion.unlink()
        if again:
            companion.write_bytes(copy)
        with pytest.raises(StorageError, match="deleted or replaced"):
            book.advance(ORDERS, to=2)
        with pytest.raises(StorageError, match="deleted or replaced"):
            book.get(ORDERS)


@pytest.mark.usefixtures("time_flies")
def test_a_link_is_followed_to_the_file_and_its_companions(path: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(there / path.name)
    with ledger.open(there / path.name) as book:
        book.advance(ORDERS, to=1)
    shutil.copy(there / path.name, there / "other.db")
    with ledger.open(link) as book:
        book.advance(ORDERS, to=2)
        link.unlink()
        link.symlink_to(there / "other.db")
        with pytest.raises(StorageError, match="replaced"):
            book.advance(ORDERS, to=3)
        link.unlink()
        link.symlink_to(there / path.name)
        assert book.advance(ORDERS, to=3).version == 3
        (there / f"{path.name}-wal").unlink()
        with pytest.raises(StorageError, match="deleted or replaced"):
            book.advance(ORDERS, to=4)


def test_companions_may_go_when_no_connection_is_open(path: Path) -> None:
    script = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    from ledger.stores.sqlite import watching
    watching.LOOK_AGAIN_S = 0.0
    book = ledger.open(sys.argv[1])
    book.advance(jobs, to=1)
    for to in (2, 3, 4):
        if os.fork() == 0:
            with ledger.open(sys.argv[1]) as own:
                own.record_error(jobs, "of the child")
            os._exit(0)
        os.wait()
        print(book.get(jobs).version, book.advance(jobs, to=to).version)
    print(book.verify().ok)
    """
    assert child(script, path) == ["2 3", "4 5", "6 7", "True"]


# --- what a power loss does to names ---


OPEN = """
fail("sync", "/" + sys.argv[2], errno.EIO, times=99)
try:
    with ledger.open(sys.argv[1], durability=sys.argv[3]) as book:
        print(book.advance(jobs, to=7).last_sequence)
except ledger.StorageError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_cannot_be_flushed_is_refused_at_full_durability(
    path: Path, there: bool
) -> None:
    if there:
        ledger.open(path).close()
    folder = path.parent.name
    refused = run(OPEN, path, folder, "full")
    assert refused.stdout.startswith("StorageError")
    assert "power loss" in refused.stdout
    assert os.strerror(errno.EIO) in refused.stdout
    with ledger.open(path) as book:
        assert not list(book.entries())
    assert run(OPEN, path, folder, "normal").stdout == "7\n"


def test_a_folder_that_may_not_be_read_is_refused_at_full_durability(
    tmp_path: Path, humbly: list[str]
) -> None:
    folder = tmp_path / "unreadable"
    folder.mkdir()
    folder.chmod(0o300)
    script = """
    for durability in ("full", "normal"):
        try:
            with ledger.open(sys.argv[1], durability=durability) as book:
                print(book.advance(jobs, to=7).last_sequence)
        except ledger.StorageError as error:
            print(error)
    """
    try:
        refused, done = child(script, folder / "x.db", under=humbly)
    finally:
        folder.chmod(0o700)
    assert "permission to read the folder" in refused
    assert 'durability="normal"' in refused
    assert done == "7"


def test_a_copy_over_the_file_while_it_is_closed_is_another_ledger(path: Path) -> None:
    with ledger.open(path) as book:
        book.advance(JOBS, to=1)
    shutil.copy(path, path.with_name("backup.db"))
    with ledger.open(path) as book:
        book.advance(JOBS, to=2)
    shutil.copy(path.with_name("backup.db"), path)
    with ledger.open(path) as book:
        assert book.get(JOBS).last_sequence == 1
        assert book.verify().ok


@pytest.mark.parametrize("end", [deleted, moved])
def test_the_first_append_says_that_the_file_is_gone_and_not_that_it_may_not_be_written_to(
    path: Path, end: Callable[[Path], None]
) -> None:
    with ledger.open(path, actor="x") as book:
        book.advance(ORDERS, to=1)
    with ledger.open(path, actor="x") as book:
        assert book.get(ORDERS).version == 1
        end(path)
        with pytest.raises(StorageError, match="was deleted, moved or replaced"):
            book.advance(ORDERS, to=2)


def test_what_fails_because_the_file_is_gone_is_told_as_that(path: Path) -> None:
    """SQLite may say that the disk has failed, if the file goes while it is opened."""
    failed = sqlite3.OperationalError("disk I/O error")
    failed.sqlite_errorcode = sqlite3.SQLITE_IOERR
    with ledger.open(path) as book:
        book.advance(ORDERS, to=1)
        store: Any = book._store
        sessions = store.connections._sessions
        assert "by the operating system" in str(sessions.explained(failed))
        path.rename(path.with_name("elsewhere.db"))
        assert "was deleted, moved or replaced" in str(sessions.explained(failed))
        with pytest.raises(StorageError, match="deleted, moved or replaced"):
            sessions.connect(sessions.way)
