"""What the owner of a connection has put in the place of SQLite's own: functions and collations.

Which functions the statements use is not a list here: SQLite itself tells of each, as it compiles a
statement, and every statement that the ledger has is seen to be compiled.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy
from sqlalchemy import orm

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
from ledger.evidence.source import Partible
from ledger.evidence.spans import check_heads, check_span
from ledger.law.events import ErrorRecorded
from ledger.stores.sqlite import archived, migrations, moments, private, statements, structure
from ledger.testing import in_memory
from support.coroutines import asynchronous
from support.cursors import JOBS, ORDERS
from support.pruned import IDLE, two_ledgers

# Only connections of the ledger's own ask this: one at a time, to wait, and to share a check.
NOT_LENT = {statements.MOVED, statements.CURSOR_AT, structure.KINDS}
# Over a lent connection all entries are read, and no row of the tree is kept.
NOT_LENT |= {statements.LEAVES_AFTER, statements.TREE_ROWS, statements.INSERT_TREE_ROW}
# It is given no id, but has the one that was given to the ledger itself.
NOT_LENT |= {statements.INSERT_IDENTITY}


def live(book: Ledger) -> list[object]:
    """Return all that is read in the life of a ledger in which everything happens."""
    for to in (1, 2):
        book.advance(ORDERS, to=to, metadata={"to": str(to)})
    book.append([AdvanceCursor(ORDERS, to) for to in range(3, 9)])
    book.append([AdvanceCursor(CursorKey(name, "orders"), 1) for name in "bCaB"])
    book.start(CursorKey("late", "orders"), at=5, reason="moved here", actor="ines")
    book.record_error(JOBS, "boom")
    book.reset(JOBS, to=3, reason="again", actor="ines")
    with pytest.raises(NonMonotonicCursorError):
        book.advance(ORDERS, to=1, delivery_id="another")
    queries = (
        EntryQuery(),
        EntryQuery(kinds=(CursorReset,)),
        EntryQuery(
            recorded_from=datetime(2026, 1, 1, tzinfo=UTC),
            recorded_until=datetime(2026, 1, 1, tzinfo=UTC),
        ),
        EntryQuery(covering=1, covering_until=9, positions=(1, 2), jumping=True),
        EntryQuery(key=ORDERS, version_from=1, version_until=9, newest_first=True),
        EntryQuery(
            consumer_id="webhooks",
            stream_name="orders",
            subject_id="x",
            actor="a",
            kinds=(CursorReset, ErrorRecorded),
            recorded_from=datetime(2020, 1, 1, tzinfo=UTC),
            recorded_until=datetime(2040, 1, 1, tzinfo=UTC),
            position_from=1,
            position_until=9,
        ),
    )
    found: list[object] = [
        book.horizon(),
        book.get(ORDERS),
        list(book.cursors()),
        list(book.cursors(CursorQuery(consumer_id="webhooks", stream_name="orders"))),
        book.moves([(ORDERS, 3), (JOBS, 1), (CursorKey("nobody", "orders"), 1)]),
        book.verify(),
        book.checkpoint(),
        book.record_error(CursorKey("late", "orders"), "boom"),
        # Beyond a block of the tree, which is kept.
        book.append([AdvanceCursor(ORDERS, to) for to in range(9, 309)]),
        *(book.checkpoint() for _ in range(2)),
        in_parts(book),
        book.rebuild(),
    ]
    found += [list(book.entries(query)) for query in queries]
    # Last, because it is another one each time.
    assert book.identify() == book.identity() != ""
    return found


def in_parts(book: Ledger) -> list[object]:
    """Return what is found in parts of the log, as a check since a checkpoint reads them."""
    with book._store.snapshot() as log:
        assert isinstance(log, Partible)
        return [
            *(check_span(log, after) for after in (0, 5, 14)),
            check_heads(log, log.share(0, 1)),
            list(log.definitions()),
            log.row_at(3),
        ]


def older(path: Path) -> None:
    """Make a ledger that starts are yet to be allowed in, so that this is done meanwhile."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(migrations, "LATER", ())
        ledger.open(path).close()


