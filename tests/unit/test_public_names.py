"""The public names, with their parameters, fields and values: what a release must not take away."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterator

import attrs
import pytest

import ledger
import ledger.aio
import ledger.conformance
import ledger.positions
import ledger.testing
import projections
from ledger.evidence.keys import PublicKey, SecretKey
from ledger.integrations import django, kafka
from ledger.integrations import sqlalchemy as with_sqlalchemy
from ledger.integrations.django import testing as django_testing
from support.places import GOLDEN

# What two public classes have in common, and what no program names.
INNER = {PublicKey, SecretKey}

NAMES = GOLDEN / "public_names.txt"


def described(name: str, value: object) -> Iterator[str]:
    """Return a line for `value`, and for each public thing in it."""
    if inspect.isclass(value):
        yield f"class {name}({', '.join(base.__name__ for base in bases(value))})"
        if issubclass(value, enum.Enum):
            yield from (f"{name}.{member.name} = {member.value!r}" for member in value)
        if attrs.has(value):
            for field in attrs.fields(value):
                yield f"{name}.{field.name}{'' if field.default is attrs.NOTHING else ' = …'}"
        for label, inner in sorted(own_members(value).items()):
            if not label.startswith("_"):
                yield from member(f"{name}.{label}", inner)
    elif inspect.isfunction(value):
        yield f"{name}({parameters(value)})"
    else:
        yield name


def bases(value: type) -> list[type]:
    """Return the bases, without those that only the code of the ledger knows by name."""
    return [base for base in value.__bases__ if base not in INNER] or [object]


def own_members(value: type) -> dict[str, object]:
    found = dict[str, object]()
    for base in reversed(value.__mro__[1:]):
        if base in INNER:
            found.update(vars(base))
    return {**found, **vars(value)}


def member(name: str, value: object) -> Iterator[str]:
    if inspect.isfunction(value):
        yield f"{name}({parameters(value)})"
    elif isinstance(value, classmethod):
        yield f"{name}({parameters(value.__func__)}) classmethod"
    elif isinstance(value, property):
        yield f"{name} property"


def parameters(function: object) -> str:
    assert callable(function)
    return ", ".join(map(parameter, inspect.signature(function).parameters.values()))


def parameter(each: inspect.Parameter) -> str:
    star = "*" * ((each.kind is each.VAR_POSITIONAL) + 2 * (each.kind is each.VAR_KEYWORD))
    default = "" if each.default is each.empty else "=…"
    return f"{star}{each.name}{default}{' (keyword)' if each.kind is each.KEYWORD_ONLY else ''}"


def there() -> list[str]:
    return [
        line
        for module in (
            ledger,
            ledger.aio,
            ledger.conformance,
            django,
            django_testing,
            kafka,
            with_sqlalchemy,
            ledger.positions,
            ledger.testing,
            projections,
        )
        for name in sorted(module.__all__)
        for line in described(f"{module.__name__}.{name}", getattr(module, name))
    ]


def test_the_public_names_are_the_ones_that_are_written_down() -> None:
    """A name that is added is added to the golden file; one that is missing breaks programs."""
    assert there() == NAMES.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("gone", ["ledger.open", "ledger.Ledger.advance", "ledger.Outcome.SKIPPED"])
def test_a_name_that_goes_would_be_noticed(gone: str) -> None:
    assert any(line.startswith((f"{gone}(", f"{gone} ")) for line in there())
