"""Readers on PostgreSQL wait for any caller that may append, by any means, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import ledger
from ledger import CursorKey, EntryQuery, Ledger
from ledger.cli.shown.waiting import waited_for
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.keys import cursor_id
from support.commands import Run, records
from support.cursors import JOBS, ORDERS
from support.servers import ELSEWHERE, connect

VALUES = "{id}, {version}, 0, 1, 'raw', 1, 1, 1, '\\x00'"
COLUMNS = "cursor_id, version, epoch, recorded_at, actor, tag_id, sequence, occurred_at, digest"


@pytest.fixture
def role(target: str) -> Iterator[str]:
    """A role of this test that may log in, and do nothing else."""
    if ELSEWHERE:
        pytest.skip("no role is made on a server of somebody else")
    name = f"r_{Address.parse(target).schema}"
    with connect(target) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN".encode())
    yield name
    with connect(target) as owner:
        for each in (f"{name}_group", name):
            if owner.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (each,)).fetchone():
                owner.execute(f"DROP OWNED BY {each}; DROP ROLE {each}".encode())


@contextmanager
def as_role(target: str, role: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    with connect(target.replace("postgres@", f"{role}@", 1), **options) as connection:
        yield connection


def gate_of(target: str) -> int:
    """Return the number that names the locks of this ledger."""
    with connect(target) as owner:
        [(number,)] = owner.execute(
            "SELECT 'ledger_positions'::regclass::oid::bigint & 2147483647"
        ).fetchall()
    return int(number)


def test_a_role_without_any_grant_holds_no_reader_up(target: str, book: Ledger, role: str) -> None:
    book.advance(ORDERS, to=1)
    gate = gate_of(target)
    with as_role(target, role, autocommit=False) as stranger:
        stranger.execute("SELECT pg_advisory_xact_lock_shared(%s::int, 0)", (gate,))
        stranger.execute("SELECT pg_advisory_lock_shared(%s::int, 0)", (gate,))
        book.reset(ORDERS, to=9, reason="x")
        assert [entry.position for entry in book.entries()] == [1, 2]
        assert book.horizon().waiting == ()
        assert book.verify().checkpoint.entries == 2
        with connect(target, autocommit=False) as caller:
            assert len(list(book.using(caller).entries())) == 2


def test_a_stranger_who_holds_the_names_of_locks_makes_no_writer_wait(
    target: str, book: Ledger, role: str
) -> None:
    book.advance(ORDERS, to=1)
    gate = gate_of(target)
    with as_role(target, role, autocommit=False) as stranger:
        for low in (*range(50), 2**31 - 1):
            stranger.execute("SELECT pg_advisory_xact_lock(%s::int, %s::int)", (gate, low))
        for to in range(2, 30):
            book.advance(ORDERS, to=to)
        with connect(target, autocommit=False) as caller:
            book.using(caller).advance(JOBS, to=1)
            book.advance(ORDERS, to=30)
            # It stops further before than it must, and never behind.
            assert book.horizon().position <= 29
            assert JOBS not in [entry.key for entry in book.entries()]
    assert len(list(book.entries())) == 31


@pytest.mark.parametrize("inherits", ["INHERIT", "NOINHERIT"])
def test_a_member_of_a_role_that_may_append_is_waited_for(
    target: str, book: Ledger, role: str, inherits: str
) -> None:
    schema = Address.parse(target).schema
    with connect(target) as owner:
        owner.execute(
            f"""
            CREATE ROLE {role}_group;
            ALTER ROLE {role} {inherits};
            GRANT {role}_group TO {role};
            GRANT USAGE ON SCHEMA {schema} TO {role}_group, {role};
            GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}_group;
            GRANT INSERT ({COLUMNS}) ON ledger_events TO {role}_group;
            GRANT USAGE ON SEQUENCE ledger_positions TO {role}_group
            """.encode()
        )
    with as_role(target, role, autocommit=False) as late:
        if inherits == "NOINHERIT":
            late.execute(f"SET ROLE {role}_group".encode())
        insert(late, CursorKey("late", "orders"))
        book.advance(ORDERS, to=1)
        assert list(book.entries()) == []
        [waiting] = book.horizon().waiting
        assert waiting.process == late.info.backend_pid
        assert waited_for(waiting)


def insert(connection: psycopg.Connection[Any], key: CursorKey, *, version: int = 1) -> None:
    values = VALUES.format(id=cursor_id(key), version=version)
    connection.execute(f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({values})".encode())


RAW = {
    "values": f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({{values}})",
    "several values": f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({{values}}), ({{more}})",
    "select": f"INSERT INTO ledger_events ({COLUMNS}) SELECT {{values}} FROM pg_class LIMIT 1",
    "with": f"WITH x AS (INSERT INTO ledger_events ({COLUMNS}) VALUES ({{values}}) RETURNING 1)"
    " SELECT * FROM x",
    "part": f"INSERT INTO ledger_events_{{part}} ({COLUMNS}) VALUES ({{values}})",
    "replica": "SET LOCAL session_replication_role = replica;"
    f" INSERT INTO ledger_events ({COLUMNS}) VALUES ({{values}})",
}


@pytest.mark.parametrize("way", [*RAW, "copy"])
def test_a_caller_that_appends_by_hand_is_waited_for_too(
    target: str, book: Ledger, way: str
) -> None:
    """The lock is there before the first position is drawn: it names the one before."""
    book.advance(ORDERS, to=1)
    raw_id = cursor_id(CursorKey("raw", "orders"))
    with connect(target, autocommit=False) as late:
        if way == "copy":
            with late.cursor().copy(f"COPY ledger_events ({COLUMNS}) FROM STDIN".encode()) as copy:
                copy.write_row((raw_id, 1, 0, 1, "raw", 1, 1, 1, b"\0"))
        else:
            [(part,)] = late.execute(
                "SELECT n FROM generate_series(0, 7) AS n WHERE satisfies_hash_partition("
                " 'ledger_events'::regclass, 8, n, %s::bigint)",
                (raw_id,),
            ).fetchall()
            values, more = (VALUES.format(id=raw_id, version=version) for version in (1, 2))
            late.execute(RAW[way].format(values=values, more=more, part=part).encode())
        drawn = late.execute("SELECT min(position) FROM ledger_events WHERE actor = 'raw'")
        assert drawn.fetchone() == (2,)
        book.advance(ORDERS, to=2)
        assert [entry.position for entry in book.entries()] == [1]
        assert book.horizon().position == 1
        late.rollback()
    assert len(list(book.entries())) == 2


@pytest.mark.parametrize("value", ["held", "1", "on"])
def test_no_setting_switches_the_lock_off(target: str, book: Ledger, value: str) -> None:
    with connect(target) as owner:
        [(positions,)] = owner.execute("SELECT 'ledger_positions'::regclass::oid").fetchall()
    with connect(target, autocommit=False) as late:
        # As ALTER ROLE … SET would have it.
        late.execute(f"SET cursor_ledger.gate_{positions} = '{value}'".encode())
        late.commit()
        for round_ in range(1, 3):
            lent = book.using(late)
            lent.advance(CursorKey("late", "orders"), to=round_)
            book.advance(ORDERS, to=round_)
            assert book.horizon().waiting != ()
            assert ORDERS not in [e.key for e in book.entries(EntryQuery(position_from=2 * round_))]
            # What a transaction before this one has left behind is worth nothing, either.
            late.execute(
                "SELECT set_config(%s, current_setting(%s), false)",
                (f"cursor_ledger.gate_{positions}",) * 2,
            )
            late.commit()
    assert len(list(book.entries())) == 4


def test_a_schema_that_was_renamed_has_its_own_lock_still(target: str, book: Ledger) -> None:
    """What the gate knows of the schema that it was made in may be another ledger's by now."""
    schema = Address.parse(target).schema
    renamed = target.replace(f"schema={schema}", f"schema={schema}_renamed")
    book.advance(ORDERS, to=1)
    with connect(target) as owner:
        owner.execute(f"ALTER SCHEMA {schema} RENAME TO {schema}_renamed".encode())
    with (
        ledger.open(target, actor="a") as other,
        ledger.open(renamed, actor="a") as same,
        connect(renamed, autocommit=False) as late,
    ):
        for to in (1, 2):
            same.using(late).advance(JOBS, to=to)
        # Once, although it has appended twice.
        [waiting] = same.horizon().waiting
        assert waiting.process == late.info.backend_pid
        same.advance(ORDERS, to=2)
        assert [entry.position for entry in same.entries()] == [1]
        assert other.horizon().waiting == ()
        late.rollback()
        assert [entry.position for entry in same.entries()] == [1, 4]
        late.execute(f"DROP SCHEMA {schema}_renamed CASCADE".encode())
        late.commit()


