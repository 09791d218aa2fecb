"""A file that the version before starts made: used as it is, until the first start."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey, EntryQuery, SchemaVersionError
from ledger.stores.sqlite import migrations
from ledger.stores.sqlite.transaction import SQLiteTransaction
from support.cursors import ORDERS
from support.depth import thorough
from support.places import GOLDEN
from support.spawned import processes_of_their_own
from support.sqlite_files import definitions

ROOT = "592167ac6ea64efe4866fa738056f60459b6809c47b80d7f4995ca43789097ae"
"""What the older version said of its own file."""

NEW = CursorKey("new", "orders")
WHY: dict[str, Any] = {"source": "kafka group mailer", "reason": "moved here"}


@pytest.fixture
def older(path: Path) -> Path:
    path.write_bytes(gzip.decompress((GOLDEN / "before_starts.db.gz").read_bytes()))
    return path


def applied(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as raw:
        return [name for (name,) in raw.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]


def tags(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as raw:
        return [tag for (tag,) in raw.execute("SELECT tag FROM ledger_tags ORDER BY id")]


def as_it_was(path: Path) -> bool:
    return applied(path) == list(migrations.SCHEMAS) and len(tags(path)) == 3


def test_it_is_used_as_it_is_until_something_starts(older: Path) -> None:
    with ledger.open(older, actor="ines") as book:
        assert book.verify().ok
        assert book.checkpoint().root.hex() == ROOT
        assert len(list(book.entries(EntryQuery(covering=41)))) == 1
        book.advance(ORDERS, to=50)
        book.reset(ORDERS, to=44, reason="again")
        book.consumer(ORDERS, take_over="deploy")
        assert book.verify(book.checkpoint()).ok
    assert as_it_was(older)


def test_the_first_start_makes_it_what_a_new_file_is(older: Path, tmp_path: Path) -> None:
    with ledger.open(older, actor="ines") as book:
        kept = book.checkpoint()
        assert book.start(NEW, at=41, **WHY).version == 1
        assert book.start(CursorKey("newer", "orders"), at=7, **WHY).version == 1
        assert book.verify(kept).ok
        [*_, last] = book.entries()
    assert applied(older) == [*migrations.SCHEMAS, migrations.STARTS]
    with closing(sqlite3.connect(older)) as raw:
        shown = raw.execute(
            "SELECT tag, sequence, reason, message, digest FROM ledger_log"
        ).fetchall()
    assert shown[-2][:4] == ("cursor.started.v1", 41, "moved here", "kafka group mailer")
    assert shown[-1][-1] == last.digest.hex()
    ledger.open(tmp_path / "new.db").close()
    assert definitions(older) == definitions(tmp_path / "new.db")
    assert tags(older) == tags(tmp_path / "new.db")
    assert applied(older) == applied(tmp_path / "new.db")


@pytest.mark.parametrize("keys", ["ON", "OFF"])
@pytest.mark.parametrize("isolation", ["DEFERRED", None])
def test_a_callers_transaction_takes_it_along_or_back(
    older: Path, keys: str, isolation: Any
) -> None:
    with (
        ledger.open(older, actor="ines") as book,
        closing(sqlite3.connect(older, isolation_level=isolation)) as caller,
    ):
        caller.execute(f"PRAGMA foreign_keys = {keys}")
        for how in ("ROLLBACK", "COMMIT"):
            caller.execute("BEGIN")
            book.using(caller).start(NEW, at=41, **WHY)
            book.using(caller).advance(NEW, to=42)
            caller.execute(how)
            assert as_it_was(older) == (how == "ROLLBACK")
            assert (book.find(NEW) is None) == (how == "ROLLBACK")
        assert book.verify().ok


def test_a_refused_group_leaves_it_as_it_was(older: Path) -> None:
    with ledger.open(older, actor="ines") as book:
        start = ledger.StartCursor(NEW, 41, "x")
        with pytest.raises(ledger.CursorExistsError):
            book.append([start, start])
        with pytest.raises(ledger.CursorExistsError):
            book.start(ORDERS, at=41, **WHY)
        assert book.verify().ok
    assert as_it_was(older)


def test_a_file_that_lacks_earlier_migrations_gets_them_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "SCHEMAS", migrations.SCHEMAS[:1])
        patch.setattr(migrations, "LATER", ())
        with ledger.open(path) as book:
            book.advance(ORDERS, to=1)
    with ledger.open(path, actor="ines") as book, closing(sqlite3.connect(path)) as caller:
        # No write of the ledger's own has brought it up to date.
        with caller:
            caller.execute("BEGIN IMMEDIATE")
            book.using(caller).start(NEW, at=41, **WHY)
        assert book.advance(NEW, to=42).version == 2
        assert book.verify().ok
    assert applied(path) == [*migrations.SCHEMAS, migrations.STARTS]


def test_a_copy_into_it_brings_the_tag_along(older: Path, tmp_path: Path) -> None:
    with ledger.open(tmp_path / "source.db", actor="ines") as source, ledger.open(older) as empty:
        assert empty.copy_to(source).entries == 5
        source.start(NEW, at=41, **WHY)
        assert source.copy_to(empty).entries == 1
        assert empty.verify(source.checkpoint()).ok
    assert applied(older)[-1] == migrations.STARTS


def test_an_older_version_is_told_that_a_newer_one_has_written(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(older, actor="ines") as book:
        book.start(NEW, at=41, **WHY)
    # All that it knows.
    monkeypatch.setattr(migrations, "LATER", ())
    with pytest.raises(
        SchemaVersionError, match=r"newer cursor-ledger \(its schema has 0003_starts"
    ):
        ledger.open(older)


# --- several at once, and killed in the middle ---


def start_at_once(folder: str, rounds: int, name: str, begin: Any, answers: Any) -> None:
    for number in range(rounds):
        begin.wait()
        try:
            with ledger.open(Path(folder) / f"{number}.db", actor=name) as book:
                answers.put(book.start(CursorKey(name, "orders"), at=41, **WHY).version)
        except ledger.LedgerError as error:
            answers.put(repr(error))


def test_processes_that_start_at_once_add_it_once(older: Path, tmp_path: Path) -> None:
    rounds = thorough(20, 4)
    for number in range(rounds):
        shutil.copy(older, tmp_path / f"{number}.db")
    context = processes_of_their_own()
    begin, answers = context.Barrier(4), context.Queue()
    workers = [
        context.Process(
            target=start_at_once, args=(str(tmp_path), rounds, f"worker {n}", begin, answers)
        )
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    given = [answers.get(timeout=120) for _ in range(4 * rounds)]
    for worker in workers:
        worker.join()
    assert given == [1] * 4 * rounds
    for number in range(rounds):
        assert applied(tmp_path / f"{number}.db") == [*migrations.SCHEMAS, migrations.STARTS]
        with ledger.open(tmp_path / f"{number}.db") as book:
            assert book.verify().ok


def start_and_die(path: str, after: int) -> None:
    """Start a cursor, and be killed after so many statements of the migration, or at its commit."""
    statements = migrations._statements

    def counted(script: str) -> Iterator[str]:
        for nth, statement in enumerate(statements(script)):
            if nth == after:
                os.kill(os.getpid(), signal.SIGKILL)
            yield statement
        if after == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    def die(_: object) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    migrations._statements = counted
    if after == 4:
        setattr(SQLiteTransaction, "commit", die)  # noqa: B010 - mypy takes it for a mistake
    with ledger.open(path, actor="ines") as book:
        book.start(NEW, at=41, **WHY)


@pytest.mark.parametrize("after", range(6))
def test_one_that_is_killed_in_the_middle_leaves_all_or_nothing(older: Path, after: int) -> None:
    """After each of three statements, before the record of them, at the commit; and not at all."""
    child = processes_of_their_own().Process(target=start_and_die, args=(str(older), after))
    child.start()
    child.join()
    done = after == 5
    assert child.exitcode == (0 if done else -signal.SIGKILL)
    assert as_it_was(older) == (not done)
    with ledger.open(older, actor="ines") as book:
        assert (book.find(NEW) is not None) == done
        assert book.verify().ok
        assert book.start(CursorKey("next", "orders"), at=7, **WHY).version == 1
        assert book.verify().ok
    assert applied(older) == [*migrations.SCHEMAS, migrations.STARTS]
