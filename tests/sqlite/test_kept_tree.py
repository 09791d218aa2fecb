"""The tree kept in a file: who falsifies it, who may not write it, who is killed while doing so."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, FaultKind, Ledger, SchemaVersionError
from ledger.evidence.merkle import BLOCK, TreeRow, checkpoint_over
from ledger.evidence.verification import settled
from ledger.stores.sqlite import migrations
from ledger.stores.sqlite.transaction import SQLiteTransaction
from support.children import child
from support.commands import Run
from support.cursors import JOBS
from support.depth import thorough
from support.falsified_files import Deed, define, run
from support.kept_trees import true_rows
from support.spawned import processes_of_their_own
from support.sqlite_files import definitions

KEYS = [CursorKey("mailer", f"stream-{number}") for number in range(16)]


def grow(book: Ledger, by: int) -> None:
    at = book.horizon().last
    book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(by)])


def rows(path: Path) -> list[TreeRow]:
    with closing(sqlite3.connect(path)) as raw:
        if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger_tree'").fetchall():
            return []
        found = raw.execute("SELECT level, number, position, root FROM ledger_tree").fetchall()
    return [TreeRow._make(row) for row in found]


def by_all_leaves(book: Ledger) -> ledger.Checkpoint:
    with book._store.snapshot() as log:
        return checkpoint_over(settled(log))


@pytest.fixture
def kept(path: Path) -> Path:
    """Return a file with three blocks that are kept, and some entries behind them."""
    with ledger.open(path, durability="normal") as book:
        grow(book, 3 * BLOCK + 20)
        book.checkpoint()
    assert len(rows(path)) == 3
    return path


# --- the table ---


def test_the_table_comes_with_the_first_row_and_older_versions_refuse_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(path) as book:
        grow(book, BLOCK - 1)
        before = definitions(path)
        book.checkpoint()
        assert definitions(path) == before
        grow(book, 1)
        book.checkpoint()
        assert "ledger_tree" in definitions(path)
        assert book.verify().ok
    monkeypatch.setattr(migrations, "TREE", "0003_starts")
    with pytest.raises(SchemaVersionError, match=r"its schema has 0004_tree"):
        ledger.open(path)


def test_an_older_file_goes_on_as_it_is_and_gets_the_table_when_it_needs_it(
    older: Path,
) -> None:
    with ledger.open(older) as book:
        grow(book, BLOCK)
        found = book.checkpoint()
        assert found == by_all_leaves(book)
        assert len(rows(older)) == 1
        assert book.verify(found).ok
    with closing(sqlite3.connect(older)) as raw:
        names = [name for (name,) in raw.execute("SELECT name FROM _sqlite_migrations")]
    assert set(names) == {*migrations.SCHEMAS, migrations.TREE}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_tree SET root = zeroblob(32)",
        "DELETE FROM ledger_tree",
        "INSERT INTO ledger_tree VALUES (1, 0, 256, zeroblob(32))",
        "INSERT OR REPLACE INTO ledger_tree VALUES (1, 0, 256, zeroblob(32))",
        "INSERT INTO ledger_tree VALUES (4, 0, 256, zeroblob(32))",
        "INSERT INTO ledger_tree VALUES (1, 'x', 256, zeroblob(32))",
        "INSERT INTO ledger_tree VALUES (1, 9, 256, zeroblob(31))",
    ],
)
def test_the_database_refuses_to_change_a_row(kept: Path, statement: str) -> None:
    before = rows(kept)
    with closing(sqlite3.connect(kept)) as raw, pytest.raises(sqlite3.IntegrityError):
        raw.execute(statement)
    assert rows(kept) == before


# --- who falsifies it ---

SWAPPED = (
    "CREATE TEMP TABLE t AS SELECT * FROM ledger_tree",
    "DELETE FROM ledger_tree WHERE number < 2",
    "INSERT INTO ledger_tree SELECT level, 1 - number, position, root FROM t WHERE number < 2",
)
FALSIFIED: dict[str, tuple[Deed, str]] = {
    "edited": (run("UPDATE ledger_tree SET root = zeroblob(32) WHERE number = 1"), "row 1 of"),
    "moved": (run("UPDATE ledger_tree SET position = 500 WHERE number = 1"), "row 1 of"),
    "deleted": (run("DELETE FROM ledger_tree WHERE number = 1"), "row 1 of level 1: it is missing"),
    "inserted": (run("INSERT INTO ledger_tree VALUES (1, 3, 788, zeroblob(32))"), "row 3 of"),
    "inserted above": (run("INSERT INTO ledger_tree VALUES (2, 0, 1, zeroblob(32))"), "of level 2"),
    "below 0": (run("INSERT INTO ledger_tree VALUES (1, -1, 0, zeroblob(32))"), "row -1 of"),
    "exchanged": (run(*SWAPPED), "row 0 of level 1"),
}


@pytest.mark.parametrize("deed", FALSIFIED)
def test_a_falsified_row_is_found_and_nothing_false_is_signed(
    kept: Path, tmp_path: Path, deed: str
) -> None:
    do, said = FALSIFIED[deed]
    ledger.make_key(tmp_path / "key", "example.com/x")
    with ledger.open(kept) as book:
        book.sign(tmp_path / "key")
        do(kept)
        found = book.verify()
        assert {fault.kind for fault in found.faults} == {FaultKind.TREE}
        assert any(said in fault.detail for fault in found.faults), found.faults
        grow(book, BLOCK)
        note = book.sign(tmp_path / "key")
        assert ledger.TreeHead.unverified(note).root == by_all_leaves(book).root
        if deed == "deleted":
            # One that is missing is made again.
            assert book.verify().ok
            return
        found = book.verify()
        assert book.rebuild().repaired == found.faults
        assert book.verify().ok
        assert rows(kept) == []
        book.checkpoint()
        assert len(rows(kept)) == 4
        assert book.verify().ok


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        (define("DROP TABLE ledger_tree"), FaultKind.DEFINITION),
        (define("DROP TRIGGER ledger_tree_refuse_update"), FaultKind.DEFINITION),
        (
            define(
                "CREATE TRIGGER mine AFTER INSERT ON ledger_tree BEGIN SELECT RAISE(IGNORE); END"
            ),
            FaultKind.FOREIGN,
        ),
        (
            run(
                "PRAGMA ignore_check_constraints = ON",
                "INSERT INTO ledger_tree VALUES (4, 0, 1, 'x')",
            ),
            FaultKind.DAMAGED,
        ),
    ],
)
def test_a_table_that_is_not_as_it_was_made_is_named(
    path: Path, deed: Callable[[Path], None], kind: FaultKind
) -> None:
    with ledger.open(path) as book:
        grow(book, BLOCK)
        book.checkpoint()
        deed(path)
        assert kind in {fault.kind for fault in book.verify().faults}
        assert book.checkpoint() == by_all_leaves(book)


def test_an_entry_that_is_edited_under_a_row_is_a_fault_of_both(kept: Path, tmp_path: Path) -> None:
    ledger.make_key(tmp_path / "key", "example.com/x")
    with ledger.open(kept) as book:
        held = book.checkpoint()
        book.sign(tmp_path / "key")
        run("UPDATE ledger_events SET digest = zeroblob(32) WHERE position = 300")(kept)
        found = book.verify(held)
        kinds = {fault.kind for fault in found.faults}
        assert {FaultKind.EDITED, FaultKind.TREE, FaultKind.CHECKPOINT} <= kinds
        assert any("row 1 of level 1" in fault.detail for fault in found.faults)
        assert book.checkpoint() == by_all_leaves(book) != held
        with pytest.raises(ledger.DivergedError, match="are not those"):
            book.sign(tmp_path / "key")


# --- who may not write it ---

ANSWERS = """
with ledger.open(sys.argv[1]) as book:
    print(book.checkpoint().root.hex(), book.immutable)
