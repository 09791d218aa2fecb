"""The role of docs/postgresql.md may append and read: all else is refused, or found by `verify`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    FaultKind,
    Ledger,
    LedgerBusyError,
    Policy,
    PolicyKind,
    PolicyUnmetError,
    SchemaVersionError,
    StorageError,
)
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.listening import Listener
from support.cursors import JOBS, ORDERS
from support.roles import dispatching_role, role_of
from support.servers import connect

ROW = "{id}, {version}, 0, 1, 'me', 1, 1, 1, '\\x00'"
COLUMNS = "cursor_id, version, epoch, recorded_at, actor, tag_id, sequence, occurred_at, digest"
AT = cursor_id(ORDERS)


@pytest.fixture
def as_role(target: str, book: Ledger) -> Iterator[str]:
    """The URL of the ledger for a role that was granted what the page says, and no more."""
    book.advance(ORDERS, to=1)
    with dispatching_role(target) as url:
        yield url


def test_it_may_append_and_read(as_role: str) -> None:
    with ledger.open(as_role, actor="dispatcher") as book:
        book.advance(ORDERS, to=2)
        book.append([AdvanceCursor(CursorKey(f"c{n}", "orders"), 1) for n in range(50)])
        book.append([AdvanceCursor(CursorKey(f"c{n}", "orders"), 2) for n in range(5)])
        book.reset(JOBS, to=3, reason="x")
        assert book.record_error(JOBS, "boom").version == 2
        with connect(as_role, autocommit=False) as caller:
            book.using(caller).advance(JOBS, to=4)
            caller.commit()
        assert book.verify().ok
        assert len(list(book.entries())) == 60
        assert book.horizon().waiting == ()
        with pytest.raises(StorageError, match="may not do that"):
            book.rebuild()


def test_its_resets_are_judged_and_it_may_change_no_policy(book: Ledger, as_role: str) -> None:
    ticket = Policy(PolicyKind.META, "ticket")
    with ledger.open(as_role, actor="dispatcher") as own:
        for change in (own.policies.set, own.policies.drop):
            with pytest.raises(StorageError, match="may not do that"):
                change(ticket, reason="audit")
        assert list(own.history(ticket.key)) == []
        book.policies.set(ticket, reason="audit", actor="ines")
        assert [each.actor for each in own.policies.in_force()] == ["ines"]
        with pytest.raises(PolicyUnmetError):
            own.reset(ORDERS, to=0, reason="lost")
        assert own.reset(ORDERS, to=0, reason="lost", metadata={"ticket": "OPS-7"}).epoch == 1
        with pytest.raises(StorageError, match="may not do that"):
            own.policies.drop(ticket, reason="over")
        own.advance(ORDERS, to=2)
    assert [each.actor for each in book.policies.in_force()] == ["ines"]


def test_it_may_wait_and_is_told_of_resets(
    book: Ledger, as_role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.open(as_role, actor="dispatcher") as own:
        assert own.wait(ORDERS, 1, 0.05) is None
        threading.Timer(0.1, lambda: book.advance(ORDERS, to=2)).start()
        cursor = own.wait(ORDERS, 1, 20)
        assert cursor is not None
        assert cursor.last_sequence == 2
        assert own.wait_for_entries(1, 20) == 2
        # What the role resets, it tells others.
        monkeypatch.setattr(Listener, "entries_s", 3_600.0)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(book.wait, ORDERS, 2, 20)
            time.sleep(0.5)
            own.reset(ORDERS, to=0, reason="again")
            assert waiting.result(20) == book.get(ORDERS)


PLACED = f"INSERT INTO ledger_events (position, {COLUMNS}) {{how}} VALUES (9999999, {ROW})"
MERGE = """
    MERGE INTO ledger_events AS e USING (SELECT 1) AS one ON e.cursor_id = {id}
    WHEN MATCHED THEN {then}
