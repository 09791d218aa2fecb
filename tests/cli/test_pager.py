"""The pager: for what is longer than the screen, on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey
from support.places import TOP
from support.preloaded import programs
from support.screens import COLOURS

HEIGHT = 12
PYTHON = str(programs() / "python")
PAGER = """#!{python} -IS
import os, sys
print("<pager " + os.environ["LESS"])
sys.stdout.flush()
for number, line in enumerate(sys.stdin):
    if number == {lines}:
        break
    print(line, end="")
print("pager>")
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger of 3,000 cursors."""
    path = tmp_path_factory.mktemp("many") / "l.db"
    with ledger.open(path, actor="ines") as book:
        book.append(AdvanceCursor(CursorKey(f"c{n:04}", "orders"), 7) for n in range(3_000))
    return path


@pytest.fixture
def place(many: Path, tmp_path: Path) -> Path:
    """Return a folder with a ledger of 3,000 cursors, and a pager that shows everything."""
    shutil.copy(many, tmp_path)
    for name, lines in (("pager", -1), ("early", 3)):
        script = tmp_path / name
        script.write_text(PAGER.format(python=sys.executable, lines=lines))
        script.chmod(0o755)
    return tmp_path


@contextmanager
def on_terminal(
    place: Path, *command: str, python: str = PYTHON, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the command on a terminal of a few lines; give it and the terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (HEIGHT, 80))
    known = {**os.environ, "PYTHONPATH": str(TOP), "TERM": "xterm", "CURSOR_LEDGER_DB": "l.db"}
    for name in ("PAGER", "CURSOR_LEDGER_PAGER", "LESS", "COLUMNS", "LINES", "NO_COLOR"):
        known.pop(name, None)
    child = subprocess.Popen(
        [python, "-c", "from projections.cli import main; main()", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=place,
        env={**known, **environment},
        start_new_session=True,
        preexec_fn=lambda: _own(theirs),  # noqa: PLW1509 - so that Ctrl-C reaches it, as from a shell
    )
    os.close(theirs)
    try:
        yield child, ours
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def _own(terminal: int) -> None:
    import fcntl

    signal.signal(signal.SIGINT, signal.default_int_handler)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def read(terminal: int, until: str | None = None) -> str:
    printed = b""
    try:
        while chunk := os.read(terminal, 65_536):
            printed += chunk
            if until is not None and until.encode() in printed:
                break
    except OSError:
        pass  # That is how a terminal reports that everybody has left.
    return COLOURS.sub("", printed.decode()).replace("\r", "")


def typed_until_it_ends(terminal: int, key: bytes) -> str:
    """Press a key again and again, because less drops what is typed while it is interrupted."""
    printed = b""
    try:
        while True:
            os.write(terminal, key)
            while select.select([terminal], [], [], 0.2)[0]:
                chunk = os.read(terminal, 65_536)
                if not chunk:
                    return printed.decode()
                printed += chunk
    except OSError:  # That is how a terminal reports that everybody has left.
        return printed.decode()


def shown(place: Path, *command: str, **environment: str) -> tuple[str, int]:
    with on_terminal(place, *command, **environment) as (child, terminal):
        printed = read(terminal)
        return printed, child.wait(60)


def test_what_is_longer_than_the_screen_is_paged(place: Path) -> None:
    printed, code = shown(place, "list", PAGER="./pager")
    assert code == 0
    assert printed.startswith("<pager FRX\nconsumer  stream")
    assert printed.endswith("pager>\n")
    assert len(printed.splitlines()) == 3_004


def test_what_fits_the_screen_is_not(place: Path) -> None:
    # The heading takes two lines, and the shell asks in the last one.
    for rows, paged in ((HEIGHT - 3, False), (HEIGHT - 2, True)):
        printed, code = shown(place, "list", "-n", str(rows), PAGER="./pager")
        assert code == 0
        assert ("<pager" in printed) is paged, rows
        assert printed.count("orders") == rows


def test_a_long_line_takes_the_lines_that_it_takes(place: Path) -> None:
    # A cursor takes three lines of this terminal in JSON.
    assert "<pager" in shown(place, "list", "-n", "5", "--jsonl", PAGER="./pager")[0]
    assert "<pager" not in shown(place, "list", "-n", "2", "--jsonl", PAGER="./pager")[0]


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (("list", "--no-pager"), {"PAGER": "./pager"}),
        (("--no-pager", "list"), {"PAGER": "./pager"}),
        (("list",), {"PAGER": "./pager", "CURSOR_LEDGER_PAGER": ""}),
        (("list",), {"PAGER": "cat"}),
        (("list",), {"PAGER": "./pager", "TERM": "dumb"}),
        (
            ("reset", "--all", "--to", "3", "--reason", "r", "--execute", "--yes"),
            {"PAGER": "./pager"},
        ),
        (("tail", "-n", "50"), {"PAGER": "./pager"}),
    ],
)
def test_no_pager_where_none_is_wanted(
    place: Path, command: tuple[str, ...], environment: dict[str, str]
) -> None:
    printed, code = shown(place, *command, **environment)
    assert code == 0
    assert "<pager" not in printed
    assert len(printed.splitlines()) >= 50


def test_no_pager_in_a_pipe(place: Path) -> None:
    done = subprocess.run(
        [PYTHON, "-c", "from projections.cli import main; main()", "list", "--table"],
        cwd=place,
        env={
            **os.environ,
            "PYTHONPATH": str(TOP),
            "CURSOR_LEDGER_DB": "l.db",
            "PAGER": "./pager",
            "TERM": "xterm",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "<pager" not in done.stdout
    assert len(done.stdout.splitlines()) == 3_002


def test_a_pager_that_is_missing_loses_nothing(place: Path) -> None:
    printed, code = shown(place, "list", PAGER="./nowhere --fast")
    assert code == 0
    assert printed.splitlines()[0].startswith("PAGER names ./nowhere, so nothing is paged: it")
    assert len(printed.splitlines()) == 3_003


@pytest.mark.parametrize(
    ("command", "expected"), [(("list",), 0), (("lag", "--max-behind", "0"), 6)]
)
def test_leaving_early_is_quiet_and_the_exit_code_is_that_of_the_command(
    place: Path, command: tuple[str, ...], expected: int
) -> None:
    with ledger.open(place / "l.db", actor="ines") as book:
        book.heads.record("orders", "", 9)
    printed, code = shown(place, *command, PAGER="./early")
    assert code == expected
    lines = printed.splitlines()
    assert lines[0] == "<pager FRX"
    assert lines[4] == "pager>"
    # `lag` may still say what it could not judge; nothing says that a pipe was broken.
    assert "output failed" not in printed
    assert len(lines) == 5


def test_ctrl_c_is_for_the_pager(place: Path) -> None:
    """As with git, less goes on after Ctrl-C, and the command waits until it is left."""
    started = on_terminal(place, "list", python=sys.executable, CURSOR_LEDGER_PAGER="less -FRX")
    with started as (child, terminal):
        read(terminal, until="c0003")
        os.write(terminal, b"\x03")
        time.sleep(0.5)
        assert child.poll() is None
        printed = typed_until_it_ends(terminal, b"q")
        assert child.wait(60) in {0, 130}
    assert "Traceback" not in printed
    assert "cursor-ledger:" not in printed
