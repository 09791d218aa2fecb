"""The tree that is kept on a server: who may keep it, who falsifies it, and who settles late."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, FaultKind, Ledger
from ledger.evidence.merkle import BLOCK, TreeRow, checkpoint_over
from ledger.evidence.source import Ids
from ledger.evidence.verification import settled
from ledger.stores.postgres import migrations
from ledger.stores.postgres.address import Address
from ledger.stores.postgres.span_statements import IN_ORDER, span_statements
from ledger.stores.postgres.statements import ranged
from ledger.stores.postgres.tree_statements import tree_statements
from support import planning
from support.cursors import ORDERS
from support.kept_trees import true_rows
from support.servers import ELSEWHERE, connect

KEYS = [CursorKey("mailer", f"stream-{number}") for number in range(16)]


def grow(book: Ledger, by: int) -> None:
    at = book.horizon().last
    book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(by)])


def rows(target: str) -> set[TreeRow]:
    with connect(target) as owner:
        if not owner.execute("SELECT 1 WHERE to_regclass('ledger_tree') IS NOT NULL").fetchall():
            return set()
        found = owner.execute("SELECT level, number, position, root FROM ledger_tree").fetchall()
    return {TreeRow._make(row) for row in found}


def by_all_leaves(book: Ledger) -> ledger.Checkpoint:
    with book._store.snapshot() as log:
        return checkpoint_over(settled(log))


def falsify(target: str, statement: str) -> None:
    """Change rows as the owner of the table can."""
    with connect(target) as owner:
        owner.execute("ALTER TABLE ledger_tree DISABLE TRIGGER ledger_tree_refuse_change")
        owner.execute(statement.encode())
        owner.execute("ALTER TABLE ledger_tree ENABLE TRIGGER ledger_tree_refuse_change")


def test_the_table_comes_with_the_first_row(target: str, book: Ledger) -> None:
    grow(book, BLOCK - 1)
    book.checkpoint()
    with connect(target) as owner:
        assert owner.execute("SELECT to_regclass('ledger_tree')").fetchall() == [(None,)]
    grow(book, 1)
    book.checkpoint()
    assert len(rows(target)) == 1
    with connect(target) as owner:
        names = owner.execute("SELECT name FROM ledger_migrations").fetchall()
    assert (migrations.TREE,) in names
    assert book.verify().ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_tree SET root = decode(repeat('00', 32), 'hex')",
        "DELETE FROM ledger_tree",
        "TRUNCATE ledger_tree",
        "INSERT INTO ledger_tree VALUES (1, 0, 256, decode(repeat('00', 32), 'hex'))",
        "INSERT INTO ledger_tree VALUES (4, 0, 256, decode(repeat('00', 32), 'hex'))",
        "INSERT INTO ledger_tree VALUES (1, 9, 256, 'x')",
    ],
)
def test_the_database_refuses_to_change_a_row(target: str, book: Ledger, statement: str) -> None:
    grow(book, BLOCK)
    book.checkpoint()
    before = rows(target)
    with connect(target) as owner, pytest.raises(psycopg.Error):
        owner.execute(statement.encode())
    assert rows(target) == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE ledger_tree SET root = decode(repeat('00', 32), 'hex') WHERE number = 1", "row 1"),
        ("UPDATE ledger_tree SET position = position - 1 WHERE number = 0", "row 0"),
        ("DELETE FROM ledger_tree WHERE number = 0", "row 0 of level 1: it is missing"),
        ("INSERT INTO ledger_tree SELECT 1, 5, position, root FROM ledger_tree LIMIT 1", "row 5"),
        ("INSERT INTO ledger_tree SELECT 1, -5, position, root FROM ledger_tree LIMIT 1", "row -5"),
        ("INSERT INTO ledger_tree SELECT 3, 0, position, root FROM ledger_tree LIMIT 1", "level 3"),
    ],
)
def test_a_row_that_lies_is_named_and_can_be_removed(
    target: str, book: Ledger, statement: str, said: str
) -> None:
    grow(book, 2 * BLOCK + 9)
    book.checkpoint()
    falsify(target, statement)
    found = book.verify()
    assert {fault.kind for fault in found.faults} == {FaultKind.TREE}
    assert any(said in fault.detail for fault in found.faults)
    assert book.rebuild().repaired == found.faults
    assert rows(target) == set()
    assert book.verify().ok
    book.checkpoint()
    assert len(rows(target)) == 2
    assert book.verify().ok


def test_a_row_that_is_missing_is_made_again(target: str, book: Ledger) -> None:
    grow(book, 3 * BLOCK + 9)
    book.checkpoint()
    before = rows(target)
    falsify(target, "DELETE FROM ledger_tree WHERE number = 1")
    assert not book.verify().ok
    assert book.checkpoint() == by_all_leaves(book)
    assert rows(target) == before
    assert book.verify().ok


def test_nothing_is_kept_that_may_still_settle_late(target: str, book: Ledger) -> None:
    with connect(target, autocommit=False) as late:
        grow(book, 100)
        book.using(late).advance(ORDERS, to=1)
        grow(book, 2 * BLOCK)
        assert book.checkpoint().entries == 100
        assert rows(target) == set()
        late.commit()
    found = book.checkpoint()
    assert found.entries == 2 * BLOCK + 101
    assert found == by_all_leaves(book)
    with book._store.snapshot() as log:
        assert rows(target) == true_rows(list(settled(log)), BLOCK)
    with connect(target, autocommit=False) as late:
        # Its position is drawn, and never used.
        book.using(late).advance(ORDERS, to=2)
        late.rollback()
    grow(book, BLOCK)
    book.checkpoint()
    with book._store.snapshot() as log:
        assert rows(target) == true_rows(list(settled(log)), BLOCK)
    assert book.verify().ok


def test_several_at_once_keep_each_row_once(target: str, book: Ledger) -> None:
    grow(book, 2 * BLOCK)
    begin = threading.Barrier(4)
    given: list[ledger.Checkpoint] = []

    def check(number: int) -> None:
        with ledger.open(target) as own:
            for nth in range(6):
                begin.wait(60)
                key = CursorKey(f"{number}", "orders")
                own.append([AdvanceCursor(key, nth * 100 + n + 1) for n in range(100)])
                given.append(own.checkpoint())

    threads = [threading.Thread(target=check, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 24
    with book._store.snapshot() as log:
        leaves = list(settled(log))
    for found in given:
        assert checkpoint_over(leaves, entries=found.entries).root == found.root
    book.checkpoint()
    assert rows(target) == true_rows(leaves, BLOCK)
    assert book.verify().ok


@pytest.fixture
def reader(target: str, book: Ledger) -> Iterator[tuple[str, str]]:
    """Return the name and the URL of a role that may only read, as of now."""
    if ELSEWHERE:
        pytest.skip("no role is made on a server of somebody else")
    schema = Address.parse(target).schema
    role = f"r_{schema}"
    book.advance(ORDERS, to=1)
    with connect(target) as owner:
        owner.execute(
            f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role};"
            f" GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};"
            f" GRANT SELECT ON SEQUENCE {schema}.ledger_positions TO {role}".encode()
        )
    yield role, target.replace("postgres@", f"{role}@", 1)
    with connect(target) as owner:
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_a_role_without_rights_gets_the_same_answers(
    target: str, book: Ledger, reader: tuple[str, str]
) -> None:
    role, url = reader
    schema = Address.parse(target).schema
    grow(book, 2 * BLOCK)
    with ledger.open(url) as own:
        # It may not make the table.
        assert own.checkpoint() == by_all_leaves(book)
        assert rows(target) == set()
        grow(book, BLOCK)
        expected = book.checkpoint()
        assert len(rows(target)) == 3
        # It may not read the table, which came after its grants.
        assert own.checkpoint() == expected
        assert own.verify().ok
        with connect(target) as owner:
            owner.execute(f"GRANT SELECT ON {schema}.ledger_tree TO {role}".encode())
        grow(book, BLOCK)
        assert own.checkpoint() == by_all_leaves(book)
        assert own.verify().ok
        assert len(rows(target)) == 3
        with connect(target) as owner:
            owner.execute(f"GRANT INSERT ON {schema}.ledger_tree TO {role}".encode())
        assert own.checkpoint() == by_all_leaves(book)
        assert len(rows(target)) == 4
        assert own.verify().ok


def test_rows_wait_for_the_disk_where_appends_do_not(target: str) -> None:
    said: list[object] = []
    with ledger.open(target, durability="normal") as book:
        grow(book, BLOCK)
        book.checkpoint()
        grow(book, BLOCK)
        make = migrations.add_tree

        def note(connection: psycopg.Connection[object], schema: str) -> None:
            said.extend(connection.execute("SHOW synchronous_commit").fetchall())
            make(connection, schema)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrations, "add_tree", note)
            book.checkpoint()
        shown = book._store.connections.read(  # type: ignore[attr-defined]
            lambda session: session.execute(b"SHOW synchronous_commit").fetchall()
        )
    assert (said, shown) == ([("on",)], [("off",)])


def test_a_proof_asks_the_server_few_times(
    book: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many entries there are: each time takes as long as the network does."""
    key = ledger.make_key(tmp_path / "key", "example.com/cursors").verifier
    grow(book, 3 * BLOCK + 20)
    note = book.sign(tmp_path / "key")
    book.prove(300, note)
    waits = []
    wait = psycopg.Connection.wait

    def noted(self: psycopg.Connection[object], *given: Any, **more: object) -> object:
        # What is sent in a pipeline is waited for at its end.
        step = given[0].__name__
        if step == "_exit_gen" or not (step == "_enter_gen" or self.pgconn.pipeline_status):
            waits.append(step)
        return wait(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(psycopg.Connection, "wait", noted)
    assert book.prove(300, note).verify([key]).index == 299
    assert 5 < len(waits) <= 16, waits


@pytest.mark.slow(reason="needs so many entries that a table is not read whole because it is small")
@pytest.mark.parametrize("generic", [True, False])
@pytest.mark.parametrize("known", ["nothing", "when it was small", "all"])
def test_no_proof_reads_a_table_whatever_the_server_knows_of_it(
    book: Ledger, target: str, known: str, generic: bool
) -> None:
    # Enough cursors that each part of the table has some.
    keys = [CursorKey("mailer", f"stream-{number}") for number in range(200)]
    with connect(target) as owner:
        planning.learn_nothing_alone(owner)
        book.append([AdvanceCursor(keys[n % 200], n + 1) for n in range(1_000)])
        if known == "when it was small":
            planning.learn(owner)
        book.append([AdvanceCursor(keys[n % 200], n + 1) for n in range(1_000, 31_000)])
        book.checkpoint()
        # As many rows as a log of millions has; where there are few, to read them all is right.
        owner.execute(
            "INSERT INTO ledger_tree (level, number, position, root) SELECT 1, n, n * 256, "
            "sha256('') FROM generate_series(1000, 20000) AS n"
        )
        if known == "all":
            planning.learn(owner)
        if known == "nothing":
            planning.forget(owner)
        mode = "force_generic_plan" if generic else "force_custom_plan"
        owner.execute(f"SET plan_cache_mode = {mode}".encode())
        [(schema,)] = owner.execute("SELECT current_schema()").fetchall()
        tree = tree_statements(str(schema))
        rows = ranged(tree.rows.replace(b"<level>", b"1"), Ids(0, 256))
        for planned, statement, values in (
            (b"", span_statements(str(schema)).row_at, (20_000,)),
            (IN_ORDER.begin, tree.leaves_after, (20_000, 256)),
            (IN_ORDER.begin, tree.leaves_after, (30_990, 2_000)),
            (b"", rows, ()),
        ):
            with owner.transaction(force_rollback=True):
                owner.execute(planned)
                plan = owner.execute(b"EXPLAIN " + statement, values, prepare=True).fetchall()
            lines = [str(line) for (line,) in plan]
            assert not [line for line in lines if "Seq Scan on ledger_events" in line], lines
            assert not [line for line in lines if "Sort  (" in line], lines
            assert [line for line in lines if "Index" in line], lines
