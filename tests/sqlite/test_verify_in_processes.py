"""When a file is read by several processes as of one moment, and what that leaves behind."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, StorageError
from ledger.evidence import crew
from ledger.stores.sqlite import connections
from support.cursors import JOBS

CURSORS = 20


@pytest.fixture(autouse=True)
def short_logs_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.service.proving.SHARED_ENTRIES_MIN", 1)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each check whether other processes took part in it to its end."""
    noted: list[bool] = []
    close = crew.Crew.close

    def closed(self: crew.Crew) -> None:
        noted.append(bool(self))
        close(self)

    monkeypatch.setattr(crew.Crew, "close", closed)
    return noted


def fill(book: Ledger) -> None:
    book.append(
        [
            AdvanceCursor(CursorKey(f"consumer-{n}", "orders"), sequence)
            for sequence in (1, 2, 3)
            for n in range(CURSORS)
        ]
    )


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the lock of writers."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        yield raw


def beside(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def test_a_file_is_checked_together(book: Ledger, together: list[bool]) -> None:
    fill(book)
    assert book.verify(processes=2).ok
    assert together == [True]


def test_what_is_in_memory_no_other_process_can_read(together: list[bool]) -> None:
    with ledger.open(":memory:", actor="tester") as book:
        fill(book)
        assert book.verify(processes=2).ok
    assert together == [False]


def test_what_a_caller_has_not_committed_no_other_process_can_read(
    book: Ledger, path: Path, together: list[bool]
) -> None:
    fill(book)
    with closing(sqlite3.connect(path)) as connection:
        lent = book.using(connection)
        lent.advance(JOBS, to=1)
        assert lent.verify(processes=2).entries == 3 * CURSORS + 1
        connection.rollback()
    assert together == [False]


def test_while_another_writes_for_long_one_process_checks_alone(
    book: Ledger, path: Path, together: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(book)
    monkeypatch.setattr(connections, "TOGETHER_S_MAX", 0.05)
    with writing(path):
        assert book.verify(processes=2).ok
    assert together == [False]


def test_writers_are_let_in_as_soon_as_all_have_begun(
    book: Ledger, path: Path, together: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(book)
    begin, share_out = crew.Crew.begin, crew.Crew.share_out
    locked = []

    def is_locked() -> bool:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as raw:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False

    def begun(self: crew.Crew, snapshot: str = "") -> None:
        begin(self, snapshot)
        locked.append(is_locked())

    def shared(self: crew.Crew, ranges: object) -> None:
        locked.append(is_locked())
        book.advance(JOBS, to=1)
        share_out(self, ranges)  # type: ignore[arg-type]

    monkeypatch.setattr(crew.Crew, "begin", begun)
    monkeypatch.setattr(crew.Crew, "share_out", shared)
    found = book.verify(processes=3)
    assert locked == [True, False]
    assert found.ok
    assert found.entries == 3 * CURSORS, "what was appended behind the moment was read as well"
    assert together == [True]


@pytest.mark.parametrize("log_left", [False, True])
def test_the_file_is_left_as_it_is(path: Path, together: list[bool], log_left: bool) -> None:
    with ledger.open(path, actor="tester") as book:
        fill(book)
    if log_left:
        # A writer that ended without a goodbye leaves its log behind.
        advance = (
            "import ledger, os, sys\n"
            "ledger.open(sys.argv[1]).advance(ledger.CursorKey('mailer', 'jobs'), to=1)\n"
            "os._exit(0)"
        )
        subprocess.run([sys.executable, "-c", advance, str(path)], check=True)
    before = beside(path)
    assert (f"{path.name}-wal" in before) is log_left
    with ledger.open(path) as book:
        assert book.verify(processes=3).ok
    assert {name: kept for name, kept in beside(path).items() if "-shm" not in name} == {
        name: kept for name, kept in before.items() if "-shm" not in name
    }
    assert together == [True]


@pytest.mark.slow("it verifies a log in several processes, again and again")
def test_a_damaged_file_has_the_report_of_one_process(book: Ledger, path: Path) -> None:
    fill(book)
    book.append([AdvanceCursor(JOBS, n) for n in range(1, 2_000)])
    book.close()
    whole = path.read_bytes()
    found: set[str] = set()
    for page in range(1, len(whole) // 4_096, 11):
        damaged = path.with_name(f"damaged-{page}.db")
        damaged.write_bytes(whole[: page * 4_096] + b"\xa7" * 3_000 + whole[page * 4_096 + 3_000 :])
        with suppress(StorageError), ledger.open(damaged) as other:  # Some cannot be opened at all.
            alone = other.verify()
            assert repr(other.verify(processes=3)) == repr(alone)
            found |= {fault.kind for fault in alone.faults}
    assert "damaged" in found


def test_another_file_in_its_place_is_not_read_in_its_stead(
    book: Ledger, path: Path, tmp_path: Path, together: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(book)
    other = tmp_path / "other.db"
    with ledger.open(other, actor="tester") as another:
        fill(another)
    start = crew.Crew.start

    def started(self: crew.Crew, opening: object, processes: int) -> None:
        away = tmp_path / "away.db"
        path.rename(away)
        other.rename(path)
        try:
            start(self, opening, processes)  # type: ignore[arg-type]
        finally:
            path.rename(other)
            away.rename(path)

    monkeypatch.setattr(crew.Crew, "start", started)
    assert book.verify(processes=2).ok
    assert together == [False]


def test_a_user_that_may_not_write_to_the_file_checks_it_alone(
    book: Ledger, path: Path, humbly: list[str]
) -> None:
    fill(book)
    book.close()
    path.chmod(0o400)
    verify = (
        "import ledger, ledger.service, sys\n"
        "from ledger.evidence import crew\n"
        "ledger.service.proving.SHARED_ENTRIES_MIN = 1\n"
        "crew._started = None\n"
        "with ledger.open(sys.argv[1]) as book:\n"
        "    print(book.verify(processes=3).ok)"
    )
    done = subprocess.run(
        [*humbly, sys.executable, "-c", verify, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
