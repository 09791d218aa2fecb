"""What docs/design.md says of the house is so: its rooms, and the two ways through them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner

import ledger
from projections.cli import main
from support.places import TOP

TEXT = (TOP / "docs" / "design.md").read_text("utf-8")
KEY = ledger.CursorKey("webhooks", "orders")


def table(package: str) -> set[str]:
    """Return the names in the first column of the table of `package`: rooms end in a slash."""
    rows = re.search(rf"^\| \w+ of `{package}` .*\n\|.*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert rows
    return {
        name for row in rows[1].splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])
    }


def way(heading: str) -> list[str]:
    """Return the file that each step under `heading` begins with."""
    section = TEXT.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)`", section, re.MULTILINE)


def imports(frame: FrameType | None) -> bool:
    """Return whether a module is being imported: what that calls is no step."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def watched() -> Iterator[list[str]]:
    """List the files of ours that are entered by a call, each once, in the order of that."""
    entered: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(TOP):
            name = str(path.relative_to(TOP))
            if name not in entered and not imports(frame):
                entered.append(name)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield entered
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("package", ["ledger", "projections"])
def test_the_table_has_every_room_and_module_and_no_other(package: str) -> None:
    top, names = TOP / package, table(package)
    rooms = {f"{each.parent.name}/" for each in top.glob("*/__init__.py")}
    assert {name for name in names if name.endswith("/")} == rooms
    modules = {each.stem for each in top.glob("*.py")} - {"__init__"}
    assert {name for name in names if not name.endswith("/")} == modules


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:ledger|projections)/[\w/.]+)`", TEXT)))
)
def test_every_file_that_is_named_is_there(path: str) -> None:
    assert (TOP / path).exists()


def test_an_advance_enters_the_files_in_the_order_that_is_told(tmp_path: Path) -> None:
    with ledger.open(tmp_path / "cursors.db") as book:
        book.advance(KEY, to=41)
        with watched() as entered:
            book.advance(KEY, to=44)
    steps = way("From `advance` to the disk")
    assert len(steps) == 12
    assert [name for name in entered if name in steps] == steps


def test_explain_enters_the_files_in_the_order_that_is_told(tmp_path: Path) -> None:
    with ledger.open(tmp_path / "cursors.db") as book:
        book.advance(KEY, to=44)
    given = ["--db", str(tmp_path / "cursors.db"), "explain", "webhooks", "orders", "43"]
    with watched() as entered:
        result = CliRunner().invoke(main, given)
    assert result.exit_code == 0, result.output
    steps = way("From `explain` to the terminal")
    assert len(steps) == 6
    assert [name for name in entered if name in steps] == steps


def test_a_step_that_is_told_too_early_would_be_noticed(tmp_path: Path) -> None:
    def order(work: Callable[[], object]) -> list[str]:
        with watched() as entered:
            work()
        return entered

    with ledger.open(tmp_path / "cursors.db") as book:
        entered = order(lambda: book.advance(KEY, to=41))
    rules, commit = "ledger/law/rules.py", "ledger/writing/commit.py"
    assert entered.index(commit) < entered.index(rules)
