"""Interactive shells on a terminal of their own, in which a test types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from support.preloaded import COMMAND

__all__ = ["SHELLS", "Shell"]

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_STARTS = {
    "bash": 'eval "$(_CURSOR_LEDGER_COMPLETE=bash_source cursor-ledger)"',
    "zsh": "autoload -U compinit; compinit -u -D; "
    'eval "$(_CURSOR_LEDGER_COMPLETE=zsh_source cursor-ledger)"',
    "fish": "_CURSOR_LEDGER_COMPLETE=fish_source cursor-ledger | source",
}
PATIENCE_S = 20


class Shell:
    """A shell with the completion of cursor-ledger, as its documentation sets it up."""

    def __init__(self, kind: str, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.seen = b""
        self._commands = 0
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            SHELLS[kind],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            start_new_session=True,
            # The terminal becomes its own; fish ends without one.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
            env={
                "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
                "HOME": str(folder),
                "TERM": "xterm",
                "LANG": "C.UTF-8",
                "COLUMNS": "200",
                # The code that is tested may be another than what is installed.
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                **environment,
            },
        )
        os.close(slave)
        try:
            self.run(_STARTS[kind])
        except BaseException:
            self.close()
            raise

    def run(self, typed: str) -> None:
        """Type a command, press ENTER, and wait until the shell has run it."""
        self._commands += 1
        done = self.folder / f"done-{self._commands}"
        os.write(self._master, f"{typed}\r".encode())
        os.write(self._master, f"echo > {done.name}\r".encode())
        until = time.monotonic() + PATIENCE_S
        while not done.exists():
            self._read()
            if time.monotonic() > until:
                raise TimeoutError(f"{typed!r} was not done: {self.seen[-2_000:]!r}")
        self._read()

    def _read(self) -> None:
        while select.select([self._master], [], [], 0.02)[0]:
            chunk = os.read(self._master, 65_536)
            self.seen += chunk
            # Some shells ask what the terminal is, and wait for the answer.
            if b"\x1b[c" in chunk or b"\x1b[0c" in chunk:
                os.write(self._master, b"\x1b[?62;c")
            if b"\x1b[6n" in chunk:
                os.write(self._master, b"\x1b[1;1R")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


def missing(kind: str) -> str:
    """Return why a shell cannot be tried here; "" if it can."""
    return "" if shutil.which(kind) else f"{kind} is not installed here"
