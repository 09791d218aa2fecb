"""What makes a function of this room a method of `Ledger`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from ledger.service import Ledger
    from ledger.service.parts import OnAppender

__all__ = ["answered", "method", "method_returning"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])


def method(function: F) -> F:
    """Return `function`, named as one that is written in the class.

    Errors, pickles and `inspect` then name it `Ledger.get`. The type of `self` is there for mypy;
    `typing.get_type_hints` could not find it, because the class does not exist yet.
    """
    for each in (function, inspect.unwrap(function)):
        each.__module__ = "ledger.service"
        each.__qualname__ = f"Ledger.{each.__name__}"
        each.__annotations__.pop("self", None)
    return function


def method_returning(returns: str) -> Callable[[F], F]:
    """Return `method` for a function that coroutines call as well; a Ledger returns `returns`.

    `help` and `typing.get_type_hints` then say so. For mypy, the function is generic.
    """

    def returning(function: F) -> F:
        method(function).__annotations__["return"] = returns
        return function

    return returning


def answered(
    function: Callable[Concatenate[OnAppender[R, R], P], R],
) -> Callable[Concatenate[Ledger, P], R]:
    """Return `function` itself, typed as a method of a ledger whose callers wait for the answer."""
    return function
