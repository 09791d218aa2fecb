"""What a check since a checkpoint notices on a server; and that it reads no more than it must."""

from __future__ import annotations

import re

import pytest

from ledger import AdvanceCursor, Checkpoint, CursorKey, Ledger
from ledger.evidence.merkle import BLOCK
from ledger.evidence.source import Ids
from ledger.stores.postgres.span_statements import BY_INDEX, span_statements
from ledger.stores.postgres.statements import ranged
from support import planning
from support.clock import Clock
from support.cursors import ORDERS, fill
from support.falsified_databases import FALSIFICATIONS
from support.servers import connect

STORES = "newest postgres"

TURNS = 2
KEYS = [CursorKey("filler", f"stream-{number}") for number in range(16)]


@pytest.fixture(autouse=True)
def one_block_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.evidence.kept.BLOCKS_A_TURN", 1)


def grow(book: Ledger, by: int) -> None:
    at = book.horizon().last
    book.append([AdvanceCursor(KEYS[n % 16], at + n + 1) for n in range(by)])


@pytest.fixture
def since(book: Ledger, clock: Clock) -> Checkpoint:
    """Return a checkpoint of a ledger in which what is falsified is in the first of two blocks."""
    fill(book, clock)
    grow(book, TURNS * BLOCK)
    kept = book.checkpoint()
    grow(book, 5)
    return kept


@pytest.mark.slow(reason="makes a ledger of some hundred entries for each deed")
@pytest.mark.parametrize("deed", FALSIFICATIONS)
def test_whatever_is_falsified_is_named_in_one_of_the_turns(
    book: Ledger, since: Checkpoint, target: str, deed: str
) -> None:
    do, kind, position = FALSIFICATIONS[deed]
    with connect(target) as connection:
        do(connection)
    whole = book.verify(since)
    named = 0
    for turn in range(TURNS):
        found = book.verify(since=since, turn=turn)
        if found.partial is not None:
            assert found.ok
            continue
        named += 1
        assert (kind, position) in {(fault.kind, fault.position) for fault in found.faults}
        assert found.faults == whole.faults
    assert named


def test_what_is_not_settled_is_read_and_not_in_the_root(
    book: Ledger, since: Checkpoint, target: str
) -> None:
    with connect(target) as connection, connection.transaction():
        book.using(connection).advance(ORDERS, to=50)
        grow(book, 3)
        found = book.verify(since=since, turn=1)
        assert (found.ok, found.partial is not None) == (True, True)
        assert (found.unsettled, found.unvouched) == (3, 8)
        assert found.checkpoint == book.checkpoint()


@pytest.mark.usefixtures("since")
@pytest.mark.parametrize("known", [True, False])
def test_no_table_is_read_whole_whatever_the_server_knows_of_it(target: str, known: bool) -> None:
    """A table that was just filled has no statistics, as if it were small, or all of it wanted."""
    with connect(target) as owner:
        schema = owner.execute("SELECT current_schema()").fetchall()[0][0]
        statements = span_statements(str(schema))
        planning.learn_nothing_alone(owner)
        if known:
            planning.learn(owner)
        else:
            planning.forget(owner)
        with owner.transaction():
            owner.execute(BY_INDEX.begin)
            for statement, values in (
                (statements.rows_between, ()),
                (statements.rows_before, ()),
                (statements.heads_behind, ()),
                (statements.last_rows, ()),
                (statements.last_move, (1, 5)),
                (statements.first_advance, (1, 1, 5)),
            ):
                said = statement.replace(b"<after>", b"'500'::bigint")
                said = ranged(said.replace(b"<until>", b"'510'::bigint"), Ids(0, 1 << 60))
                plan = owner.execute(b"EXPLAIN " + said, values).fetchall()
                lines = [str(line) for (line,) in plan]
                assert not [
                    line for line in lines if re.search(r"Seq Scan on ledger_(ev|cu)", line)
                ]
                assert [line for line in lines if "ledger_events" in line]
