"""What others have put on the path of a session is never run with the rights of the ledger's user.

Every operator, function, type and relation that the statements of a whole life name is planted in a
schema that comes first on the path. Which those are is read from the server's log of such a life.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import psycopg
import pytest

import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorQuery,
    CursorReset,
    EntryQuery,
    Ledger,
    NonMonotonicCursorError,
    StorageError,
)
from ledger.evidence.source import EVERY, Partible
from ledger.law.events import ErrorRecorded
from ledger.stores.postgres import look
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.keys import cursor_id
from ledger.stores.postgres.policy_statements import policy_statement
from ledger.stores.postgres.reading import PostgresSession
from ledger.stores.postgres.session_statements import session_statements
from ledger.stores.postgres.span_statements import span_statements
from ledger.stores.postgres.statements import statements
from ledger.stores.postgres.tree_statements import tree_statements
from projections import Projector
from support.cursors import JOBS, ORDERS
from support.servers import (
    ELSEWHERE,
    Server,
    connect,
    distribution_binaries,
    wheel_binaries,
    with_schema,
)

# They share a server that writes down every statement.
pytestmark = pytest.mark.xdist_group("search path")

SPRUNG = "sprung:"
TYPES = (
    *("bigint", "integer", "smallint", "text", "oid", "bytea", "boolean", "name", "uuid", '"char"'),
    *("regclass", "bigint[]", "text[]", "name[]", "timestamptz", "interval", "numeric", "xid"),
)
FEW_TYPES = ("bigint", "integer", "text", "oid", "name", "bytea", "regclass")
# What keywords stand for: IN, BETWEEN, USING, IS DISTINCT FROM, LIKE.
IMPLIED = {"=", "<>", "<", "<=", ">", ">=", "~~", "!~~"}


@pytest.fixture(scope="module")
def traced(kind: str) -> Iterator[Server]:
    """A server that writes down every statement."""
    if ELSEWHERE:
        pytest.skip("a server of somebody else is not set up for this")
    binaries = wheel_binaries() if kind == "postgres" else distribution_binaries()
    assert binaries
    made = Server(binaries, settings=["fsync=off", "log_statement=all"]).make()
    for database in ("plain", "trapped", "misfit"):
        made.execute(f"CREATE DATABASE {database}")
    yield made
    made.remove()


def log(server: Server) -> str:
    return (server.folder / "server.log").read_text("utf-8", errors="replace")


@pytest.mark.slow("it plants an overload of every operator and function")
def test_nothing_that_stands_first_on_the_path_is_run(traced: Server, tmp_path: Path) -> None:
    server = traced.url.removesuffix("postgres")
    plain, trapped, misfit = (server + name for name in ("plain", "trapped", "misfit"))
    start = len(log(traced))
    live(plain, tmp_path / "plain.db")
    run = spoken(log(traced)[start:])
    assert_every_statement_ran(run)

    plant(trapped, " ".join(run))
    start = len(log(traced))
    with psycopg.connect(trapped, autocommit=True) as victim:
        for control in (
            "SELECT 1::bigint = 1::bigint",
            "SELECT octet_length('a'::pg_catalog.text)",
            "SELECT 'a'::text",
            "TABLE pg_locks",
            "SELECT 2::bigint & 1",
        ):
            before = len(log(traced))
            victim.execute(control.encode())
            assert f"{SPRUNG} " in log(traced)[before:], control
            assert "as postgres" in log(traced)[before:], control
    start = len(log(traced))
    live(trapped, tmp_path / "trapped.db")
    said = log(traced)[start:]
    assert set(re.findall(rf"{SPRUNG} .*", said)) == set()
    # It was the same life.
    assert_every_statement_ran(spoken(said))

    # What is planted there fits nowhere, so that a statement fails which so much as names it.
    plant(misfit, " ".join(run), result="evil.misfit")
    with psycopg.connect(misfit) as victim, pytest.raises(psycopg.errors.DatatypeMismatch):
        victim.execute("SELECT 1 WHERE 1::bigint = 1::bigint AND false")
    start = len(log(traced))
    live(misfit, tmp_path / "misfit.db")
    assert SPRUNG not in log(traced)[start:]


@pytest.mark.makes_ledgers
def test_a_table_that_waits_for_the_first_opening_is_refused(target: str) -> None:
    schema = Address.parse(target).schema
    with connect(target) as raw:
        raw.execute(f"CREATE SCHEMA {schema}".encode())
        raw.execute("CREATE TABLE ran (by_whom text)")
        raw.execute("CREATE TABLE ledger_migrations (name text PRIMARY KEY)")
        raw.execute(
            "CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO ran VALUES (current_user); RETURN NEW; END'"
        )
        raw.execute(
            "CREATE TRIGGER spring BEFORE INSERT ON ledger_migrations"
            " FOR EACH ROW EXECUTE FUNCTION spring()"
        )
        with pytest.raises(StorageError, match="ledger_migrations"):
            ledger.open(target)
        assert raw.execute("SELECT * FROM ran").fetchall() == []


def spoken(log: str) -> list[str]:
    """Return the statements of a log, each on one line."""
    found = re.findall(r"LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", log)
    return [" ".join(statement.split()) for statement in found]


def assert_every_statement_ran(run: list[str]) -> None:
    everything = "\n".join(run).replace('"copied"', '"mine"')
    kinds = (statements, span_statements, tree_statements, session_statements)
    run_of = [each for kind in kinds for each in attrs.asdict(kind("mine")).items()]
    for name, statement in [*run_of, ("policies", policy_statement("mine"))]:
        if name in {"schema", "empty"}:
            continue  # The latter is for a tree that lies, and has no operator.
        text = statement if isinstance(statement, str) else statement.decode()
        # A piece of it will do that has no values in it.
        pieces = re.split(r"%s|<[\w. ]+>|\$\d|;", " ".join(text.split()))
        assert max(pieces, key=len).strip() in everything, name


def live(url: str, path: Path) -> None:
    """The whole life of a ledger, over connections of its own, and over those that it is lent."""
    target, copied = with_schema(url, "mine"), with_schema(url, "copied")
    assert look(target) == (False, look(target)[1])
    with ledger.open(target, actor="a", durability="normal") as book:
        write(book)
        book.submit(AdvanceCursor(CursorKey("new", "orders"), 9)).result()
        read(book)
        assert book.moves([(CursorKey("nobody", "orders"), 1)]) == [None]
        assert book.wait(CursorKey("nobody", "orders"), 0, 0.5) is None
        assert book.wait_for_entries(book.horizon().last, 0.5) is None
        assert book.verify().ok
        with book._store.snapshot() as log:
            assert log.cuts(2)
            # As proofs and a check of what is new ask for them.
            assert isinstance(log, Partible)
            assert log.row_at(1)
            assert list(log.rows_between(1, 9))
            list(log.rows_before(5, 9))
            list(log.rows_of_place(cursor_id(ORDERS), 9))
            assert list(log.heads_behind(1))
            assert list(log.last_rows(EVERY))
        book.rebuild()
        since = book.checkpoint()
        book.append([AdvanceCursor(CursorKey("many", "a"), n + 1) for n in range(600)])
        book.record_error(CursorKey("many", "a"), "boom")
        book.advance(CursorKey("many", "a"), to=601)
        for _ in range(2):
            book.checkpoint()  # The first one keeps rows of the tree, and the other has them.
        assert book.verify(since).ok
        assert all(book.verify(since=since, turn=turn).ok for turn in range(3))
        book.session_users(range(1, 300))
        with psycopg.connect(url) as caller:
            caller.execute("SET search_path = evil, public, pg_catalog")
            lent = book.using(caller)
            write(lent)
            read(lent)
            lent.rebuild()
            caller.commit()
            session = PostgresSession(caller, statements("mine"), lent=True)
            # These are asked for when a connection was lost, and when a wait was given up.
            session.execute(session.sql.happened, (1, 1, b""))
            session.is_held()
            session.holders()
        asyncio.run(live_awaited(target, url))
        with psycopg.connect(url, autocommit=True) as own:
            seen: list[ledger.Entry] = []
            Projector(book=book, name="v", connection=own, apply=seen.append).catch_up()
            assert seen
        with ledger.open(path) as file:
            book.copy_to(file)
            with ledger.open(copied) as back:
                file.copy_to(back)
                assert back.verify().ok
    assert look(target)[0]
    ledger.open(target).close()


async def live_awaited(target: str, url: str) -> None:
    """The same over a connection that a coroutine lends."""
    async with ledger.aio.open(target, actor="a") as book:
        caller = await psycopg.AsyncConnection.connect(url)
        async with caller:
            await caller.execute("SET search_path = evil, public, pg_catalog")
            lent = book.using(caller)
            await lent.append([AdvanceCursor(CursorKey("new", "awaited"), to) for to in (1, 2)])
            await lent.append([AdvanceCursor(CursorKey(f"c{n}", "a"), n + 1) for n in range(60)])
            await lent.advance(CursorKey("new", "awaited"), to=3)
            await lent.record_error(CursorKey("new", "awaited"), "boom")
            await lent.reset(CursorKey("new", "awaited"), to=1, reason="again")
            assert len([entry async for entry in lent.history(CursorKey("new", "awaited"))]) == 5
            assert [entry async for entry in lent.entries()]
            assert [cursor async for cursor in lent.cursors()]
            await lent.moves([(CursorKey("new", "awaited"), 3)])
            await lent.horizon()


def write(book: Ledger) -> None:
    at = next((c.last_sequence for c in book.cursors(CursorQuery(consumer_id="webhooks"))), 0)
    for to in (1, 2):
        book.advance(ORDERS, to=at + to)
    book.append([AdvanceCursor(ORDERS, at + to) for to in range(3, 9)])
    book.append([AdvanceCursor(CursorKey(f"c{n}", f"s{at}"), n + 1) for n in range(60)])
    book.append([AdvanceCursor(CursorKey(f"c{n}", f"t{at}"), n + 1) for n in range(5)])
    book.record_error(JOBS, "boom")
    with pytest.raises(NonMonotonicCursorError):
        book.advance(ORDERS, to=1)
    book.reset(JOBS, to=3, reason="again")


def read(book: Ledger) -> None:
    book.horizon()
    book.get(ORDERS)
    list(book.cursors())
    list(book.cursors(CursorQuery(consumer_id="webhooks", stream_name="orders", subject_id="x")))
    list(book.history(ORDERS))
    whole = EntryQuery(
        consumer_id="webhooks",
        stream_name="orders",
        subject_id="x",
        actor="a",
        kinds=(CursorReset, ErrorRecorded),
        recorded_from=datetime(2020, 1, 1, tzinfo=UTC),
        recorded_until=datetime(2040, 1, 1, tzinfo=UTC),
        position_from=1,
        position_until=9,
        covering=1,
    )
    for query in (
        EntryQuery(),
        EntryQuery(kinds=(CursorReset,)),
        EntryQuery(newest_first=True),
        EntryQuery(covering=1, covering_until=9, positions=(1, 2), jumping=True),
        EntryQuery(key=ORDERS, version_from=1, version_until=9, newest_first=True),
        EntryQuery(key=JOBS, kinds=(CursorReset,)),
        whole,
    ):
        list(book.entries(query))


def plant(url: str, said: str, *, result: str | None = None) -> None:
    """Plant all that the statements name, as a role that may do no more than that.

    It returns what PostgreSQL's own returns, or something of the type `result`.
    """
    with psycopg.connect(url, autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'mallory'").fetchall():
            admin.execute("CREATE ROLE mallory LOGIN")
        admin.execute("CREATE SCHEMA evil AUTHORIZATION mallory")
        admin.execute("GRANT USAGE ON SCHEMA evil TO PUBLIC")
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET search_path = evil, public, pg_catalog".encode())
    code = re.sub(r"'[^']*'", "''", said)
    words = sorted(set(re.findall(r"[A-Za-z_]\w*", said)))
    symbols = sorted(set(re.findall(r"[-+*/<>=~!@#%^&|`?]+", code)) | IMPLIED)
    with psycopg.connect(url.replace("postgres@", "mallory@"), autocommit=True) as mallory:
        mallory.execute("SET search_path = pg_catalog")
        mallory.execute("CREATE TYPE evil.misfit AS ENUM ('of no use')")
        mallory.execute(
            "CREATE FUNCTION evil.spring(name pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS"
            f" 'BEGIN RAISE LOG ''{SPRUNG} % as %'', name, current_user; RETURN true; END'"
        )
        planted = {
            "operators": mallory.execute(OPERATORS, (symbols, list(TYPES), result)),
            "functions": mallory.execute(FUNCTIONS, (words, list(TYPES), list(FEW_TYPES), result)),
            "types": mallory.execute(DOMAINS, (words,)),
            "relations": mallory.execute(VIEWS, (words,)),
        }
        for name, rows in planted.items():
            done = 0
            for (statement,) in rows.fetchall():
                try:
                    mallory.execute(statement.encode())
                    done += 1
                except psycopg.Error:
                    pass  # Not everything can be: pseudo-types, for one.
            assert done >= {"operators": 1_000, "functions": 1_000}.get(name, 5), (name, done)


BODY = """
    format(
        'LANGUAGE plpgsql AS $t$BEGIN PERFORM evil.spring(%L); RETURN NULL; END$t$', name
    )
