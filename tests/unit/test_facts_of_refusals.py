"""A refusal of a value carries its facts, so that nobody has to read them out of its message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorQuery,
    EntryQuery,
    InvalidCursorError,
    Outcome,
    RecordError,
    ResetCursor,
)
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.json import structure
from ledger.log.text import loads

KEY = CursorKey("webhooks", "orders")
HUGE = 10**50
NAIVE = datetime(2026, 5, 5)  # noqa: DTZ001 - naive on purpose
PLAIN = {"consumer_id": "webhooks", "stream_name": "orders"}


def advance(**given: Any) -> AdvanceCursor:
    return AdvanceCursor(**{"key": KEY, "last_sequence": 7, **given})


def reset(**given: Any) -> ResetCursor:
    return ResetCursor(**{"key": KEY, "last_sequence": 7, "reason": "why", **given})


def read(**given: Any) -> Any:
    return structure({"key": PLAIN, "last_sequence": 7, **given}, AdvanceCursor)


Refused = Callable[[], object]
REFUSED: list[tuple[Refused, str, Any, int | None]] = [
    # What is refused; the field; what the message says was given; the bound that it is beyond.
    (lambda: advance(last_sequence=0), "last_sequence", 0, 1),
    (lambda: advance(last_sequence=2**63), "last_sequence", 2**63, SEQUENCE_MAX),
    (lambda: advance(last_sequence=HUGE), "last_sequence", "a number of 167 bits", SEQUENCE_MAX),
    (lambda: advance(last_sequence="7"), "last_sequence", "a str", None),
    (lambda: reset(last_sequence=-1), "last_sequence", -1, 0),
    (lambda: reset(reason="x" * 5_000), "reason", 5_000, 4_096),
    (lambda: CursorKey("x" * 513, "s"), "consumer_id", 513, 512),
    (lambda: CursorKey("c", " "), "stream_name", None, None),
    (lambda: CursorKey("c", "s", "\u200b"), "subject_id", r"'\u200b'", None),
    (lambda: CursorKey("c", "s", "\0"), "subject_id", None, None),
    (lambda: advance(key="webhooks"), "key", "a str", None),
    (lambda: advance(delivery_id=7), "delivery_id", "a int", None),
    (lambda: reset(last_delivery_id=7), "last_delivery_id", "a int", None),
    (lambda: advance(epoch=-1), "epoch", -1, 0),
    (lambda: advance(expected_version=-2), "expected_version", -2, 0),
    (lambda: advance(now=NAIVE), "now", "2026-05-05T00:00:00", None),
    (lambda: advance(last_delivered_at="now"), "last_delivered_at", "a str", None),
    (lambda: advance(actor="\u200b"), "actor", r"'\u200b'", None),
    (lambda: advance(outcome="lost"), "outcome", "'lost'", None),
    (lambda: advance(metadata=7), "metadata", "a int", None),
    (lambda: advance(metadata={1: "x"}), "metadata", "a int", None),
    (lambda: advance(metadata={"ticket": 1}), "metadata", "a int", None),
    (lambda: advance(metadata={"\u200b": "x"}), "metadata", r"'\u200b'", None),
    (lambda: advance(metadata={"a": "x" * 5_000}), "metadata", 5_001, 4_096),
    (lambda: advance(metadata=dict.fromkeys("abcdefghijklmnopq", "")), "metadata", None, 16),
    (lambda: RecordError(KEY, " "), "last_error", None, None),
    (lambda: CursorQuery(limit=HUGE), "limit", "a number of 167 bits", SEQUENCE_MAX),
    (lambda: EntryQuery(position_from=-1), "position_from", -1, 0),
    (lambda: EntryQuery(kinds=[int]), "kinds", "<class 'int'>", None),  # type: ignore[list-item]
    (lambda: read(last_sequence="7"), "last_sequence", "a str", None),
    (lambda: read(last_sequence=0), "last_sequence", 0, 1),
    (lambda: read(now="noon"), "now", "'noon'", None),
    (lambda: read(now=7), "now", "a int", None),
    (lambda: read(outcome="lost"), "outcome", "'lost'", None),
    (lambda: read(key={"consumer_id": "c"}), "stream_name", None, None),
    (lambda: read(key={**PLAIN, "subject_id": 7}), "subject_id", "a int", None),
    (lambda: structure({"op": "get"}, ledger.Request), "op", "'get'", None),
]


@pytest.mark.parametrize(("refused", "field", "value", "bound"), REFUSED)
def test_a_refusal_says_the_field_the_value_and_the_bound(
    refused: Refused, field: str, value: object, bound: int | None
) -> None:
    with pytest.raises(InvalidCursorError) as caught:
        refused()
    error = caught.value
    assert (error.field, error.value, error.bound) == (field, value, bound)
    assert type(error.value) is type(value)
    assert error.subject is not None
    assert field in error.subject
    assert str(error) == f"{error.subject} {error.problem}"
    assert not hasattr(error, "__notes__")


def test_a_fact_is_short_however_long_the_value_is() -> None:
    long: Any = "x" * 1_000_000
    for refused in (
        lambda: advance(outcome=long),
        lambda: read(now=long),
        lambda: advance(metadata={"a": "\0", long: ""}),
        lambda: CursorKey("\u200b" * 500, "s"),
        lambda: structure({"op": long}, ledger.Request),
    ):
        with pytest.raises(InvalidCursorError) as caught:
            refused()
        assert len(str(caught.value.value)) <= 80


def test_what_is_allowed_instead_is_a_fact() -> None:
    with pytest.raises(InvalidCursorError) as outcome:
        advance(outcome="lost")
    assert outcome.value.allowed == tuple(each.value for each in Outcome)
    assert {type(name) for name in outcome.value.allowed} == {str}
    with pytest.raises(InvalidCursorError) as kinds:
        EntryQuery(kinds=int)  # type: ignore[arg-type]
    assert kinds.value.allowed == (
        "CursorAdvanced",
        "CursorReset",
        "ErrorRecorded",
        "CursorStarted",
    )
    with pytest.raises(InvalidCursorError) as unknown:
        read(last_seqence=7)
    assert unknown.value.value == "'last_seqence'"
    assert unknown.value.allowed is not None
    assert "last_sequence" in unknown.value.allowed


def test_a_secret_in_a_value_that_the_message_does_not_repeat_is_in_no_fact() -> None:
    secret = "hunter2\0"
    for refused in (
        lambda: advance(metadata={"password": secret}),
        lambda: reset(reason=secret),
        lambda: advance(delivery_id=secret),
    ):
        with pytest.raises(InvalidCursorError) as caught:
            refused()
        assert "hunter2" not in repr(vars(caught.value))


def test_a_refusal_that_is_about_no_single_field_has_no_facts() -> None:
    for refused in (
        lambda: loads("{"),
        lambda: EntryQuery(version_from=1),
        lambda: structure({"op": "error", "error": {}, "x": 1}, ledger.Request),
    ):
        with pytest.raises(InvalidCursorError) as caught:
            refused()
        assert vars(caught.value) == {}
        assert caught.value.field is None


def test_what_is_said_of_many_wrong_fields_is_the_first() -> None:
    with pytest.raises(InvalidCursorError, match="last_sequence") as caught:
        structure({"key": PLAIN, "last_sequence": "7", "epoch": "0", "x": 1}, AdvanceCursor)
    assert caught.value.field == "last_sequence"
    with pytest.raises(InvalidCursorError, match="last_sequence"):
        reset(reason="", last_sequence=-1)
    with pytest.raises(InvalidCursorError, match="actor"):
        reset(reason="", actor=7)


def test_a_time_is_refused_by_the_name_of_its_own_field() -> None:
    moment = datetime(2026, 5, 5, tzinfo=UTC)
    EntryQuery(recorded_from=moment, recorded_until=moment)
    for name in ("recorded_from", "recorded_until"):
        with pytest.raises(InvalidCursorError) as caught:
            EntryQuery(**{name: NAIVE})  # type: ignore[arg-type]
        assert caught.value.field == name