@pytest.mark.parametrize("way", [way for way in RAW if way != "part"])
def test_a_transaction_takes_the_lock_once(target: str, book: Ledger, way: str) -> None:
    book.advance(ORDERS, to=1)
    raw_id = cursor_id(CursorKey("raw", "orders"))
    with connect(target, autocommit=False) as late:
        for number in range(1, 6):
            values, more = (VALUES.format(id=raw_id, version=2 * number + n) for n in (0, 1))
            late.execute(RAW[way].format(values=values, more=more).encode())
            if number == 3:
                late.execute("SAVEPOINT kept")
        late.execute("ROLLBACK TO kept")
        found = late.execute(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid = pg_backend_pid() AND classid::bigint = %s",
            (gate_of(target),),
        )
        assert found.fetchall() == [(1,)]


def test_a_function_cannot_append_for_a_session_that_nobody_would_wait_for(
    target: str, book: Ledger, role: str
) -> None:
    schema = Address.parse(target).schema
    values = VALUES.format(id=1, version=1)
    with connect(target) as owner:
        owner.execute(
            f"""
            GRANT USAGE ON SCHEMA {schema} TO {role};
            CREATE FUNCTION append() RETURNS void LANGUAGE sql SECURITY DEFINER
            SET search_path = {schema}, pg_temp
            AS $$INSERT INTO ledger_events ({COLUMNS}) VALUES ({values})$$
            """.encode()
        )
    with (
        as_role(target, role) as caller,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="readers wait only for roles"),
    ):
        caller.execute("SELECT append()")
    assert book.horizon().last == 0


