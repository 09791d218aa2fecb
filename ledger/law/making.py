"""Frozen values, made fast, and kept frozen."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import attrs

__all__ = ["maker", "once", "quick", "sealed"]

P = ParamSpec("P")
T = TypeVar("T")


def maker(kind: Callable[P, T], *, converted: str = "") -> Callable[P, T]:
    """Return a function that makes what calling `kind`, a frozen class of attrs, makes.

    A replay makes three values for each entry, and each advance makes five. Calling a class costs
    more than calling a function, and attrs sets the fields of a frozen class through
    `object.__setattr__`: nine fields take 1.0 µs. Here they are set on an instance of a twin class,
    which has the same slots and is not frozen; its `__class__` is set last: 0.3 µs.

    Converters are called, except for the field `converted`, whose value has been converted before,
    and except for defaults, which are checked once, here: 0.8 µs instead of 2.9 µs for the ten
    fields of an advance.

    Raises TypeError if an instance made like this would differ: `kind` has validators, factories,
    steps of its own or weak references, which change the layout, or a default is not converted.
    """
    cls = cast("type[Any]", kind)
    scope, parameters, values = _parts(cls, converted)
    lines = [
        f"def make({', '.join(parameters)}):",
        "    made = twin()",
        *(f"    made.{name} = {value}" for name, value in values.items()),
        "    made.__class__ = cls",
        "    return made",
    ]
    exec("\n".join(lines), scope)  # noqa: S102 - of the names of fields, and nothing else
    return cast("Callable[P, T]", scope["make"])


def quick(cls: type[T]) -> type[T]:
    """Let calling a frozen class take little more time than its maker does.

    A batch of an application is made of requests, one by one: 3.9 µs each before, 1.6 µs now. What
    was converted is set in the same way, once nothing can be refused any more.
    """
    kind = cast("Any", cls)
    scope, parameters, values = _parts(kind, "")
    # A subclass may have another layout, and steps of its own.
    scope |= {"slow": kind.__init__, "set_field": object.__setattr__}
    given = [f"{name}={name}" for name in values]
    lines = [
        f"def __init__({', '.join(['self', *parameters])}):",
        "    if type(self) is not cls:",
        f"        return slow(self, {', '.join(given)})",
        "    self.__attrs_pre_init__()",
        *(f"    {name} = {value}" for name, value in values.items()),
        "    set_field(self, '__class__', twin)",
        *(f"    self.{name} = {name}" for name in values),
        "    self.__class__ = cls",
    ]
    exec("\n".join(lines), scope)  # noqa: S102 - of the names of fields, and nothing else
    kind.__init__ = wraps(kind.__init__)(scope["__init__"])
    return cls


def _parts(cls: Any, converted: str) -> tuple[dict[str, Any], list[str], dict[str, str]]:  # noqa: ANN401
    """Return what a function that makes instances is written with.

    That is its scope, its parameters, and for each field the expression of its value.
    """
    fields = attrs.fields(cls)
    names = [field.name for field in fields]
    if hasattr(cls, "__attrs_post_init__") or list(cls.__slots__) != names:
        raise _different(cls)
    twin = type(cls.__name__, (), {"__slots__": names})
    scope: dict[str, Any] = {"twin": twin, "cls": cls}
    parameters: list[str] = []
    values: dict[str, str] = {}
    for field in fields:
        if field.validator is not None or isinstance(field.default, cast("type", attrs.Factory)):
            raise _different(cls)
        name, value = field.name, field.name
        convert = None if name == converted else field.converter
        if convert is not None:
            scope[f"convert_{name}"] = convert
            value = f"convert_{name}({name})"
        default = ""
        if field.default is not attrs.NOTHING:
            if convert is not None and convert(field.default) is not field.default:
                raise _different(cls)
            scope[f"default_{name}"] = field.default
            default = f"=default_{name}"
            value = f"{name} if {name} is default_{name} else {value}"
        if field.kw_only and "*" not in parameters:
            parameters.append("*")
        parameters.append(name + default)
        values[name] = value
    return scope, parameters, values


def _different(cls: type) -> TypeError:
    return TypeError(f"{cls.__name__} is more than its fields: its instances cannot be made so.")


def once(first: str) -> Callable[[Any], None]:
    """Return the `__attrs_pre_init__` of a frozen class whose first field is `first`.

    It refuses a second call of `__init__`, which would change the instance.
    """

    def refuse_made(self: object) -> None:
        if hasattr(self, first):
            raise attrs.exceptions.FrozenInstanceError

    return refuse_made


def sealed(cls: type[T]) -> type[T]:
    """Let `__setstate__` fill instances of a frozen class that are being unpickled, and no others.

    Nothing in Python can refuse what `object.__setattr__` does.
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
