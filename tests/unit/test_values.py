"""What a maker gives is what the class gives, in every respect but the time that it takes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from ledger import AdvanceCursor, CursorAdvanced, CursorKey, Entry, InvalidCursorError, Outcome
from ledger.law.cursor import Cursor, make_cursor
from ledger.law.events import make_advanced, make_entry
from ledger.law.making import maker
from ledger.law.requests import make_advance
from ledger.log.heads import Head, make_head

NOW = datetime(2026, 5, 5, tzinfo=UTC)
KEY = CursorKey("mailer", "orders")
ADVANCED: dict[str, Any] = {
    "previous_sequence": 0,
    "sequence": 7,
    "delivery_id": "msg-7",
    "delivered_at": NOW,
    "outcome": Outcome.DELIVERED,
    "occurred_at": NOW,
}
CURSOR: dict[str, Any] = {
    "key": KEY,
    "last_sequence": 7,
    "last_delivery_id": "msg-7",
    "last_delivered_at": NOW,
    "last_error": "",
    "updated_at": NOW,
    "version": 1,
    "epoch": 0,
}
ENTRY: dict[str, Any] = {
    "position": 1,
    "key": KEY,
    "version": 1,
    "epoch": 0,
    "recorded_at": NOW,
    "actor": "mailer@host",
    "metadata": {"ticket": "4711"},
    "event": CursorAdvanced(**ADVANCED),
    "digest": bytes(32),
}
HEAD: dict[str, Any] = {
    "cursor_id": 3,
    "cursor": Cursor(**CURSOR),
    "recorded_at": 5,
    "digest": bytes(32),
}
ADVANCE: dict[str, Any] = {
    "key": KEY,
    "last_sequence": 7,
    "delivery_id": "msg-7",
    "last_delivered_at": NOW,
    "outcome": Outcome.SKIPPED,
    "now": NOW,
    "actor": "mailer@host",
    "epoch": 1,
    "expected_version": 2,
    "metadata": {"ticket": "4711"},
}

each = pytest.mark.parametrize(
    ("cls", "make", "values"),
    [
        (CursorAdvanced, make_advanced, ADVANCED),
        (Cursor, make_cursor, CURSOR),
        (Entry, make_entry, ENTRY),
        (Head, make_head, HEAD),
        (AdvanceCursor, make_advance, ADVANCE),
    ],
)


@each
def test_what_is_made_is_what_the_class_gives(
    cls: type[Any], make: Callable[..., Any], values: dict[str, Any]
) -> None:
    made, called = make(**values), cls(**values)
    assert type(made) is type(called) is cls
    assert made == called
    assert hash(made) == hash(called)
    assert repr(made) == repr(called)
    assert attrs.asdict(made) == attrs.asdict(called)
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == called
    name, value = next(iter(values.items()))
    assert attrs.evolve(made, **{name: value}) == called


@each
def test_what_is_made_never_changes(
    cls: type[Any], make: Callable[..., Any], values: dict[str, Any]
) -> None:
    made = make(**values)
    for name in values:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(made, name, None)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(made, name)
    with pytest.raises(AttributeError):
        made.else_ = 1
    assert made == cls(**values)


@each
def test_a_maker_takes_what_the_class_takes(
    cls: type[Any], make: Callable[..., Any], values: dict[str, Any]
) -> None:
    assert list(inspect.signature(make).parameters) == list(inspect.signature(cls).parameters)
    few = dict(list(values.items())[1:])
    for wrong in (few, {**values, "else_": 1}):
        with pytest.raises(TypeError):
            make(**wrong)
    with pytest.raises(TypeError):
        make(*values.values())


def test_a_maker_refuses_a_class_for_which_it_would_leave_something_out() -> None:
    def trimmed(text: str) -> str:
        return text.strip()

    @attrs.frozen(weakref_slot=False)
    class WithFactory:
        field: list[int] = attrs.Factory(list)

    @attrs.frozen(weakref_slot=False)
    class WithValidator:
        field: int = attrs.field(validator=attrs.validators.gt(1))

    @attrs.frozen(weakref_slot=False)
    class WithDefaultThatIsConverted:
        field: str = attrs.field(default=" ", converter=trimmed)

    @attrs.frozen(weakref_slot=False)
    class WithSteps:
        field: int

        def __attrs_post_init__(self) -> None:
            raise AssertionError

    @attrs.frozen
    class WithWeakReferences:
        field: int

    kinds: list[type[Any]] = [WithFactory, WithValidator, WithDefaultThatIsConverted, WithSteps]
    for cls in (*kinds, WithWeakReferences):
        with pytest.raises(TypeError, match=cls.__name__):
            maker(cls)


# --- a class that is called quickly ---


def test_a_quick_class_makes_frozen_instances_of_itself() -> None:
    request = AdvanceCursor(KEY, 7, delivery_id=" msg-7 ")
    assert type(request) is AdvanceCursor
    assert request == make_advance(KEY, 7, delivery_id="msg-7")
    assert request.delivery_id == "msg-7"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.last_sequence = 8  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.__init__(KEY, 8)  # type: ignore[misc]
    assert request.last_sequence == 7
    assert attrs.evolve(request, epoch=2).epoch == 2


def test_what_a_quick_class_refuses_is_left_frozen_and_empty() -> None:
    request = AdvanceCursor.__new__(AdvanceCursor)
    with pytest.raises(InvalidCursorError):
        request.__init__(KEY, 0)  # type: ignore[misc]
    assert type(request) is AdvanceCursor
    assert not any(hasattr(request, field.name) for field in attrs.fields(AdvanceCursor))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.key = KEY  # type: ignore[misc]


def test_a_subclass_of_a_quick_class_is_made_in_its_own_way() -> None:
    class Named(AdvanceCursor):
        """It has a dictionary, which its parent has not."""

    request = Named(KEY, 7, delivery_id="msg-7")
    request.__dict__["name"] = "seven"
    assert type(request) is Named
    assert (request.key, request.last_sequence, request.delivery_id) == (KEY, 7, "msg-7")
