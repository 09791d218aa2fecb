"""Protocols are small: whoever needs some of what a store does asks for no more than that."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
import projections
from ledger.stores import Appending
from support.modules import modules_of
from support.places import TOP

METHODS_MAX = 5

SUMS = {
    *("Store", "Source", "Target", "Snapshot", "Partible"),
    *("AppendingFree", "Transaction"),
    *("Connections", "Session", "Awaited"),
}
"""What has more, because it is all that a store, a log, a transaction or a connection is."""


def protocols() -> Iterator[type]:
    """Yield every protocol that a module of the ledger defines."""
    for module in (*modules_of(ledger), *modules_of(projections)):
        yield from (
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if value.__module__ == module.__name__ and is_protocol(value)
        )


def is_protocol(value: type) -> bool:
    return bool(getattr(value, "_is_protocol", False))


def parts(protocol: type) -> Iterator[type]:
    """Yield a protocol and those that it inherits from."""
    return filter(is_protocol, protocol.__mro__)


def own(protocol: type) -> set[str]:
    return {
        name
        for name, value in vars(protocol).items()
        if (inspect.isfunction(value) or isinstance(value, property)) and not name.startswith("_")
    }


def methods(protocol: type) -> set[str]:
    """Return all that one must have to be one, whichever protocol says so."""
    return set().union(*map(own, parts(protocol)))


PROTOCOLS = list(protocols())


def test_a_protocol_has_five_methods_at_most_with_those_that_it_inherits() -> None:
    assert {each.__name__ for each in PROTOCOLS if len(methods(each)) > METHODS_MAX} == SUMS
    assert len(methods(Appending)) == METHODS_MAX


def test_a_sum_adds_five_methods_at_most_to_those_of_its_parts() -> None:
    large = {each.__name__: own(each) for each in PROTOCOLS if len(own(each)) > METHODS_MAX}
    assert large == {}


# --- who asks for a sum ---


def asked(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the parameters that are sums, each with the sum, and what is called on it.

    One that is passed on is left out: it is asked for what that function calls.
    """
    for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
        if not isinstance(each.annotation, ast.Name) or each.annotation.id not in SUMS:
            continue
        uses = [node for node in ast.walk(function) if named(node, each.arg)]
        calls = [
            node.attr
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute) and named(node.value, each.arg)
        ]
        if len(calls) == len(uses):
            yield each.arg, each.annotation.id, set(calls)


def named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def complaints(source: str, sums: dict[str, type]) -> list[str]:
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for name, asks, calls in asked(function):
                enough = [each for each in parts(sums[asks]) if calls <= methods(each)]
                least = min(enough, key=lambda each: len(methods(each)), default=sums[asks])
                if least.__name__ != asks or len(calls) > METHODS_MAX:
                    may = f"`{name}` may be {least.__name__}"
                    found.append(f"{function.name}: {may}: {sorted(calls)}")
    return found


WHOLE = {each.__name__: each for each in PROTOCOLS if len(methods(each)) > METHODS_MAX}


@pytest.mark.parametrize("room", ["ledger", "projections"])
def test_a_function_that_calls_few_methods_does_not_ask_for_a_sum(room: str) -> None:
    modules = sorted(Path(TOP, room).rglob("*.py"))
    assert modules
    found = [
        f"{module.relative_to(TOP)}: {complaint}"
        for module in modules
        for complaint in complaints(module.read_text("utf-8"), WHOLE)
    ]
    assert found == []


def test_what_asks_for_too_much_is_found() -> None:
    small = "def work(it: Transaction) -> None:\n    it.hold([])\n    it.head(key)"
    assert complaints(small, WHOLE) == ["work: `it` may be Appending: ['head', 'hold']"]
    assert complaints(f"{small}\n    it.everything()", WHOLE) == []
    assert complaints(f"{small}\n    on(it)", WHOLE) == []
