"""JSON of cursors, requests and entries: both ways, in the reference's names, without coercion."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger
from ledger import (
    AdvanceCursor,
    BrokenChainError,
    Cursor,
    CursorAdvanced,
    CursorKey,
    CursorQuery,
    CursorReset,
    CursorStarted,
    Entry,
    ErrorRecorded,
    InvalidCursorError,
    Outcome,
    RecordError,
    ResetCursor,
    StartCursor,
)
from ledger.law import fields
from ledger.log.json import structure, unstructure
from ledger.log.rows import content_of, entry_from
from ledger.log.text import dumps, loads, micros
from support.cursors import JOBS, ORDERS

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = texts.filter(fields.is_seen)
optional = st.just("") | names
keys = st.builds(CursorKey, names, names, optional)
zones = st.timezones() | st.integers(-1439, 1439).map(lambda n: timezone(timedelta(minutes=n)))
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=zones).map(  # noqa: DTZ001
    lambda moment: moment.astimezone(UTC)
)
numbers = st.integers(0, 2**63 - 1)
counters = st.none() | numbers
pairs = st.dictionaries(names, texts, max_size=3)
outcomes = st.sampled_from(Outcome)
common = {
    "now": st.none() | times,
    "actor": optional,
    "expected_version": counters,
    "metadata": pairs,
}
requests: st.SearchStrategy[ledger.Request] = st.one_of(
    st.builds(
        AdvanceCursor,
        keys,
        st.integers(1, 2**63 - 1),
        delivery_id=texts,
        last_delivered_at=st.none() | times,
        outcome=outcomes,
        epoch=counters,
        **common,
    ),
    st.builds(
        ResetCursor,
        keys,
        numbers,
        names,
        last_delivery_id=texts,
        last_delivered_at=st.none() | times,
        **common,
    ),
    st.builds(RecordError, keys, names, **common),
    st.builds(
        StartCursor,
        keys,
        numbers,
        names,
        source=names,
        last_delivery_id=texts,
        last_delivered_at=st.none() | times,
        **{name: given for name, given in common.items() if name != "expected_version"},
    ),
)
cursors = st.builds(
    Cursor,
    key=keys,
    last_sequence=numbers,
    last_delivery_id=texts,
    last_delivered_at=st.none() | times,
    last_error=texts,
    updated_at=times,
    version=numbers,
    epoch=numbers,
)
events = st.one_of(
    st.builds(
        CursorAdvanced,
        previous_sequence=numbers,
        sequence=numbers,
        delivery_id=texts,
        delivered_at=times,
        outcome=outcomes,
        occurred_at=times,
    ),
    st.builds(
        CursorReset,
        previous_sequence=numbers,
        sequence=numbers,
        delivery_id=texts,
        delivered_at=st.none() | times,
        reason=texts,
        occurred_at=times,
    ),
    st.builds(ErrorRecorded, message=texts, occurred_at=times),
    st.builds(
        CursorStarted,
        sequence=numbers,
        source=texts,
        delivery_id=texts,
        delivered_at=st.none() | times,
        reason=texts.filter(bool),
        occurred_at=times,
    ),
)
entries = st.builds(
    Entry,
    position=numbers,
    key=keys,
    version=numbers,
    epoch=numbers,
    recorded_at=times,
    actor=texts,
    metadata=pairs,
    event=events,
    digest=st.binary(min_size=32, max_size=32),
)


@given(requests)
def test_requests_survive_the_way_through_json(asked: ledger.Request) -> None:
    assert structure(loads(dumps(unstructure(asked))), ledger.Request) == asked
    [kind] = [op for op in unstructure(asked) if op != "op"]
    assert structure(unstructure(asked)[kind], type(asked)) == asked


@given(cursors)
def test_cursors_survive_the_way_through_json(cursor: Cursor) -> None:
    assert structure(json.loads(json.dumps(unstructure(cursor))), Cursor) == cursor


@given(entries)
def test_entries_survive_the_way_through_json_and_through_a_row(written: Entry) -> None:
    assert structure(json.loads(json.dumps(unstructure(written))), Entry) == written
    said = content_of(
        written.key,
        written.version,
        written.epoch,
        micros(written.recorded_at),
        written.actor,
        written.metadata,
        written.event,
    )
    assert entry_from((written.position, *said, written.digest)) == written


def test_names_are_those_of_the_reference() -> None:
    asked = unstructure(
        AdvanceCursor(ORDERS, 7, delivery_id="d", now=datetime(2026, 5, 5, tzinfo=UTC))
    )
    assert asked["op"] == "advance"
    assert asked["advance"]["key"] == {
        "consumer_id": "webhooks",
        "stream_name": "orders",
        "subject_id": "customer-7",
    }
    assert asked["advance"]["now"] == "2026-05-05T00:00:00Z"
    assert {"last_sequence", "delivery_id", "last_delivered_at"} <= set(asked["advance"])
    assert {"last_delivery_id", "reason"} <= set(unstructure(ResetCursor(ORDERS, 7, "x"))["reset"])
    assert [field.name for field in attrs.fields(Cursor)] == [
        *("key", "last_sequence", "last_delivery_id", "last_delivered_at", "last_error"),
        *("updated_at", "version", "epoch"),
    ]


def test_what_is_absent_is_empty_and_gos_zero_time_is_none() -> None:
    plain = {
        "key": {"consumer_id": "c", "stream_name": "s"},
        "last_sequence": 7,
        "updated_at": "2026-05-05T18:00:00+02:00",
        "version": 1,
        "epoch": 0,
    }
    cursor = structure(plain, Cursor)
    assert (cursor.last_delivery_id, cursor.last_error, cursor.key.subject_id) == ("", "", "")
    assert cursor.updated_at == datetime(2026, 5, 5, 16, tzinfo=UTC)
    zero = {**plain, "last_delivered_at": "0001-01-01T00:00:00Z"}
    assert structure(zero, Cursor) == cursor
    assert cursor.last_delivered_at is None


KEY = {"consumer_id": "mailer", "stream_name": "jobs"}
ADVANCE = {"key": KEY, "last_sequence": 7}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"last_sequence": "7"}, "last_sequence must be an integer, not a str"),
        ({"last_sequence": 7.0}, "last_sequence must be an integer, not a float"),
        ({"last_sequence": True}, "last_sequence must be an integer, not a bool"),
        ({"last_sequence": None}, "last_sequence must be an integer, not nothing"),
        ({"last_sequence": 2**63}, "last_sequence must be from"),
        ({"delivery_id": 7}, "delivery_id must be text"),
        ({"delivery_id": "\ud800"}, "delivery_id has a NUL or a lone surrogate"),
        ({"now": "2026-05-05T16:00:01"}, "now must be a time like"),
        ({"now": "20260505T160001Z"}, "now must be a time like"),
        ({"now": "2026-W19-2T16:00:01Z"}, "now must be a time like"),
        ({"now": "2026-05-05"}, "now must be a time like"),
        ({"now": "2026-02-30T16:00:01Z"}, "now must be a time like"),
        ({"now": "2026-05-05T16:00:61Z"}, "now must be a time like"),
        ({"now": "٢٠٢٦-05-05T16:00:01Z"}, "now must be a time like"),
        ({"now": "0001-01-01T00:00:00+01:00"}, "now"),
        ({"now": 1_700_000_000}, "now must be text"),
        ({"outcome": "lost"}, "outcome must be one of"),
        ({"outcome": ["delivered"]}, "outcome must be one of"),
        ({"epoch": "0"}, "epoch must be an integer"),
        ({"epoch": -1}, "epoch must be from 0"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": None}, "metadata"),
        ({"key": None}, "CursorKey must be an object"),
        ({"key": "mailer"}, "CursorKey must be an object"),
        ({"key": {"consumer_id": "mailer"}}, "stream_name is missing"),
        ({"key": {**KEY, "tenant": "x"}}, "'tenant' is not known here"),
        ({"last_seqence": 7}, "'last_seqence' is not known here"),
        ({"last_delivery_id": "d"}, "'last_delivery_id' is not known here"),
    ],
)
def test_nothing_is_coerced_and_the_field_is_named(change: dict[str, Any], said: str) -> None:
    assert structure(ADVANCE, AdvanceCursor) == AdvanceCursor(JOBS, 7)
    with pytest.raises(InvalidCursorError, match=said):
        structure({**ADVANCE, **change}, AdvanceCursor)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        7,
        "advance",
        [],
        {},
        {"op": "advance"},
        {"op": "get", "get": KEY},
        {"op": ["advance"], "advance": ADVANCE},
        {"op": "advance", "advance": ADVANCE, "reset": {}},
        {"op": "advance", "reset": ADVANCE},
        {"op": "advance", "advance": None},
        {"op": "advance", "advance": [ADVANCE]},
    ],
)
def test_what_is_no_request_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidCursorError):
        structure(wrong, ledger.Request)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "{'a': 1}",
        '{"a": 1, "a": 2}',
        '{"a": [{"b": 1, "b": 1}]}',
        "[" * 200_000,
        "9" * 10_000,
        b"\xff\xfe\xfd",
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidCursorError, match="JSON"):
        loads(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e3", "-0.0"])
def test_a_number_that_is_no_integer_is_no_sequence(number: str) -> None:
    plain = loads(json.dumps(ADVANCE).replace("7", number))
    with pytest.raises(InvalidCursorError, match="not a float"):
        structure(plain, AdvanceCursor)


def test_an_entry_from_elsewhere_is_distrusted(book: ledger.Ledger) -> None:
    book.advance(JOBS, to=7)
    [written] = book.history(JOBS)
    plain = unstructure(written)
    assert structure(plain, Entry) == written
    wrongs: list[dict[str, Any]] = [
        {"digest": "00"},
        {"digest": "zz" * 32},
        {"digest": None},
        {"event": {**plain["event"], "tag": "cursor.moved.v1"}},
        {"event": {**plain["event"], "tag": None}},
        {"event": {**plain["event"], "tag": ["x"]}},
        {"event": {"tag": "cursor.error.v1", "occurred_at": "2026-05-05T16:00:01Z"}},
        {"event": {**plain["event"], "message": "x"}},
        {"event": "advanced"},
        {"position": "1"},
        {"actor": "\0"},
        {"recorded_at": None},
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidCursorError):
            structure({**plain, **wrong}, Entry)


def test_a_query_is_read_as_the_reference_has_it() -> None:
    assert structure({"stream_name": " orders", "limit": -3}, CursorQuery) == CursorQuery(
        stream_name="orders"
    )
    with pytest.raises(InvalidCursorError, match="limit"):
        structure({"limit": "3"}, CursorQuery)
    assert structure({"reserved": True}, CursorQuery) == CursorQuery(reserved=True)
    for wrong in ("false", 1, None):
        with pytest.raises(InvalidCursorError, match="reserved"):
            structure({"reserved": wrong}, CursorQuery)


def test_a_row_that_holds_no_entry_is_a_broken_chain(book: ledger.Ledger) -> None:
    book.reset(JOBS, to=7, reason="x", metadata={"a": "b"})
    [written] = book.history(JOBS)
    said = content_of(JOBS, 1, 1, 0, "x", written.metadata, written.event)
    row = [1, *said, written.digest]
    assert entry_from(tuple(row)).event == written.event
    for column, value in enumerate(
        [None, 7, 7, 7, "x", "x", "x", 7, 7, "cursor.reset.v2", 1.5, "7"]
    ):
        with pytest.raises(BrokenChainError):
            entry_from((*row[:column], value, *row[column + 1 :]))
