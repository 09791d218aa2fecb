"""The three standard streams, when they are closed, full, or nobody reads them any more."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["abandon_output", "flush_output", "ready"]


class _Lenient(io.RawIOBase):
    """Standard error: what it cannot take is lost, and nothing else is, not even the exit code."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(2)

    def fileno(self) -> int:
        return 2

    def write(self, data: Buffer) -> int:
        text = bytes(data)
        with suppress(OSError):
            return os.write(2, text)
        return len(text)


@contextmanager
def ready() -> Iterator[None]:
    """Have all three streams, as long as the program runs."""
    _open_closed()
    before = sys.stderr
    if before is sys.__stderr__:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Lenient()),
            encoding=sys.stderr.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # An arrow is shown in a terminal that has none, and does not end the program.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        sys.stderr = before


def flush_output() -> None:
    """Write what is left to be written. Raises OSError if it cannot be."""
    sys.stdout.flush()


def abandon_output() -> None:
    """Forget what could not be written; Python would try it again at its end, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _open_closed() -> None:
    # Otherwise the next file that is opened, or a connection, becomes one of the three. Reading and
    # writing them fails as before: 0 cannot be read from, 1 cannot be written to. 2 takes anything.
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    # They are None where they were closed when Python started. What stands for them stays.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
