"""What makes a function of this room a method of `Ledger`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

__all__ = ["method"]

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
