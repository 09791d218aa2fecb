"""The reference has every public name, with each parameter and field, and an example that holds."""

from __future__ import annotations

import doctest
import enum
import importlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from types import FunctionType

import attrs
import griffe
import pytest

import ledger
import ledger.aio
import ledger.conformance
import ledger.positions
import ledger.testing
import projections
from ledger.integrations import django, kafka
from ledger.integrations import sqlalchemy as with_sqlalchemy
from ledger.integrations.django import testing as django_testing
from support.places import TOP

# They share the source of the packages, which takes a while to read.
pytestmark = pytest.mark.xdist_group("reference")

PAGES = sorted((TOP / "docs" / "reference").glob("*.md"))
ENTRY = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)
PUBLIC = {
    f"{package.__name__}.{name}": getattr(package, name)
    for package in (
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
    for name in package.__all__
}
PATHS = [path for page in PAGES for path in ENTRY.findall(page.read_text("utf-8"))]


def methods_of(path: str, face: type) -> dict[str, Callable[..., object]]:
    """Return the public methods of a class: not its fields, nor its properties."""
    return {
        f"{path}.{name}": getattr(face, name)
        for name, value in vars(face).items()
        if not name.startswith("_") and isinstance(value, FunctionType | classmethod)
    }


OF_THREADS = methods_of("ledger.Consumer", ledger.Consumer)
OF_COROUTINES = methods_of("ledger.aio.AsyncConsumer", ledger.aio.AsyncConsumer)
OF_PLANS = methods_of("projections.ResetPlan", projections.ResetPlan)
OF_LEDGER = methods_of("ledger.Ledger", ledger.Ledger)
del OF_LEDGER["ledger.Ledger.through"]
NAMING = {**OF_LEDGER, **OF_THREADS, **OF_COROUTINES, **OF_PLANS}
METHODS = [
    *(
        f"ledger.Ledger.{name}"
        for name in vars(ledger.Ledger)
        # What is appended can be watched through it; `ledger.aio` is made so.
        if not name.startswith("_") and name != "through"
    ),
    *OF_THREADS,
    *OF_PLANS,
    # The other coroutines of a consumer refer to the methods for threads, and their examples.
    "ledger.aio.AsyncConsumer.run",
]


@cache
def read(package: str) -> griffe.Object | griffe.Alias:
    """Return the source of a package, which takes seconds, and is not read to collect tests."""
    return griffe.load(package, search_paths=[TOP])


def running(path: str) -> object:
    """Return what a path of the reference names in the program."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def source(path: str) -> griffe.Object:
    """Return what a path of the reference names in the source, where the site looks for it."""
    package, _, rest = path.partition(".")
    found = read(package)[rest]
    found = found.final_target if isinstance(found, griffe.Alias) else found
    value = found.value if isinstance(found, griffe.Attribute) else None
    if path in METHODS and isinstance(value, griffe.ExprCall):
        value = value.arguments[0]
    if path in METHODS and isinstance(value, griffe.ExprAttribute):
        # The class takes a function as its method: `get = reading.get`, or `answered(…)` of it.
        return source(value.canonical_path)
    return found


def documented(path: str) -> str:
    """Return the docstring of `path` as the site shows it: that of a union stands below it."""
    docstring = source(path).docstring
    return docstring.value if docstring else ""


def members_of(value: object) -> list[str]:
    """Return the names of the members of an enum; none of anything else."""
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        return [member.name for member in value]
    return []


def test_every_public_name_is_in_the_reference_once() -> None:
    entries = [running(path) for path in PATHS]
    missing = [name for name, value in PUBLIC.items() if not any(e is value for e in entries)]
    assert missing == []
    assert len(entries) == len(PUBLIC)


@pytest.mark.parametrize("path", [*PATHS, *METHODS])
def test_the_example_of_a_public_name_holds(path: str) -> None:
    # Nothing is imported for it: whoever copies an example has all of it.
    example = doctest.DocTestParser().get_doctest(documented(path), {}, path, path, 0)
    assert example.examples, f"{path} has no example"
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(example, out=told.append).failed == 0, "".join(told)


@pytest.mark.slow("it builds the site")
@pytest.mark.parametrize("face", [ledger.Ledger, ledger.aio.AsyncLedger, projections.ResetPlan])
def test_the_site_tells_what_a_method_does_and_takes(face: type) -> None:
    extension = str(TOP / "scripts" / "site" / "signatures.py")
    package, _, module = face.__module__.partition(".")
    shown = griffe.load(package, search_paths=[TOP], extensions=griffe.load_extensions(extension))
    methods = shown[f"{module}.{face.__name__}"].members
    assert "__init__" in methods
    for name, method in vars(face).items():
        if not name.startswith("_") and inspect.isfunction(method):
            told = methods[name].docstring
            assert told, f"{name} has no docstring"
            assert told.value.startswith(str(inspect.getdoc(method)).partition("\n")[0])
            examples = told.value.count("\n\n>>>") + told.value.count("```pycon")
            assert told.value.count("\n\n```pycon\n>>>") == examples
            assert told.value.count("```") == 2 * examples
            named = [each.name for each in methods[name].parameters]
            assert named == [*inspect.signature(method).parameters]


@pytest.mark.parametrize("path", PATHS)
def test_a_docstring_names_every_parameter_and_field(path: str) -> None:
    text = documented(path)
    assert [name for name in made_of(running(path)) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("path", NAMING)
def test_a_docstring_of_a_method_names_every_parameter(path: str) -> None:
    text = inspect.getdoc(NAMING[path]) or ""
    # Methods of `Ledger` leave what they have in common to the requests that they make.
    if re.search(r"\bParameters are\s+those\s+of\b", text):
        return
    named = [name for name in made_of(NAMING[path]) if name != "self"]
    assert [name for name in named if not re.search(rf"`{name}(?:\([^`]*)?`", text)] == []


@pytest.mark.parametrize("path", [path for path in PATHS if members_of(running(path))])
def test_every_member_of_an_enum_says_what_it_means(path: str) -> None:
    members = source(path).members
    assert [name for name in members_of(running(path)) if not members[name].docstring] == []


def made_of(value: object) -> list[str]:
    """Return the parameters of a function, the fields of a value, or the facts of an error."""
    if inspect.isclass(value) and attrs.has(value):
        return [field.name for field in attrs.fields(value) if not field.name.startswith("_")]
    if inspect.isclass(value) and issubclass(value, Exception):
        return [name for name in vars(value).get("__annotations__", {}) if name[0] != "_"]
    if inspect.isroutine(value):
        return list(inspect.signature(value).parameters)
    return []
