"""A backup is the ledger as of one moment, whole and private, made beside writers that go on."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger
from ledger.exchange.backups import Backup
from ledger.stores.sqlite import backup
from support.commands import COMMAND, Run
from support.cursors import JOBS, ORDERS


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "monday.db"


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stderr


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if not file.name.startswith("cursors"))


def test_a_backup_is_a_ledger_with_the_same_entries_and_checkpoint(
    full: Ledger, run: Run, copy: Path
) -> None:
    result = run("backup", copy)
    assert done(result) == (
        "7 entries backed up to " + str(copy) + ", verified. Keep the checkpoint elsewhere, for "
        "verify --against.\n"
    )
    assert json.loads(result.stdout)["root"] == full.checkpoint().root.hex()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names(copy.parent) == [copy.name]
    # Versions 1 of https://sqlite.org/fileformat.html: no write-ahead log belongs to it.
    assert copy.read_bytes()[18:20] == b"\1\1"
    with ledger.open(copy) as book:
        assert list(book.entries()) == list(full.entries())
        assert list(book.cursors()) == list(full.cursors())
        assert book.verify(full.checkpoint()).ok
        assert book.advance(JOBS, to=99).version == 3


def test_the_checkpoint_that_is_printed_tells_later_whether_the_backup_is_the_same(
    full: Ledger, run: Run, copy: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(run("backup", copy).stdout)
    assert run("--db", copy, "verify", "--against", kept).exit_code == 0
    full.advance(JOBS, to=99)
    assert run("verify", "--against", kept).exit_code == 0
    with closing(sqlite3.connect(copy)) as edited:
        edited.execute("DROP TRIGGER ledger_events_refuse_update")
        edited.execute("UPDATE ledger_events SET actor = 'nobody' WHERE position = 2")
        edited.commit()
    assert run("--db", copy, "verify", "--against", kept).exit_code == 5


def test_writers_go_on_and_the_backup_is_of_one_moment(
    full: Ledger, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.append([AdvanceCursor(CursorKey("c", "s", str(n)), 1) for n in range(3_000)])
    # Hundreds of steps, and beside each of them others write: were it begun anew, it never ended.
    monkeypatch.setattr(backup, "STEP_PAGES", 1)
    before = len(list(full.entries()))
    steps: list[int] = []

    def step(copied: int, pages: int) -> None:
        # One that began again would begin again for ever.
        assert not steps or steps[-1] < copied <= pages
        steps.append(copied)
        full.advance(ORDERS, to=1_000 + len(steps))
        full.append([AdvanceCursor(CursorKey("c", "s", str(n)), 1 + len(steps)) for n in range(9)])

    made = Backup(source=str(copy.with_name("cursors.db")), file=copy, busy_timeout_s=1)
    with made.made(step) as part:
        assert not copy.exists()
        assert stat.S_IMODE(Path(part).stat().st_mode) == 0o600
    assert len(steps) > 100
    with ledger.open(copy) as book:
        assert book.verify().ok
        assert list(book.entries()) == list(full.entries())[:before]
    assert full.verify().ok


def test_beside_threads_that_write_every_backup_is_sound(
    full: Ledger, run: Run, tmp_path: Path
) -> None:
    stop = threading.Event()

    def write(number: int) -> None:
        key = CursorKey(f"c{number}", "orders")
        sequence = 0
        while not stop.is_set():
            sequence += 1
            full.advance(key, to=sequence)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        sizes = []
        for number in range(5):
            result = run("backup", tmp_path / f"{number}.db")
            done(result)
            sizes.append(json.loads(result.stdout)["entries"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    whole = list(full.entries())
    for number, size in enumerate(sizes):
        with ledger.open(tmp_path / f"{number}.db") as book:
            assert list(book.entries()) == whole[:size]


def test_what_is_in_the_log_of_a_killed_writer_is_backed_up(
    run: Run, path: Path, copy: Path
) -> None:
    script = (
        "import ledger, os, sys\n"
        "book = ledger.open(sys.argv[1])\n"
        "book.advance(ledger.CursorKey('mailer', 'jobs'), to=41)\n"
        "os._exit(0)\n"
    )
    subprocess.run([COMMAND.with_name("python"), "-c", script, path], check=True)
    assert path.with_name("cursors.db-wal").stat().st_size > 0
    result = run("backup", copy)
    done(result)
    assert json.loads(result.stdout)["entries"] == 1


def test_what_a_link_leads_to_is_backed_up_with_its_log(
    full: Ledger, run: Run, path: Path, copy: Path
) -> None:
    folder = path.with_name("links")
    folder.mkdir()
    link = folder / "ledger.db"
    link.symlink_to(path)
    full.advance(JOBS, to=99)
    assert path.with_name("cursors.db-wal").stat().st_size > 0
    result = run("--db", link, "backup", copy)
    done(result)
    assert json.loads(result.stdout)["entries"] == 8
    assert list(folder.iterdir()) == [link]


def test_nothing_is_written_over_and_nothing_is_taken_for_a_part_of_it(
    full: Ledger, run: Run, copy: Path
) -> None:
    full.close()
    copy.write_text("precious")
    link, lost = copy.with_name("link.db"), copy.with_name("lost.db")
    link.symlink_to(copy)
    lost.symlink_to("nowhere.db")
    beside = copy.with_name("tuesday.db")
    for end in ("-wal", "-shm", "-journal"):
        Path(f"{beside}{end}").write_text("precious")
        refused = run("backup", beside)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"{beside}{end} exists, and would be taken for a part" in refused.stderr
        Path(f"{beside}{end}").unlink()
    for place in (copy, link, lost, copy.with_name("cursors.db")):
        refused = run("backup", place)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "exists" in refused.stderr
    assert run("backup", copy.parent).exit_code == 2
    assert copy.read_text() == "precious"
    assert names(copy.parent) == ["link.db", "lost.db", copy.name]


def test_a_damaged_ledger_is_backed_up_only_if_that_is_said(
    full: Ledger, run: Run, path: Path, copy: Path
) -> None:
    full.close()
    with closing(sqlite3.connect(path)) as edited:
        edited.execute("DROP TRIGGER ledger_events_refuse_update")
        edited.execute("UPDATE ledger_events SET actor = 'nobody' WHERE position = 2")
        edited.commit()
    refused = run("backup", copy)
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "position 2" in refused.stderr
    assert "nothing was backed up" in refused.stderr
    assert not copy.exists()
    assert "not verified" in done(run("backup", copy, "--no-verify"))
    with ledger.open(copy) as book:
        assert not book.verify().ok


def test_what_is_no_ledger_is_not_backed_up(
    run: Run, path: Path, copy: Path, tmp_path: Path
) -> None:
    absent = run("backup", copy)
    assert absent.exit_code == 1, absent.output
    assert "does not exist. Name a ledger with --db" in absent.stderr
    assert not path.exists()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE orders (id)")
    assert "holds no ledger" in run("backup", copy).stderr
    path.write_text("no database, but a text that is long enough to be taken for one" * 20)
    assert "is not a SQLite database" in run("backup", copy).stderr
    assert run("--db", ":memory:", "backup", copy).exit_code == 2
    assert not copy.exists()
    assert names(tmp_path) == []


def test_of_a_ledger_on_postgresql_it_says_how(run: Run, copy: Path) -> None:
    for command in (["backup", copy], ["restore", copy]):
        copy.touch()
        said = run("--db", "postgresql://user:secret@localhost/app", *command)
        assert (said.exit_code, said.stdout) == (2, "")
        words = " ".join(said.stderr.split())
        assert "pg_dump" in words or "pg_restore" in words
        assert "verify --against CHECKPOINT" in words
        assert "secret" not in words


def test_where_nothing_may_be_written_nothing_is(
    full: Ledger, path: Path, tmp_path: Path, humbly: list[str]
) -> None:
    full.close()
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    for place, said in (
        (folder / "copy.db", "nothing can be written to"),
        (tmp_path / "no" / "copy.db", "does not exist. Make it first."),
    ):
        refused = subprocess.run(
            [*humbly, COMMAND, "--db", path, "backup", place],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, refused.stdout) == (1, "")
        assert said in refused.stderr
    assert list(folder.iterdir()) == []


def test_a_ledger_that_may_only_be_read_is_backed_up_as_it_is(
    full: Ledger, path: Path, tmp_path: Path, humbly: list[str]
) -> None:
    entries = list(full.entries())
    full.close()
    before = path.read_bytes()
    folder = tmp_path / "readable"
    folder.mkdir()
    there = path.rename(folder / "cursors.db")
    there.chmod(0o400)
    folder.chmod(0o500)
    made = subprocess.run(
        [*humbly, COMMAND, "--db", there, "backup", tmp_path / "copy.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert list(folder.iterdir()) == [there]
    assert there.read_bytes() == before
    with ledger.open(tmp_path / "copy.db") as book:
        assert list(book.entries()) == entries
        assert book.advance(JOBS, to=99).version == 3