"""

OPERATORS = f"""
    WITH names AS (SELECT DISTINCT oprname::text AS name FROM pg_operator WHERE oprname = ANY(%s)),
    types AS (SELECT t FROM unnest(%s::text[]) AS t),
    planned AS (
        SELECT oprname::text AS name, format_type(oprleft, NULL) AS l,
            format_type(oprright, NULL) AS r, format_type(oprresult, NULL) AS original
        FROM pg_operator JOIN names ON name = oprname WHERE oprleft <> 0
        UNION
        SELECT name, a.t, b.t,
            CASE WHEN name ~ '[<>=~]' THEN 'boolean' ELSE a.t END
        FROM names, types AS a, types AS b
    ),
    numbered AS (
        SELECT *, coalesce(%s, original) AS result, row_number() OVER () AS n FROM planned
    )
    SELECT format('CREATE FUNCTION evil.trap_%%s(%%s, %%s) RETURNS %%s ', n, l, r, result)
        || {BODY.replace("%", "%%")}
        || format('; CREATE OPERATOR evil.%%s', name)
        || format(' (FUNCTION = evil.trap_%%s, LEFTARG = %%s, RIGHTARG = %%s)', n, l, r)
    FROM numbered
"""

FUNCTIONS = f"""
    WITH names AS (
        SELECT DISTINCT proname::text AS name FROM pg_proc
        WHERE proname = ANY(%s) AND pronamespace = 'pg_catalog'::regnamespace
    ),
    planned AS (
        SELECT proname::text AS name, pg_get_function_identity_arguments(oid) AS arguments,
            CASE WHEN proretset THEN 'SETOF ' ELSE '' END
                || format_type(prorettype, NULL) AS original
        FROM pg_proc JOIN names ON name = proname WHERE pronamespace = 'pg_catalog'::regnamespace
        UNION SELECT name, '', 'bigint' FROM names
        UNION SELECT name, t, 'bigint' FROM names, unnest(%s::text[]) AS t
        UNION SELECT name, a || ', ' || b, 'bigint'
        FROM names, unnest(%s::text[]) WITH ORDINALITY AS x (a), unnest(ARRAY[
            'bigint', 'integer', 'text', 'oid', 'name'
        ]) AS b
    )
    SELECT format('CREATE FUNCTION evil.%%I(%%s) RETURNS %%s ', name, arguments,
            coalesce(%s, original))
        || {BODY.replace("%", "%%")}
    FROM planned
"""

DOMAINS = """
    SELECT format('CREATE DOMAIN evil.%%I AS %%s CHECK (evil.spring(%%L))',
        typname, format_type(oid, NULL), 'type ' || typname)
    FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b'
        AND typname = ANY(%s) AND typname NOT LIKE '\\_%%'
"""

VIEWS = """
    SELECT format('CREATE VIEW evil.%%I AS SELECT * FROM pg_catalog.%%I WHERE evil.spring(%%L)',
        relname, relname, 'relation ' || relname)
    FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = ANY('{r,v}')
        AND relname = ANY(%s)
    UNION ALL
    SELECT format('CREATE VIEW evil.%%I AS SELECT evil.spring(%%L)', name, 'relation ' || name)
    FROM unnest(ARRAY['ledger_events', 'ledger_cursors', 'ledger_tags', 'ledger_positions',
        'ledger_identity', 'ledger_migrations']) AS name
"""
