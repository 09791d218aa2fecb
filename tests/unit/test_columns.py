"""What stands where in a row: each reader and writer of rows agrees with the lists of columns."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from ledger import (
    BrokenChainError,
    Cursor,
    CursorAdvanced,
    CursorReset,
    Entry,
    ErrorRecorded,
    Outcome,
)
from ledger.cli.shown.records import names_of
from ledger.evidence.digests import digest_of
from ledger.law.events import Event
from ledger.log import columns
from ledger.log.columns import Column, Columns
from ledger.log.cursors import cursor_from
from ledger.log.heads import Head
from ledger.log.rows import TAGS, content_of, entry_from
from ledger.log.text import dumps, micros
from support.cursors import ORDERS

START = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)


def moment(nth: int) -> datetime:
    return START + timedelta(seconds=nth)


# Each field has a value of its own, so that two that change places are told apart.
EVENTS: list[Event] = [
    CursorAdvanced(
        previous_sequence=11,
        sequence=12,
        delivery_id="d-13",
        delivered_at=moment(14),
        outcome=Outcome.SKIPPED,
        occurred_at=moment(15),
    ),
    CursorReset(
        previous_sequence=16,
        sequence=17,
        delivery_id="d-18",
        delivered_at=moment(19),
        reason="reason 20",
        occurred_at=moment(21),
    ),
    ErrorRecorded(message="message 22", occurred_at=moment(23)),
]


def entry_of(event: Event) -> Entry:
    return Entry(
        position=1,
        key=ORDERS,
        version=2,
        epoch=3,
        recorded_at=moment(4),
        actor="actor 5",
        metadata={"six": "7"},
        event=event,
        digest=hashlib.sha256(b"8").digest(),
    )


def stored(entry: Entry) -> dict[str, Any]:
    """Return what is stored of an entry, by column: each value is asked for by its name."""
    values: dict[str, Any] = {}
    for name in columns.ENTRY.names:
        owner = next(
            (part for part in (entry, entry.key, entry.event) if hasattr(part, name)), None
        )
        value = getattr(owner, name, None)
        values[name] = micros(value) if isinstance(value, datetime) else value
    outcome = getattr(entry.event, "outcome", None)
    return {
        **values,
        "tag": TAGS[type(entry.event)],
        "metadata": dumps(dict(entry.metadata)),
        "outcome": outcome and outcome.value,
    }


def content(entry: Entry) -> tuple[Any, ...]:
    return content_of(
        entry.key,
        entry.version,
        entry.epoch,
        micros(entry.recorded_at),
        entry.actor,
        entry.metadata,
        entry.event,
    )


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_entry_is_written_and_read_in_the_order_of_its_columns(event: Event) -> None:
    entry = entry_of(event)
    values = stored(entry)
    assert dict(zip(columns.CONTENT.names, content(entry), strict=True)) == {
        name: values[name] for name in columns.CONTENT.names
    }
    assert entry_from(tuple(values[name] for name in columns.ENTRY.names)) == entry


CURSOR = Cursor(
    key=ORDERS,
    last_sequence=1,
    last_delivery_id="d-2",
    last_delivered_at=moment(3),
    last_error="error 4",
    updated_at=moment(5),
    version=6,
    epoch=7,
)


@pytest.mark.parametrize("delivered_at", [None, CURSOR.last_delivered_at, CURSOR.updated_at])
def test_a_head_is_written_and_read_in_the_order_of_its_columns(
    delivered_at: datetime | None,
) -> None:
    cursor = attrs.evolve(CURSOR, last_delivered_at=delivered_at)
    head = Head(cursor_id=8, cursor=cursor, recorded_at=9, digest=hashlib.sha256(b"10").digest())
    values = {name: getattr(cursor, name) for name in columns.CURSOR.names}
    values |= {"id": 8, "recorded_at": 9, "digest": head.digest}
    values |= {name: micros(value) for name, value in values.items() if isinstance(value, datetime)}
    assert dict(zip(columns.STATE.names, head.state, strict=True)) == {
        name: values[name] for name in columns.STATE.names
    }
    assert Head.of(ORDERS, tuple(values[name] for name in columns.HEAD.names)) == head
    assert cursor_from(ORDERS, tuple(values[name] for name in columns.CURSOR.names)) == cursor


def test_the_columns_are_those_of_the_digest_which_is_frozen() -> None:
    assert columns.CONTENT.names == (
        "consumer_id", "stream_name", "subject_id", "version", "epoch", "recorded_at", "actor",
        "metadata", "tag", "previous_sequence", "sequence", "delivery_id", "delivered_at",
        "outcome", "reason", "message", "occurred_at",
    )  # fmt: skip
    entry = entry_of(EVENTS[0])
    values = {**stored(entry), "metadata": dict(entry.metadata)}
    said = ["cursor-ledger/1", *(values[name] for name in columns.CONTENT.names)]
    digest = hashlib.sha256(bytes(32) + dumps(said).encode()).digest()
    assert digest_of(bytes(32), content(entry)) == digest


def test_an_entry_in_csv_has_a_heading_for_each_column() -> None:
    assert columns.ENTRY.names == names_of(Entry)


WRONG = {int: ("1", 1.0, True, None), str: (1, b"x", None), bytes: ("x", bytearray(1), None)}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("column", columns.ENTRY.columns, ids=lambda column: column.name)
def test_a_row_with_another_type_in_any_column_holds_no_entry(event: Event, column: Column) -> None:
    values = stored(entry_of(event))
    is_said = values[column.name] is not None
    for wrong in WRONG[column.type] if is_said else (1, "x", b"x"):
        may_be_null = column.name == "metadata" or (
            column.name == "delivered_at" and isinstance(event, CursorReset)
        )
        if wrong is None and may_be_null:
            continue
        row = {**values, column.name: wrong}
        with pytest.raises(BrokenChainError):
            entry_from(tuple(row[name] for name in columns.ENTRY.names))


@pytest.mark.parametrize("column", columns.CURSOR.columns, ids=lambda column: column.name)
def test_a_row_with_another_type_in_any_column_holds_no_cursor(column: Column) -> None:
    values = {name: getattr(CURSOR, name) for name in columns.CURSOR.names}
    values |= {"last_delivered_at": 3, "updated_at": 5}
    assert cursor_from(ORDERS, tuple(values.values())).version == CURSOR.version
    for wrong in WRONG[column.type]:
        if wrong is None and column.optional:
            continue
        with pytest.raises(BrokenChainError):
            cursor_from(ORDERS, tuple({**values, column.name: wrong}.values()))


def test_a_row_with_a_value_too_few_or_too_many_holds_nothing() -> None:
    row = tuple(stored(entry_of(EVENTS[0])).values())
    fits = Columns((Column("a", int), Column("b", str, optional=True))).fit()
    assert fits((1, "x"))
    assert fits((1, None))
    assert not fits((1,))
    assert not fits((1, "x", "y"))
    for other in (row[:-1], (*row, None)):
        with pytest.raises(BrokenChainError):
            entry_from(other)


def test_places_that_do_not_follow_each_other_are_no_slice() -> None:
    row = tuple(range(len(columns.ENTRY)))
    assert row[columns.ENTRY.places(columns.CONTENT)] == row[1:-1]
    assert row[columns.ENTRY.place("digest")] == row[-1]
    with pytest.raises(ValueError, match="follow each other"):
        columns.CONTENT.places(Columns((*columns.KEY, Column("epoch", int))))
