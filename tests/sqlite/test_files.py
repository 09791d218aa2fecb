"""Files that are new, private, newer, broken, full or not ours: what happens, and what stays."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    BrokenChainError,
    Cursor,
    CursorKey,
    LedgerBusyError,
    SchemaVersionError,
    StorageError,
)
from ledger.stores import Durability
from support.children import child
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.spawned import processes_of_their_own

ROUNDS = thorough(50, 5)


def open_at_once(folder: str, start: Any, answers: Any) -> None:
    for number in range(ROUNDS):
        start.wait()
        try:
            with ledger.open(Path(folder) / f"{number}.db", actor="opener") as book:
                book.advance(JOBS, to=1, delivery_id="same")
        except ledger.LedgerError as error:
            answers.put(repr(error))
        else:
            answers.put("")


def test_four_processes_open_a_new_file_at_once_and_all_succeed(tmp_path: Path) -> None:
    context = processes_of_their_own()
    start, answers = context.Barrier(4), context.Queue()
    arguments = (str(tmp_path), start, answers)
    workers = [context.Process(target=open_at_once, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert [answers.get(timeout=120) for _ in range(4 * ROUNDS)] == [""] * 4 * ROUNDS
    for worker in workers:
        worker.join()
    for number in range(ROUNDS):
        with ledger.open(tmp_path / f"{number}.db") as book:
            assert book.get(JOBS).version == 4


def test_a_new_file_is_for_its_owner_alone_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with ledger.open(tmp_path / "new.db") as book:
            book.advance(JOBS, to=1)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
            assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), 0o600)
        shared = tmp_path / "shared.db"
        shared.touch(0o640)
        ledger.open(shared).close()
        assert stat.S_IMODE(shared.stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_it_moves_in_beside_the_tables_of_an_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE mine (n INTEGER)")
        raw.execute(
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY,"
            " migration_set TEXT, name TEXT, applied_at TEXT)"
        )
        raw.execute("INSERT INTO _sqlite_migrations VALUES (1, 'mine', '0001', 'then')")
        raw.commit()
    with ledger.open(path) as book:
        book.advance(JOBS, to=1)
        assert book.verify().ok
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM mine").fetchone() == (0,)


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_every_connection_is_as_safe_as_was_asked_for(
    path: Path, durability: Durability, synchronous: int
) -> None:
    with ledger.open(path, durability=durability) as book:
        book.advance(JOBS, to=1)
        with book._store.snapshot() as first, book._store.snapshot() as second:
            for session in (first, second):
                connection = session._session.connection  # type: ignore[attr-defined]
                assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
                assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# --- what cannot be opened stays as it is ---


def newer(path: Path) -> None:
    ledger.open(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("INSERT INTO _sqlite_migrations VALUES (NULL, 'cursor-ledger', '9999_x', '')")
        raw.commit()


def not_a_database(path: Path) -> None:
    path.write_text("consumer,stream,at\nwebhooks,orders,44\n" * 100)


def half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite for")


def of_another(path: Path) -> None:
    """Tables of the same name, which are not ours."""
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("CREATE TABLE ledger_events (n INTEGER)")


def cut_short(path: Path) -> None:
    with ledger.open(path) as book:
        book.append([AdvanceCursor(JOBS, n, delivery_id="x" * 200) for n in range(1, 200)])
    path.write_bytes(path.read_bytes()[:4_096])


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (newer, SchemaVersionError, "newer cursor-ledger"),
        (not_a_database, StorageError, "is not a SQLite database"),
        (half_a_header, StorageError, "is not a SQLite database"),
        (of_another, StorageError, "already exists"),
        (cut_short, StorageError, "is damaged"),
    ],
)
def test_a_file_that_cannot_be_a_ledger_is_refused_and_left_as_it_is(
    path: Path, make: Callable[[Path], None], kind: type[StorageError], said: str
) -> None:
    make(path)
    before = path.read_bytes()
    with pytest.raises(kind, match=said):
        ledger.open(path)
    assert path.read_bytes() == before
    assert not path.with_name(path.name + "-wal").exists()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (".", "is a folder; name a file in it"),
        ("no/such/folder/x.db", "does not exist. Make it first"),
        ("file/x.db", "cannot be made"),
        ("n" * 300, "cannot be made"),
        ("pipe", "is not a regular file"),
    ],
)
def test_a_place_that_holds_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    os.mkfifo("pipe")
    with pytest.raises(StorageError, match=said):
        ledger.open(target)
    assert {file.name for file in Path().iterdir()} == {"file", "pipe"}


@pytest.mark.parametrize(
    "target",
    ["", "  ", "a\0b", b"x.db", None, 7, "file:x.db", "sqlite:///x.db", "mysql://host/x"],
)
def test_a_target_that_is_no_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ledger.InvalidCursorError, match="target"):
        ledger.open(target)
    assert not list(Path().iterdir())


def test_a_page_that_is_corrupt_is_said_to_be_when_it_is_read(path: Path) -> None:
    with ledger.open(path) as book:
        book.append([AdvanceCursor(JOBS, n, delivery_id="x" * 200) for n in range(1, 2_000)])
    image = bytearray(path.read_bytes())
    image[81_920:-81_920] = os.urandom(4_096) * ((len(image) - 163_840) // 4_096)
    path.write_bytes(image)
    with ledger.open(path) as book:
        with pytest.raises(StorageError, match="damaged"):
            list(book.history(JOBS))
        with pytest.raises(ledger.BrokenChainError, match="cannot be read to its end"):
            book.checkpoint()
        assert ledger.FaultKind.DAMAGED in {fault.kind for fault in book.verify().faults}
    assert path.read_bytes() == bytes(image)


def test_a_file_without_permission_can_be_read_or_says_so(path: Path, humbly: list[str]) -> None:
    with ledger.open(path) as book:
        book.advance(JOBS, to=7)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    before = path.read_bytes()
    try:
        script = """
        for deed in ("read", "write"):
            try:
                with ledger.open(sys.argv[1]) as book:
                    print(book.get(jobs) if deed == "read" else book.advance(jobs, to=8))
            except ledger.StorageError as error:
                print(type(error).__name__, error)
        """
        _, written = child(script, path, under=humbly)
    finally:
        path.parent.chmod(0o755)
    assert written.startswith("StorageError")
    assert "permission" in written or "may read and write" in written
    assert path.read_bytes() == before


def test_a_folder_without_permission_says_so(tmp_path: Path, humbly: list[str]) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    script = """
    try:
        ledger.open(sys.argv[1])
    except ledger.StorageError as error:
        print(error)
    """
    [said] = child(script, closed / "x.db", under=humbly)
    assert "Permission denied" in said


def test_a_full_disk_refuses_and_loses_nothing(path: Path) -> None:
    script = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with ledger.open(sys.argv[1]) as book:
        book.advance(jobs, to=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        done, at = 1, 1
        while at < 3_000:
            at += 1
            try:
                done = book.advance(jobs, to=at, delivery_id="x" * 300).last_sequence
            except ledger.StorageError as error:
                print(type(error).__name__, "room" in str(error) or "operating" in str(error))
                break
        assert book.get(jobs).last_sequence == done
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(done, book.advance(jobs, to=10_000).version, book.verify().ok)
    """
    error, after = child(script, path)
    assert error == "StorageError True"
    done, version, sound = after.split()
    assert (int(version), sound) == (int(done) + 1, "True")


