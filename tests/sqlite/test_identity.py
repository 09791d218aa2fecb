"""The id of a ledger in a file: given when it is asked for, kept, and not carried into copies."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

import ledger
from ledger import (
    CursorKey,
    DivergedError,
    FaultKind,
    InvalidCursorError,
    Ledger,
    SchemaVersionError,
)
from ledger.stores.sqlite import migrations
from ledger.testing import in_memory
from projections import ResetPlan, resets
from projections.cli import main
from support.cursors import ORDERS
from support.falsified_files import run


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as raw:
        return {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}


def test_nobody_has_an_id_before_it_is_asked_for(book: Ledger, path: Path) -> None:
    book.advance(ORDERS, to=41)
    assert book.identity() == ""
    assert book.checkpoint().origin is None
    assert book.verify().ok
    assert "ledger_identity" not in tables(path)


def test_it_is_given_once_and_stays(book: Ledger, path: Path) -> None:
    given = book.identify()
    assert str(UUID(given)) == given
    book.advance(ORDERS, to=41)
    assert book.identify() == book.identity() == given
    assert book.checkpoint().origin == f"cursor-ledger/{given}"
    assert book.verify().ok
    with ledger.open(path) as again:
        assert again.identity() == given
        with closing(sqlite3.connect(path)) as raw:
            lent = again.using(raw)
            assert lent.identity() == given
            # It has one, so nothing is given to it.
            assert lent.identify() == given
    with closing(sqlite3.connect(path)) as raw:
        for statement in (
            "UPDATE ledger_identity SET id = lower(id)",
            "DELETE FROM ledger_identity",
            f"INSERT INTO ledger_identity VALUES ('{'0' * 36}')",
            f"INSERT OR REPLACE INTO ledger_identity VALUES ('{given}')",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="ledger_identity: "):
                raw.execute(statement)


def test_none_is_given_inside_a_callers_transaction(book: Ledger, path: Path) -> None:
    book.advance(ORDERS, to=41)
    with closing(sqlite3.connect(path)) as raw, pytest.raises(InvalidCursorError, match="itself"):
        book.using(raw).identify()
    assert book.identity() == ""


def test_those_who_ask_at_once_are_told_the_same(path: Path) -> None:
    ledger.open(path).close()
    begin, told = threading.Barrier(4), []
    program = (
        "import ledger, sys\nwith ledger.open(sys.argv[1]) as book:\n    print(book.identify())"
    )

    def work(nth: int) -> None:
        begin.wait()
        if nth % 2:
            with ledger.open(path) as book:
                told.append(book.identify())
        else:
            done = subprocess.run(
                [sys.executable, "-c", program, str(path)],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            told.append(done.stdout.strip())

    threads = [threading.Thread(target=work, args=(nth,)) for nth in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(told) == 4
    assert len(set(told)) == 1


def test_a_ledger_in_memory_may_have_one() -> None:
    with ledger.open(":memory:") as book:
        assert book.identify() == book.identity() != ""
    with closing(sqlite3.connect(":memory:")) as raw, in_memory(raw) as book:
        assert book.identify() == book.identity() != ""
        assert book.verify().ok


def test_a_copy_is_another_ledger_unless_it_was_moved(book: Ledger, tmp_path: Path) -> None:
    given = book.identify()
    for to in range(1, 30):
        book.advance(ORDERS, to=to)
    with (
        ledger.open(tmp_path / "copy.db") as copy,
        ledger.open(tmp_path / "moved.db") as moved,
    ):
        book.copy_to(copy)
        assert copy.identity() == ""
        book.copy_to(moved, move=True)
        book.copy_to(moved, move=True)
        assert moved.identity() == given
        assert moved.verify().ok
        assert copy.identify() != given
        with pytest.raises(DivergedError, match="an id of its own"):
            book.copy_to(copy, move=True)
        assert copy.verify().ok
        # What has no id takes none along.
        with ledger.open(tmp_path / "plain.db") as plain, ledger.open(":memory:") as other:
            plain.copy_to(other, move=True)
            assert other.identity() == ""


def test_the_command_moves_it(path: Path, tmp_path: Path) -> None:
    with ledger.open(path, actor="ines") as book:
        book.advance(ORDERS, to=41)
        given = book.identify()
    target = tmp_path / "moved.db"
    assert CliRunner().invoke(main, ["copy", "--move", str(path), str(target)]).exit_code == 0
    with ledger.open(target) as moved:
        assert moved.identity() == given


def test_backups_and_copies_of_the_file_have_the_same(path: Path, tmp_path: Path) -> None:
    with ledger.open(path, actor="ines") as book:
        book.advance(ORDERS, to=41)
        given = book.identify()
    kept, copied = tmp_path / "backup.db", tmp_path / "copied.db"
    run = CliRunner().invoke
    assert run(main, ["--db", str(path), "backup", str(kept)]).exit_code == 0
    shutil.copy(path, copied)
    restored = run(main, ["--db", str(path), "restore", str(kept), "--lose", "0", "--execute"])
    for file in (path, kept, copied):
        with ledger.open(file) as book:
            assert book.identity() == given, restored.output


def test_a_plan_that_was_made_before_is_applied_afterwards(book: Ledger, tmp_path: Path) -> None:
    book.advance(ORDERS, to=41)
    plan = ResetPlan.make(book, [ORDERS], to=7, reason="again", planned_by="ines")
    file = tmp_path / "plan.jsonl"
    plan.save(file)
    book.identify()
    ResetPlan.load(file).apply(book, actor="omar")
    assert [reset.sequence for reset in resets(book)] == [7]
    # One that was made with an id is for this ledger alone.
    plan = ResetPlan.make(book, [ORDERS], to=3, reason="again", planned_by="ines")
    with ledger.open(tmp_path / "copy.db", actor="omar") as copy:
        book.copy_to(copy)
        with pytest.raises(DivergedError, match="another ledger"):
            plan.apply(copy)
        copy.identify()
        with pytest.raises(DivergedError, match="another ledger"):
            plan.apply(copy)
    assert plan.apply(book, actor="omar")[0].last_sequence == 3


def test_an_empty_ledger_s_plan_of_before_is_for_no_other(tmp_path: Path) -> None:
    key = CursorKey("new", "orders")
    with ledger.open(tmp_path / "a.db", actor="x") as book, ledger.open(tmp_path / "b.db") as other:
        plan = ResetPlan.make(book, [key], to=7, reason="begin", planned_by="ines")
        other.identify()
        with pytest.raises(DivergedError, match="another ledger"):
            plan.apply(other, actor="omar")
        assert plan.apply(book, actor="omar")[0].last_sequence == 7


def test_an_older_version_refuses_what_it_does_not_know(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(path) as book:
        book.identify()
    monkeypatch.setattr(migrations, "IDENTITY", "0005_other")
    with pytest.raises(SchemaVersionError, match="0005_identity"):
        ledger.open(path)


def test_a_caller_that_may_only_read_the_file_is_told_its_id_and_gives_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.open(path).close()
    monkeypatch.setattr("ledger.stores.sqlite.connecting.may_write", lambda _: False)
    with ledger.open(path) as book:
        assert book.identity() == ""
        with pytest.raises(ledger.StorageError, match="cannot be written to"):
            book.identify()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM ledger_identity", "it has no id"),
        ("INSERT INTO ledger_identity VALUES ('another')", "it has more than one id"),
    ],
)
def test_verify_says_that_it_is_gone_or_not_the_only_one(
    book: Ledger, path: Path, change: str, said: str
) -> None:
    book.advance(ORDERS, to=1)
    book.identify()
    run(change)(path)
    for found in (book.verify(), book.verify(since=book.checkpoint())):
        [fault] = found.faults
        assert (fault.kind, fault.place) == (FaultKind.DEFINITION, "ledger_identity")
        assert fault.detail.startswith(said)
