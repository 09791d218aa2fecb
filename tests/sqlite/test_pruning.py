"""Entries are removed only as far as rules, the archive and the others who use the file allow."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ledger
from ledger import ArchivedError, CursorKey, EntryQuery, LedgerBusyError
from ledger.exchange import retention
from ledger.law.reserved import ARCHIVE, ARCHIVED_STREAM, HOLD, POLICY, RETENTION
from ledger.stores.sqlite import migrations
from projections.cli import main
from support.cursors import JOBS, ORDERS
from support.falsified_files import run
from support.pruned import IDLE, build, prune, two_ledgers


@pytest.fixture
def notes(tmp_path: Path, path: Path) -> list[str]:
    """Return the notes of a ledger that is ready to be pruned, and its archive beside it."""
    notes = build(tmp_path, path)
    with ledger.open(path) as book:
        key = vkey(tmp_path)
        book.archive(notes[2], tmp_path / "a.jsonl", [key])
    (tmp_path / "vkey").write_text(key.text)
    (tmp_path / "note").write_text(notes[2])
    return notes


def vkey(folder: Path) -> ledger.VerifierKey:
    return ledger.SigningKey.parse((folder / "key").read_text()).verifier


def command(path: Path, *arguments: object) -> Result:
    words = ["--db", str(path), "--actor", "ines", "--busy-timeout", "0.3"]
    return CliRunner().invoke(main, [*words, *map(str, arguments)])


def pruning(path: Path, *more: object, archive: str = "a.jsonl") -> Result:
    folder = path.parent
    words = ("prune", folder / archive, "--vkey", folder / "vkey", "--reason", "a year is over")
    return command(path, *words, *more)


def said(done: Result) -> str:
    return " ".join(done.output.split())


@pytest.mark.usefixtures("notes")
def test_a_plan_changes_nothing_and_an_execution_is_an_entry(path: Path) -> None:
    before = path.read_bytes()
    plan = pruning(path)
    assert plan.exit_code == 0, plan.output
    assert path.read_bytes() == before
    assert "Nothing was changed. To remove them, add --execute." in said(plan)
    assert "8 entries stay" in said(plan)
    done = pruning(path, "--execute")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["entries"] == 13
    with ledger.open(path) as book:
        [entry] = book.history(CursorKey(ARCHIVE, ARCHIVED_STREAM))
        assert (entry.actor, entry.event.reason) == ("ines", "a year is over")  # type: ignore[union-attr]
        assert entry.event.sequence == answer["position"] == 13  # type: ignore[union-attr]
        assert entry.metadata["sha256"] == answer["sha256"]
        assert (entry.metadata["file"], entry.metadata["entries"]) == ("a.jsonl", "13")
    with closing(sqlite3.connect(path)) as raw:
        first = raw.execute("SELECT min(position), count(*) FROM ledger_events").fetchone()
        # Nothing of what was removed is left in the file, in pages that are free by now.
        assert raw.execute("PRAGMA freelist_count").fetchone() == (0,)
    assert first == (14, 9)
    again = pruning(path, "--execute")
    assert again.exit_code == 0
    assert "were removed before; nothing is left to do" in said(again)
    assert "nothing is left to do" in said(pruning(path))


@pytest.mark.usefixtures("notes")
def test_rules_and_holds_stand_in_the_way(path: Path) -> None:
    assert command(path, "retention", "keep", "900d", "--reason", "the law").exit_code == 0
    refused = pruning(path, "--execute")
    assert refused.exit_code == 2
    assert "entries are kept for 900d" in said(refused)
    assert command(path, "retention", "hold", "case 7", "--reason", "a lawsuit").exit_code == 0
    refused = pruning(path, "--execute")
    assert "while a hold is in force: case 7" in said(refused)
    twice = command(path, "retention", "hold", "case 7", "--reason", "again")
    assert "is in force already" in said(twice)
    listed = command(path, "retention", "list")
    rules = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(rule["rule"], rule["name"], rule["days"], rule["reason"]) for rule in rules] == [
        ("keep", "", 900, "the law"),
        ("hold", "case 7", None, "a lawsuit"),
    ]
    assert {rule["actor"] for rule in rules} == {"ines"}
    for wrong in ("case 8", "case 7"):
        done = command(path, "retention", "release", wrong, "--reason", "settled")
        assert done.exit_code == (2 if wrong == "case 8" else 0), done.output
    assert command(path, "retention", "release", "case 7", "--reason", "x").exit_code == 2
    assert "900d" in said(pruning(path, "--execute"))
    # Weakened, which stays in the history.
    assert command(path, "retention", "keep", "30d", "--reason", "less").exit_code == 0
    assert pruning(path, "--execute").exit_code == 0
    with ledger.open(path) as book:
        kept = CursorKey(RETENTION, ARCHIVED_STREAM)
        left = book.entries(EntryQuery(key=kept, position_from=14))
        assert [(entry.event.sequence // 86_400, entry.actor) for entry in left] == [  # type: ignore[union-attr]
            (900, "ines"),
            (30, "ines"),
        ]


def test_only_resets_are_rules(path: Path) -> None:
    with ledger.open(path, actor="mallory") as book:
        for consumer, stream in ((HOLD, "case 7"), (RETENTION, ARCHIVED_STREAM), (POLICY, "x")):
            book.advance(CursorKey(consumer, stream), to=2**63 - 1)
        assert (retention.holds(book), retention.kept_for(book)) == ([], timedelta(0))
        assert [rule.days for rule in retention.rules(book)] == [0]
        retention.hold(book, "case 7", reason="a lawsuit")
        assert retention.holds(book) == ["case 7"]
        retention.release(book, "case 7", reason="settled")
        book.reset(CursorKey(RETENTION, ARCHIVED_STREAM), to=2**63 - 1, reason="for ever")
        assert retention.kept_for(book) == timedelta.max
        assert [rule.days for rule in retention.rules(book)] == [(2**63 - 1) / 86_400]


@pytest.mark.usefixtures("notes")
def test_a_caller_that_may_append_cannot_keep_entries_from_being_pruned(path: Path) -> None:
    removal = CursorKey(ARCHIVE, ARCHIVED_STREAM)
    with ledger.open(path, actor="mallory") as book:
        book.advance(removal, to=13)
        book.reset(removal, to=13, reason="never mind")
        book.advance(CursorKey(HOLD, "mine"), to=1)
    assert pruning(path, "--execute").exit_code == 0
    with ledger.open(path) as book:
        assert book.verify().ok
        with pytest.raises(ArchivedError) as refused:
            list(book.history(IDLE))
    assert (refused.value.actor, refused.value.file) == ("ines", "a.jsonl")


@pytest.mark.usefixtures("notes")
def test_a_copy_of_what_is_left_is_refused_and_makes_nothing(tmp_path: Path, path: Path) -> None:
    assert pruning(path, "--execute").exit_code == 0
    refused = command(path, "copy", path, tmp_path / "copy.db")
    assert refused.exit_code == 3
    assert "were archived in a.jsonl" in said(refused)
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.usefixtures("notes")
def test_entries_may_be_kept_for_longer_than_there_are_calendars(path: Path) -> None:
    assert command(path, "retention", "keep", "1000000d", "--reason", "for ever").exit_code == 0
    refused = pruning(path, "--execute")
    assert refused.exit_code == 2
    assert "entries are kept for 1000000d" in said(refused)


def test_without_a_rule_nothing_is_removed(tmp_path: Path, path: Path) -> None:
    ledger.make_key(tmp_path / "key", "example.com/cursors")
    (tmp_path / "vkey").write_text(vkey(tmp_path).text)
    with ledger.open(path, actor="tester") as book:
        book.advance(ORDERS, to=1)
        book.archive(book.sign(tmp_path / "key"), tmp_path / "a.jsonl", [vkey(tmp_path)])
        with pytest.raises(ledger.InvalidCursorError):
            retention.keep(book, timedelta(0), reason="x")
    refused = pruning(path, "--execute")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "retention keep 365d --reason WHY" in said(refused)


def test_an_archive_must_be_the_beginning_of_this_ledger(
    tmp_path: Path, path: Path, notes: list[str]
) -> None:
    before = path.read_bytes()
    whole = (tmp_path / "a.jsonl").read_bytes()
    with ledger.open(path) as book:
        some = b"".join(book.evidence(notes[3], EntryQuery(key=ORDERS)))
    other = tmp_path / "other"
    other.mkdir()
    with ledger.open(other / "cursors.db", actor="tester") as book:
        book.advance(ORDERS, to=1)
        signed = ledger.SigningKey.parse((tmp_path / "key").read_text())
        kept = book.checkpoint()
        head = ledger.TreeHead(signed.name, kept.entries, kept.root)
        foreign = b"".join(book.evidence(signed.sign(head.text)))
    for name, data in {
        "edited": whole.replace(b"tester", b"nobody", 1),
        "short": whole[:-9],
        "moved": whole.replace(b'"index":1,', b'"index":1,"position":9,'),
        "foreign": foreign,
        "some": some,
    }.items():
        (tmp_path / name).write_bytes(data)
        refused = pruning(path, "--execute", archive=name)
        assert refused.exit_code in (2, 5), (name, refused.output)
        assert refused.stdout == "", name
        assert path.read_bytes() == before, name
    assert command(path, "prune", tmp_path / "a.jsonl", "--reason", "x").exit_code == 2
    assert not list(tmp_path.glob(".cursor-ledger-*"))
    assert pruning(path, "--execute").exit_code == 0


def test_the_next_archive_has_what_was_removed_before(
    tmp_path: Path, path: Path, notes: list[str]
) -> None:
    with ledger.open(path) as book:
        whole = b"".join(book.evidence(notes[4]))
    assert pruning(path, "--execute").exit_code == 0
    (tmp_path / "note").write_text(notes[4])
    asked = ("archive", "--checkpoint", tmp_path / "note", "--vkey", tmp_path / "vkey")
    refused = command(path, *asked, "-o", tmp_path / "b.jsonl")
    assert refused.exit_code == 2, refused.output
    assert "Name the archive of then with --after, which has them: a.jsonl" in said(refused)
    for wrong in ("note", "vkey"):
        refused = command(path, *asked, "-o", tmp_path / "b.jsonl", "--after", tmp_path / wrong)
        assert refused.exit_code in {2, 5}, refused.output
        assert not (tmp_path / "b.jsonl").exists()
    done = command(path, *asked, "-o", tmp_path / "b.jsonl", "--after", tmp_path / "a.jsonl")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b.jsonl").read_bytes() == whole
    again = command(path, *asked, "-o", tmp_path / "b.jsonl", "--after", tmp_path / "a.jsonl")
    assert again.exit_code == 0, again.output
    assert pruning(path, "--execute", archive="b.jsonl").exit_code == 0
    with ledger.open(path) as book:
        found = book.verify()
        assert found.ok, found.faults
        assert found.archived == 21
        with pytest.raises(ArchivedError) as error:
            list(book.history(ORDERS))
        assert (error.value.file, error.value.position) == ("b.jsonl", 21)
    for older in ("a.jsonl", "b.jsonl"):
        assert "were removed before" in said(pruning(path, "--execute", archive=older))


@pytest.mark.usefixtures("notes")
def test_nobody_else_may_have_it_open(tmp_path: Path, path: Path) -> None:
    with ledger.open(path, actor="x") as book:
        book.advance(JOBS, to=90)
        with pytest.raises(LedgerBusyError, match=r"Stop all programs that use it"):
            prune(path, tmp_path / "a.jsonl", vkey(tmp_path), busy_timeout_s=0.2)
        assert len(list(book.history(JOBS))) == 4
        busy = pruning(path, "--execute")
        assert busy.exit_code == 75, busy.output
    assert pruning(path, "--execute").exit_code == 0


@pytest.mark.usefixtures("notes")
def test_a_reader_finds_out_that_the_file_was_replaced(tmp_path: Path, path: Path) -> None:
    # Without a log, a file is not held by who reads it.
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
    with ledger.open(path) as book:
        whole = list(book.history(ORDERS))
        prune(path, tmp_path / "a.jsonl", vkey(tmp_path))
        with pytest.raises(ledger.StorageError, match="replaced"):
            read_on(book, whole)


def read_on(book: ledger.Ledger, whole: list[ledger.Entry]) -> None:
    """Read what was there, until it is noticed that another file is in its place."""
    for _ in range(10_000):
        assert list(book.history(ORDERS)) == whole


@pytest.mark.usefixtures("notes")
def test_a_link_and_the_permissions_stay(tmp_path: Path, path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(path)
    path.chmod(0o640)
    assert prune(link, tmp_path / "a.jsonl", vkey(tmp_path)).cut.position == 13
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(ArchivedError), ledger.open(path) as book:
        list(book.history(ORDERS))


def test_postgresql_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    words = ["prune", str(tmp_path / "a"), "--vkey", "x", "--reason", "x"]
    refused = CliRunner().invoke(main, ["--db", "postgresql://nowhere/x", *words])
    assert refused.exit_code == 2
    key = "example.com/cursors+ffa4e945+Ac9W460qksd48oiJHXBs6PN5lNz1CwrO6yI33PHV9p5I"
    words[3] = key
    refused = CliRunner().invoke(main, ["--db", "postgresql://nowhere/x", *words])
    assert refused.exit_code == 2
    assert "Nothing is removed from a ledger on PostgreSQL" in said(refused)


def test_a_version_that_does_not_know_of_it_refuses_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = two_ledgers(tmp_path, 2)
    monkeypatch.setattr(migrations, "ARCHIVED", "another")
    with pytest.raises(ledger.SchemaVersionError, match="0006_archived"):
        ledger.open(two.pruned)


def test_a_lent_connection_says_so_too(tmp_path: Path) -> None:
    two = two_ledgers(tmp_path, 2)
    with ledger.open(two.pruned, actor="x") as book, closing(sqlite3.connect(two.pruned)) as db:
        lent = book.using(db)
        with pytest.raises(ArchivedError):
            list(lent.history(ORDERS))
        assert lent.advance(IDLE, to=42).version == 2
        [newest] = lent.entries(EntryQuery(key=IDLE, newest_first=True, limit=1))
        assert newest.version == 2
        db.commit()
        assert book.verify().ok


def test_a_stored_cursor_is_repaired_from_what_is_kept(tmp_path: Path) -> None:
    two = two_ledgers(tmp_path, 2)
    with ledger.open(two.pruned) as book:
        right = book.get(IDLE), book.get(ORDERS)
    run("UPDATE ledger_cursors SET last_sequence = 7")(two.pruned)
    with ledger.open(two.pruned) as book:
        assert not book.verify().ok
        assert book.rebuild().left == ()
        assert (book.get(IDLE), book.get(ORDERS)) == right
        assert book.verify().ok
