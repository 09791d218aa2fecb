"""The database notes who was logged in when a reset or a start was stored, whatever its actor."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorReset,
    CursorStarted,
    Ledger,
    RecordError,
    ResetCursor,
    StartCursor,
    StorageError,
)
from projections import report_resets, reset_groups, resets
from support.commands import Run, records
from support.cursors import JOBS, ORDERS
from support.roles import dispatching_role, role_of
from support.servers import connect

RESET = "resets"


@pytest.fixture
def as_role(target: str, book: Ledger) -> Iterator[str]:
    """The URL of the ledger for a role that was granted what the page says, and no more."""
    book.advance(ORDERS, to=44)
    with dispatching_role(target) as url:
        yield url


def test_resets_and_starts_are_noted_however_they_are_appended(as_role: str, book: Ledger) -> None:
    role = role_of(as_role)
    many = [CursorKey(f"c{nth}", "orders") for nth in range(40)]
    with ledger.open(as_role, actor="ines") as own:
        own.reset(ORDERS, to=41, reason="again")
        own.append([ResetCursor(key, 3, "a few") for key in many[:5]])
        own.append([ResetCursor(key, 7, "by COPY") for key in many])
        own.append_each([ResetCursor(JOBS, 1, "each")])
        own.submit(ResetCursor(JOBS, 2, "submitted")).result()
        own.start(CursorKey("new", "orders"), at=3, reason="moved here", source="kafka")
        own.append([StartCursor(CursorKey("newer", "orders"), 3, "moved here", source="kafka")])
        own.consumer(JOBS, take_over="deploy")
        with connect(as_role, autocommit=False) as caller:
            own.using(caller).reset(ORDERS, to=40, reason="in a transaction")
            caller.commit()
            own.using(caller).reset(ORDERS, to=30, reason="rolled back")
            caller.rollback()
        asyncio.run(reset_awaited(as_role))
        noted = own.session_users(range(1, own.horizon().last + 1))
    assert noted is not None
    wanted = [entry.position for entry in book.entries() if isinstance(entry.event, NOTED)]
    assert len(wanted) == 54
    assert noted == dict.fromkeys(wanted, role)
    assert book.verify().ok


NOTED = (CursorReset, CursorStarted)


async def reset_awaited(url: str) -> None:
    async with ledger.aio.open(url, actor="ines") as book:
        await book.reset(ORDERS, to=39, reason="by a coroutine")
        async with await psycopg.AsyncConnection.connect(url.partition("?")[0]) as caller:
            await book.using(caller).reset(ORDERS, to=38, reason="on its own connection")
        assert await book.session_users([1]) == {}
        found = [reset.authenticated async for reset in resets(book)]
        assert set(found) == {role_of(url)}


def test_advances_and_errors_are_not_noted(as_role: str) -> None:
    with ledger.open(as_role, actor="ines") as own:
        own.advance(ORDERS, to=45)
        own.append([AdvanceCursor(ORDERS, to) for to in range(46, 99)])
        own.append([RecordError(JOBS, "boom"), AdvanceCursor(JOBS, 1)])
        assert own.session_users(range(1, own.horizon().last + 1)) == {}
    with connect(as_role) as raw:
        rows = raw.execute("SELECT position, session_role FROM ledger_sessions").fetchall()
    assert rows == [(0, None)]


def test_it_is_who_logged_in_and_not_whose_rights_are_used(target: str, as_role: str) -> None:
    role = role_of(as_role)
    with connect(target) as owner:
        # A function of the owner may append for others, and a role may be another for a while.
        owner.execute(
            "CREATE FUNCTION add(version bigint) RETURNS void LANGUAGE sql SECURITY DEFINER"
            " SET search_path FROM CURRENT AS $$ INSERT INTO ledger_events (cursor_id, version,"
            " epoch, recorded_at, actor, tag_id, sequence, reason, occurred_at, digest)"
            " VALUES (7, version, 1, 1, 'omar', 2, 1, 'x', 1, '\\x00') $$"
        )
        owner.execute(f"GRANT {role} TO CURRENT_USER".encode())
    with connect(as_role) as raw:
        raw.execute("SELECT add(1)")
    with connect(target) as owner:
        owner.execute(f"SET ROLE {role}".encode())
        owner.execute(
            "INSERT INTO ledger_events (cursor_id, version, epoch, recorded_at, actor, tag_id,"
            " sequence, reason, occurred_at, digest)"
            " VALUES (7, 2, 1, 1, 'omar', 2, 1, 'x', 1, '\\x00')"
        )
        owner.execute("RESET ROLE")
        said = owner.execute("SELECT session_role FROM ledger_sessions ORDER BY position")
        assert said.fetchall() == [(None,), (role,), ("postgres",)]


def test_a_copy_was_stored_by_whoever_copied_it(as_role: str, target: str, tmp_path: Path) -> None:
    with ledger.open(as_role, actor="ines") as own, ledger.open(tmp_path / "copy.db") as file:
        own.reset(ORDERS, to=41, reason="again")
        own.copy_to(file)
        assert file.session_users([2]) is None
        assert [reset.authenticated for reset in resets(file)] == [""]
        with ledger.open(f"{target}_copy", actor="omar") as back:
            file.copy_to(back)
            assert back.session_users([1, 2]) == {2: "postgres"}
            assert back.verify().ok
            assert back.checkpoint().root == own.checkpoint().root
    with connect(target) as owner:
        owner.execute(f"DROP SCHEMA {target.rpartition('=')[2]}_copy CASCADE".encode())


def test_a_ledger_that_was_moved_keeps_its_id(book: Ledger, target: str, tmp_path: Path) -> None:
    with ledger.open(tmp_path / "cursors.db", actor="ines") as file:
        file.advance(ORDERS, to=41)
        given = file.identify()
        assert book.identify() == book.identity() != given
        file.copy_to(book)
        assert book.identity() != given
        file.copy_to(book, move=True)
        assert book.identity() == given
        with ledger.open(target) as again, connect(target, autocommit=False) as caller:
            assert again.identity() == given
            assert again.using(caller).get(ORDERS).last_sequence == 41
            assert book.using(caller).get(ORDERS).last_sequence == 41
            assert book.using(caller).identify() == given
        with ledger.open(tmp_path / "back.db") as back:
            book.copy_to(back, move=True)
            assert back.identity() == given


def test_a_role_that_only_appends_moves_nothing(book: Ledger, as_role: str, tmp_path: Path) -> None:
    with ledger.open(tmp_path / "copy.db") as copy, ledger.open(as_role) as own:
        book.copy_to(copy)
        copy.identify()
        with pytest.raises(StorageError, match="may not do that"):
            copy.copy_to(own, move=True)
        assert own.identity() == book.identity()


def test_a_role_that_may_not_read_it_is_told_nothing(target: str, as_role: str, run: Run) -> None:
    role = role_of(as_role)
    with connect(target) as owner, ledger.open(as_role, actor="ines") as own:
        own.reset(ORDERS, to=41, reason="again")
        owner.execute(f"REVOKE SELECT ON ledger_sessions FROM {role}".encode())
        assert own.session_users([2]) is None
        assert [reset.authenticated for reset in resets(own)] == [""]
        assert not report_resets(own).notes_logins
        assert own.verify().ok
        own.reset(ORDERS, to=40, reason="again")
        refused = run("--db", as_role, RESET, "--authenticated", role)
        assert refused.exit_code == 2
        assert "GRANT SELECT ON ledger_sessions" in refused.stderr
        owner.execute(f"GRANT SELECT ON ledger_sessions TO {role}".encode())
        assert own.session_users([2, 3]) == {2: role, 3: role}


def test_views_and_the_command_show_it_beside_the_actor(
    book: Ledger, as_role: str, run: Run, tmp_path: Path
) -> None:
    role = role_of(as_role)
    book.reset(JOBS, to=7, reason="the owner's")
    with ledger.open(as_role, actor="ines") as own:
        for to in range(40, 10, -1):
            own.reset(ORDERS, to=to, reason="again", actor="omar")
        found = list(resets(own))
        assert [(each.actor, each.authenticated) for each in found[:2]] == [
            ("tester", "postgres"),
            ("omar", role),
        ]
        assert len(list(resets(own, authenticated=role))) == 30
        chosen = resets(own, ledger.EntryQuery(limit=2), authenticated=role)
        assert [each.position for each in chosen] == [3, 4]
        assert list(resets(own, authenticated="omar")) == []
        assert len(list(reset_groups(own))) == 31
        report = report_resets(own)
        assert report.notes_logins
        assert {each.authenticated for each in report.resets} == {"postgres", role}
    shown = records(run(RESET, "--authenticated", "postgres"))
    assert [(each["actor"], each["authenticated"]) for each in shown] == [("tester", "postgres")]
    table = run(RESET, "--wide").stdout.splitlines()
    assert "authenticated" in table[0].split()
    assert table[2].split()[-3:] == ["postgres", "the", "owner's"]
    assert records(run(RESET, "--authenticated", "nobody")) == []
    refused = run(RESET, "--authenticated", role, "--groups")
    assert refused.exit_code == 2
    assert run(RESET, "--report", tmp_path / "r.csv").exit_code == 0
    cells = next(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    assert (cells["actor"], cells["authenticated"]) == ("tester", "postgres")
    assert run(RESET, "--report", tmp_path / "r.txt").exit_code == 0
    assert "authenticated  31\n" in (tmp_path / "r.txt").read_text()
