"""The methods of Ledger are written in several files, and are to a program those of one class."""

from __future__ import annotations

import inspect
import pickle
import typing

import pytest

from ledger import Ledger

METHODS = [
    (name, method)
    for name, method in vars(Ledger).items()
    if inspect.isfunction(method) and not name.startswith("_")
]
NAMES = [name for name, _ in METHODS]


@pytest.mark.parametrize(("name", "method"), METHODS, ids=NAMES)
def test_a_method_says_that_it_is_one_of_the_class(name: str, method: object) -> None:
    assert (method.__module__, getattr(method, "__qualname__", "")) == (
        "ledger.service",
        f"Ledger.{name}",
    )
    assert pickle.loads(pickle.dumps(method)) is method


@pytest.mark.parametrize(("name", "method"), METHODS, ids=NAMES)
def test_the_type_of_self_is_not_asked_for(name: str, method: object) -> None:
    own = inspect.signature(getattr(Ledger, name)).parameters["self"]
    assert own.annotation is own.empty
    try:
        returned = typing.get_type_hints(method)["return"]
        # What a Ledger returns, where a coroutine is given a future of it.
        assert not isinstance(returned, typing.TypeVar)
    except NameError as error:
        # Types that few programs need are imported late. The class itself would never be found.
        assert error.name != "Ledger"


@pytest.mark.parametrize("name", ["get", "history", "advance", "reset", "record_error", "wait"])
def test_the_types_that_every_program_has_can_be_asked_for(name: str) -> None:
    assert "return" in typing.get_type_hints(getattr(Ledger, name))


def test_a_wrong_call_names_the_method_with_its_class() -> None:
    with pytest.raises(TypeError, match=r"^Ledger\.advance\(\) missing"):
        Ledger.advance()  # type: ignore[call-arg]
