"""A table of what somebody with the file can do to it, each with the fault that names it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ORDERS, Clock, fill
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ledger
from ledger import Checkpoint, CursorKey, FaultKind, Ledger, Standing
from ledger.stores.sqlite import structure

Deed = Callable[[Path], None]


@pytest.fixture
def full(book: Ledger, clock: Clock) -> Ledger:
    return fill(book, clock)


def run(*statements: str) -> Deed:
    """Run SQL with all triggers out of the way, and put them back, as somebody careful would."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            triggers = raw.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in triggers:
                raw.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                raw.execute(statement)
            for _, sql in triggers:
                raw.execute(sql)

    return deed


def define(*statements: str) -> Deed:
    """Run SQL with the triggers where they are."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            for statement in statements:
                raw.execute(statement)

    return deed


def edited(change: str, position: int = 2) -> Deed:
    return run(f"UPDATE ledger_events SET {change} WHERE position = {position}")


def stored(change: str) -> Deed:
    return run(f"UPDATE ledger_cursors SET {change} WHERE consumer_id = 'webhooks'")


def behind(index: str, *statements: str) -> Deed:
    """Run SQL while the schema does not know of an index, so that the index is not kept up."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            row = raw.execute("SELECT * FROM sqlite_master WHERE name = ?", (index,)).fetchone()
            raw.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
        run(*statements)(path)
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("PRAGMA writable_schema = ON")
            raw.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)

    return deed


def rebuilt(index: str, gap: str) -> Deed:
    """Build an index anew with a gap, and write its old definition over the new one."""

    def deed(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            [sql] = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()
            raw.execute(f"DROP INDEX {index}")
            raw.execute(sql + (" AND " if "WHERE" in sql else " WHERE ") + gap)
            raw.execute("PRAGMA writable_schema = ON")
            raw.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, index))

    return deed


TWIN = (
    "INSERT INTO ledger_cursors SELECT 99, consumer_id, stream_name, subject_id, 0, '', NULL, '',"
    " updated_at, version, 0, recorded_at, digest FROM ledger_cursors"
    " WHERE consumer_id = 'webhooks'"
)
BEYOND = 253_402_300_800_000_000  # The first microsecond of the year 10000.

