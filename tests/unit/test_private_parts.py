"""`projections` and `scripts` use what the ledger offers, and not how it is made.

The import contract holds `projections` to it; the scripts are not part of a package, so they are
read here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from support.places import TOP

PRIVATE = (
    "ledger.evidence",
    "ledger.log.columns",
    "ledger.log.rows",
    "ledger.stores",
    "ledger.writing",
)
# What may be imported all the same, and why.
EXCEPTIONS = {
    # The bare loop has to send the very statements of the store, so that only the rest differs.
    "scripts/benchmarks/server.py": {
        "ledger.stores.postgres.keys.cursor_id",
        "ledger.stores.postgres.reading.settle_types",
        "ledger.stores.postgres.statements.statements",
    },
}


def scripts() -> Iterator[Path]:
    for path in sorted((TOP / "scripts").rglob("*")):
        is_python = path.is_file() and "python" in path.read_text("utf-8", "replace")[:40]
        if path.suffix == ".py" or (not path.suffix and is_python):
            yield path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def private(names: Iterator[str]) -> set[str]:
    return {name for name in names if f"{name}.".startswith(tuple(f"{p}." for p in PRIVATE))}


def test_scripts_import_no_private_part_of_the_ledger() -> None:
    found = {str(path.relative_to(TOP)): private(imported(path)) for path in scripts()}
    assert len(found) > 5
    assert {path: names for path, names in found.items() if names} == EXCEPTIONS


def test_projections_import_no_private_part_of_the_ledger() -> None:
    found = {path: private(imported(path)) for path in sorted((TOP / "projections").rglob("*.py"))}
    assert len(found) > 20
    assert {path: names for path, names in found.items() if names} == {}
