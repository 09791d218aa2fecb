"""Names that the rooms take from the package itself, as `ledger.ResetCursor`.

The import contract sees `import ledger`, and not what is asked of it, so it is read here: such a
name is at home in a room that the module may import.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import ledger
from support.places import TOP

PACKAGE = TOP / "ledger"


def floors() -> dict[str, int]:
    """Return the floor of each room, counted from the top of the contract."""
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    [layers] = [
        each["layers"] for each in contracts["contracts"] if each.get("containers") == ["ledger"]
    ]
    return {
        room.strip("() "): floor for floor, layer in enumerate(layers) for room in layer.split("|")
    }


FLOORS = floors()


def taken(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each name that a module takes from the package, with the room where it is at home."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = list[str]()
        if isinstance(node, ast.ImportFrom) and node.module == "ledger":
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = [node.attr] if node.value.id == "ledger" else []
        for name in names:
            room = ledger._HOMES.get(name, f"ledger.{name}").split(".")[1]
            # The version, and what a variable of that name has, are at home nowhere.
            if room in FLOORS:
                yield name, room


def upwards(path: Path) -> list[str]:
    """Return the names that a module takes from a room above its own, or beside it."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return [name for name, home in taken(path) if home != room and FLOORS[home] <= FLOORS[room]]


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_no_room_takes_a_name_from_one_above_it() -> None:
    found = {str(path.relative_to(TOP)): upwards(path) for path in modules()}
    assert len(found) > 200
    assert {path: names for path, names in found.items() if names} == {}


def test_a_law_that_opened_a_ledger_would_be_noticed(tmp_path: Path) -> None:
    assert FLOORS["law"] > FLOORS["opening"] > FLOORS["testing"]
    law = PACKAGE / "law" / "refusals.py"
    assert {home for _, home in taken(law)} == {"law"}
    opening = tmp_path / "x.py"
    opening.write_text("import ledger\n\nledger.open(':memory:')\n", "utf-8")
    assert list(taken(opening)) == [("open", "opening")]
