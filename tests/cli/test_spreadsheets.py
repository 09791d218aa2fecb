"""CSV starts no formula in a spreadsheet, whatever its separators are; and always has a heading."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

import ledger
from ledger import CursorKey
from ledger.cli.shown.spreadsheets import _defused
from projections.cli import main

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    " =1+1",
    "\u00a0=1+1",
    "\u3000=1+1",
    '"=1+1',
    "x;=1+1",
    "x;=1+1;y",
    "x; =1+1;",
    'x;"=1+1',
    'x;"";=1+1;',
    'x";=1+1;"',
    "x;;=1+1",
    "x,=1+1",
    'x","=1+1',
    "x\n=1+1",
    "x\r\n=1+1;=2+2",
    "x\t=1+1",
    "\t=1+1",
    "\x0b=1+1",
    "＝1+1",
    "x;＋1+1",
    "－1+1",
    "＠SUM(1)",
    "x;\u2212=1+1",
    '=HYPERLINK("http://example.invalid/";"x")',
    "x|=1+1",
]
HARMLESS = ["orders", "x;y", "a=b", "me@work", "2026-05-05", "1-1", "x; y - z", "注文"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "cursors.db"
    with ledger.open(path, actor="stranger") as book:
        for number, text in enumerate(FORMULAS):
            key = CursorKey(f"{text}#{number}", f"{text}#", text + "#")
            metadata = {f"{text}#": f"{text}#"}
            book.advance(key, to=5, delivery_id=text + "#", metadata=metadata, actor=text + "#")
            book.reset(key, to=1, reason=text + "#", metadata=metadata, actor=text + "#")
            book.record_error(key, text + "#")
            book.record_error(key, text + "#")
    return path


COMMANDS = ["list", "entries", "resets", "gaps", "repeats", "stalls", "as-of", "diff"]


def exported(database: Path, command: str) -> str:
    moment = {"as-of": ["now"], "diff": ["0"]}.get(command, [])
    done = CliRunner().invoke(main, ["--db", str(database), command, *moment, "--csv"])
    assert done.exit_code == 0, done.output
    return done.stdout


def cells(text: str, separator: str) -> list[str]:
    """Return the cells for a reader that splits at another separator and knows no quotes."""
    return [cell for line in text.splitlines() for cell in line.split(separator)]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_cell_begins_a_formula_under_any_separator(database: Path, command: str) -> None:
    text = exported(database, command)
    read = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    apart = [cell for separator in ";|\t" for cell in cells(text, separator)]
    for cell in read + apart:
        plain = unicodedata.normalize("NFKC", cell).lstrip(' \t"')
        # Numbers are numbers, with their signs.
        assert plain[:1] not in tuple("=+@-") or re.fullmatch(r"-\d+", plain), cell


def test_what_starts_no_formula_stays_as_it_is() -> None:
    for text in HARMLESS:
        assert _defused(text) == text
    assert _defused(-5) == -5


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_result_has_the_heading_of_a_full_one(
    tmp_path: Path, database: Path, command: str
) -> None:
    empty = tmp_path / "empty.db"
    with ledger.open(empty, actor="x"):
        pass
    [heading] = exported(empty, command).splitlines()
    full = exported(database, command)
    assert full.splitlines()[0] == heading
    # Every row has a cell for each name.
    assert {len(row) for row in csv.reader(io.StringIO(full))} == {heading.count(",") + 1}


def test_a_file_without_refused_lines_has_the_heading_of_refusals(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main, ["--db", str(tmp_path / "new.db"), "append", "-", "--csv"], input=""
    )
    assert done.stdout == "line,error,message\n"


@pytest.mark.parametrize("separators", ["44", "59", "44/59/9", "124"])
def test_libreoffice_finds_no_formula(database: Path, tmp_path: Path, separators: str) -> None:
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice is not installed here")
    for command in COMMANDS:
        (tmp_path / f"{command}.csv").write_text(exported(database, command), encoding="utf-8")
    # Shows that it runs formulas at all, when it is asked to like this.
    (tmp_path / "control.csv").write_text("x\n=1+1\n")
    names = [f"{name}.csv" for name in ("control", *COMMANDS)]
    subprocess.run(
        [
            office,
            f"-env:UserInstallation=file://{tmp_path}/profile",
            "--headless",
            f"--infilter=CSV:{separators},34,76,1,,0,false,true,false,false,false,0,true",
            "--convert-to",
            "fods",
            "--outdir",
            str(tmp_path),
            *names,
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=240,
    )
    formulas = {name: re.findall(r'table:formula="[^"]*"', text(tmp_path, name)) for name in names}
    assert formulas.pop("control.csv") == ['table:formula="of:=1+1"']
    assert not any(formulas.values()), formulas


def text(folder: Path, name: str) -> str:
    return (folder / name).with_suffix(".fods").read_text(encoding="utf-8")