@contextmanager
def lent(path: Path, prepare: Callable[[sqlite3.Connection], object]) -> Iterator[Ledger]:
    """Lend a connection to a new file that `prepare` was called with."""
    older(path)
    with ledger.open(path, clock=clock) as book, closing(sqlite3.connect(path)) as connection:
        book.identify()
        prepare(connection)
        yield book.using(connection)
        connection.commit()
        assert book.verify().ok


@contextmanager
def shared(_: Path, prepare: Callable[[sqlite3.Connection], object]) -> Iterator[Ledger]:
    """Make a ledger in a database in memory, over a connection that `prepare` was called with."""
    with closing(sqlite3.connect(":memory:")) as connection:
        prepare(connection)
        with in_memory(connection, clock=clock) as book:
            yield book


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def everything_asked() -> Iterator[str]:
    """Yield the statements that modules have as constants, except those with a name of a part."""
    for module in (statements, structure, private, archived):
        for name, value in vars(module).items():
            is_statement = isinstance(value, str) and value.lstrip().startswith(
                ("SELECT", "IN", "UP")
            )
            if name.isupper() and is_statement and value not in NOT_LENT:
                yield value


def test_no_statement_of_the_ledger_uses_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A short log is scanned, and a long one is searched.
    monkeypatch.setattr(moments, "ROWS_A_CURSOR", 1)
    used: set[str] = set()
    ran: list[str] = []

    def authorize(action: int, _: str | None, name: str | None, *__: object) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            used.add(str(name))
        return sqlite3.SQLITE_OK

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(authorize)
        connection.set_trace_callback(ran.append)
        connection.execute("SELECT max(1, 2) WHERE 'a' LIKE 'b'").fetchall()
        assert used == {"max", "like"}
        used.clear()

    with lent(tmp_path / "cursors.db", watch) as book:
        live(book)
    pruned = two_ledgers(tmp_path, 2).pruned
    with ledger.open(pruned) as book, closing(sqlite3.connect(pruned)) as connection:
        watch(connection)
        ask_what_is_archived(book.using(connection))
    assert used == set()
    run = " ".join(" ".join(ran).split())
    everything = list(everything_asked())
    assert len(everything) > 15
    for statement in everything:
        # A piece of it will do that has no values in it.
        pieces = re.split(r"\{\w*\}|\?", " ".join(statement.split()))
        assert max(pieces, key=len).strip() in run, statement