FALSIFICATIONS: dict[str, tuple[Deed, FaultKind, int | None]] = {
    # What an entry says.
    "another actor": (edited("actor = 'nobody'"), FaultKind.EDITED, 2),
    "another epoch": (edited("epoch = 1"), FaultKind.EDITED, 2),
    "another time of recording": (edited("recorded_at = recorded_at + 1"), FaultKind.EDITED, 2),
    "another metadata": (edited("""metadata = '{"n":"2"}'"""), FaultKind.EDITED, 2),
    "another start": (edited("previous_sequence = 0"), FaultKind.EDITED, 2),
    "another sequence": (edited("sequence = 3"), FaultKind.EDITED, 2),
    "another delivery": (edited("delivery_id = 'd-3'"), FaultKind.EDITED, 2),
    "another time of delivery": (edited("delivered_at = delivered_at + 1"), FaultKind.EDITED, 2),
    "another outcome": (edited("outcome = 'skipped'"), FaultKind.EDITED, 2),
    "another reason": (edited("reason = 'a better one'", 4), FaultKind.EDITED, 4),
    "another message": (edited("message = 'HTTP 200'", 6), FaultKind.EDITED, 6),
    "another time of the event": (edited("occurred_at = 0"), FaultKind.EDITED, 2),
    "another digest": (edited("digest = zeroblob(32)"), FaultKind.EDITED, 2),
    "another kind": (edited("tag_id = 2"), FaultKind.EDITED, 2),
    # What a column cannot hold.
    "text as version": (edited("version = 'two'"), FaultKind.MISSING, 2),
    "a version beyond all": (edited("version = 9223372036854775807"), FaultKind.MISSING, 2),
    "a blob as version": (edited("version = x'02'"), FaultKind.UNREADABLE, 2),
    "a fraction as epoch": (edited("epoch = 0.5"), FaultKind.UNREADABLE, 2),
    "text as time": (edited("recorded_at = 'noon'"), FaultKind.UNREADABLE, 2),
    "a time beyond the year 9999": (edited(f"recorded_at = {BEYOND}"), FaultKind.UNREADABLE, 2),
    "a time before the year 1": (
        edited("occurred_at = -9223372036854775808"),
        FaultKind.UNREADABLE,
        2,
    ),
    "a blob as actor": (edited("actor = x'00ff'"), FaultKind.UNREADABLE, 2),
    "text that is no UTF-8": (edited("actor = CAST(x'ff' AS TEXT)"), FaultKind.UNREADABLE, 2),
    "metadata that are no JSON": (edited("metadata = '{'"), FaultKind.UNREADABLE, 2),
    "metadata that are a list": (edited("metadata = '[]'"), FaultKind.UNREADABLE, 2),
    "metadata without end": (
        edited("metadata = replace(hex(zeroblob(50000)), '00', '[')"),
        FaultKind.UNREADABLE,
        2,
    ),
    "text as digest": (edited("digest = 'text'"), FaultKind.EDITED, 2),
    "no delivery time": (edited("delivered_at = NULL"), FaultKind.UNREADABLE, 2),
    "an infinite sequence": (edited("sequence = 9e999"), FaultKind.UNREADABLE, 2),
    "an outcome that there is not": (edited("outcome = 'lost'"), FaultKind.UNREADABLE, 2),
    "text as cursor": (edited("cursor_id = 'one'", 7), FaultKind.ORPHAN, 7),
    "a blob as cursor": (edited("cursor_id = x'01'", 7), FaultKind.ORPHAN, 7),
    "a negative position": (edited("position = -2"), FaultKind.ORDER, -2),
    # What is there, and where.
    "the first entry removed": (
        run("DELETE FROM ledger_events WHERE position = 1"),
        FaultKind.MISSING,
        2,
    ),
    "an entry removed": (run("DELETE FROM ledger_events WHERE position = 3"), FaultKind.MISSING, 4),
    "the last entry removed": (
        run("DELETE FROM ledger_events WHERE position = 7"),
        FaultKind.CURSOR,
        4,
    ),
    "all entries of a cursor removed": (
        run("DELETE FROM ledger_events WHERE position IN (5, 6)"),
        FaultKind.MISSING,
        None,
    ),
    "entries of a cursor exchanged": (
        run(
            "UPDATE ledger_events SET position = 100 WHERE position = 2",
            "UPDATE ledger_events SET position = 2 WHERE position = 3",
            "UPDATE ledger_events SET position = 3 WHERE position = 100",
        ),
        FaultKind.ORDER,
        2,
    ),
    "an entry given to another cursor": (edited("cursor_id = 2", 7), FaultKind.MISSING, 7),
    "a cursor removed": (
        run("DELETE FROM ledger_cursors WHERE consumer_id = 'mailer'"),
        FaultKind.ORPHAN,
        5,
    ),
    "a cursor renamed": (stored("consumer_id = 'other'"), FaultKind.EDITED, 1),
    "a cursor under another id": (stored("id = 77"), FaultKind.ORPHAN, 1),
    "a blob in a key": (stored("subject_id = x'00'"), FaultKind.UNREADABLE, 1),
    "an empty key": (stored("consumer_id = ''"), FaultKind.UNREADABLE, 1),
    # What is stored of a cursor.
    "a cursor moved": (stored("last_sequence = 99"), FaultKind.CURSOR, 7),
    "a cursor moved to text": (stored("last_sequence = 'far'"), FaultKind.CURSOR, 7),
    "an epoch taken back": (stored("epoch = 0"), FaultKind.CURSOR, 7),
    "a version taken back": (stored("version = 4"), FaultKind.CURSOR, 7),
    "an error invented": (stored("last_error = 'boom'"), FaultKind.CURSOR, 7),
    "a head that is another": (stored("digest = x'00'"), FaultKind.CURSOR, 7),
    # Resets hidden from who asks for them.
    "a second id for a tag": (
        run(
            "UPDATE ledger_tags SET tag = 'x' WHERE id = 2",
            "INSERT INTO ledger_tags VALUES (9, 'cursor.reset.v1')",
            "UPDATE ledger_events SET tag_id = 9 WHERE position = 4",
        ),
        FaultKind.TAG,
        4,
    ),
    "a tag renamed": (
        run("UPDATE ledger_tags SET tag = 'cursor.moved.v1' WHERE id = 1"),
        FaultKind.TAG,
        None,
    ),
    "a tag removed": (run("DELETE FROM ledger_tags WHERE id = 3"), FaultKind.TAG, None),
    "a tag too many": (run("INSERT INTO ledger_tags VALUES (4, 'x')"), FaultKind.TAG, None),
    "the index of resets with a gap": (
        rebuilt("ledger_events_resets", "position <> 4"),
        FaultKind.INDEX,
        None,
    ),
    "the index by cursor with a gap": (
        rebuilt("ledger_events_by_cursor", "position <> 4"),
        FaultKind.INDEX,
        None,
    ),
    "a key missing from its index": (
        rebuilt("ledger_cursors_by_key", "consumer_id <> 'webhooks'"),
        FaultKind.INDEX,
        None,
    ),
    "a key with a twin": (behind("ledger_cursors_by_key", TWIN), FaultKind.KEY, None),
    "a cursor in the table that is not the one in the index": (
        behind(
            "ledger_events_by_cursor", "UPDATE ledger_events SET cursor_id = 2 WHERE version = 5"
        ),
        FaultKind.INDEX,
        None,
    ),
    # What the tables are.
    "a trigger dropped": (
        define("DROP TRIGGER ledger_events_refuse_delete"),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger made to refuse nothing": (
        define(
            "DROP TRIGGER ledger_events_refuse_update",
            "CREATE TRIGGER ledger_events_refuse_update BEFORE UPDATE ON ledger_events"
            " BEGIN SELECT 1; END",
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "a trigger that swallows rows": (
        define(
            "CREATE TRIGGER quiet BEFORE INSERT ON ledger_events BEGIN SELECT RAISE(IGNORE); END"
        ),
        FaultKind.FOREIGN,
        None,
    ),
    "a trigger on the cursors": (
        define("CREATE TRIGGER t AFTER UPDATE ON ledger_cursors BEGIN SELECT 1; END"),
        FaultKind.FOREIGN,
        None,
    ),
    "an index dropped": (define("DROP INDEX ledger_events_by_cursor"), FaultKind.DEFINITION, None),
    "the index of resets dropped": (
        define("DROP INDEX ledger_events_resets"),
        FaultKind.DEFINITION,
        None,
    ),
    "an index of somebody else's": (
        define("CREATE UNIQUE INDEX mine ON ledger_events (recorded_at, position)"),
        FaultKind.FOREIGN,
        None,
    ),
    "a column added": (
        define("ALTER TABLE ledger_events ADD COLUMN approved_by TEXT"),
        FaultKind.DEFINITION,
        None,
    ),
    "a view that shows something else": (
        define("DROP VIEW ledger_log", "CREATE VIEW ledger_log AS SELECT 1 AS position"),
        FaultKind.DEFINITION,
        None,
    ),
    "a view that is gone": (define("DROP VIEW ledger_log"), FaultKind.DEFINITION, None),
    "a constraint written out of the schema": (
        define(
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = replace(sql, 'BLOB    NOT NULL', 'BLOB')"
            " WHERE name = 'ledger_events'",
        ),
        FaultKind.DEFINITION,
        None,
    ),
    "the table of tags dropped": (
        define("PRAGMA foreign_keys = OFF", "DROP VIEW ledger_log", "DROP TABLE ledger_tags"),
        FaultKind.DEFINITION,
        None,
    ),
}


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


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(COLUMNS), st.integers(1, 7), ANYTHING)
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


# --- what it covered ---


def test_the_way_in_which_a_checkpoint_is_not_kept_is_told(full: Ledger, path: Path) -> None:
    kept = full.checkpoint()
    other = Checkpoint(entries=2, position=2, root=bytes(32), first=bytes(31) + b"x")
    bare = Checkpoint(entries=7, position=7, root=kept.root)
    assert [each.standing for each in full.verify([kept, other, bare]).against] == [
        Standing.KEPT,
        Standing.OTHER,
        Standing.KEPT,
    ]
    edited("position = 8", 7)(path)
    assert full.verify(kept).against[0].standing is Standing.CHANGED
    run("DELETE FROM ledger_events WHERE position = 8")(path)
    assert full.verify(iter([kept])).against[0].standing is Standing.CUT_OFF


def test_a_checkpoint_over_an_entry_that_was_edited_is_not_kept(full: Ledger, path: Path) -> None:
    kept = full.checkpoint()
    before = Checkpoint(entries=1, position=1, root=_root_of_the_first(full))
    edited("actor = 'nobody'")(path)
    found = full.verify([before, kept])
    assert [each.standing for each in found.against] == [Standing.KEPT, Standing.CHANGED]
    assert "position 2 no longer says what its digest covers" in found.against[1].detail
    assert (found.unvouched, found.entries) == (6, 7)


def _root_of_the_first(book: Ledger) -> bytes:
    return hashlib.sha256(b"\0" + next(book.entries()).digest).digest()


def test_many_checkpoints_are_checked_in_one_pass_and_the_first_that_fails_is_named(
    book: Ledger, path: Path
) -> None:
    kept = []
    for sequence in range(1, 9):
        book.advance(ORDERS, to=sequence)
        kept.append(book.checkpoint())
    book.advance(ORDERS, to=9)
    found = book.verify(reversed(kept))
    assert found.ok
    assert (found.unvouched, found.unsettled) == (1, 0)
    edited("actor = 'x'", 5)(path)
    edited("digest = zeroblob(32)", 5)(path)
    found = book.verify(kept)
    lost = [fault for fault in found.faults if fault.kind is FaultKind.CHECKPOINT]
    assert [fault.place for fault in lost] == [
        f"the checkpoint over {size} entries" for size in (5, 6, 7, 8)
    ]
    assert lost[0].detail.endswith("the first 4 are, by an earlier checkpoint")
    assert found.unvouched == 5


@pytest.mark.parametrize("kept", [7, "root", [None], {"entries": 1}, object()])
def test_what_is_no_checkpoint_is_refused(book: Ledger, kept: object) -> None:
    with pytest.raises(ledger.InvalidCursorError, match="against must be a Checkpoint"):
        book.verify(kept)  # type: ignore[arg-type]


# --- a database from somebody else ---

MANY_TIMES = ", ".join(f"sqlite_master {letter}" for letter in "abcdefghijklmnop")
ENDLESS = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"


@pytest.fixture
def theirs(path: Path) -> Iterator[sqlite3.Connection]:
    with ledger.open(path, actor="tester") as book:
        book.advance(ORDERS, to=1)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        yield raw


@pytest.mark.parametrize("name", [*structure.TABLES, "_sqlite_migrations"])
def test_a_view_in_the_place_of_a_table_is_not_read(
    theirs: sqlite3.Connection, path: Path, name: str
) -> None:
    columns = [row[1] for row in theirs.execute(f"PRAGMA table_info({name})")]
    theirs.execute("DROP VIEW ledger_log")
    theirs.execute(f"ALTER TABLE {name} RENAME TO kept")
    said = ", ".join(f"n AS {column}" for column in columns)
    theirs.execute(f"CREATE VIEW {name} AS SELECT {said} FROM ({ENDLESS})")
    with pytest.raises(ledger.StorageError, match=f"{name} is a view, not a table"):
        ledger.open(path)


def test_a_virtual_table_in_the_place_of_a_table_is_not_read(
    theirs: sqlite3.Connection, path: Path
) -> None:
    theirs.execute("DROP VIEW ledger_log")
    theirs.execute("ALTER TABLE ledger_tags RENAME TO kept")
    theirs.execute("CREATE VIRTUAL TABLE Ledger_Tags USING fts5 (id, tag)")
    with pytest.raises(ledger.StorageError, match="Ledger_Tags is a virtual table"):
        ledger.open(path)


def test_a_comment_does_not_hide_a_virtual_table(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("DROP VIEW ledger_log")
    theirs.execute("ALTER TABLE ledger_tags RENAME TO kept")
    theirs.execute("CREATE VIRTUAL TABLE ledger_tags USING fts5 (id, tag)")
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute(
        "UPDATE sqlite_master SET sql = 'CREATE/**/VIRTUAL' || substr(sql, 15)"
        " WHERE name = 'ledger_tags'"
    )
    with pytest.raises(ledger.StorageError, match="ledger_tags is a virtual table"):
        ledger.open(path)


def test_a_blob_does_not_hide_a_computed_column(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute(
        "UPDATE sqlite_master SET sql = CAST(replace(sql, 'last_delivered_at INTEGER',"
        " 'last_delivered_at INTEGER GENERATED ALWAYS' || char(10) || 'AS(1)VIRTUAL') AS BLOB)"
        " WHERE name = 'ledger_cursors'"
    )
    with pytest.raises(ledger.StorageError, match=r"ledger_cursors\.last_delivered_at is computed"):
        ledger.open(path)


def test_verify_computes_no_constraint_of_somebody_else_s(
    theirs: sqlite3.Connection, path: Path
) -> None:
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'version           INTEGER NOT NULL',"
        " 'version INTEGER NOT NULL CHECK (version < 0)') WHERE name = 'ledger_events'"
    )
    theirs.close()  # A connection that may only read would compute none in any case.
    with ledger.open(path) as book:
        [fault] = book.verify().faults
    # Computed, the constraint would have been found broken, and named as well.
    assert (fault.kind, fault.place) == (FaultKind.DEFINITION, "table ledger_events")


def test_a_definition_kept_as_a_blob_is_no_crash(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("PRAGMA writable_schema = ON")
    theirs.execute("UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'ledger_cursors'")
    with ledger.open(path) as book:
        assert FaultKind.DEFINITION not in {fault.kind for fault in book.verify().faults}


def test_a_computed_column_is_not_read(theirs: sqlite3.Connection, path: Path) -> None:
    theirs.execute("ALTER TABLE ledger_cursors ADD COLUMN slow AS (hex(zeroblob(id * 400000000)))")
    with pytest.raises(ledger.StorageError, match=r"ledger_cursors\.slow is computed"):
        ledger.open(path)


def test_a_trigger_on_the_migrations_cannot_hold_up_the_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(structure, "TIME_MAX_S", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT,"
            " name TEXT, applied_at TEXT)"
        )
        raw.execute("CREATE TABLE sink (n)")
        raw.execute(
            "CREATE TRIGGER slow AFTER INSERT ON _sqlite_migrations BEGIN INSERT INTO sink"
            f" SELECT count(*) FROM (SELECT 1 FROM {MANY_TIMES});"
            " END"
        )
    with pytest.raises(ledger.StorageError, match="interrupted"):
        ledger.open(path)
