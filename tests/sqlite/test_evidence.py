"""What verify finds after somebody was at the file with a SQL prompt, and what it cannot find."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import ledger
from ledger import CursorKey, Ledger
from ledger.evidence.digests import digest_of
from ledger.log.text import micros
from support.clock import Clock
from support.cursors import JOBS, ORDERS

Tamper = Callable[..., None]


@pytest.fixture
def tamper(full: Ledger, path: Path) -> Tamper:
    """Run SQL on a connection of its own, with the triggers out of the way meanwhile."""
    assert full.get(ORDERS).version == 5

    def tamper(*statements: str, values: tuple[object, ...] = ()) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            triggers = raw.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in triggers:
                raw.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                raw.execute(statement, values)
            for _, sql in triggers:
                raw.execute(sql)

    return tamper


def found(book: Ledger) -> list[tuple[str, int | None]]:
    faults = book.verify().faults
    assert all(str(fault) for fault in faults)
    return [(fault.kind, fault.position) for fault in faults]


# --- edited ---

EDITS = {
    "epoch": "1",
    "recorded_at": "recorded_at + 1",
    "actor": "'nobody'",
    "metadata": """'{"n":"2"}'""",
    "previous_sequence": "0",
    "sequence": "3",
    "delivery_id": "'d-3'",
    "delivered_at": "delivered_at + 1",
    "outcome": "'skipped'",
    "occurred_at": "0",
    "digest": "zeroblob(32)",
}


@pytest.mark.parametrize(("column", "value"), EDITS.items())
def test_an_edited_entry_is_named(full: Ledger, tamper: Tamper, column: str, value: str) -> None:
    tamper(f"UPDATE ledger_events SET {column} = {value} WHERE position = 2")
    kinds = found(full)
    assert ("edited", 2) in kinds
    # Its digest covers the one before: only then does the entry behind it no longer fit either.
    behind = {"epoch": set(), "digest": {("edited", 3)}}.get(column, set())
    assert {place for place in kinds if place[1] != 2} == behind


def test_an_edited_reason_and_message_are_named(full: Ledger, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger_events SET reason = 'a better one' WHERE position = 4",
        "UPDATE ledger_events SET message = 'HTTP 200' WHERE position = 6",
    )
    assert found(full) == [("edited", 4), ("edited", 6)]


def test_a_renamed_cursor_no_longer_fits_its_entries(full: Ledger, tamper: Tamper) -> None:
    tamper("UPDATE ledger_cursors SET consumer_id = 'other' WHERE consumer_id = 'mailer'")
    assert found(full) == [("edited", 5), ("edited", 6)]


def test_a_changed_tag_breaks_every_entry_under_it(full: Ledger, tamper: Tamper) -> None:
    tamper("UPDATE ledger_tags SET tag = 'cursor.moved.v1' WHERE id = 1")
    kinds = found(full)
    assert {position for _, position in kinds} == {None, 1, 2, 3, 5, 7}
    assert [kind for kind, position in kinds if position is None] == ["tag", "tag"]


@pytest.mark.parametrize(
    "change",
    [
        "sequence = 'seven'",
        "sequence = 2.5",
        "actor = x'00'",
        "tag_id = 9",
        "tag_id = 2",
        "metadata = '{'",
        "metadata = '[]'",
        "metadata = '7'",
        "delivered_at = 9223372036854775807",
        "recorded_at = -9223372036854775808",
        "outcome = 'lost'",
        "actor = CAST(x'ff' AS TEXT)",
        "digest = 'text'",
        "delivered_at = NULL",
    ],
)
def test_an_entry_that_cannot_be_read_is_named_and_is_no_crash(
    full: Ledger, tamper: Tamper, change: str
) -> None:
    tamper(f"UPDATE ledger_events SET {change} WHERE position = 2")
    faults = full.verify().faults
    assert 2 in {fault.position for fault in faults}
    assert {fault.position for fault in faults} <= {2, 3}
    with pytest.raises((ledger.BrokenChainError, ledger.StorageError)):
        list(full.history(ORDERS))


# --- removed, inserted, put in another order ---


@pytest.mark.parametrize(("position", "told"), [(1, 2), (2, 3), (4, 7)])
def test_a_removed_entry_is_named_by_the_hole(
    full: Ledger, tamper: Tamper, position: int, told: int
) -> None:
    tamper(f"DELETE FROM ledger_events WHERE position = {position}")
    assert found(full) == [("missing", told)]


def test_a_tail_that_was_cut_off_is_found_by_the_stored_cursor(
    full: Ledger, tamper: Tamper
) -> None:
    tamper("DELETE FROM ledger_events WHERE position >= 6")
    assert found(full) == [("cursor", 4), ("cursor", 5)]
    assert "version is 5, by its entries 4" in full.verify().faults[0].detail


def test_a_cursor_without_entries_is_found(full: Ledger, tamper: Tamper) -> None:
    tamper("DELETE FROM ledger_events WHERE position IN (5, 6)")
    [fault] = full.verify().faults
    assert (fault.kind, fault.place) == ("missing", "mailer/jobs")


@pytest.mark.parametrize("forged", [bytes(32), None])
def test_an_inserted_entry_is_named(
    full: Ledger, tamper: Tamper, forged: bytes | None, clock: Clock
) -> None:
    head = full._store.write(lambda transaction: transaction.head(JOBS))
    assert head is not None
    now = micros(clock.now)
    said = (*("mailer", "jobs", ""), 3, 0, now, "x", None, "cursor.advanced.v1", 7, 8, "", now)
    digest = forged or digest_of(head.digest, (*said, "delivered", None, None, now))
    tamper(
        "INSERT INTO ledger_events VALUES"
        " (8, ?, 3, 0, ?, 'x', NULL, 1, 7, 8, '', ?, 'delivered', NULL, NULL, ?, ?)",
        values=(head.cursor_id, now, now, now, digest),
    )
    # Forged well, it still is not what the stored cursor ends with.
    assert found(full) == [*[("edited", 8)] * (forged is not None), ("cursor", 8)]


def test_entries_of_a_cursor_that_changed_places_are_named(full: Ledger, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger_events SET position = 100 WHERE position = 2",
        "UPDATE ledger_events SET position = 2 WHERE position = 3",
        "UPDATE ledger_events SET position = 3 WHERE position = 100",
    )
    assert found(full) == [("order", 2)]


def test_entries_of_a_cursor_that_changed_versions_are_named(full: Ledger, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger_events SET version = 100 WHERE position = 2",
        "UPDATE ledger_events SET version = 2 WHERE position = 3",
        "UPDATE ledger_events SET version = 3 WHERE position = 2",
    )
    assert {position for _, position in found(full)} >= {2, 3}


def test_entries_whose_cursor_was_removed_are_orphans(full: Ledger, tamper: Tamper) -> None:
    tamper("DELETE FROM ledger_cursors WHERE consumer_id = 'mailer'")
    assert found(full) == [("orphan", 5)]
    assert full.verify().entries == 7


# --- the stored cursors, and the law ---


@pytest.mark.parametrize(
    ("column", "value"),
    {
        "last_sequence": "5",
        "last_delivery_id": "'d-5'",
        "last_delivered_at": "NULL",
        "last_error": "'boom'",
        "updated_at": "0",
        "version": "9",
        "epoch": "0",
        "recorded_at": "recorded_at + 1",
        "digest": "zeroblob(32)",
    }.items(),
)
def test_a_stored_cursor_that_is_not_the_fold_is_named_with_what_differs(
    full: Ledger, tamper: Tamper, column: str, value: str
) -> None:
    tamper(f"UPDATE ledger_cursors SET {column} = {value} WHERE consumer_id = 'webhooks'")
    [fault] = full.verify().faults
    assert (fault.kind, fault.place, fault.position) == ("cursor", "webhooks/orders/customer-7", 7)
    assert f"{column} is" in fault.detail


def test_a_stored_cursor_of_wrong_types_is_found_and_not_given_out(
    full: Ledger, tamper: Tamper
) -> None:
    tamper("UPDATE ledger_cursors SET last_sequence = 'four' WHERE consumer_id = 'webhooks'")
    assert found(full) == [("cursor", 7)]
    with pytest.raises(ledger.BrokenChainError):
        full.get(ORDERS)
    with pytest.raises(ledger.BrokenChainError):
        full.advance(ORDERS, to=9)


@contextmanager
def unruly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let everything pass at the append, as other code might; the digests are right."""
    with monkeypatch.context() as patch:
        patch.setattr("ledger.law.rules._moves_back", lambda *_: False)
        yield


