"""On SQLite a cursor keeps its id and its key, and never goes; older files are brought to that."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey, Ledger
from ledger.stores.sqlite import migrations
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.spawned import processes_of_their_own
from support.sqlite_files import definitions

ROUNDS = thorough(30, 5)

DEEDS = (
    "DELETE FROM ledger_cursors",
    "DELETE FROM ledger_cursors WHERE id = 2",
    "UPDATE ledger_cursors SET id = 7 WHERE id = 1",
    "UPDATE ledger_cursors SET rowid = 7 WHERE id = 1",
    "UPDATE ledger_cursors SET oid = 7 WHERE id = 1",
    "UPDATE ledger_cursors SET _rowid_ = 7 WHERE id = 1",
    "UPDATE ledger_cursors SET (version, rowid) = (SELECT 9, 9) WHERE id = 1",
    "UPDATE OR REPLACE ledger_cursors SET id = 2 WHERE id = 1",
    "UPDATE ledger_cursors SET consumer_id = 'other'",
    "UPDATE ledger_cursors SET stream_name = 'other'",
    "UPDATE ledger_cursors SET SUBJECT_ID = 'other'",
    (
        "UPDATE OR REPLACE ledger_cursors SET consumer_id = 'mailer', stream_name = 'jobs',"
        " subject_id = ''"
    ),
    "UPDATE main.ledger_cursors AS c SET id = e.position + 7 FROM ledger_events AS e",
    "INSERT OR REPLACE INTO ledger_cursors SELECT * FROM ledger_cursors",
    (
        "REPLACE INTO ledger_cursors SELECT id, 'n', 'n', 'n', 1, '', 1, '', 1, 1, 0, 1, x''"
        " FROM ledger_cursors"
    ),
    (
        "REPLACE INTO ledger_cursors SELECT NULL, consumer_id, stream_name, subject_id, 1, '', 1,"
        " '', 1, 1, 0, 1, x'' FROM ledger_cursors"
    ),
    (
        "INSERT INTO ledger_cursors SELECT * FROM ledger_cursors WHERE true"
        " ON CONFLICT (id) DO UPDATE SET id = 9"
    ),
    (
        "INSERT INTO ledger_cursors SELECT * FROM ledger_cursors WHERE true"
        " ON CONFLICT DO UPDATE SET version = 9"
    ),
    "INSERT OR IGNORE INTO ledger_tags VALUES (9, 'cursor.forged.v1')",
    "REPLACE INTO ledger_tags VALUES (2, 'cursor.forged.v1')",
    "UPDATE ledger_tags SET tag = 'cursor.forged.v1' WHERE id = 1",
    "UPDATE ledger_tags SET rowid = 9 WHERE id = 1",
    "DELETE FROM ledger_tags",
)


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize("deed", DEEDS)
def test_no_statement_takes_a_cursor_or_a_tag_away(
    book: Ledger, path: Path, deed: str, recursive: str
) -> None:
    book.advance(ORDERS, to=1)
    book.advance(JOBS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(f"PRAGMA recursive_triggers = {recursive}")
        before = list(raw.iterdump())
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            raw.execute(deed)
        assert list(raw.iterdump()) == before
    assert book.advance(CursorKey("new", "orders"), to=1).version == 1
    assert book.verify().ok


def test_an_id_that_entries_name_is_not_given_to_another_key(book: Ledger, path: Path) -> None:
    book.advance(ORDERS, to=1)
    book.advance(JOBS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DROP TRIGGER ledger_cursors_refuse_delete")
        raw.execute("DELETE FROM ledger_cursors WHERE consumer_id = ?", (JOBS.consumer_id,))
    assert book.advance(CursorKey("new", "orders"), to=1).version == 1
    assert [fault.place for fault in book.verify().faults] == [
        "trigger ledger_cursors_refuse_delete",
        "no cursor",
    ]


def test_stored_cursors_are_repaired_all_the_same(book: Ledger, path: Path) -> None:
    book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE ledger_cursors SET last_sequence = 9, version = 1, last_error = 'x'")
    assert len(book.rebuild().repaired) == 1
    assert book.verify().ok


def test_an_older_file_becomes_what_a_new_one_is(older: Path, tmp_path: Path) -> None:
    with ledger.open(older) as book:
        assert book.advance(JOBS, to=2).version == 2
        assert book.verify().ok
    ledger.open(tmp_path / "new.db").close()
    assert definitions(older) == definitions(tmp_path / "new.db")


def test_an_older_file_takes_part_in_a_callers_transaction(older: Path) -> None:
    with ledger.open(older) as book, closing(sqlite3.connect(older)) as connection:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            assert book.using(connection).advance(JOBS, to=2).version == 2
        assert book.advance(JOBS, to=3).version == 3
        with connection:
            assert book.using(connection).advance(JOBS, to=4).version == 4


def advance_at_once(folder: str, start: Any, answers: Any) -> None:
    for number in range(ROUNDS):
        start.wait()
        try:
            with ledger.open(Path(folder) / f"{number}.db", actor="opener") as book:
                answers.put(book.record_error(JOBS, "x").version)
        except ledger.LedgerError as error:
            answers.put(repr(error))


def test_four_processes_bring_an_older_file_up_to_date_at_once(older: Path, tmp_path: Path) -> None:
    for number in range(ROUNDS):
        shutil.copy(older, tmp_path / f"{number}.db")
    context = processes_of_their_own()
    start, answers = context.Barrier(4), context.Queue()
    arguments = (str(tmp_path), start, answers)
    workers = [context.Process(target=advance_at_once, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    given = [answers.get(timeout=120) for _ in range(4 * ROUNDS)]
    for worker in workers:
        worker.join()
    assert sorted(map(str, given)) == sorted("2345" * ROUNDS)
    for number in range(ROUNDS):
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as raw:
            names = raw.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
        assert [name for (name,) in names] == list(migrations.SCHEMAS)
