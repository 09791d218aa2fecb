"""The three standard streams when they are closed, full, or no longer read."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ledger.cli.process.encodings import fall_back, taken

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["abandon_output", "flush_output", "ready"]


class _Lenient(io.RawIOBase):
    """Standard error: what it cannot take is lost, but the exit code stays what it is."""

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
            encoding=taken(sys.stderr.encoding),
            errors="backslashreplace",
            line_buffering=True,
        )
    # An arrow that the terminal's encoding lacks does not end the program.
    fall_back()
    try:
        yield
    finally:
        sys.stderr = before


def flush_output() -> None:
    """Write what is still buffered. Raises OSError if that fails."""
    sys.stdout.flush()


def abandon_output() -> None:
    """Discard what could not be written; Python would try again when it exits, and complain."""
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
    # They are None if they were closed when Python started. The replacement stays.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