def test_a_held_database_is_busy_for_as_long_as_was_asked_and_then_says_so(path: Path) -> None:
    with ledger.open(path, busy_timeout_s=0.05) as book:
        book.advance(JOBS, to=1)
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerBusyError, match="try again"):
                book.advance(JOBS, to=2)
            assert book.get(JOBS).last_sequence == 1
        assert book.advance(JOBS, to=2).version == 2


# --- its life ---


def test_a_closed_ledger_says_so_and_closing_twice_is_fine(path: Path) -> None:
    book = ledger.open(path)
    begun = book.entries()
    book.advance(JOBS, to=1)
    book.close()
    book.close()
    for deed in (lambda: book.get(JOBS), lambda: book.advance(JOBS, to=2), lambda: next(begun)):
        with pytest.raises(StorageError, match="is closed; open it again"):
            deed()


def test_a_ledger_is_not_carried_into_a_fork(path: Path) -> None:
    script = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    book = ledger.open(sys.argv[1])
    book.advance(jobs, to=1)
    if os.fork() == 0:
        for deed in (lambda: book.get(jobs), lambda: book.advance(jobs, to=2)):
            try:
                deed()
            except ledger.StorageError as error:
                print("forked" in str(error), flush=True)
        book.close()
        with ledger.open(sys.argv[1]) as own:
            own.advance(jobs, to=3)
        os._exit(0)
    os.wait()
    print(book.advance(jobs, to=4).version, book.verify().ok)
    """
    assert child(script, path) == ["True", "True", "3 True"]


def test_a_ledger_stays_on_its_file_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ledger.open("x.db") as book:
        Path("elsewhere").mkdir()
        monkeypatch.chdir("elsewhere")
        with book._store.snapshot():
            book.advance(ORDERS, to=1)
    assert not list(Path().iterdir())


def test_a_ledger_in_memory_goes_when_it_is_closed() -> None:
    for _ in range(2):
        with ledger.open(":memory:", actor="x") as book:
            book.reset(JOBS, to=3, reason="x")
            assert [entry.version for entry in book.history(JOBS)] == [1]
            assert book.verify().ok
            assert book.checkpoint().entries == 1


def test_a_stored_cursor_that_cannot_be_read_does_not_hurt_the_others(path: Path) -> None:
    bad = CursorKey("bad", "orders")
    with ledger.open(path, actor="tester") as book:
        book.record_error(bad, "x")
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE ledger_cursors SET last_error = CAST(x'ff' AS TEXT)")
        raw.commit()
    with ledger.open(path, actor="tester") as book:
        answers = book.append_each([AdvanceCursor(key, 1) for key in (ORDERS, bad, JOBS)])
        assert [type(answer) for answer in answers] == [Cursor, BrokenChainError, Cursor]
        with pytest.raises(BrokenChainError, match="no UTF-8"):
            book.get(bad)
