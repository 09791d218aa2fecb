"""The fast way to an advance takes, trims and refuses exactly what its class does."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from ledger import AdvanceCursor, CursorKey, LedgerError, Outcome
from ledger.law.requests import make_advance

KEY = CursorKey("webhooks", "orders")
EAST = timezone(timedelta(hours=5))
times = st.none() | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(EAST))
texts = st.sampled_from(["", " ", " d-7 ", "\0", "\u200b", "x" * 513]) | st.text(max_size=9)
numbers = st.none() | st.booleans() | st.integers(-2, 2**64) | st.just(7.0) | st.just("7")
pairs = st.none() | st.dictionaries(texts, texts, max_size=2) | st.just({"a": 1})
fields = {
    "key": st.just(KEY) | st.none() | st.just("webhooks"),
    "last_sequence": st.integers(1, 9) | numbers,
    "delivery_id": texts | st.none(),
    "last_delivered_at": times,
    "outcome": st.sampled_from(Outcome) | st.sampled_from(["delivered", "lost", None]),
    "now": times,
    "actor": texts | st.just(7),
    "epoch": numbers,
    "expected_version": numbers,
    "metadata": pairs,
}


def answer(make: Any, given: dict[str, Any]) -> tuple[object, ...]:
    try:
        return ("made", make(**given))
    except LedgerError as error:
        return (type(error), str(error), vars(error))


optional = {name: each for name, each in fields.items() if name not in {"key", "last_sequence"}}
required = {name: fields[name] for name in ("key", "last_sequence")}
valid = {"key": st.just(KEY), "last_sequence": st.integers(1, 9)}


@given(st.fixed_dictionaries(valid, optional=optional) | st.fixed_dictionaries(required))
def test_a_request_that_is_made_fast_is_the_one_that_the_class_makes(given: dict[str, Any]) -> None:
    expected, made = answer(AdvanceCursor, given), answer(make_advance, given)
    assert made == expected
    if made[0] == "made":
        assert type(made[1]) is AdvanceCursor
        assert repr(made[1]) == repr(expected[1])


def test_both_take_the_same_parameters() -> None:
    own, its = inspect.signature(make_advance), inspect.signature(AdvanceCursor)
    assert list(own.parameters) == list(its.parameters)
    for name, parameter in own.parameters.items():
        assert parameter.default == its.parameters[name].default
        assert parameter.kind == its.parameters[name].kind
    assert list(own.parameters) == [field.name for field in attrs.fields(AdvanceCursor)]


def test_a_request_that_is_made_is_frozen_from_its_birth() -> None:
    made = make_advance(KEY, 7, now=datetime(2026, 5, 5, tzinfo=UTC))
    try:
        made.last_sequence = 8  # type: ignore[misc]
    except attrs.exceptions.FrozenInstanceError:
        return
    raise AssertionError(made)