def ask_what_is_archived(book: Ledger) -> None:
    """Ask a ledger that was pruned for what it no longer has."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    for query in (
        EntryQuery(key=ORDERS),
        EntryQuery(recorded_from=long_ago),
        EntryQuery(consumer_id=ORDERS.consumer_id),
    ):
        with pytest.raises(ledger.ArchivedError):
            list(book.entries(query))
    assert book.moves([(IDLE, 1)]) != [None]
    assert book.verify().ok
    assert book.checkpoint().entries


def plant(connection: sqlite3.Connection, sprung: list[str]) -> None:
    """Put something else in the place of each function that SQLite has, and of two collations."""
    if sqlite3.sqlite_version_info < (3, 30):
        pytest.skip("this SQLite does not list its functions")

    def instead(name: str) -> Callable[..., Any]:
        def function(*_: object) -> str:
            sprung.append(name)
            return "sprung"

        return function

    listed = connection.execute("SELECT DISTINCT name, narg FROM pragma_function_list").fetchall()
    assert len(listed) > 80
    for name, arguments in [*listed, *((name, -1) for name in ("match", "regexp", "cast"))]:
        for each in (arguments, 0, 1, 2, 3):
            connection.create_function(name, each, instead(name))
    for name in ("NOCASE", "RTRIM"):
        connection.create_collation(name, instead(name))
    for control in (
        "SELECT coalesce(1, 2)",
        "SELECT 'a' LIKE 'b'",
        "SELECT count(*)",
        "SELECT +lower('A')",
    ):
        assert connection.execute(control).fetchall() == [("sprung",)]
    sprung.clear()


@pytest.mark.parametrize("place", [lent, shared])
def test_functions_in_the_place_of_sqlites_own_are_never_run(place: Any, tmp_path: Path) -> None:
    with place(tmp_path / "plain.db", lambda _: None) as book:
        as_ever = live(book)
    sprung: list[str] = []
    with place(tmp_path / "trapped.db", lambda connection: plant(connection, sprung)) as book:
        trapped = live(book)
    assert sprung == []
    assert trapped == as_ever


@pytest.fixture
def connection(book: Ledger, path: Path) -> Iterator[sqlite3.Connection]:
    book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def by(key: Callable[[str], Any]) -> Callable[[str, str], int]:
    return lambda a, b: (key(a) > key(b)) - (key(a) < key(b))


def plain_letters(text: str) -> str:
    import unicodedata

    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


ORDERS_OF_TEXT: dict[str, Callable[[str, str], int]] = {
    "all is equal": lambda _, __: 0,
    "backwards": lambda a, b: (a < b) - (a > b),
    "without capitals": by(str.casefold),
    "capitals last": by(str.swapcase),
    "as in a dictionary": by(lambda text: (plain_letters(text).casefold(), text)),
    "without accents": by(plain_letters),
    "one letter with an accent as without": by(lambda text: text.replace("\u00e9", "e")),
    "without blanks": by(str.strip),
    "without hyphens": by(lambda text: text.replace("-", "")),
    "by length": by(lambda text: (len(text), text)),
    "by numbers": by(
        lambda text: [(len(n), n) if n.isdigit() else (0, n) for n in re.split(r"(\d+)", text)]
    ),
}
SAID = "collation BINARY of your own.*create_collation"


@pytest.mark.parametrize("order", ORDERS_OF_TEXT)
def test_another_order_of_text_is_refused(
    order: str, book: Ledger, connection: sqlite3.Connection
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    before = book.using(connection)
    before.advance(ORDERS, to=2)
    connection.create_collation("BINARY", ORDERS_OF_TEXT[order])
    with pytest.raises(StorageError, match=SAID):
        book.using(connection)
    with pytest.raises(StorageError, match=SAID):
        before.advance(ORDERS, to=3)
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.create_collation("BINARY", ORDERS_OF_TEXT[order])
        with pytest.raises(StorageError, match=SAID):
            in_memory(memory)
    connection.execute("COMMIT")
    assert book.get(ORDERS).last_sequence == 2
    assert book.verify().ok


def test_an_order_of_ones_own_that_is_the_same_does_no_harm(
    book: Ledger, connection: sqlite3.Connection
) -> None:
    connection.create_collation("BINARY", by(str.encode))
    connection.execute("BEGIN IMMEDIATE")
    book.using(connection).append([AdvanceCursor(CursorKey(name, "orders"), 1) for name in "bCaB"])
    connection.execute("COMMIT")
    assert book.verify().ok


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_text_of_every_encoding_is_in_its_order(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute(f"PRAGMA encoding = '{encoding}'")
        theirs.execute("CREATE TABLE mine (n INTEGER)")
        with ledger.open(path) as book, theirs:
            book.find(ORDERS)
            book.using(theirs).advance(ORDERS, to=1)
            assert book.using(theirs).verify().ok


@asynchronous
async def test_what_sqlalchemy_and_aiosqlite_lend_is_looked_at_as_well(
    path: Path, book: Ledger
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")

    @sqlalchemy.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.create_collation("BINARY", by(str.casefold))

    with orm.Session(engine) as session, pytest.raises(StorageError, match=SAID):
        book.using(session).advance(ORDERS, to=1)
    engine.dispose()
    async with ledger.aio.open(path) as own, aiosqlite.connect(path) as awaited:
        make: Any = awaited._execute
        await make(awaited._conn.create_collation, "BINARY", by(str.casefold))
        with pytest.raises(StorageError, match=SAID):
            await own.using(awaited).advance(ORDERS, to=1)
    assert book.find(ORDERS) is None
