"""What is imported before a command runs: no more than it needs, because imports take longer."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import ledger
import projections
from ledger.cli.listing import Listed, Loaded
from projections.cli import main

TOP = Path(__file__).resolve().parents[2]

# Each takes from 1 to 100 ms, and nothing that is shown needs it.
NEVER = {
    *("altair", "asyncio", "cattrs", "concurrent.futures", "difflib", "email", "http"),
    *("importlib.metadata", "importlib.resources", "logging", "multiprocessing", "pathlib"),
    *("plotext", "psycopg", "socket", "string", "sqlite_utils", "subprocess", "tempfile"),
    *("traceback", "typing_extensions", "urllib"),
    *("ledger.aio", "ledger.consuming.consumer", "ledger.evidence.merkle", "ledger.exchange"),
    *(
        "click.shell_completion",
        "hashlib",
        "ledger.cli.shown.selecting",
        "ledger.cli.shown.templates",
    ),
    *("ledger.stores.lending", "ledger.writing.commit"),
}

# Nor does what looks up one cursor read an entry, or append one, or mask a secret.
NEVER_BY_SHOW = {
    *("dataclasses", "heapq", "orjson", "shlex"),
    *("ledger.law.events", "ledger.law.queries", "ledger.law.takeovers"),
    *("ledger.log.heads", "ledger.log.rows", "ledger.notices", "ledger.positions"),
    *("ledger.stores.horizon", "ledger.stores.queries", "ledger.stores.sqlite.events"),
    *("ledger.stores.sqlite.moments", "ledger.stores.sqlite.transaction"),
    "ledger.stores.sqlite.whole_log",
    *("ledger.targets.hosts", "ledger.targets.strings"),
    *("ledger.writing.calls", "ledger.writing.group_commit", "ledger.writing.serving"),
}
# A pipe has no table.
TABLES = {
    *(
        "ledger.cli.shown.columns",
        "ledger.cli.shown.layout",
        "ledger.cli.shown.narrowing",
        "ledger.cli.shown.records",
    ),
    *("ledger.cli.shown.short_times", "ledger.cli.shown.tables"),
}

VIEWS_OF_LIST = {
    *("projections.cli.examples", "projections.cli.listing", "projections.cli.rows"),
    *("projections.coroutines", "projections.given"),
    *("projections.ends", "projections.lag", "projections.lag_sums", "projections.overview"),
    *("projections.passing", "projections.stalls", "projections.standing"),
    "projections.stream_heads",
}


def listed() -> dict[str, Listed]:
    assert isinstance(main.commands, Loaded)
    return main.commands.listed


def imported(folder: Path, *arguments: str) -> set[str]:
    """Return the modules that are there when the command has ended."""
    program = (
        "import sys\n"
        "from projections.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-S", "-c", _site(program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def _site(program: str) -> str:
    # Without `site`, because what the environment of a developer imports by .pth files is not ours.
    return f"import sys; sys.path[:0] = {sys.path!r}\n{program}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with ledger.open(tmp_path / "cursor-ledger.db") as book:
        book.advance(ledger.CursorKey("webhooks", "orders"), to=44)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("show", ("show", "webhooks", "orders")),
        ("show", ("show", "webhooks", "orders", "--json")),
        ("show", ("show", "webhooks", "orders", "--table")),
        ("show", ("show", "--help")),
        ("list", ("list",)),
        ("", ("--version",)),
        ("", ("--help",)),
    ],
)
def test_a_command_imports_no_more_than_it_needs(
    folder: Path, command: str, arguments: tuple[str, ...]
) -> None:
    there = imported(folder, *arguments)
    # click writes a help as wide as the terminal.
    never = NEVER if "--help" in arguments else NEVER | {"shutil"}
    if command == "show" and "--table" not in arguments:
        never = never | NEVER_BY_SHOW | TABLES
    assert there & never == set()
    commands = {each.module for each in listed().values()}
    assert there & commands == ({listed()[command].module} if command else set())
    views = {name for name in there if name.startswith("projections.")}
    # A list says how cursors do, which is a question about their history.
    needed = VIEWS_OF_LIST if command == "list" else set()
    assert views == {"projections.cli", *needed}


def test_the_help_and_the_version_open_no_store(folder: Path) -> None:
    for option in ("--help", "--version"):
        there = imported(folder, option)
        assert there & {"sqlite3", "ledger.service", "ledger.opening", "ledger.stores"} == set()


def test_to_import_the_library_imports_none_of_its_rooms(folder: Path) -> None:
    program = "import sys, ledger, projections; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", _site(program)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    rooms = {name for name in done.stdout.split() if name.startswith(("ledger.", "projections."))}
    assert rooms == set()


@pytest.mark.parametrize("name", sorted(main.commands))
def test_what_is_listed_of_a_command_is_what_the_command_says_itself(name: str) -> None:
    command = main.commands[name]
    assert isinstance(command, click.Command)
    assert command.name == name
    help_text = command.help or ""
    assert listed()[name].says == " ".join(help_text.partition("\n\n")[0].split())


def test_every_command_has_its_place_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"], standalone_mode=False)
    there = re.findall(r"^  ([a-z][a-z-]*)  ", capsys.readouterr().out, re.MULTILINE)
    assert sorted(there) == sorted(main.commands)


@pytest.mark.parametrize("package", [ledger, projections])
def test_a_package_finds_every_name_that_it_exports_where_its_types_say(package: object) -> None:
    place = Path(str(vars(package)["__file__"]))
    [guarded] = [node for node in ast.parse(place.read_text("utf-8")).body if type(node) is ast.If]
    said = {
        name.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert said == vars(package)["_HOMES"]
    assert sorted(said) == sorted(vars(package)["__all__"])
    for name, home in said.items():
        assert getattr(package, name) is getattr(sys.modules[str(home)], name)
        assert name in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing  # type: ignore[attr-defined]


def test_a_function_goes_before_the_module_of_its_name_whoever_imports_it_first() -> None:
    program = (
        "import projections.lag, projections.resets.views, projections.gaps\n"
        "from projections import lag, gaps, resets, timeline\n"
        "import projections.timeline, projections\n"
        "assert all(map(callable, (lag, gaps, resets, timeline, projections.timeline)))\n"
        "import ledger\n"
        "assert ledger.errors.LedgerError is ledger.LedgerError\n"
        "assert callable(ledger.open)\n"
    )
    subprocess.run([sys.executable, "-S", "-c", _site(program)], check=True)