"""


def test_where_nothing_may_be_written_the_answer_is_the_same(
    path: Path, humbly: list[str], tmp_path: Path
) -> None:
    with ledger.open(path) as book:
        grow(book, 2 * BLOCK)
        expected = by_all_leaves(book).root.hex()
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(path, folder / "only.db")
    (folder / "only.db").chmod(0o444)
    folder.chmod(0o555)
    try:
        assert child(ANSWERS, folder / "only.db", under=humbly)[0].split() == [expected, "True"]
        assert rows(folder / "only.db") == []
    finally:
        folder.chmod(0o755)


def test_a_writer_that_does_not_end_keeps_no_checkpoint_waiting_for_long(path: Path) -> None:
    with ledger.open(path, busy_timeout_s=0.2) as book:
        grow(book, 2 * BLOCK)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert book.checkpoint() == by_all_leaves(book)
            assert rows(path) == []
            other.execute("ROLLBACK")
        book.checkpoint()
        assert len(rows(path)) == 2


def test_a_full_disk_changes_no_answer(path: Path) -> None:
    with ledger.open(path) as book:
        grow(book, 40 * BLOCK)
        [[pages]] = book._store.connections.read(  # type: ignore[attr-defined]
            lambda session: session.execute("PRAGMA page_count").fetchall()
        )
        book._store.connections._writer.connection.execute(  # type: ignore[attr-defined]
            f"PRAGMA max_page_count = {pages}"
        )
        assert book.checkpoint() == by_all_leaves(book)
        assert rows(path) == []
        assert book.verify().ok
    with ledger.open(path) as book:
        book.checkpoint()
        assert len(rows(path)) == 40
        assert book.verify().ok


def test_a_callers_transaction_keeps_nothing(path: Path) -> None:
    with ledger.open(path) as book, closing(sqlite3.connect(path)) as caller:
        grow(book, BLOCK)
        grow(book.using(caller), BLOCK)
        assert book.using(caller).checkpoint().entries == 2 * BLOCK
        caller.rollback()
        assert rows(path) == []
        book.checkpoint()
        assert len(rows(path)) == 1
        grow(book.using(caller), BLOCK)
        assert book.using(caller).checkpoint() == by_all_leaves(book.using(caller))
        assert book.using(caller).verify().ok
        caller.commit()
        assert len(rows(path)) == 1


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_rows_are_on_the_disk_before_the_answer(path: Path, durability: Any) -> None:
    """With `normal`, an append is not, and is again not after a checkpoint."""
    said: list[int] = []
    with ledger.open(path, durability=durability) as book:
        grow(book, BLOCK)
        writer = book._store.connections._writer.connection  # type: ignore[attr-defined]

        def note(transaction: SQLiteTransaction) -> int:
            [[level]] = transaction.session.connection.execute("PRAGMA synchronous").fetchall()
            said.append(level)
            return commit(transaction)

        commit = SQLiteTransaction.commit
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SQLiteTransaction, "commit", note)
            book.checkpoint()
            book.advance(JOBS, to=1)
        assert said == [2, 2 if durability == "full" else 1]
        assert writer.execute("PRAGMA fullfsync").fetchall() == [(int(durability == "full"),)]


# --- several at once, and killed in the middle ---


def check_at_once(path: str, name: str, rounds: int, begin: Any, answers: Any) -> None:
    key = CursorKey(name, "orders")
    with ledger.open(path, durability="normal") as book:
        for number in range(rounds):
            begin.wait(60)
            book.append([AdvanceCursor(key, number * 100 + n + 1) for n in range(100)])
            found = book.checkpoint()
            answers.put((found.entries, found.root))


def test_processes_that_check_and_append_at_once_keep_each_row_once(path: Path) -> None:
    rounds = thorough(40, 8)
    with ledger.open(path) as book:
        grow(book, BLOCK - 10)
    context = processes_of_their_own()
    begin, answers = context.Barrier(3), context.Queue()
    workers = [
        context.Process(target=check_at_once, args=(str(path), f"{n}", rounds, begin, answers))
        for n in range(3)
    ]
    for worker in workers:
        worker.start()
    given = [answers.get(timeout=120) for _ in range(3 * rounds)]
    for worker in workers:
        worker.join()
    with ledger.open(path) as book, book._store.snapshot() as log:
        leaves = list(settled(log))
        for entries, root in given:
            assert checkpoint_over(leaves, entries=entries).root == root
        assert book.verify().ok
    assert set(rows(path)) == true_rows(leaves, BLOCK)


def check_and_die(path: str, after_s: float) -> None:
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with ledger.open(path, durability="normal") as book:
        signal.setitimer(signal.ITIMER_REAL, after_s)
        book.checkpoint()
    signal.setitimer(signal.ITIMER_REAL, 0)


def killed_at(path: Path, after_s: float) -> bool:
    """Kill a checkpoint after some time; return whether it was killed. The file is whole."""
    process = processes_of_their_own().Process(target=check_and_die, args=(str(path), after_s))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    there = len(rows(path))
    with ledger.open(path) as book:
        assert book.verify().ok
        assert book.checkpoint() == by_all_leaves(book)
        assert book.verify().ok
    assert there in (0, len(rows(path)))
    return process.exitcode != 0


def kill_many(path: Path, tmp_path: Path, times: int) -> None:
    with ledger.open(path, durability="normal") as book:
        grow(book, 20 * BLOCK)
    chance = random.Random(7)
    killed = 0
    for number in range(times):
        copy = tmp_path / f"{number}.db"
        shutil.copy(path, copy)
        killed += killed_at(copy, chance.uniform(0.0005, 0.03))
    assert killed


@pytest.mark.slow("it interrupts or kills commands at many moments")
def test_a_checkpoint_that_is_killed_leaves_all_rows_or_none(path: Path, tmp_path: Path) -> None:
    kill_many(path, tmp_path, 8)


@pytest.mark.slow(reason="starts two hundred processes")
def test_a_checkpoint_that_is_killed_at_many_moments(path: Path, tmp_path: Path) -> None:
    kill_many(path, tmp_path, 200)


# --- what the command says ---


def test_the_command_names_a_row_that_lies_and_removes_it(kept: Path, run: Run) -> None:
    FALSIFIED["edited"][0](kept)
    verified = run("verify")
    assert verified.exit_code == 5
    assert "ledger_tree" in verified.stdout
    repaired = run("verify", "--repair")
    assert repaired.exit_code == 0
    said = " ".join(repaired.stderr.split())
    assert "removed: all rows of ledger_tree, because some were wrong; the next checkpoint" in said
    assert "0 of 16 stored cursors repaired" in said
    assert rows(kept) == []
    assert run("checkpoint").exit_code == 0
    assert len(rows(kept)) == 3
    assert run("verify").exit_code == 0
