"""A pager for what is longer than the terminal, as git has one."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import IO, TYPE_CHECKING, TextIO

import click

from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.sentences import say
from ledger.log.text import visible

if TYPE_CHECKING:
    import subprocess

__all__ = ["is_paging", "no_pager_option", "paged"]

_META = "ledger.cli.no_pager"

# What the pager has when the user says nothing else: it ends by itself if all of it fits one
# screen, shows colours, and leaves what was shown on the terminal.
_SETTINGS = {"LESS": "FRX", "LV": "-c"}


def _noted(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    del parameter
    if value:
        context.meta[_META] = True


no_pager_option = click.option(
    "--no-pager",
    is_flag=True,
    expose_value=False,
    callback=_noted,
    help="Show what is longer than the screen without a pager, too.",
)


class _Quit(Exception):  # noqa: N818 - no error: the reader has seen enough
    """The pager was left."""


class _Running:
    """Whether a pager has the terminal now."""

    now = False


def is_paging() -> bool:
    """Return whether a pager has the terminal, so that nothing else may be printed on it."""
    return _Running.now


@contextmanager
def paged() -> Iterator[None]:
    """Show what is printed meanwhile in a pager, if it is longer than the terminal.

    A reader who leaves the pager early has seen enough: what prints ends there, without an error.
    """
    command = _pager()
    if command is None:
        yield
        return
    out = _Paged(sys.stdout, command)
    try:
        with redirect_stdout(out):
            yield
    except _Quit:
        pass
    finally:
        out.end()


def _pager() -> list[str] | None:
    """Return the command of the pager; None if there is to be none."""
    context = click.get_current_context(silent=True)
    if context is None or context.meta.get(_META) or Watch.of(context).writes:
        return None
    # Standard error in its place, as where a plan is shown before a question, is never paged.
    if not _is_terminal(sys.stdout) or os.environ.get("TERM", "dumb") == "dumb":
        return None
    # Imported here, because only a terminal needs them, and they take 2 ms.
    import shlex
    import shutil

    for name in ("CURSOR_LEDGER_PAGER", "PAGER"):
        if (given := os.environ.get(name)) is None:
            continue
        try:
            command = shlex.split(given)
        except ValueError as error:
            raise click.UsageError(f"{name} is {visible(given)[:80]!r}: {error}.") from None
        if not command or command == ["cat"]:
            return None
        if shutil.which(command[0]) is None:
            say(
                f"{name} names {visible(command[0])[:80]}, so nothing is paged: it was not found.",
                err=True,
            )
            return None
        return command
    return ["less"] if shutil.which("less") else None


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and stream.fileno() == 1
    except (OSError, ValueError):
        return False


class _Paged(io.TextIOBase):
    """The terminal, until there is more than it shows; from then on, a pager."""

    encoding = "utf-8"
    errors: str | None = "strict"

    def __init__(self, out: TextIO, command: list[str]) -> None:
        self._out = out
        self._command = command
        self._held: list[str] = []
        self._rows = 0
        import shutil

        from ledger.cli.shown.layout import width_of

        self._width_of = width_of

        self._size = shutil.get_terminal_size()
        self._pager: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] | None = None
        self.encoding, self.errors = out.encoding, out.errors

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._out.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("it takes text, as a terminal does")
        if self._pager is not None:
            self._send(text)
            return len(text)
        self._held.append(text)
        for line in click.unstyle(text).split("\n")[:-1]:
            self._rows += 1 + max(self._width_of(line) - 1, 0) // self._size.columns
        # The last row is where the shell asks again.
        if self._rows >= self._size.lines:
            self._start()
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is held is written at the end, or by the pager."""

    def end(self) -> None:
        """Write what is held, or wait until the pager is left."""
        if self._pager is None or self._pipe is None:
            held, self._held = "".join(self._held), []
            self._out.write(held)
            self._out.flush()
            return
        # Ctrl-C is for the pager now: it goes on with what it has.
        while True:
            try:
                with suppress(OSError):
                    self._pipe.close()
                self._pager.wait()
                break
            except KeyboardInterrupt:
                continue
        _Running.now = False

    def _start(self) -> None:
        import subprocess  # Few results are longer than the terminal.

        self._out.flush()
        environment = {**_SETTINGS, **os.environ}
        self._pager = subprocess.Popen(  # noqa: S603 - the user's own pager
            self._command, stdin=subprocess.PIPE, env=environment
        )
        self._pipe = self._pager.stdin
        _Running.now = True
        held, self._held = "".join(self._held), []
        self._send(held)

    def _send(self, text: str) -> None:
        assert self._pipe is not None  # noqa: S101 - the pager was started with it
        try:
            self._pipe.write(text.encode(self.encoding, self.errors or "backslashreplace"))
            self._pipe.flush()
        except OSError:
            raise _Quit from None
