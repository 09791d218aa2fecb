"""What may enter a value, what is trimmed, and what is refused with which error."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ResetReasonRequiredError,
)
from ledger.law.fields import message
from support.cursors import JOBS

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)


class Seven(IntEnum):
    SEVEN = 7


def test_a_key_is_trimmed_of_all_white_space() -> None:
    key = CursorKey("\u00a0webhooks\t", "\n orders \u2003", " ")
    assert key == CursorKey("webhooks", "orders", "")
    assert str(key) == "webhooks/orders"
    assert len({key, CursorKey("webhooks", "orders")}) == 1


BAD_TEXT = [None, 7, b"bytes", ["x"], "a\0b", "\ud800", "x" * 513]


@pytest.mark.parametrize("part", ["consumer_id", "stream_name", "subject_id"])
@pytest.mark.parametrize("value", [*BAD_TEXT, "", " \u00a0\t"], ids=repr)
def test_a_key_refuses_what_cannot_name_a_cursor(part: str, value: Any) -> None:
    parts: dict[str, Any] = {"consumer_id": "c", "stream_name": "s", "subject_id": "x", part: value}
    if part == "subject_id" and isinstance(value, str) and not value.strip():
        assert CursorKey(**parts).subject_id == ""
        return
    with pytest.raises(InvalidCursorError, match=part):
        CursorKey(**parts)


@pytest.mark.parametrize("value", ["x" * 512, "émile", "消费者", "\U0001f600", "a b\tc", "a/b"])
def test_a_key_keeps_what_is_odd_but_sound(value: str) -> None:
    assert CursorKey(value, value, value).subject_id == value


def shortly(value: object) -> str:
    """Return an id of a test that is the same in every process that runs a part of the tests."""
    if callable(value):
        return str(getattr(value, "__name__", ""))
    return "huge" if isinstance(value, int) and abs(value) > 2**64 else repr(value)[:40]


def advance(**fields: Any) -> AdvanceCursor:
    return AdvanceCursor(**{"key": JOBS, "last_sequence": 7, **fields})


def reset(**fields: Any) -> ResetCursor:
    return ResetCursor(**{"key": JOBS, "last_sequence": 7, "reason": "why", **fields})


def record(**fields: Any) -> RecordError:
    return RecordError(**{"key": JOBS, "last_error": "boom", **fields})


BAD_TIMES = [
    "2026-05-05T12:00:00Z",
    0,
    datetime(2026, 5, 5),  # noqa: DTZ001 - naive on purpose
    datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
]
BAD_METADATA = [
    7,
    "ab",
    [("a", "b")],
    {"a": 1},
    {1: "a"},
    {" ": "a"},
    {"a": "\0"},
    {"a": "\udfff"},
    {str(n): "" for n in range(17)},
    {"a": "x" * 4_096},
]
BAD_COUNTERS = [-1, 2**63, 1.0, "1", True]
BAD_SEQUENCES = [None, "7", 7.0, True, -1, 2**63, 10**400, -(10**5_000)]

COMMON = [
    *[("key", value) for value in (None, "webhooks", ("webhooks", "orders"))],
    *[("actor", value) for value in BAD_TEXT],
    *[("now", value) for value in BAD_TIMES],
    *[("expected_version", value) for value in BAD_COUNTERS],
    *[("metadata", value) for value in [None, *BAD_METADATA]],
]


@pytest.mark.parametrize("make", [advance, reset, record])
@pytest.mark.parametrize(("field", "value"), COMMON, ids=shortly)
def test_every_request_refuses_what_no_request_can_have(make: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidCursorError):
        make(**{field: value})


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        *[(advance, "last_sequence", value) for value in [*BAD_SEQUENCES, 0]],
        *[(advance, "delivery_id", value) for value in BAD_TEXT],
        *[(advance, "last_delivered_at", value) for value in BAD_TIMES],
        *[(advance, "epoch", value) for value in BAD_COUNTERS],
        *[(advance, "outcome", value) for value in (None, "lost", 7, ["delivered"])],
        *[(reset, "last_sequence", value) for value in BAD_SEQUENCES],
        *[(reset, "last_delivery_id", value) for value in BAD_TEXT],
        *[(reset, "last_delivered_at", value) for value in BAD_TIMES],
        *[(reset, "reason", value) for value in (None, 7, "a\0b", "\ud800", "x" * 4_097)],
        *[(record, "last_error", value) for value in (None, 7, b"boom", "", " \n")],
    ],
    ids=shortly,
)
def test_a_request_refuses_what_it_cannot_have(make: Any, field: str, value: Any) -> None:
    with pytest.raises(InvalidCursorError, match=field):
        make(**{field: value})


@pytest.mark.parametrize("reason", ["", "  ", "\n\u00a0"])
def test_a_reset_without_a_reason_has_an_error_of_its_own(reason: str) -> None:
    with pytest.raises(ResetReasonRequiredError, match="say why"):
        reset(reason=reason)
    with pytest.raises(InvalidCursorError, match="last_sequence"):
        reset(reason=reason, last_sequence=-1)


def test_what_is_given_is_kept_trimmed_and_in_utc() -> None:
    tokyo = datetime(2026, 5, 5, 21, tzinfo=timezone(timedelta(hours=9)))
    asked = advance(
        last_sequence=Seven.SEVEN,
        delivery_id=" d-7 ",
        last_delivered_at=tokyo,
        now=tokyo,
        outcome="skipped",
        metadata={"ticket": " OPS-12 "},
    )
    assert type(asked.last_sequence) is int
    assert asked.delivery_id == "d-7"
    assert (asked.now, asked.last_delivered_at) == (NOON, NOON)
    assert asked.now is not None
    assert asked.now.tzinfo is UTC
    assert asked.outcome is Outcome.SKIPPED
    assert asked.metadata == {"ticket": " OPS-12 "}


def test_metadata_is_a_copy_and_may_be_as_large_as_its_bound() -> None:
    given = {str(n): "x" for n in range(16)}
    asked = record(metadata=given)
    given.clear()
    assert len(asked.metadata) == 16
    assert record(metadata={"a": "x" * 4_095}).metadata


@pytest.mark.parametrize(
    "wrong",
    [
        {"consumer_id": None},
        {"stream_name": 7},
        {"subject_id": "\0"},
        {"limit": "all"},
        {"limit": None},
        {"limit": 2**63},
        {"limit": True},
    ],
)
def test_queries_refuse_what_matches_nothing(wrong: dict[str, Any]) -> None:
    for query in (CursorQuery, EntryQuery):
        with pytest.raises(InvalidCursorError):
            query(**wrong)


@pytest.mark.parametrize("wrong", ["yes", 1, None])
def test_a_query_for_cursors_is_told_plainly_whether_it_is_for_reserved_ones(wrong: Any) -> None:
    with pytest.raises(InvalidCursorError, match="reserved must be True or False"):
        CursorQuery(reserved=wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "webhooks"},
        {"kinds": "reset"},
        {"kinds": [int]},
        {"kinds": 7},
        {"recorded_from": "2026"},
        {"recorded_until": datetime(2026, 1, 1)},  # noqa: DTZ001 - naive on purpose
        {"position_from": -1},
        {"key": CursorKey("mailer", "jobs"), "version_from": -1},
        {"version_until": 3},
        {"position_until": 2.0},
        {"covering": True},
        {"actor": 7},
    ],
)
def test_entry_queries_refuse_what_matches_nothing(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidCursorError):
        EntryQuery(**wrong)


# --- error messages: secrets are masked, the rest is kept ---

SECRETS = [
    ("smtp://mailer:hunter2@mx.example:25 refused", "smtp://mailer:***@mx.example:25 refused"),
    ("postgres://u:p@ss:word@db/x", "postgres://u:***@db/x"),
    ("redis://:hunter2@cache", "redis://:***@cache"),
    ("Authorization: Bearer eyJhbGciOi.J9.x-y_z", "Authorization: Bearer ***"),
    ("authorization: basic aGk6dGhlcmU=", "authorization: basic ***"),
    ("password=hunter2 for ines", "password=*** for ines"),
    ("PGPASSWORD=hunter2", "PGPASSWORD=***"),
    ('{"client_secret": "a b c", "id": 7}', '{"client_secret": ***, "id": 7}'),
    ("api-key: 12345, retry", "api-key: ***, retry"),
    ("GET /x?access_token=abc&page=2", "GET /x?access_token=***&page=2"),
    ("passwd = 'one two'", "passwd = ***"),
    (r'body: "{\"password\": \"hun ter\", \"a\": 1}"', r'body: "{\"password\": ***, \"a\": 1}"'),
    ("AWS_SECRET_ACCESS_KEY=a/b+c", "AWS_SECRET_ACCESS_KEY=***"),
    ("X-Api-Key: abc", "X-Api-Key: ***"),
]
INNOCENT = [
    "HTTP 503 from https://mx.example:8080/path?page=2",
    "ConnectionError: 421 try later",
    "see https://example.org/@ines/",
    "token expired",
    "basic authentication failed",
    "the password was refused",
]


@pytest.mark.parametrize(("said", "kept"), SECRETS)
def test_secrets_are_masked(said: str, kept: str) -> None:
    assert record(last_error=said).last_error == kept
    assert message(kept, "x") == kept


@pytest.mark.parametrize("said", INNOCENT)
def test_what_is_no_secret_is_kept(said: str) -> None:
    assert message(said, "x") == said


def test_a_long_message_is_cut_after_it_was_masked() -> None:
    long = message("x" * 2_030 + " password=" + "s" * 100, "x")
    assert len(long) <= 2_048
    assert "sss" not in long
    cut = message("x" * 5_000, "x")
    assert (len(cut), cut[-1]) == (2_048, "…")
    assert message("x" * 2_048, "x") == "x" * 2_048
    # A secret that reaches past the cut is no less one.
    assert "hunter" not in message("http://u:" + "hunter" * 100 + "@h" + "x" * 5_000, "x")


def test_what_cannot_be_stored_in_a_message_is_replaced() -> None:
    assert message(" \0bo\ud800om ", "x") == "\ufffdbo\ufffdom"


@given(st.text() | st.text(alphabet="pasword=:/@ \"'bearer*\0\ud800"))
def test_masking_twice_is_masking_once(said: str) -> None:
    try:
        once = message(said, "x")
    except InvalidCursorError:
        return
    assert message(once, "x") == once
    once.encode()


@pytest.mark.parametrize(
    "hostile",
    ["a:" * 200_000, "://" * 200_000, "password" * 100_000, "-" * 500_000, "= " * 300_000],
)
def test_a_hostile_message_is_only_long(hostile: str) -> None:
    assert len(message(hostile, "x")) <= 2_048


# --- errors ---


def test_errors_survive_pickling_with_their_facts(book: ledger.Ledger) -> None:
    book.advance(JOBS, to=5, delivery_id="d-5")
    deeds: list[Any] = [
        lambda: book.advance(JOBS, to=4),
        lambda: book.advance(JOBS, to=5, delivery_id="other"),
        lambda: book.advance(JOBS, to=6, epoch=3),
        lambda: book.advance(JOBS, to=6, expected_version=3),
        lambda: book.reset(JOBS, to=6, reason=""),
        lambda: book.get(CursorKey("a", "b")),
        lambda: CursorKey("", ""),
    ]
    for deed in deeds:
        with pytest.raises(ledger.LedgerError) as caught:
            deed()
        again = pickle.loads(pickle.dumps(caught.value))
        assert type(again) is type(caught.value)
        assert str(again) == str(caught.value)
        assert vars(again).keys() == vars(caught.value).keys()
