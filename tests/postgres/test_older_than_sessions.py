"""A ledger of a version that noted no logins: used as it is, until its owner opens it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

import ledger
from ledger import Ledger, SchemaVersionError
from ledger.stores.postgres import migrations
from projections import resets
from support.commands import Run, records
from support.cursors import JOBS, ORDERS
from support.roles import dispatching_role, role_of
from support.servers import connect

UNDO = """
    DROP TRIGGER ledger_events_note_session ON ledger_events;
    DROP TABLE ledger_sessions;
    DROP FUNCTION ledger_note_session, ledger_refuse_session;
    DELETE FROM ledger_migrations WHERE name = '0005_sessions'
"""


@pytest.fixture
def older(target: str, book: Ledger) -> str:
    book.advance(ORDERS, to=41)
    book.reset(ORDERS, to=7, reason="again")
    with connect(target) as owner:
        owner.execute(UNDO)
        # Positions have holes.
        owner.execute("SELECT nextval('ledger_positions')")
    return target


@pytest.fixture
def as_role(older: str) -> Iterator[str]:
    with dispatching_role(older) as url:
        yield url


def notes(target: str) -> bool:
    with connect(target) as owner:
        found = owner.execute("SELECT 1 FROM ledger_migrations WHERE name = '0005_sessions'")
        return found.fetchone() is not None


def test_others_go_on_until_its_owner_opens_it(older: str, as_role: str) -> None:
    role = role_of(as_role)
    with ledger.open(as_role, actor="ines") as own:
        own.reset(ORDERS, to=5, reason="again")
        with connect(as_role, autocommit=False) as caller:
            own.using(caller).advance(ORDERS, to=6)
            caller.commit()
        assert own.session_users([2, 4]) is None
        assert own.verify().ok
        assert not notes(older)
        with ledger.open(older, actor="omar") as owners:
            assert notes(older)
            own.reset(ORDERS, to=4, reason="again")
            last = own.horizon().last
            # What was stored before is not known, and no fault.
            assert owners.session_users(range(1, last + 1)) == {last: role}
            assert [each.authenticated for each in resets(owners)] == ["", "", role]
            assert owners.verify().ok
            assert own.session_users([last]) is None
            with connect(older) as owner:
                owner.execute(f"GRANT SELECT ON ledger_sessions TO {role}".encode())
            assert own.session_users([last]) == {last: role}
            assert own.verify().ok


def test_a_command_of_the_owner_brings_it_up_to_date(older: str, run: Run) -> None:
    assert [each["authenticated"] for each in records(run("resets"))] == [""]
    assert notes(older)
    assert run("verify").exit_code == 0


def test_what_has_been_appended_and_not_ended_puts_it_off(
    older: str, book: Ledger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "NOTE_MS_MAX", 50)
    with connect(older, autocommit=False) as caller, caplog.at_level(logging.WARNING):
        book.using(caller).advance(JOBS, to=1)
        with ledger.open(older, actor="omar") as owners:
            assert owners.session_users([2]) is None
            assert owners.advance(ORDERS, to=9).version == 3
        caller.commit()
    assert not notes(older)
    [said] = [each for each in caplog.records if getattr(each, "event", "") == "migration_put_off"]
    assert "0005_sessions is put off until its owner opens the ledger again" in said.getMessage()
    # The server may be looking through the table just now.
    monkeypatch.setattr(migrations, "NOTE_MS_MAX", 20_000)
    ledger.open(older).close()
    assert notes(older)


def test_what_is_appended_while_it_waits_was_not_noted(
    older: str, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "NOTE_MS_MAX", 20_000)
    with connect(older, autocommit=False) as caller:
        book.using(caller).reset(JOBS, to=1, reason="before it waits")
        opening = threading.Thread(target=lambda: ledger.open(older).close())
        opening.start()
        with connect(older) as owner:
            until = time.monotonic() + 20
            while time.monotonic() < until and not owner.execute(WAITS).fetchall():
                time.sleep(0.01)
            assert owner.execute(WAITS).fetchall()
        book.using(caller).reset(JOBS, to=2, reason="while it waits")
        caller.commit()
        opening.join(30)
    assert notes(older)
    book.reset(JOBS, to=3, reason="after it")
    last = book.horizon().last
    assert book.session_users(range(1, last + 1)) == {last: "postgres"}
    assert book.verify().ok


WAITS = (
    "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'ledger_events'::regclass"
    " AND mode = 'ShareRowExclusiveLock'"
)


def test_others_than_the_owner_leave_it_whatever_they_may_do(older: str, as_role: str) -> None:
    with connect(older) as owner:
        owner.execute(f"ALTER TABLE ledger_events OWNER TO {role_of(as_role)}".encode())
        # A superuser, who would be refused later: the function would have their rights.
        with ledger.open(older, actor="omar") as others:
            others.reset(ORDERS, to=3, reason="again")
        assert not notes(older)
        owner.execute("ALTER TABLE ledger_events OWNER TO CURRENT_USER")
    ledger.open(older).close()
    assert notes(older)


def test_a_table_that_waits_there_is_not_written_to_and_stops_nobody(
    older: str, as_role: str, caplog: pytest.LogCaptureFixture
) -> None:
    role = role_of(as_role)
    schema = older.rpartition("=")[2]
    with connect(older) as owner:
        owner.execute(f"GRANT CREATE ON SCHEMA {schema} TO {role}".encode())
    with connect(as_role) as raw:
        raw.execute("CREATE TABLE ledger_sessions (position bigint, session_role text)")
        raw.execute("GRANT ALL ON ledger_sessions TO PUBLIC")
    with ledger.open(older, actor="omar") as owners:
        owners.reset(ORDERS, to=3, reason="again")
        assert not notes(older)
        assert [fault.place for fault in owners.verify().faults] == ["relation ledger_sessions"]
    assert "migration_put_off" in [getattr(each, "event", "") for each in caplog.records]
    with connect(as_role) as raw:
        assert raw.execute("SELECT * FROM ledger_sessions").fetchall() == []
        raw.execute("DROP TABLE ledger_sessions")
    ledger.open(older).close()
    assert notes(older)


def test_owners_that_open_it_at_once_bring_it_up_to_date_once(older: str) -> None:
    begin, positions = threading.Barrier(4), []

    def work(nth: int) -> None:
        begin.wait()
        with ledger.open(older, actor=f"omar-{nth}") as owners:
            owners.reset(ledger.CursorKey(f"c{nth}", "orders"), to=1, reason="again")
            positions.append(owners.horizon().last)

    threads = [threading.Thread(target=work, args=(nth,)) for nth in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(positions) == 4
    assert notes(older)
    with ledger.open(older) as owners:
        assert owners.verify().ok


def test_an_older_version_refuses_what_it_does_not_know(
    older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.open(older).close()
    monkeypatch.setattr(migrations, "LATER", (migrations.STARTS,))
    with pytest.raises(SchemaVersionError, match="0005_sessions"):
        ledger.open(older)
