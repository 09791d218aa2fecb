"""Lines of an export, read back as entries. What is read is distrusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ledger.errors import InvalidCursorError
from ledger.exchange.lines import Lines, lines
from ledger.exchange.rows import Misread
from ledger.law.events import Entry
from ledger.log.json import structure
from ledger.log.text import loads

__all__ = ["entries_of"]

AT_SOURCE = "at_source"
"""What the source of a stream calls its sequences: shown beside an entry, and no part of it."""

_OTHERS = (
    (b"\x1f\x8b", "it is compressed. Unpack it first, as by gunzip"),
    (b"SQLite format 3\0", "it is a database. {command} copy copies a ledger"),
    (
        b'{"format":"cursor-ledger-evidence/',
        "it is evidence. {command} import FILE --vkey VKEY imports an archive",
    ),
    (b"position,", "it is CSV, which is for spreadsheets. Import what export --format jsonl wrote"),
    (b"[", "it is one JSON value. Import lines: what export, or entries --jsonl, wrote"),
)
_CLOUD_EVENT = "specversion"


def entries_of(file: Lines, *, command: str = "cursor-ledger") -> Iterator[tuple[int, Entry]]:
    """Yield the entry of each line that is not blank, with its number from 1.

    `command` is how the program is called in what is said.

    Raises InvalidCursorError for what is no entry, with the number of its line.
    """
    looked = _Looked(file)
    for line in lines(looked):
        if isinstance(line, Misread):
            number, problem = line.line, line.problem
        else:
            number, text = line
            try:
                yield number, _entry(loads(text))
                continue
            except InvalidCursorError as error:
                problem = str(error)
        raise InvalidCursorError(_told(number, problem, looked, command)) from None


def _entry(value: object) -> Entry:
    if not isinstance(value, dict):
        return structure(value, Entry)
    if _CLOUD_EVENT in value:
        raise InvalidCursorError(
            "it is a CloudEvent, which is for other programs. Import what export --format jsonl "
            "wrote"
        )
    return structure(_without_names(value), Entry)


def _without_names(value: dict[str, Any]) -> dict[str, Any]:
    if AT_SOURCE not in value:
        return value
    return {name: part for name, part in value.items() if name != AT_SOURCE}


class _Looked:
    """A file, of which the beginning and the end are known: a line may be none because of them."""

    def __init__(self, file: Lines) -> None:
        self._file = file
        self.begin = b""
        self.is_cut = False

    def readline(self, size: int) -> bytes:
        """Return the rest of the line, at most `size` bytes; b"" at the end."""
        part = self._file.readline(size)
        if not self.begin:
            self.begin = part[:64]
        self.is_cut = len(part) < size and not part.endswith(b"\n")
        return part


def _told(number: int, problem: str, file: _Looked, command: str) -> str:
    for begin, said in _OTHERS:
        if number == 1 and file.begin.startswith(begin):
            return f"the file has no entries: {said.format(command=command)}."
    problem = problem.rstrip(".")
    if file.is_cut:
        return (
            f"line {number:,}: {problem}. The file ends in the middle of this line, so it was cut "
            "off; get the whole file, and run the same command again."
        )
    return (
        f"line {number:,}: {problem}. A line is an entry, as export or entries --jsonl writes it."
    )
