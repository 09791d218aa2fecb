"""What `verify` says to do next about the faults that it finds, and that it works."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ledger import Fault, FaultKind
from ledger.cli.commands.remedies import remedies
from support.commands import OWNER, Run
from support.places import TOP


def told(*kinds: FaultKind, repaired: bool = False, in_file: bool = True) -> list[str]:
    faults = [Fault(kind=kind, place="the log", detail="x") for kind in kinds]
    return list(remedies(faults, repaired=repaired, in_file=in_file))


@pytest.fixture
def change(path: Path) -> Callable[[str], None]:
    """Return what changes the file with its triggers out of the way, and puts them back."""

    def change(statement: str) -> None:
        with closing(sqlite3.connect(path)) as raw:
            kept = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = kept.fetchall()
            for name, _ in triggers:
                raw.execute(f"DROP TRIGGER {name}")
            raw.execute(statement)
            for _, sql in triggers:
                raw.execute(sql)
            raw.commit()

    return change


@pytest.mark.parametrize("repaired", [False, True])
@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.MORE])
def test_each_kind_of_fault_has_a_next_step(kind: FaultKind, in_file: bool, repaired: bool) -> None:
    [said] = told(kind, in_file=in_file, repaired=repaired)
    assert "cursor-ledger " in said or "docs/" in said
    assert ("cursor-ledger restore" in said) <= in_file
    for page in re.findall(r"docs/[\w-]+\.md", said):
        assert (TOP / page).exists()


def test_the_same_step_is_said_once() -> None:
    assert len(told(FaultKind.EDITED, FaultKind.EDITED, FaultKind.MISSING, FaultKind.MORE)) == 1
    assert len(told(FaultKind.DEFINITION, FaultKind.EDITED, FaultKind.FOREIGN)) == 2


def test_an_edited_entry_sends_to_a_backup(
    full: Run, path: Path, change: Callable[[str], None]
) -> None:
    backup = path.with_name("backup.db")
    assert full("backup", backup).exit_code == 0
    change("UPDATE ledger_events SET actor = 'nobody' WHERE position = 2")
    found = full("verify", "--table")
    assert found.exit_code == 5
    assert "1 fault in 4 entries of 2 cursors." in found.stderr
    assert "put it back: cursor-ledger restore BACKUP (docs/backup.md)." in found.stderr
    assert full("restore", backup).exit_code == 0
    assert full("verify", "--table").exit_code == 0


def test_tables_without_triggers_are_made_anew_by_what_is_said(full: Run, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER ledger_events_refuse_update")
        raw.execute("DROP TRIGGER ledger_events_refuse_delete")
    found = full("verify", "--table")
    assert found.stderr.count("cursor-ledger copy --move LEDGER NEW") == 1
    new = path.with_name("new.db")
    assert full("copy", "--move", path, new).exit_code == 0
    verified = full("verify", "--table", "--db", new)
    assert (verified.exit_code, verified.stderr) == (0, "")


def test_a_stored_cursor_that_was_changed_is_repaired_by_what_is_said(
    full: Run, change: Callable[[str], None]
) -> None:
    change("UPDATE ledger_cursors SET last_sequence = 99 WHERE consumer_id = 'mailer'")
    assert "cursor-ledger verify --repair" in full("verify", "--table").stderr
    assert full("verify", "--repair").exit_code == 0


def test_what_a_repair_leaves_sends_to_a_backup(full: Run, change: Callable[[str], None]) -> None:
    change("DELETE FROM ledger_events WHERE position = 3")
    left = full("verify", "--repair", "--table")
    assert left.exit_code == 5
    assert "verify --repair" not in left.stderr
    assert "cursor-ledger restore BACKUP" in left.stderr


def test_json_and_csv_are_as_they_were(full: Run, change: Callable[[str], None]) -> None:
    change("UPDATE ledger_events SET actor = 'nobody' WHERE position = 2")
    for form in ("--json", "--csv"):
        found = full("verify", form)
        assert found.stderr == "1 fault in 4 entries of 2 cursors.\n"
        assert "BACKUP" not in found.stdout


def test_a_checkpoint_that_does_not_hold_is_first_checked_itself(full: Run, path: Path) -> None:
    kept = path.with_name("kept.json")
    kept.write_text(full("checkpoint").stdout)
    other = path.with_name("other.db")
    assert full("advance", *OWNER, "--to", 1, "--db", other).exit_code == 0
    found = full("verify", "--against", kept, "--table", "--db", other)
    assert found.exit_code == 5
    assert "A checkpoint does not hold: check that it is of this ledger." in found.stderr
