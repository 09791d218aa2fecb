"""The rooms of the tests: which there are, what a module may import, how long it may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pytest

from support.lengths import (
    LIST,
    LISTED_S,
    LONG_S,
    ON_POSTGRES,
    Stopwatch,
    function_of,
    long_tests,
)
from support.places import TOP

TESTS = TOP / "tests"
ROOMS = {
    "unit",
    "contract",
    "sqlite",
    "postgres",
    "cli",
    "projections",
    "docs",
    "stress",
    "integrations",
}
MODULES = sorted(TESTS.rglob("*.py"))
LINES_MAX = 400
ON_SERVER: Mapping[str, Literal[1]] = {"on_postgres": 1}
# The benchmarks are no package: the tests of them import their modules by name.
BENCHMARKS = {file.stem for file in (TOP / "scripts" / "benchmarks").glob("*.py")}
OURS = {"ledger", "projections", "support"} | BENCHMARKS


def imported(module: Path) -> set[str]:
    """Return the first part of every name that a module imports, at its top or inside."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return {name.split(".")[0] for name in names}


def test_every_test_is_in_a_room() -> None:
    assert {module.parent.name for module in TESTS.rglob("test_*.py")} == ROOMS
    assert list(TESTS.glob("test_*.py")) == []


def test_modules_import_only_from_support() -> None:
    """Whatever stands in `tests/` can be imported by its name there, and must not be."""
    neighbours = {file.stem for file in TESTS.rglob("*.py")} | {*ROOMS, "conftest", "tests"}
    for module in MODULES:
        names = imported(module)
        wrong = {name for name in names - OURS - sys.stdlib_module_names if name in neighbours}
        assert "" not in names, f"{module} imports what is beside it"
        assert not wrong, f"{module} imports {wrong}"


@pytest.mark.parametrize("kind", ["*.py", "*.c"])
def test_no_file_is_too_long_to_be_read_in_a_sitting(kind: str) -> None:
    lengths = {
        str(file.relative_to(TOP)): len(file.read_text("utf-8").splitlines())
        for file in TESTS.rglob(kind)
    }
    assert {file: length for file, length in lengths.items() if length > LINES_MAX} == {}


def test_the_tests_that_take_long_are_those_of_a_list_and_are_there() -> None:
    listed = [line.split(maxsplit=1) for line in LIST.read_text("utf-8").splitlines()]
    names = [name for _, name in listed]
    assert names == sorted(set(names))
    assert all(float(seconds) > LISTED_S for seconds, _ in listed)
    there = {
        f"{module.relative_to(TOP).as_posix()}::{name}"
        for module in TESTS.rglob("test_*.py")
        for name in defined(ast.parse(module.read_text("utf-8")))
    }
    assert {name.removesuffix(ON_POSTGRES).removesuffix("::runTest") for name in names} <= there


def defined(module: ast.Module) -> Iterator[str]:
    """Yield the names of the tests of a module: functions, and cases that are made of machines."""
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def collected(*arguments: str) -> dict[str, str]:
    """Return the tests that a run would have, each with its function as the list calls it."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=TOP)
    ids = [line for line in done.stdout.splitlines() if "::" in line]
    return {each: function_of(each, on_postgres="[postgres" in each) for each in ids}


@pytest.mark.slow("the tests of a room are collected four times")
def test_each_speed_leaves_out_what_takes_too_long_for_it() -> None:
    room = "tests/projections"
    everything, default, fast = (collected(*speed, room) for speed in (["--all"], [], ["--fast"]))
    assert fast.keys() < default.keys() < everything.keys()
    assert not long_tests(LONG_S) & set(default.values())
    assert not long_tests(LISTED_S) & set(fast.values())
    assert not [function for function in fast.values() if function.endswith(ON_POSTGRES)]
    # Of the module that is named, only what is marked slow is left out.
    module = f"{room}/test_timeline.py"
    assert len(collected(module)) > len([each for each in default if each.startswith(module)])


def test_a_function_is_listed_by_the_mean_of_its_tests(tmp_path: Path) -> None:
    stopwatch = Stopwatch(tmp_path / "list")
    for nodeid, keywords, took_s in (
        ("tests/a.py::test_b[sqlite-1]", {}, 0.1),  # to set it up, and to run it
        ("tests/a.py::test_b[sqlite-1]", {}, 0.3),
        ("tests/a.py::test_b[sqlite-2]", {}, 0.1),
        ("tests/a.py::test_b[postgres-1]", ON_SERVER, 2.0),
        ("tests/a.py::test_a", {}, 0.04),
    ):
        stopwatch.pytest_runtest_logreport(
            pytest.TestReport(
                nodeid, ("a.py", 1, "b"), keywords, "passed", None, "call", duration=took_s
            )
        )
    stopwatch.pytest_sessionfinish()
    assert (tmp_path / "list").read_text("utf-8").splitlines() == [
        "0.25 tests/a.py::test_b",
        "2.00 tests/a.py::test_b on PostgreSQL",
    ]