def test_a_law_broken_with_right_digests_is_found(
    full: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unruly(monkeypatch):
        full.advance(ORDERS, to=2)
    full.advance(ORDERS, to=6)
    [fault] = full.verify().faults
    assert (fault.kind, fault.position) == ("law", 8)
    assert "without a reset, from 4 to 2" in fault.detail
    with pytest.raises(ledger.BrokenChainError, match="position 8"):
        ledger.fold(full.history(ORDERS))


def test_all_faults_are_reported_not_only_the_first(full: Ledger, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger_events SET actor = 'x' WHERE position = 1",
        "DELETE FROM ledger_events WHERE position = 3",
        "UPDATE ledger_events SET message = 'x' WHERE position = 6",
        "UPDATE ledger_cursors SET version = 1 WHERE consumer_id = 'mailer'",
    )
    assert found(full) == [("edited", 1), ("missing", 4), ("edited", 6), ("cursor", 6)]


def test_past_a_bound_faults_are_counted(
    full: Ledger, tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    tamper("UPDATE ledger_events SET actor = 'x'")
    monkeypatch.setattr("ledger.evidence.faults.FAULTS_MAX", 3)
    faults = full.verify().faults
    assert [fault.kind for fault in faults] == ["edited"] * 3 + ["more"]
    assert faults[-1].detail == "4 more faults are not listed"


# --- what a chain cannot see, and a checkpoint can ---


def cut_off(tamper: Tamper) -> None:
    """Remove the end of a cursor, and make the stored one fit again, as the ledger would have."""
    tamper(
        "DELETE FROM ledger_events WHERE position = 6",
        "UPDATE ledger_cursors SET version = 1, last_error = '', recorded_at = e.recorded_at,"
        " updated_at = e.occurred_at, digest = e.digest"
        " FROM ledger_events AS e WHERE e.position = 5 AND consumer_id = 'mailer'",
    )


def remove_cursor(tamper: Tamper) -> None:
    tamper(
        "DELETE FROM ledger_events WHERE position IN (5, 6)",
        "DELETE FROM ledger_cursors WHERE consumer_id = 'mailer'",
    )


def exchange(tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger_events SET position = 100 WHERE position = 6",
        "UPDATE ledger_events SET position = 6 WHERE position = 7",
        "UPDATE ledger_events SET position = 7 WHERE position = 100",
    )


@pytest.mark.parametrize("deed", [cut_off, remove_cursor, exchange])
def test_what_chains_alone_cannot_see_a_checkpoint_does(
    full: Ledger, tamper: Tamper, deed: Callable[[Tamper], None]
) -> None:
    kept = full.checkpoint()
    full.advance(CursorKey("late", "orders"), to=1)
    assert full.verify(kept).ok
    deed(tamper)
    assert full.verify().ok, "a chain per cursor cannot see this; should it ever, say so here"
    [fault] = full.verify(kept).faults
    assert fault.kind == "checkpoint"


def test_the_database_itself_refuses_to_change_an_entry(full: Ledger, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA recursive_triggers = OFF")
        row = raw.execute("SELECT * FROM ledger_events WHERE position = 2").fetchone()
        marks = ", ".join("?" * len(row))
        for statement, values in [
            ("UPDATE ledger_events SET actor = 'x'", ()),
            ("DELETE FROM ledger_events", ()),
            (f"INSERT OR REPLACE INTO ledger_events VALUES ({marks})", row),
            (f"INSERT OR REPLACE INTO ledger_events VALUES ({marks})", (None, *row[1:])),
        ]:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement, values)
    assert full.verify().ok


# --- stored cursors made anew ---


@pytest.mark.parametrize(
    "change",
    [
        "last_sequence = 999",
        "last_sequence = 'many'",
        "last_error = 'edited', updated_at = 0",
        "version = 4, epoch = 0",
        "version = 50",
        "digest = zeroblob(32)",
        "recorded_at = 0, last_delivery_id = x'ff', last_delivered_at = 'x'",
    ],
)
def test_a_stored_cursor_that_differs_is_made_anew(
    full: Ledger, tamper: Tamper, change: str
) -> None:
    right = list(full.cursors())
    tamper(f"UPDATE ledger_cursors SET {change} WHERE stream_name = 'orders'")
    assert not full.verify().ok
    made = full.rebuild()
    assert [fault.place for fault in made.repaired] == ["webhooks/orders/customer-7"]
    name = change.split(" = ", maxsplit=1)[0]
    assert name in made.repaired[0].detail
    assert (made.cursors, made.left) == (2, ())
    assert list(full.cursors()) == right
    assert full.verify().ok
    assert full.rebuild().repaired == ()
    full.advance(ORDERS, to=90)
    assert full.verify().ok


def test_what_the_log_cannot_vouch_for_is_left_as_it_is(full: Ledger, tamper: Tamper) -> None:
    tamper(
        "UPDATE ledger_events SET actor = 'nobody' WHERE position = 2",
        "UPDATE ledger_cursors SET version = 9 WHERE stream_name = 'orders'",
        # The end is cut off: the stored cursor is the only one who still knows of it.
        "DELETE FROM ledger_events WHERE position = 6",
    )
    before = full.verify()
    made = full.rebuild()
    assert made.repaired == ()
    assert [fault.place for fault in made.left] == ["webhooks/orders/customer-7", "mailer/jobs"]
    assert full.verify() == before


def test_rebuilding_tells_how_far_it_is(
    full: Ledger, tamper: Tamper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.evidence.repair.PROGRESS_ENTRIES", 2)
    tamper("UPDATE ledger_cursors SET epoch = 7")
    told: list[int] = []
    assert len(full.rebuild(progress=told.append).repaired) == 2
    assert told == [2, 4, 6]
