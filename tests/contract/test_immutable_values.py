"""What was made never changes, and what could not be read again is never stored."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import attrs
import pytest

from ledger import (
    AdvanceCursor,
    Cursor,
    CursorKey,
    CursorQuery,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    LedgerError,
    RecordError,
    ResetCursor,
    StartCursor,
)
from ledger.law.pairs import Pairs
from ledger.log.json import unstructure
from support.cursors import JOBS, ORDERS

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
FROZEN = attrs.exceptions.FrozenInstanceError


def of_every_kind(book: Ledger) -> list[Any]:
    pairs = {"ticket": "4711"}
    advance = AdvanceCursor(ORDERS, 1, metadata=pairs, now=NOON)
    reset = ResetCursor(ORDERS, 0, "why", metadata=pairs, now=NOON)
    error = RecordError(ORDERS, "boom", metadata=pairs, now=NOON)
    cursors = book.append([advance, reset, error])
    entries = list(book.history(ORDERS))
    events = [entry.event for entry in entries]
    queries = [CursorQuery(), EntryQuery(key=ORDERS)]
    return [ORDERS, advance, reset, error, *cursors, *entries, *events, *queries]


def test_no_value_changes_by_any_door_that_can_be_closed(book: Ledger) -> None:
    for value in of_every_kind(book):
        before, shown = copy.deepcopy(value), repr(value)
        state = {field.name: None for field in attrs.fields(type(value))}
        first = next(iter(state))
        doors: list[Callable[[], object]] = [
            partial(setattr, value, first, None),
            partial(delattr, value, first),
            partial(setattr, value, "other", 1),
            partial(setattr, value, "__class__", CursorKey),
            partial(value.__setstate__, state),
            partial(value.__init__, **state),
            partial(value.__init__, *state.values()),
        ]
        for door in doors:
            with pytest.raises((FROZEN, AttributeError, TypeError, LedgerError)):
                door()
        assert not hasattr(value, "__dict__")
        assert value == before
        assert repr(value) == shown
        assert pickle.loads(pickle.dumps(value)) == copy.copy(value) == value


def test_metadata_is_a_map_that_never_changes(book: Ledger) -> None:
    with_metadata = [value for value in of_every_kind(book) if hasattr(value, "metadata")]
    assert len(with_metadata) == 6
    for value in with_metadata:
        pairs: Any = value.metadata
        for door, *arguments in (
            (operator.setitem, pairs, "a", "b"),
            (operator.delitem, pairs, "ticket"),
            (operator.ior, pairs, {"a": "b"}),
            (operator.methodcaller("update", a="b"), pairs),
            (operator.methodcaller("pop", "ticket"), pairs),
            (operator.methodcaller("clear"), pairs),
            (operator.methodcaller("setdefault", "a", "b"), pairs),
            (dict.__setitem__, pairs, "a", "b"),
            (dict.update, pairs, {"a": "b"}),
            (pairs.__init__, {"a": "b"}),
            (setattr, pairs, "_pairs", ()),
            (delattr, pairs, "_pairs"),
        ):
            with pytest.raises((AttributeError, TypeError)):
                door(*arguments)
        assert pairs == {"ticket": "4711"}


def test_metadata_behaves_as_a_dict_that_is_read() -> None:
    plain = {"b": "1", "a": "2"}
    pairs = Pairs(plain)
    assert pairs == plain
    assert plain == pairs
    assert repr(pairs) == repr(plain)
    assert dict(pairs) == {**pairs} == plain
    assert list(pairs) == ["b", "a"]
    assert pairs["a"] == "2"
    assert pairs.get("c") is None
    assert "b" in pairs
    assert bool(pairs)
    assert not Pairs()
    for made in (pickle.loads(pickle.dumps(pairs)), copy.copy(pairs), copy.deepcopy(pairs)):
        assert type(made) is Pairs
        assert made == plain
    with pytest.raises(KeyError):
        pairs["c"]
    asked = AdvanceCursor(JOBS, 1, metadata=plain)
    assert json.dumps(unstructure(asked)["advance"]["metadata"]) == json.dumps(plain)


def test_a_request_made_of_a_map_that_changes_later_is_appended_as_it_was_made(
    book: Ledger,
) -> None:
    mine: dict[Any, Any] = {"ticket": "4711"}
    request = AdvanceCursor(JOBS, 1, metadata=mine)
    mine[7] = object()
    mine["ticket"] = "x" * 10_000
    book.append([request])
    [entry] = book.history(JOBS)
    assert entry.metadata == {"ticket": "4711"}
    assert book.verify().ok


# --- what is changed in the one way that Python cannot refuse is not stored ---


class Lying(datetime):
    """Says that it is another instant each time."""

    def __sub__(self, other: Any) -> Any:
        return timedelta(microseconds=id(other) % 1_000)


class Shouting(str):
    """Says that it is something else."""

    __slots__ = ()

    def strip(self, *_: Any) -> Any:
        return "\0"

    def __str__(self) -> str:
        return "shouted"

    def isascii(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return str.__hash__(self)


CHANGES: list[tuple[str, Any]] = [
    ("last_sequence", "7"),
    ("last_sequence", 7.0),
    ("last_sequence", True),
    ("last_sequence", 2**63),
    ("last_sequence", -1),
    ("last_sequence", None),
    ("actor", 7),
    ("actor", Shouting("me")),
    ("actor", "a\0b"),
    ("actor", "\ud800"),
    ("metadata", {"a": 1}),
    ("metadata", {1: "a"}),
    ("metadata", {"a": "x" * 5_000}),
    ("metadata", {str(n): "" for n in range(17)}),
    ("metadata", {" ": "a"}),
    ("metadata", [("a", "b")]),
    ("metadata", "ab"),
    ("now", "2026"),
    ("now", NOON.replace(tzinfo=None)),
    ("now", NOON.astimezone(timezone(timedelta(hours=1)))),
    ("now", Lying(2026, 5, 5, tzinfo=UTC)),
    ("last_delivered_at", Lying(2026, 5, 5, tzinfo=UTC)),
    ("last_delivered_at", 7),
    ("delivery_id", 7),
    ("delivery_id", "\ud800"),
    ("last_delivery_id", b"x"),
    ("outcome", "delivered"),
    ("outcome", "lost"),
    ("outcome", None),
    ("reason", ""),
    ("reason", None),
    ("reason", Shouting("why")),
    ("last_error", None),
    ("last_error", "\ud800"),
]


@pytest.mark.parametrize(("name", "value"), CHANGES, ids=lambda each: repr(each)[:30])
def test_a_request_that_was_changed_by_force_is_refused_alone(
    book: Ledger, name: str, value: Any
) -> None:
    requests: list[Any] = [
        AdvanceCursor(JOBS, 7),
        ResetCursor(JOBS, 7, "why"),
        RecordError(JOBS, "boom"),
        StartCursor(JOBS, 7, "why", source="kafka"),
    ]
    changed = [request for request in requests if hasattr(request, name)]
    for request in changed:
        object.__setattr__(request, name, value)
        with pytest.raises(LedgerError):
            book.append([request])
        [refused, appended] = book.append_each([request, AdvanceCursor(ORDERS, 1)])
        assert isinstance(refused, LedgerError)
        assert isinstance(appended, Cursor)
    assert list(book.history(JOBS)) == []
    assert [entry.key for entry in book.entries()] == [ORDERS] * len(changed)
    assert book.verify().ok


def test_keys_that_were_changed_by_force_are_refused(book: Ledger) -> None:
    for other in (None, "webhooks", ("mailer", "jobs")):
        request = AdvanceCursor(JOBS, 1)
        object.__setattr__(request, "key", other)
        with pytest.raises(InvalidCursorError, match="key"):
            book.append_each([request])
    for changed in ("", " ", "a\0b", "x" * 513, " a", 7, None, Shouting("a"), "\ud800"):
        key = CursorKey("mailer", "jobs")
        object.__setattr__(key, "consumer_id", changed)
        with pytest.raises(LedgerError):
            book.append([AdvanceCursor(key, 1)])
    assert list(book.entries()) == []
    assert book.verify().ok
