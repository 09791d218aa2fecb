"""What stays of entries that were removed is falsified, and `verify` names it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import ArchivedError, CursorKey, FaultKind
from ledger.law.reserved import ARCHIVE, ARCHIVED_STREAM
from support.falsified_files import Deed, define, run
from support.pruned import IDLE, two_ledgers

INSERTED = """
INSERT INTO ledger_events
SELECT 3, cursor_id, 99, epoch, recorded_at, actor, metadata, tag_id, previous_sequence, sequence,
    delivery_id, delivered_at, outcome, reason, message, occurred_at, digest
FROM ledger_events WHERE position = 15
"""
OF_IDLE = "(SELECT id FROM ledger_cursors WHERE consumer_id = 'idle')"
FALSE: dict[str, tuple[Deed, set[FaultKind]]] = {
    "a digest replaced": (
        run("UPDATE ledger_archived SET digest = randomblob(32) WHERE position = 3"),
        {FaultKind.EDITED},
    ),
    "the last digest of a cursor replaced": (
        run(
            "UPDATE ledger_archived SET digest = randomblob(32) WHERE position ="
            f" (SELECT position FROM ledger_archived_cursors WHERE cursor_id = {OF_IDLE})"
        ),
        {FaultKind.EDITED},
    ),
    "times made earlier, as if none were archived since": (
        run("UPDATE ledger_archived SET recorded_at = 0"),
        {FaultKind.EDITED},
    ),
    "a time made later": (
        run("UPDATE ledger_archived SET recorded_at = 9000000000000000000 WHERE position = 3"),
        {FaultKind.EDITED},
    ),
    "a digest removed": (
        run("DELETE FROM ledger_archived WHERE position = 3"),
        {FaultKind.EDITED},
    ),
    "the last digests removed": (
        run("DELETE FROM ledger_archived WHERE position > 11"),
        {FaultKind.MISSING},
    ),
    "a digest inserted": (
        define("INSERT INTO ledger_archived VALUES (-7, 0, randomblob(32))"),
        {FaultKind.EDITED},
    ),
    "a digest inserted behind": (
        define("INSERT INTO ledger_archived VALUES (15, 0, randomblob(32))"),
        {FaultKind.MISSING},
    ),
    "a state edited": (
        run(f"UPDATE ledger_archived_cursors SET last_sequence = 7 WHERE cursor_id = {OF_IDLE}"),
        {FaultKind.CURSOR},
    ),
    "a state edited, and the cursor": (
        run(
            f"UPDATE ledger_archived_cursors SET last_sequence = 7 WHERE cursor_id = {OF_IDLE}",
            f"UPDATE ledger_cursors SET last_sequence = 7 WHERE id = {OF_IDLE}",
        ),
        {FaultKind.CURSOR},
    ),
    "a move edited": (
        run(f"UPDATE ledger_archived_cursors SET moved_sequence = 7 WHERE cursor_id = {OF_IDLE}"),
        {FaultKind.CURSOR},
    ),
    "a state removed": (
        run(f"DELETE FROM ledger_archived_cursors WHERE cursor_id = {OF_IDLE}"),
        {FaultKind.CURSOR, FaultKind.MISSING},
    ),
    "a cursor dropped, with its state": (
        run(
            f"DELETE FROM ledger_archived_cursors WHERE cursor_id = {OF_IDLE}",
            "DELETE FROM ledger_cursors WHERE consumer_id = 'idle'",
        ),
        {FaultKind.CURSOR},
    ),
    "a cursor dropped": (
        run("DELETE FROM ledger_cursors WHERE consumer_id = 'idle'"),
        {FaultKind.MISSING},
    ),
    "an unreadable state": (
        run(f"UPDATE ledger_archived_cursors SET version = 'x' WHERE cursor_id = {OF_IDLE}"),
        {FaultKind.UNREADABLE},
    ),
    "a digest of a state replaced": (
        run(f"UPDATE ledger_archived_cursors SET digest = x'00' WHERE cursor_id = {OF_IDLE}"),
        {FaultKind.EDITED},
    ),
    "an entry put where one was": (
        run(INSERTED),
        {FaultKind.POSITION},
    ),
    "the first entry that is left removed": (
        run("DELETE FROM ledger_events WHERE position = 14"),
        {FaultKind.MISSING},
    ),
    "what the entry says of them edited": (
        run("UPDATE ledger_events SET metadata = '{}' WHERE reason = 'a year is over'"),
        {FaultKind.EDITED},
    ),
    "the entry removed": (
        run(
            "DELETE FROM ledger_events WHERE reason = 'a year is over'",
            "DELETE FROM ledger_cursors WHERE consumer_id = 'cursor-ledger/archive'",
        ),
        {FaultKind.MISSING},
    ),
    "the tables dropped": (
        define(
            "DROP TABLE ledger_archived",
            "DROP TRIGGER ledger_events_refuse_archived",
            "DROP TABLE ledger_archived_cursors",
            "DELETE FROM _sqlite_migrations WHERE name = '0006_archived'",
        ),
        {FaultKind.MISSING},
    ),
    "a trigger dropped": (
        define("DROP TRIGGER ledger_events_refuse_archived"),
        {FaultKind.DEFINITION},
    ),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_ledgers(tmp_path_factory.mktemp("two"), 2).pruned


@pytest.mark.parametrize("name", FALSE)
def test_verify_names_what_was_falsified(name: str, original: Path, path: Path) -> None:
    shutil.copy(original, path)
    deed, kinds = FALSE[name]
    deed(path)
    for processes in (1, 2):
        with ledger.open(path) as book:
            found = book.verify(processes=processes)
        assert not found.ok
        assert kinds <= {fault.kind for fault in found.faults}, found.faults
    if name in {"a state removed", "a cursor dropped, with its state", "a cursor dropped"}:
        return
    if name == "the tables dropped":
        return
    # Whatever was done to it, what is missing is not taken for what never was.
    with ledger.open(path) as book, pytest.raises(ArchivedError):
        list(book.history(IDLE))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_archived SET recorded_at = 0",
        "DELETE FROM ledger_archived",
        "INSERT OR REPLACE INTO ledger_archived VALUES (1, 0, zeroblob(32))",
        "UPDATE ledger_archived_cursors SET version = 1",
        "DELETE FROM ledger_archived_cursors",
        "INSERT OR REPLACE INTO ledger_archived_cursors SELECT * FROM ledger_archived_cursors",
        INSERTED,
    ],
)
def test_triggers_refuse_to_change_it(statement: str, original: Path, path: Path) -> None:
    shutil.copy(original, path)
    with (
        closing(sqlite3.connect(path)) as raw,
        pytest.raises(sqlite3.IntegrityError, match="never"),
    ):
        raw.execute(statement)


def test_an_entry_that_is_not_of_the_archive_is_not_taken_for_its_prune(
    original: Path, path: Path
) -> None:
    shutil.copy(original, path)
    with ledger.open(path, actor="mallory") as book:
        book.reset(CursorKey(ARCHIVE, ARCHIVED_STREAM), to=13, reason="never mind")
        assert book.verify().ok
        with pytest.raises(ArchivedError) as refused:
            list(book.history(IDLE))
    facts: Any = refused.value
    assert (facts.actor, facts.file, facts.key) == ("ines", "a.jsonl", IDLE)