"""
REFUSED = [
    # To choose a position.
    PLACED.replace("{how}", ""),
    PLACED.replace("{how}", "OVERRIDING SYSTEM VALUE"),
    PLACED.replace("{how}", "OVERRIDING USER VALUE"),
    PLACED.replace("{how}", "").replace("9999999", "DEFAULT"),
    f"INSERT INTO ledger_events (position, {COLUMNS}) SELECT 9999999, {ROW}",
    "INSERT INTO ledger_events SELECT * FROM ledger_events",
    "INSERT INTO ledger_events TABLE ledger_events",
    f"WITH x AS ({PLACED.replace('{how}', '')} RETURNING 1) SELECT * FROM x",
    f"COPY ledger_events (position, {COLUMNS}) FROM STDIN",
    "COPY ledger_events FROM STDIN",
    "COPY ledger_events FROM '/etc/passwd'",
    "COPY ledger_events FROM PROGRAM 'echo'",
    *(f"INSERT INTO ledger_events_{n} ({COLUMNS}) VALUES ({ROW})" for n in range(8)),
    f"COPY ledger_events_1 ({COLUMNS}) FROM STDIN",
    "SELECT setval('ledger_positions', 1)",
    "SELECT setval('ledger_positions', 9999999, false)",
    "ALTER SEQUENCE ledger_positions RESTART",
    "ALTER SEQUENCE ledger_positions INCREMENT 1000",
    "ALTER TABLE ledger_events ALTER COLUMN position SET DEFAULT 1",
    # To change or remove what is there.
    "UPDATE ledger_events SET actor = 'me'",
    "UPDATE ledger_events SET position = 9999999",
    "UPDATE ledger_events_0 SET actor = 'me'",
    "DELETE FROM ledger_events",
    "DELETE FROM ledger_events_0",
    "TRUNCATE ledger_events",
    "TRUNCATE ledger_events_0",
    MERGE.replace("{then}", "UPDATE SET actor = 'me'"),
    MERGE.replace("{then}", "DELETE"),
    (
        f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({ROW})"
        " ON CONFLICT (cursor_id, version) DO UPDATE SET actor = 'me'"
    ),
    "SELECT * FROM ledger_events FOR UPDATE",
    "DELETE FROM ledger_cursors",
    "TRUNCATE ledger_cursors",
    "UPDATE ledger_cursors SET consumer_id = 'me'",
    "UPDATE ledger_cursors SET stream_name = 'me'",
    "UPDATE ledger_cursors SET subject_id = 'me'",
    "UPDATE ledger_cursors SET id = 1",
    (
        "INSERT INTO ledger_cursors SELECT * FROM ledger_cursors ON CONFLICT (id)"
        " DO UPDATE SET subject_id = 'me'"
    ),
    "INSERT INTO ledger_tags VALUES (4, 'mine')",
    "UPDATE ledger_tags SET tag = 'mine'",
    "UPDATE ledger_identity SET id = gen_random_uuid()",
    "INSERT INTO ledger_migrations (name) VALUES ('mine')",
    # To change the tables, and who may do what.
    "DROP TABLE ledger_events",
    "DROP SCHEMA {schema} CASCADE",
    "ALTER TABLE ledger_events DISABLE TRIGGER ALL",
    "ALTER TABLE ledger_events DETACH PARTITION ledger_events_0",
    "ALTER TABLE ledger_cursors ADD COLUMN mine integer",
    "ALTER TABLE ledger_events OWNER TO CURRENT_USER",
    "ALTER TABLE ledger_events ENABLE ROW LEVEL SECURITY",
    "DROP TRIGGER ledger_events_refuse_change ON ledger_events",
    (
        "CREATE TRIGGER mine BEFORE INSERT ON ledger_events FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "CREATE RULE mine AS ON INSERT TO ledger_events DO INSTEAD NOTHING",
    "CREATE POLICY mine ON ledger_events",
    "CREATE INDEX mine ON ledger_events (actor)",
    "DROP INDEX ledger_events_by_position",
    "CREATE TABLE {schema}.mine (n integer)",
    "CREATE TABLE {schema}.mine PARTITION OF ledger_events DEFAULT",
    "CREATE FUNCTION {schema}.ledger_gate(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS ''",
    "CREATE OR REPLACE FUNCTION ledger_gate() RETURNS trigger LANGUAGE plpgsql AS ''",
    "ALTER FUNCTION ledger_gate() SET search_path = mine",
    "CREATE OR REPLACE VIEW ledger_log AS SELECT 1",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "REASSIGN OWNED BY postgres TO CURRENT_USER",
    "LOCK TABLE ledger_events IN ACCESS EXCLUSIVE MODE",
]


def test_all_else_is_refused_by_the_database(target: str, book: Ledger, as_role: str) -> None:
    before = book.checkpoint()
    schema = Address.parse(target).schema
    with connect(as_role) as raw:
        for statement in REFUSED:
            said = statement.format(id=AT, version=2, schema=schema)
            if "MERGE" in said and raw.info.server_version < 15_00_00:
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege), raw.transaction():
                raw.execute(said.encode())
        # With no right to pass on, this passes on nothing, and only warns.
        raw.execute("GRANT ALL ON ledger_events, ledger_cursors TO PUBLIC")
        raw.execute("GRANT INSERT (position) ON ledger_events TO PUBLIC")
    with connect(target) as owner:
        rights = owner.execute(
            "SELECT relacl::text FROM pg_class"
            " WHERE relname LIKE 'ledger%' AND relacl::text ~ '[{,]='"
            " AND relnamespace = current_schema()::regnamespace"
        ).fetchall()
        placing = "SELECT has_column_privilege(%s, 'ledger_events', 'position', 'INSERT')"
        assert owner.execute(placing, (role_of(as_role),)).fetchone() == (False,)
    assert rights == []
    assert book.checkpoint() == before
    assert book.verify().ok


NEW = "2, 'me', 'x', '', 1, '', 1, '', 1, {version}, 0, 1, '\\x00'"
FOUND = {
    # What is written: the kinds of fault, of which verify must find one.
    f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({ROW})": ("edited", 2),
    f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({ROW}) ": ("missing", 7),
    f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({ROW.replace('{id}', '77')})": ("orphan", 1),
    f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({ROW.replace(', 1, 1, 1,', ', 9, 1, 1,')})": (
        "unreadable",
        2,
    ),
    "UPDATE ledger_cursors SET version = version - 1": ("cursor", 0),
    "UPDATE ledger_cursors SET version = version + 1": ("cursor", 0),
    "UPDATE ledger_cursors SET last_sequence = 0": ("cursor", 0),
    "UPDATE ledger_cursors SET epoch = 7": ("cursor", 0),
    "UPDATE ledger_cursors SET digest = '\\x00'": ("cursor", 0),
    "UPDATE ledger_cursors SET recorded_at = 0": ("cursor", 0),
    f"INSERT INTO ledger_cursors VALUES ({NEW})": ("missing", 1),
    "INSERT INTO ledger_cursors SELECT * FROM ledger_cursors ON CONFLICT (id)"
    " DO UPDATE SET last_sequence = 9": ("cursor", 0),
}


@pytest.mark.parametrize("statement", FOUND)
def test_what_the_database_cannot_refuse_is_found(
    book: Ledger, as_role: str, statement: str
) -> None:
    kind, version = FOUND[statement]
    with connect(as_role) as raw:
        raw.execute(statement.format(id=AT, version=version).encode())
    assert kind in [fault.kind for fault in book.verify().faults]


def test_positions_that_it_draws_and_leaves_out_do_no_harm(book: Ledger, as_role: str) -> None:
    with connect(as_role) as raw:
        raw.execute("SELECT nextval('ledger_positions') FROM generate_series(1, 10000)")
    book.advance(ORDERS, to=2)
    assert [entry.position for entry in book.entries()] == [1, 10_002]
    assert book.verify().ok


def test_no_statement_renames_a_cursor(target: str, book: Ledger) -> None:
    book.advance(ORDERS, to=1)
    with connect(target) as owner:
        for column in ("id = 1", "consumer_id = 'me'", "stream_name = 'me'", "subject_id = 'me'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                owner.execute(f"UPDATE ledger_cursors SET {column}".encode())
    assert book.verify().ok


UNDO = """
    DROP FUNCTION ledger_gate CASCADE;
    DROP FUNCTION ledger_may_append, ledger_swallowed;
    DROP TRIGGER ledger_cursors_refuse_rename ON ledger_cursors;
    DELETE FROM ledger_migrations WHERE name = '0002_guards'
