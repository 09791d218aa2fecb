"""A user that may only append cannot supply, change or suppress who was logged in."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from ledger import Ledger, StorageError
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.keys import cursor_id
from support.cursors import JOBS, ORDERS
from support.roles import dispatching_role, role_of
from support.servers import connect

RAW = (
    "INSERT INTO ledger_events (cursor_id, version, epoch, recorded_at, actor, tag_id, sequence,"
    " reason, occurred_at, digest) VALUES ({id}, 1, 1, 1, 'omar', {tag}, 1, {reason}, 1, '\\x00')"
)


@pytest.fixture
def as_role(target: str, book: Ledger) -> Iterator[str]:
    """The URL of the ledger for a role that was granted what the page says, and no more."""
    book.reset(ORDERS, to=44, reason="begin here")
    with dispatching_role(target) as url:
        yield url


WRITING = [
    "INSERT INTO ledger_sessions VALUES (99, 'ines')",
    "INSERT INTO ledger_sessions SELECT 99, 'ines' WHERE false",
    "INSERT INTO ledger_sessions VALUES (1, 'ines') ON CONFLICT DO NOTHING",
    (
        "INSERT INTO ledger_sessions VALUES (1, 'ines')"
        " ON CONFLICT (position) DO UPDATE SET session_role = 'ines'"
    ),
    "COPY ledger_sessions FROM PROGRAM 'echo'",
    "UPDATE ledger_sessions SET session_role = 'ines'",
    "DELETE FROM ledger_sessions",
    "TRUNCATE ledger_sessions",
]
DEFINING = [
    "ALTER TABLE ledger_sessions DISABLE TRIGGER ALL",
    "ALTER TABLE ledger_events DISABLE TRIGGER ledger_events_note_session",
    "DROP TRIGGER ledger_events_note_session ON ledger_events",
    "ALTER FUNCTION ledger_note_session() SECURITY INVOKER",
    "ALTER FUNCTION ledger_note_session() RESET ALL",
    "CREATE OR REPLACE FUNCTION ledger_note_session() RETURNS trigger LANGUAGE plpgsql AS ''",
    "DROP TABLE ledger_sessions",
    "SET SESSION AUTHORIZATION postgres",
    "SET ROLE postgres",
    "SET session_replication_role = replica",
]


@pytest.mark.parametrize("granted", [False, True])
def test_a_role_that_appends_cannot_write_there(
    target: str, book: Ledger, as_role: str, *, granted: bool
) -> None:
    with connect(target) as owner, connect(as_role) as raw:
        if granted:
            # As ALTER DEFAULT PRIVILEGES does with every table that is made.
            owner.execute(f"GRANT ALL ON ledger_sessions TO {role_of(as_role)}".encode())
        for statement in WRITING if granted else [*WRITING, *DEFINING]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege), raw.transaction():
                raw.execute(statement.encode())
        kept = owner.execute("SELECT * FROM ledger_sessions ORDER BY 1").fetchall()
        assert kept == [(0, None), (1, "postgres")]
        if granted:
            owner.execute(f"REVOKE ALL ON ledger_sessions FROM {role_of(as_role)}".encode())
    assert book.verify().ok


def test_what_notes_is_of_no_use_on_a_table_of_ones_own(target: str, as_role: str) -> None:
    schema = Address.parse(target).schema
    mine = (
        "CREATE TABLE pg_temp.ledger_events (position bigint, reason text)",
        "CREATE TABLE {mine}.ledger_events (position bigint, reason text)",
        "CREATE TABLE {mine}.ledger_sessions (position bigint, session_role text)",
        "CREATE TABLE {schema}.own (position bigint, reason text)",
    )
    puts = (
        "CREATE TRIGGER note AFTER INSERT ON {table} FOR EACH ROW"
        " EXECUTE FUNCTION {schema}.ledger_note_session()"
    )
    role = role_of(as_role)
    names = {"schema": schema, "mine": f"{schema}_mine"}
    with connect(target) as owner, connect(as_role) as raw:
        owner.execute(f"CREATE SCHEMA {names['mine']} AUTHORIZATION {role}".encode())
        owner.execute(f"GRANT CREATE ON SCHEMA {schema} TO {role}".encode())
        for statement in mine:
            raw.execute(statement.format(**names).encode())
        tables = ("pg_temp.ledger_events", f"{names['mine']}.ledger_events", f"{schema}.own")
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                raw.execute(puts.format(table=table, **names).encode())
        # Also if somebody has granted it.
        owner.execute(f"GRANT EXECUTE ON FUNCTION ledger_note_session() TO {role}".encode())
        for table in tables:
            raw.execute(puts.format(table=table, **names).encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="is not of the ledger"):
                raw.execute(f"INSERT INTO {table} VALUES (99, 'x')".encode())
        kept = owner.execute("SELECT count(*) FROM ledger_sessions").fetchall()
        assert kept == [(2,)]
        owner.execute(f"DROP SCHEMA {names['mine']} CASCADE".encode())
        raw.execute(f"DROP TABLE {schema}.own".encode())


def test_nothing_on_the_path_of_the_role_is_run_with_the_rights_of_the_owner(
    target: str, as_role: str
) -> None:
    schema = f"{Address.parse(target).schema}_evil"
    role = role_of(as_role)
    with connect(target) as owner, connect(as_role) as raw:
        owner.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}".encode())
        raw.execute(f"SET search_path = {schema}, pg_temp, pg_catalog".encode())
        raw.execute("CREATE TABLE ran (by_whom text)")
        body = (
            f"LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {schema}.ran VALUES (current_user);"
            " RETURN NULL; END $$"
        )
        for left, right in (("name", "name"), ("oid", "oid"), ("text", "text"), ("name", "text")):
            raw.execute(f"CREATE FUNCTION eq(a {left}, b {right}) RETURNS boolean {body}".encode())
            raw.execute(
                f"CREATE OPERATOR = (FUNCTION = eq, LEFTARG = {left}, RIGHTARG = {right})".encode()
            )
        for signature in (
            "format(a text, b name)",
            "format(a text, VARIADIC b text[])",
            "pg_get_userbyid(a oid)",
        ):
            kind = "name" if "userbyid" in signature else "text"
            raw.execute(f"CREATE FUNCTION {signature} RETURNS {kind} {body}".encode())
        for relation in ("pg_class", "pg_inherits"):
            raw.execute(f"CREATE VIEW {relation} AS SELECT * FROM pg_catalog.{relation}".encode())
            raw.execute(f"CREATE TEMPORARY VIEW {relation} AS TABLE {relation}".encode())
        raw.execute("CREATE DOMAIN text AS pg_catalog.text CHECK (eq(1::oid, 2::oid))")
        raw.execute(f"CREATE TEMPORARY TABLE ledger_sessions (position bigint, role {schema}.text)")
        # The traps do spring.
        raw.execute("SELECT 1::oid = 1::oid, 'a'::name = 'b'::name")
        sprung = raw.execute("SELECT pg_catalog.count(*) FROM ran").fetchall()
        assert sprung == [(2,)]
        events = f'"{Address.parse(target).schema}".ledger_events'
        statement = RAW.format(id=7, tag=2, reason="'x'").replace("ledger_events", events)
        raw.execute(statement.encode())
        assert raw.execute("SELECT pg_catalog.count(*) FROM ran").fetchall() == sprung
        said = owner.execute("SELECT session_role FROM ledger_sessions WHERE position > 1")
        assert said.fetchall() == [(role,)]
        owner.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.mark.parametrize(("tag", "reason", "noted"), [(2, "'x'", 1), (2, "NULL", 0), (1, "'x'", 1)])
def test_what_is_no_entry_is_found_with_a_note_or_without(
    book: Ledger, as_role: str, tag: int, reason: str, noted: int
) -> None:
    statement = RAW.format(id=cursor_id(ORDERS), tag=tag, reason=reason)
    with connect(as_role) as raw:
        raw.execute(statement.replace(", 1, 1, 1, 'omar'", ", 2, 2, 1, 'omar'").encode())
        rows = raw.execute("SELECT session_role FROM ledger_sessions WHERE position = 2")
        assert rows.fetchall() == [(role_of(as_role),)] * noted
    kinds = {fault.kind.value for fault in book.verify().faults}
    assert kinds & {"edited", "unreadable"}
    assert "session" not in kinds


def test_where_owners_differ_a_reset_is_refused_and_verify_says_why(
    target: str, book: Ledger, as_role: str
) -> None:
    role = role_of(as_role)
    with connect(target) as owner:
        owner.execute(f"ALTER TABLE ledger_sessions OWNER TO {role}".encode())
        with pytest.raises(StorageError, match="is not of the ledger of postgres"):
            book.reset(ORDERS, to=1, reason="again")
        book.advance(JOBS, to=1)
        [fault] = book.verify().faults
        assert fault.place == "function ledger_note_session()"
        assert f"ledger_sessions to {role}" in fault.detail
        owner.execute("ALTER TABLE ledger_sessions OWNER TO CURRENT_USER")
    book.reset(ORDERS, to=1, reason="again")
    assert book.verify().ok
