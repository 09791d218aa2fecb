"""A restore is refused where it would lose more than the ledger; what cannot be read is kept."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from support.backups import entries, go_on, kept
from support.commands import Run


def test_a_backup_that_is_not_sound_is_not_restored(
    copy: Path, path: Path, run: Run, tmp_path: Path
) -> None:
    before = path.read_bytes()
    kept_in = tmp_path / "kept.json"
    go_on(path)
    kept_in.write_text(run("checkpoint").stdout)
    assert run("restore", copy, "--lose", "4", "--against", kept_in).exit_code == 5
    with closing(sqlite3.connect(copy)) as edited:
        edited.execute("DROP TRIGGER ledger_events_refuse_update")
        edited.execute("UPDATE ledger_events SET actor = 'nobody' WHERE position = 2")
        edited.commit()
    refused = run("restore", copy, "--lose", "4")
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "position 2" in refused.stderr
    assert "the backup is not sound, and was not restored" in refused.stderr
    assert entries(path) == 11
    assert run("restore", copy, "--lose", "unknown", "--no-verify").exit_code == 3
    copy.write_bytes(before[:20_000])
    assert run("restore", copy, "--lose", "4").exit_code != 0
    copy.write_text("nothing of the kind" * 100)
    assert "is not a SQLite database" in run("restore", copy).stderr
    assert run("restore", tmp_path / "absent.db").exit_code == 2
    assert entries(path) == 11
    assert [file.name for file in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("damage", ["header", "middle", "short"])
def test_a_ledger_that_cannot_be_read_is_replaced_and_kept(
    copy: Path, path: Path, run: Run, damage: str
) -> None:
    go_on(path)
    whole = path.read_bytes()
    match damage:
        case "header":
            path.write_bytes(b"\xff" * 100 + whole[100:])
        case "middle":
            path.write_bytes(whole[:4_096] + b"\xff" * (len(whole) - 4_096))
        case "short":
            path.write_bytes(whole[:6_000])
    broken = path.read_bytes()
    refused = run("restore", copy)
    assert (refused.exit_code, refused.stdout) == (3, ""), refused.output
    assert "the ledger cannot be read: " in refused.stderr
    assert "--lose unknown" in refused.stderr
    assert path.read_bytes() == broken
    done = run("restore", copy, "--lose", "unknown")
    assert done.exit_code == 0, done.output
    assert entries(path) == 7
    [old] = kept(path)
    assert old.read_bytes() == broken


def test_a_database_of_others_is_not_replaced(
    copy: Path, path: Path, run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "app.db"
    with closing(sqlite3.connect(other)) as made:
        made.execute("CREATE TABLE orders (id)")
    refused = run("--db", other, "restore", copy, "--lose", "unknown")
    assert refused.exit_code == 2
    assert "is a database without a ledger, and is not replaced" in refused.stderr
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE orders (id)")
        made.execute("INSERT INTO orders VALUES (7)")
        made.commit()
    refused = run("restore", copy)
    assert refused.exit_code == 2
    assert "tables of others beside the ledger's (orders)" in refused.stderr
    assert kept(path) == []
    done = run("restore", copy, "--replace-tables")
    assert done.exit_code == 0
    with closing(sqlite3.connect(kept(path)[0])) as old:
        assert old.execute("SELECT id FROM orders").fetchall() == [(7,)]


def test_the_ledger_is_no_backup_of_itself(copy: Path, path: Path, run: Run) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    for file in (path, link):
        refused = run("restore", file)
        assert refused.exit_code == 2
        assert "is the ledger itself" in refused.stderr
    assert run("--db", ":memory:", "restore", copy).exit_code == 2
    assert run("--db", path.parent, "restore", copy).exit_code == 2


def test_a_link_leads_to_the_ledger_as_before(copy: Path, path: Path, run: Run) -> None:
    go_on(path)
    folder = path.with_name("links")
    folder.mkdir()
    link = folder / "ledger.db"
    link.symlink_to(path)
    assert run("--db", link, "restore", copy, "--lose", "4").exit_code == 0
    assert link.is_symlink()
    assert list(folder.iterdir()) == [link]
    assert entries(path) == entries(link) == 7
    assert len(kept(path)) == 1


def test_the_permissions_stay_those_of_the_ledger(copy: Path, path: Path, run: Run) -> None:
    path.chmod(0o640)
    assert run("restore", copy).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
