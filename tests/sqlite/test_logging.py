"""What a ledger in a SQLite file logs, and when."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

import ledger.aio
from ledger import ActorRequiredError, AdvanceCursor, RecordError, ResetCursor, VersionConflictError
from ledger.stores.sqlite.write_ahead_log import PAGES_LONG, PAGES_MAX, RESET_RACE, WriteAheadLog
from support.cursors import JOBS, ORDERS
from support.records import recorded

needs_own_checkpoints = pytest.mark.skipif(
    not RESET_RACE, reason="this SQLite makes the checkpoints itself"
)


def facts(record: object, *names: str) -> list[object]:
    return [getattr(record, name) for name in ("event", *names)]


def test_a_reset_that_is_refused_is_logged_with_its_facts(path: Path) -> None:
    with ledger.open(path) as book, recorded() as records:
        with pytest.raises(ActorRequiredError):
            book.reset(JOBS, to=7, reason="why")
        with pytest.raises(VersionConflictError):
            book.reset(JOBS, to=7, reason="why", actor="ines", expected_version=3)
        with pytest.raises(ledger.ResetReasonRequiredError):
            book.reset(JOBS, to=7, reason=" ", actor="ines")
        # Other refusals are not logged.
        book.advance(JOBS, to=7, delivery_id="d-7")
        for refused in (
            {"to": 6},
            {"to": 8, "expected_version": 9},
            {"to": 7, "delivery_id": "other"},
        ):
            with pytest.raises(ledger.LedgerError):
                book.advance(JOBS, **refused)
    names = ("key", "to", "actor", "refusal")
    assert [facts(record, *names) for record in records] == [
        ["reset_refused", "mailer/jobs", 7, "", "ActorRequiredError"],
        ["reset_refused", "mailer/jobs", 7, "ines", "VersionConflictError"],
        ["reset_refused", "mailer/jobs", 7, "ines", "ResetReasonRequiredError"],
    ]
    assert "is at version 0, not 3" in records[1].getMessage()


def test_a_policy_that_is_refused_is_logged_as_the_reset_that_it_is(path: Path) -> None:
    with ledger.open(path) as book, recorded() as records:
        policy = ledger.Policy(ledger.PolicyKind.SIGNATURE)
        with pytest.raises(ActorRequiredError):
            book.policies.set(policy, reason="audit")
        with pytest.raises(ledger.InvalidCursorError, match="not in force"):
            book.policies.drop(policy, reason="audit", actor="ines")
    assert [facts(record, "actor", "refusal") for record in records] == [
        ["reset_refused", "", "ActorRequiredError"],
        ["reset_refused", "ines", "InvalidCursorError"],
    ]


def test_a_checkpoint_that_fails_is_logged_and_the_commit_before_it_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(WriteAheadLog, "checkpoint", fails)
    monkeypatch.setattr(WriteAheadLog, "grew", lambda *_: True)
    with ledger.open(path) as book, recorded() as records:
        assert book.advance(JOBS, to=7).version == 1
        assert book.get(JOBS).last_sequence == 7
    assert [facts(record, "place", "cause") for record in records] == [
        ["wal_not_checkpointed", str(path), "disk I/O error"]
    ]


def test_the_actor_of_the_ledger_is_named_and_what_is_beside_the_reset_is_appended(
    path: Path,
) -> None:
    with ledger.open(path, actor="mailer@web-1") as book, recorded() as records:
        [refused, cursor] = book.append_each(
            [ResetCursor(JOBS, 1, "why", expected_version=3), RecordError(ORDERS, "boom")]
        )
    assert isinstance(refused, VersionConflictError)
    assert isinstance(cursor, ledger.Cursor)
    assert [facts(record, "actor") for record in records] == [["reset_refused", "mailer@web-1"]]


def test_the_actor_of_the_ledger_is_named_for_a_reset_without_a_reason(path: Path) -> None:
    async def awaited() -> None:
        async with (
            ledger.aio.open(path, actor="mailer@web-1") as book,
            aiosqlite.connect(path) as db,
        ):
            for each in (book, book.using(db)):
                with pytest.raises(ledger.ResetReasonRequiredError):
                    await each.reset(JOBS, to=7, reason=" ")

    with ledger.open(path, actor="mailer@web-1") as book, recorded() as records:
        for actor in ("", "ines"):
            with pytest.raises(ledger.ResetReasonRequiredError):
                book.reset(JOBS, to=7, reason="", actor=actor)
        asyncio.run(awaited())
    refused = [facts(record, "actor", "refusal") for record in records]
    assert refused == [
        ["reset_refused", actor, "ResetReasonRequiredError"]
        for actor in ("mailer@web-1", "ines", "mailer@web-1", "mailer@web-1")
    ]


def test_a_rebuild_that_finds_something_is_logged(path: Path) -> None:
    with ledger.open(path, actor="x") as book:
        book.append([ResetCursor(key, 5, "begin") for key in (JOBS, ORDERS)])
        with recorded() as records:
            book.rebuild()
            assert records == []
            with closing(sqlite3.connect(path)) as raw, raw:
                raw.execute(
                    "UPDATE ledger_cursors SET last_sequence = 4 WHERE consumer_id = 'mailer'"
                )
            assert len(book.rebuild().repaired) == 1
    assert [facts(record, "cursors", "repaired", "left") for record in records] == [
        ["cursors_rebuilt", 2, 1, 0]
    ]


@needs_own_checkpoints
def test_a_checkpoint_is_logged(path: Path) -> None:
    with ledger.open(path, actor="x", durability="normal") as book, recorded() as records:
        for nth in range(PAGES_MAX // 80):
            book.append([AdvanceCursor(JOBS, nth * 1_000 + n) for n in range(1, 1_001)])
    checkpoints = [facts(each, "place", "complete") for each in records]
    assert ["wal_checkpointed", str(path), True] in checkpoints
    assert all(getattr(each, "pages") >= 0 for each in records)  # noqa: B009 - of any record


def test_readers_that_hold_up_a_checkpoint_are_logged_once_for_each_pause(path: Path) -> None:
    # A second passes between any two looks at this clock.
    clock = itertools.count().__next__
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
        closing(sqlite3.connect(path, isolation_level=None)) as copier,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
        recorded() as records,
    ):
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE mine (n)")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM mine").fetchone()
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("INSERT INTO mine VALUES (zeroblob(?))", (4_096 * (PAGES_LONG + 10),))
        log = WriteAheadLog(str(path), 1.0, clock=clock)
        for _ in range(3):
            log.checkpoint(writer, copier)
    assert [facts(record)[0] for record in records] == [
        *("wal_checkpointed", "wal_held_up", "wal_checkpointed", "wal_checkpointed")
    ]
    [held] = [record for record in records if facts(record) == ["wal_held_up"]]
    [_, place, pages, wait_s] = facts(held, "place", "pages", "wait_s")
    assert place == str(path)
    assert isinstance(pages, int)
    assert pages > PAGES_LONG
    assert isinstance(wait_s, int)
    assert wait_s > 0
