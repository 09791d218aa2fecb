"""What nobody looked at is not reset: it is asked about on a terminal, and refused in a script."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.commands import OWNER, Run, records
from support.preloaded import COMMAND

STORES = "every"

RESET = ("reset", *OWNER, "--to", "41", "--reason", "lost 42", "--execute")
SEVERAL = ("reset", "--stream", "orders", "--by", "-1", "--reason", "lost", "--execute")


@pytest.fixture
def full(run: Run) -> Run:
    run("advance", *OWNER, "--to", 44)
    run("advance", "mailer", "orders", "--to", 7)
    return run


def places(run: Run) -> list[int]:
    return [cursor["last_sequence"] for cursor in records(run("list"))]


@pytest.mark.parametrize("command", [RESET, SEVERAL])
def test_a_script_is_refused_unless_it_says_yes(full: Run, command: tuple[str, ...]) -> None:
    refused = full(*command)
    assert refused.exit_code == 2
    assert "without a terminal nobody can be asked" in refused.stderr
    # An answer in a pipe is nobody's.
    assert full(*command, text="y\n").exit_code == 2
    assert places(full) == [7, 44]
    assert full(*command, "--yes").exit_code == 0
    assert places(full) != [7, 44]


def test_one_cursor_at_the_version_that_was_seen_needs_no_yes(full: Run) -> None:
    assert full(*RESET, "--expect-version", 1).exit_code == 0
    assert places(full) == [7, 41]


def test_yes_alone_does_nothing_and_says_so(full: Run) -> None:
    refused = full(*RESET[:-1], "--yes")
    assert (refused.exit_code, "no effect without --execute" in refused.stderr) == (2, True)


class Terminal:
    """A command on a terminal, except for its output, which is for a program."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "NO_COLOR": "1"},
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, end: str) -> str:
        shown = b""
        while not shown.endswith(end.encode()):
            shown += os.read(self._ours, 1)
        return shown.decode().replace("\r\n", "\n")

    def answer(self, text: str) -> tuple[int, str]:
        """Type `text`; give the exit code and the output."""
        os.write(self._ours, text.encode())
        return self.end()

    def interrupt(self) -> tuple[int, str]:
        """Interrupt it until it ends.

        Python does not see an interrupt that comes between its last look for signals and the wait
        for input, until there is input.
        """
        while self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        return self.end()

    def end(self) -> tuple[int, str]:
        assert self._process.stdout is not None
        output = self._process.stdout.read().decode()
        code = self._process.wait(30)
        self._process.stdout.close()
        return code, output

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self.end()
        os.close(self._ours)


@pytest.fixture
def asked(full: Run) -> Iterator[Terminal]:
    assert full("list").exit_code == 0
    terminal = Terminal(*SEVERAL)
    yield terminal
    terminal.close()


def test_a_terminal_is_shown_the_plan_and_asked(full: Run, asked: Terminal) -> None:
    shown = asked.read_until("[y/N] ")
    assert shown.endswith("Reset 2 cursors? [y/N] ")
    assert re.search(r"^sum of 2 +2$", shown, re.MULTILINE)
    assert places(full) == [7, 44]
    code, output = asked.answer("y\n")
    assert code == 0
    # The output has the cursors, and nothing that was said to whoever was asked.
    assert [line[:8] for line in output.splitlines()] == ['{"key":{', '{"key":{']
    assert places(full) == [6, 43]


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04"])
def test_an_answer_other_than_yes_changes_nothing(full: Run, asked: Terminal, answer: str) -> None:
    asked.read_until("[y/N] ")
    assert asked.answer(answer) == (1, "")
    assert places(full) == [7, 44]


def test_an_interrupt_instead_of_an_answer_changes_nothing(full: Run, asked: Terminal) -> None:
    asked.read_until("[y/N] ")
    code, output = asked.interrupt()
    assert code in {130, -signal.SIGINT}
    assert output == ""
    assert places(full) == [7, 44]


def test_what_is_appended_while_somebody_thinks_makes_the_answer_void(
    full: Run, asked: Terminal
) -> None:
    asked.read_until("[y/N] ")
    full("advance", "mailer", "orders", "--to", 8)
    code, output = asked.answer("y\n")
    assert (code, output) == (3, "")
    assert places(full) == [8, 44]


def test_a_user_who_cannot_be_shown_the_plan_is_not_asked(full: Run, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "said").open("wb") as said:
        done = subprocess.run(
            [COMMAND, *RESET], stdin=theirs, stdout=theirs, stderr=said, check=False
        )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert places(full) == [7, 44]
