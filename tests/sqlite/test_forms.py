"""Each kind of event is given to SQLite with its own columns, and in the order of the batch."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, RecordError, Request, ResetCursor, StorageError
from ledger.log.columns import EVENT
from ledger.log.rows import TAGS
from ledger.stores.sqlite import events
from support.children import child
from support.cursors import JOBS, ORDERS

WHEN = datetime(2026, 5, 5, tzinfo=UTC)
NOTE = {"note": "x"}


def mixed() -> list[Request]:
    """Return requests of all forms, so that neighbours are never of one."""
    return [
        AdvanceCursor(ORDERS, 3, delivery_id="a"),
        AdvanceCursor(ORDERS, 4, delivery_id="b", metadata=NOTE),
        RecordError(JOBS, "HTTP 503"),
        RecordError(ORDERS, "HTTP 503", metadata=NOTE),
        ResetCursor(ORDERS, 1, "lost", actor="ines"),
        ResetCursor(JOBS, 2, "lost", actor="ines", last_delivered_at=WHEN, metadata=NOTE),
        AdvanceCursor(JOBS, 5),
    ]


def test_a_batch_of_many_forms_keeps_its_order_and_all_that_was_said(path: Path) -> None:
    with ledger.open(path) as one, ledger.open(path.with_name("alone.db")) as other:
        together = one.append(mixed())
        apart = [other.append([request])[0] for request in mixed()]
        assert [c.last_sequence for c in together] == [c.last_sequence for c in apart]
        kept, alone = list(one.entries()), list(other.entries())
        assert [entry.position for entry in kept] == [1, 2, 3, 4, 5, 6, 7]
        assert [type(e.event) for e in kept] == [type(e.event) for e in alone]
        assert [(e.key, dict(e.metadata)) for e in kept] == [
            (request.key, dict(request.metadata)) for request in mixed()
        ]
        assert one.verify().ok
        assert other.verify().ok


def test_a_row_that_is_swallowed_is_missed_whatever_stands_beside_it(path: Path) -> None:
    ledger.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER swallow BEFORE INSERT ON ledger_events WHEN new.tag_id = 2"
            " AND new.metadata IS NULL BEGIN SELECT RAISE(IGNORE); END"
        )
    with ledger.open(path) as book:
        with pytest.raises(StorageError, match="kept 6 of 7 rows"):
            book.append(mixed())
        assert list(book.entries()) == []


def test_every_tag_has_a_form_with_metadata_and_one_without() -> None:
    forms = events._FORMS
    assert set(forms) == {(tag, without) for tag in TAGS.values() for without in (True, False)}
    for (_, without), form in forms.items():
        names = form.insert.partition("(")[2].partition(")")[0].split(", ")
        assert set(names) <= set(EVENT.names)
        assert ("metadata" in names) is not without
        assert form.insert.count("?") == len(names) - 1
        assert form.insert_placed.count("?") == len(names)


def test_an_advance_asks_for_no_adapter(path: Path) -> None:
    """To look for one takes long; and one that a program has registered changes nothing."""
    said = child(
        """
        import sqlite3
        asked = []
        for kind in (bytes, type(None)):
            sqlite3.register_adapter(kind, lambda value: asked.append(value) or value)
        with ledger.open(sys.argv[1], actor="x") as book:
            book.record_error(jobs, "HTTP 503")
            asked.clear()
            book.advance(jobs, to=1)
            book.advance(jobs, to=2, metadata={"a": "b"})
            book.append([ledger.AdvanceCursor(jobs, n) for n in range(3, 9)])
            book.record_error(jobs, "HTTP 503")
            print(asked, book.verify().ok)
        """,
        path,
    )
    assert said == ["[] True"]
