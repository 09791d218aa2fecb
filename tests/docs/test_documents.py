"""Every command and example in the README, in docs/ and in docstrings gives what it says."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import pty
import re
import secrets
import shutil
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
import ledger.testing
import projections
from ledger.integrations import django, kafka
from support.places import TOP
from support.preloaded import REAL, programs
from support.servers import own_database

DOCUMENTS = [TOP / "README.md", *sorted(TOP.glob("docs/**/*.md"))]
# A module of the project that a document is, which its commands run in.
FILE = re.compile(r"^```py\n# ([\w/]+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What a terminal has when nobody made it wider.
COLUMNS = 80

# The home of the reader.
HOME = "/home/ines"

# What differs from run to run, each with something of the same width.
VOLATILE = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z"), "<moment>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<a moment of time>"),
    (re.compile(r"(?<![\w-])(\d\d-)?\d\d \d\d:\d\d(?= |$)", re.MULTILINE), "<moment>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>"),
    # How long ago something was is wider from ten seconds on, and its column with it.
    (re.compile(r"  \d{1,2}[sm] ago +"), "  <ago>  "),
    (re.compile(r"  moved +(?=state)"), "  moved  "),
    (re.compile(r"(?<=  )-{6,7}  (?=-+$)", re.MULTILINE), "<ago>  "),
    (re.compile(r"  +\d{1,2}[sm] +"), "  <age>  "),
]


def settled(text: str) -> str:
    for pattern, stand_in in VOLATILE:
        text = pattern.sub(stand_in, text)
    return text.rstrip()


def blocks(document: Path, kind: str) -> list[str]:
    return [
        text for language, text in BLOCK.findall(document.read_text("utf-8")) if language == kind
    ]


def sessions(document: Path) -> list[tuple[str, str]]:
    """Return (command, output) of every `$ ` line in the console blocks of a document."""
    found = []
    for block in blocks(document, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            # What a shell asks for with its second prompt is still the command.
            while output.startswith("> "):
                more, _, output = output.partition("\n")
                command += "\n" + more.removeprefix("> ")
            found.append((command, output))
    return found


def on_a_terminal(script: str, folder: Path, more: dict[str, str]) -> str:
    """Run a shell script as a reader would, on a terminal; give what it shows."""
    environment = {
        **os.environ,
        **more,
        "PATH": os.pathsep.join(map(str, [programs(), REAL, os.environ["PATH"]])),
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONWARNINGS": "error",
    }
    for name in ("CURSOR_LEDGER_DB", "CURSOR_LEDGER_ACTOR"):
        environment.pop(name, None)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, COLUMNS))
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        shown = b""
        # The other end of a terminal reports an error, not an end, when everybody has left.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65_536):
                shown += chunk
        os.close(ours)
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture
def database(document: Path) -> Iterator[dict[str, str]]:
    """Yield what a document about PostgreSQL calls $DATABASE_URL."""
    if "DATABASE_URL" not in document.read_text("utf-8"):
        yield {}
        return
    with own_database("postgres") as url:
        yield {"DATABASE_URL": url}


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a folder whose name is as long as HOME, because sentences wrap where they do there."""
    folder = Path("/tmp") / secrets.token_hex(3)[: len(HOME) - len("/tmp/")]
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


def _skip_without_ssh(document: Path) -> None:
    code = [*blocks(document, "console"), *blocks(document, "python")]
    if any("ssh-keygen" in each for each in code) and shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_in_a_document_print_what_it_says(
    document: Path, home: Path, database: dict[str, str]
) -> None:
    steps = sessions(document)
    _skip_without_ssh(document)
    for name, code in FILE.findall(document.read_text("utf-8")) if steps else []:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(code, "utf-8")
    mark = "-- next --"
    script = "\n".join(f"{command}\necho '{mark}'" for command, _ in steps)
    printed = on_a_terminal(script, home, database).replace(str(home), HOME)
    shown = printed.split(f"{mark}\n") if steps else []
    told = [output for _, output in steps]
    assert [settled(text) for text in shown[:-1]] == [settled(text) for text in told]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_in_a_document_prints_what_it_says(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: dict[str, str]
) -> None:
    _skip_without_ssh(document)
    monkeypatch.chdir(tmp_path)
    # Where the programs of wheels are.
    monkeypatch.setenv("PATH", str(REAL), prepend=os.pathsep)
    for name, value in database.items():
        monkeypatch.setenv(name, value)
    said = io.StringIO()
    names: dict[str, object] = {"__name__": "__main__"}
    for code in blocks(document, "python"):
        with contextlib.redirect_stdout(said):
            exec(compile(code, str(document), "exec"), names)
    assert said.getvalue() == "".join(blocks(document, "text"))


def test_the_examples_in_docstrings_hold() -> None:
    for module in [name for name in sys.modules if name.split(".")[0] in {"ledger", "projections"}]:
        assert doctest.testmod(sys.modules[module]).failed == 0


def test_every_file_that_a_document_links_to_is_there() -> None:
    for document in [*DOCUMENTS, TOP / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text("utf-8")):
            assert target.startswith("https://") or (document.parent / target).exists(), target


def test_every_public_name_is_documented() -> None:
    reference = (TOP / "docs/index.md").read_text("utf-8")
    for package in (ledger, django, kafka, ledger.testing, projections):
        for name in package.__all__:
            assert re.search(rf"`{name}[`(]", reference), name
            assert getattr(package, name).__doc__, name


def test_every_test_that_the_page_on_security_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", (TOP / "docs/security.md").read_text("utf-8"))
    assert len(named) > 10
    assert [name for name in named if not (TOP / name).exists()] == []