def test_a_session_that_began_after_the_readers_last_look_is_waited_for(
    target: str, book: Ledger, role: str
) -> None:
    with connect(target, autocommit=False) as reader:
        lent = book.using(reader)
        # What a session sees of the others is kept until its transaction ends.
        reader.execute("SELECT count(*) FROM pg_stat_activity")
        assert list(lent.entries()) == []
        gate = gate_of(target)
        with connect(target, autocommit=False) as late, as_role(target, role) as stranger:
            stranger.execute("SELECT pg_advisory_lock_shared(%s::int, 0)", (gate,))
            insert(late, CursorKey("late", "orders"))
            book.advance(ORDERS, to=1)
            assert list(lent.entries()) == []
            [waiting] = lent.horizon().waiting
            assert waiting.process == late.info.backend_pid


def test_every_view_that_stops_says_so_and_none_fails(
    run: Run, target: str, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        ledger.make_key(tmp_path / name, "example.com/cursors")
    with ledger.open(target, actor="tester") as book:
        book.advance(ORDERS, to=1)
        book.advance(ORDERS, to=2)
        with connect(target, autocommit=False) as caller:
            book.using(caller).advance(JOBS, to=1)
            book.advance(ORDERS, to=9)
            book.reset(ORDERS, to=1, reason="again")
            book.advance(ORDERS, to=4)
            stopping = [
                *(["entries"], ["tail"], ["resets"], ["stalls"], ["checkpoint"]),
                *(["as-of", "0s"], ["diff", "0"], ["events", "orders"], ["export"]),
                ["evidence", "-o", str(tmp_path / "evidence"), "--sign", str(tmp_path / "a")],
                ["proof", "1", "--sign", str(tmp_path / "a")],
            ]
            archive = ["archive", "-o", str(tmp_path / "archive"), "--sign", str(tmp_path / "b")]
            for command in (*stopping, archive):
                shown = run(*command)
                assert shown.exit_code == 0, (command, shown.stderr)
                said = "settled up to position 2 of 6; later entries are shown after the end of"
                assert said in shown.stderr, command
            # What one cursor has is all there, and so is what is made of it.
            owner = [ORDERS.consumer_id, ORDERS.stream_name, ORDERS.subject_id]
            for name, found in (("gaps", 2), ("repeats", 1)):
                for shown in (run(name), run(name, *owner)):
                    assert (shown.exit_code, shown.stderr) == (0, "")
                    assert len(records(shown)) == found, name
            history = run("history", *owner)
            assert len(records(history)) == 5
            caller.commit()
        for command in stopping:
            assert "settled" not in run(*command).stderr
