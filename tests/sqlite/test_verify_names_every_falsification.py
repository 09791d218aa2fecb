"""A table of what somebody with the file can do to it, each with the fault that names it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ledger
from ledger import CursorKey, FaultKind, Ledger, Standing
from support.clock import Clock
from support.cursors import ORDERS
from support.depth import thorough
from support.falsified_files import FALSIFICATIONS


@pytest.mark.parametrize("deed", FALSIFICATIONS)
def test_a_falsification_is_named_whether_the_ledger_was_open_or_not(
    full: Ledger, path: Path, deed: str
) -> None:
    do, kind, position = FALSIFICATIONS[deed]
    do(path)
    found = full.verify()
    named = {(fault.kind, fault.position) for fault in found.faults}
    assert (kind, position) in named, found.faults
    assert all(str(fault) for fault in found.faults)
    with ledger.open(path) as again:
        assert again.verify().faults == found.faults


ANYTHING = st.one_of(
    st.none(),
    st.sampled_from(["''", "'x'", "x''", "x'ff00'", "CAST(x'ff' AS TEXT)", "zeroblob(32)"]),
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.sampled_from(["9e999", "-9e999", "0.5", "1e18", "'1'", "' 1 '", "char(0)", "char(8203)"]),
)
EVENT = """position cursor_id version epoch recorded_at actor metadata tag_id previous_sequence
sequence delivery_id delivered_at outcome reason message occurred_at digest"""
CURSOR = """id consumer_id stream_name subject_id last_sequence last_delivery_id last_delivered_at
last_error updated_at version epoch recorded_at digest"""
COLUMNS = [
    *(("ledger_events", column) for column in EVENT.split()),
    *(("ledger_cursors", column) for column in CURSOR.split()),
    *(("ledger_tags", column) for column in ("id", "tag")),
]


@settings(
    max_examples=thorough(300, 20), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(COLUMNS), st.integers(1, 7), ANYTHING)
# Text that is no UTF-8, in the one column that is read beside the tree.
@example(("ledger_events", "recorded_at"), 1, "CAST(x'ff' AS TEXT)")
def test_whatever_stands_in_a_column_is_found_and_is_no_crash(
    full: Ledger, path: Path, place: tuple[str, str], row: int, value: str | None
) -> None:
    table, column = place
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute("BEGIN IMMEDIATE")
        triggers = raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        before = everything(raw)
        try:
            raw.execute(
                f"UPDATE {table} SET {column} = {value or 'NULL'} WHERE rowid ="
                f" (SELECT rowid FROM {table} ORDER BY rowid LIMIT 1 OFFSET {row - 1})"
            )
        except sqlite3.IntegrityError:
            raw.execute("ROLLBACK")
            return
        after = everything(raw)
        # Verified in this very transaction, which is then undone.
        found = full.using(raw).verify()
        raw.execute("ROLLBACK")
    kinds = {fault.kind for fault in found.faults} - {FaultKind.DEFINITION}
    if column == "position":
        return  # The order among cursors is what a checkpoint is for.
    assert bool(kinds) == (before != after), (place, row, value)


def everything(raw: sqlite3.Connection) -> list[object]:
    return [
        raw.execute(
            f"SELECT {', '.join(f'typeof({name}), CAST({name} AS BLOB)' for name in columns)}"
            f" FROM {table} ORDER BY rowid"
        ).fetchall()
        for table, columns in (
            ("ledger_events", EVENT.split()),
            ("ledger_cursors", CURSOR.split()),
            ("ledger_tags", ("id", "tag")),
        )
    ]


def test_a_temporary_table_that_stands_in_front_of_ours_is_named(full: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("CREATE TEMP TABLE ledger_cursors AS SELECT * FROM main.ledger_cursors")
        faults = full.using(raw).verify().faults
    assert FaultKind.FOREIGN in {fault.kind for fault in faults}


def test_a_damaged_page_is_named_and_nothing_is_said_of_what_could_not_be_read(
    path: Path, clock: Clock
) -> None:
    with ledger.open(path, actor="tester", clock=clock) as book:
        book.append(
            [ledger.AdvanceCursor(ORDERS, n, delivery_id=f"d-{n}") for n in range(1, 2_001)]
        )
        kept = book.checkpoint()
    with closing(sqlite3.connect(path)) as raw:
        # The second half of the table of entries, page by page, and of nothing else.
        [size] = raw.execute("PRAGMA page_size").fetchone()
        [root] = raw.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ledger_events'"
        ).fetchone()
    image = bytearray(path.read_bytes())
    # The root of a table has its pages' numbers: the last one is in its header.
    last = int.from_bytes(image[(root - 1) * size + 8 :][:4])
    image[(last - 1) * size : last * size] = b"\xff" * size
    path.write_bytes(image)
    with ledger.open(path) as book:
        found = book.verify(kept)
    assert {fault.kind for fault in found.faults} == {FaultKind.DAMAGED, FaultKind.CHECKPOINT}
    assert found.against[0].standing is Standing.UNREAD
    assert found.unvouched == found.checkpoint.entries


# --- what is no fault ---


@pytest.mark.parametrize("year", [1, 1969, 1970, 9999])
def test_a_ledger_of_any_year_is_sound(path: Path, clock: Clock, year: int) -> None:
    clock.now = clock.now.replace(year=year)
    with ledger.open(path, actor="tester", clock=clock) as book:
        book.advance(ORDERS, to=1)
        clock.tick()
        book.reset(ORDERS, to=0, reason="again")
        assert book.verify().ok
        assert book.rebuild().repaired == ()


def test_an_entry_recorded_long_before_its_neighbours_is_odd_but_no_fault(
    full: Ledger, clock: Clock
) -> None:
    clock.tick(-86_400)
    full.advance(CursorKey("new", "orders"), to=1)
    clock.tick(86_400)
    full.advance(CursorKey("newer", "orders"), to=1)
    found = full.verify()
    assert found.ok
    [anomaly] = found.anomalies
    assert anomaly.position == 8
    assert str(anomaly) == (
        "position 8: it was recorded 1 day, 0:00:00 before position 7, behind which it stands"
    )


def test_clocks_that_differ_by_seconds_are_not_odd(full: Ledger, clock: Clock) -> None:
    clock.tick(-59)
    full.advance(CursorKey("new", "orders"), to=1)
    assert full.verify().anomalies == ()