"""


def test_an_older_ledger_is_brought_up_to_date_by_its_owner(target: str, as_role: str) -> None:
    with connect(target) as owner:
        owner.execute(UNDO)
        with pytest.raises(SchemaVersionError, match="Open it once as their owner"):
            ledger.open(as_role)
        with ledger.open(target, actor="owner") as again:
            again.advance(ORDERS, to=2)
        with ledger.open(as_role, actor="dispatcher") as again:
            assert again.advance(ORDERS, to=3).version == 3
            assert again.verify().ok
        made = owner.execute(
            "SELECT count(*) FROM pg_trigger"
            " WHERE tgname = 'ledger_events_gate' AND tgenabled = 'A'"
            " AND tgrelid = ANY (SELECT oid FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace)"
        ).fetchone()
        assert made == (9,)


def test_an_entry_in_the_place_of_the_next_one_is_no_transaction_to_wait_for(
    book: Ledger, as_role: str
) -> None:
    taken = f"INSERT INTO ledger_events ({COLUMNS}) VALUES ({ROW})".format(id=AT, version=2)
    with connect(as_role) as raw:
        raw.execute(taken.encode())
        with connect(as_role, autocommit=False) as caller, pytest.raises(StorageError) as lent:
            book.using(caller).advance(ORDERS, to=2)
    for failing in (
        lambda: book.advance(ORDERS, to=2),
        lambda: book.append([AdvanceCursor(ORDERS, 2), AdvanceCursor(JOBS, 1)]),
    ):
        with pytest.raises(StorageError, match="an entry where the next one belongs") as caught:
            failing()
        assert not isinstance(caught.value, LedgerBusyError)
    assert "an entry where the next one belongs" in str(lent.value)
    assert {fault.kind for fault in book.verify().faults} >= {FaultKind.EDITED, FaultKind.CURSOR}
    assert book.advance(JOBS, to=1).version == 1


def test_a_ledger_whose_id_was_removed_is_opened_and_named_by_verify(
    target: str, book: Ledger
) -> None:
    with connect(target) as owner:
        owner.execute("DELETE FROM ledger_identity")
    with ledger.open(target, actor="ines") as again, connect(target, autocommit=False) as caller:
        assert again.using(caller).advance(ORDERS, to=1).version == 1
        assert [fault.place for fault in again.verify().faults] == ["ledger_identity"]
    # One that knew the id asks its own database anew, and is led to the same one.
    with connect(target, autocommit=False) as caller:
        assert book.using(caller).advance(ORDERS, to=2).version == 2
