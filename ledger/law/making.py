"""Frozen values, made fast: a replay makes three of them for every entry. And kept frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import attrs

__all__ = ["maker", "once", "sealed"]

P = ParamSpec("P")
T = TypeVar("T")


def maker(kind: Callable[P, T], *, converted: str = "") -> Callable[P, T]:
    """Give a function that makes a value of `kind`, a frozen class of attrs, as calling it does.

    A class is called more slowly than a function, and attrs sets the fields of a frozen one through
    `object.__setattr__`: nine fields take 1.0 µs. Here they are set on a twin, which has the same
    slots and is not frozen, and which is then told what it is: 0.3 µs.

    What it is given for the field `converted` has gone through the converter of that field before.

    Raises TypeError if `kind` has more to it than fields: defaults, converters, validators, steps
    of its own, or weak references, with which its instances would be laid out otherwise.
    """
    cls = cast("type[Any]", kind)
    fields = attrs.fields(cls)
    plain = all(
        field.default is attrs.NOTHING
        and (field.converter is None or field.name == converted)
        and field.validator is None
        for field in fields
    )
    names = [field.name for field in fields]
    if not plain or hasattr(cls, "__attrs_post_init__") or list(cls.__slots__) != names:
        raise TypeError(f"{cls.__name__} is more than its fields: its instances cannot be made so.")
    twin = type(cls.__name__, (), {"__slots__": names})
    lines = [
        f"def make(*, {', '.join(names)}):",
        "    made = new(twin)",
        *(f"    made.{name} = {name}" for name in names),
        "    made.__class__ = cls",
        "    return made",
    ]
    scope: dict[str, Any] = {"new": object.__new__, "twin": twin, "cls": cls}
    exec("\n".join(lines), scope)  # noqa: S102 - of the names above, and nothing else
    return cast("Callable[P, T]", scope["make"])


def once(first: str) -> Callable[[Any], None]:
    """Return the `__attrs_pre_init__` of a frozen class whose first field is `first`.

    It refuses to go through `__init__` once more, which would change the instance.
    """

    def refuse_made(self: object) -> None:
        if hasattr(self, first):
            raise attrs.exceptions.FrozenInstanceError

    return refuse_made


def sealed(cls: type[T]) -> type[T]:
    """Let `__setstate__` fill instances of a frozen class that are being unpickled, and no others.

    What `object.__setattr__` does, nothing in Python can refuse.
    """
    kind = cast("Any", cls)
    first = attrs.fields(kind)[0].name
    fill = kind.__setstate__

    def set_state(self: object, state: object) -> None:
        if hasattr(self, first):
            raise attrs.exceptions.FrozenInstanceError
        fill(self, state)

    kind.__setstate__ = set_state
    return cls
