"""The lines of a text file: numbered, of bounded length, without the marks that systems add."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Protocol, TypeAlias

from ledger.errors import InvalidCursorError
from ledger.exchange.rows import Misread

__all__ = ["LINE_BYTES_MAX", "Line", "Lines", "lines"]

LINE_BYTES_MAX = 1_048_576

Line: TypeAlias = tuple[int, str] | Misread

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Lines(Protocol):
    """A file, as far as it is read here."""

    def readline(self, size: int) -> bytes:
        """Return the rest of the line, at most `size` bytes; b"" at the end."""
        ...


def lines(file: Lines) -> Iterator[Line]:
    """Yield each line that is not blank, with its number from 1 and without its end.

    A byte order mark of UTF-8 is left out. A line that is not UTF-8, or longer than 1 MiB, is a
    Misread.

    Raises InvalidCursorError for a file in UTF-16.
    """
    number = 0
    while raw := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        whole = len(raw) <= LINE_BYTES_MAX
        while not raw.endswith(b"\n") and (rest := file.readline(LINE_BYTES_MAX)):
            raw = rest
        if not whole:
            yield Misread(number, f"the line is longer than {LINE_BYTES_MAX:,} bytes.")
            continue
        if number == 1:
            if raw.startswith(_UTF_16):
                raise InvalidCursorError(
                    "the source is text in UTF-16. Convert it: iconv -f UTF-16 -t UTF-8."
                )
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            yield Misread(number, f"the line is not UTF-8 (at its byte {error.start + 1}).")
            continue
        if text.strip():
            yield number, text.rstrip("\r\n")
