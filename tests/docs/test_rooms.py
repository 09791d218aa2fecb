"""The rooms of the tests: which there are, what a module may import, how long it may be."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

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
# The benchmarks are no package: the tests of them import their modules by name.
BENCHMARKS = {file.stem for file in (TOP / "scripts" / "benchmarks").glob("*.py")}
OURS = {"ledger", "projections", "support"} | BENCHMARKS


def imported(module: Path) -> set[str]:
    """Give the first part of every name that a module imports, wherever in it."""
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
