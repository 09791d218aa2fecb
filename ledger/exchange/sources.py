"""A source as somebody names it: a file, standard input, or a database; and how it is read."""

from __future__ import annotations

import codecs
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from ledger import files, targets
from ledger.errors import InvalidCursorError
from ledger.exchange import databases, json_values, kafka_table
from ledger.exchange.lines import LINE_BYTES_MAX, lines
from ledger.exchange.naming import Names
from ledger.exchange.rows import Read, Reading, peeked
from ledger.exchange.templates import escaped
from ledger.log.text import loads, visible
from ledger.opening import BUSY_TIMEOUT_S

__all__ = ["STANDARD_INPUT", "Format", "reading"]

STANDARD_INPUT = "-"


class Format(StrEnum):
    """How the text of a source is written."""

    KAFKA = "kafka"
    JSON = "json"
    JSONL = "jsonl"


@contextmanager
def reading(
    source: str,
    *,
    query: str | None = None,
    form: Format | None = None,
    path: str = "",
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Iterator[Reading]:
    """Read a source: a file of text, `-`, a file of SQLite, or a `postgresql://` URL.

    `query` is for databases; without one, their table `notification_cursors` is read. `form` and
    `path`, which says where in JSON the records are, are for text; without a form, it is the one
    that the text looks like. `busy_timeout_s` is how long others may lock a database.

    Raises InvalidCursorError, StorageError, LedgerBusyError, OSError.
    """
    steps = json_values.steps(path)
    targets.checked(source)
    if targets.is_postgres(source):
        _only_for_text(form, path)
        with databases.reading(source, query, busy_timeout_s=busy_timeout_s) as rows:
            yield rows
        return
    if source == STANDARD_INPUT:
        _only_for_databases(query)
        with _text(sys.stdin.buffer, b"", "standard input", form, steps) as rows:
            yield rows
        return
    if not _is_open_here(source):
        with Path(source).open("rb") as file:
            head = file.read(len(_DATABASE))
            if head != _DATABASE:
                _only_for_databases(query)
                place = f"file {visible(targets.shown(source))}"
                with _text(file, head, place, form, steps) as rows:
                    yield rows
                return
    _only_for_text(form, path)
    with databases.reading(source, query, busy_timeout_s=busy_timeout_s) as rows:
        yield rows


def _is_open_here(path: str) -> bool:
    """Return whether this process has the file open, which it only has if it is a database.

    It is not opened a second time to look at it, because closing a file of SQLite's drops the locks
    that this process holds on it.
    """
    there = Path(path).stat()
    if not stat.S_ISREG(there.st_mode):
        return False
    return files.is_open_here(there) is True


_DATABASE = b"SQLite format 3\0"


def _only_for_databases(query: str | None) -> None:
    if query is not None:
        raise InvalidCursorError(
            "a query is for a database, and the source is text. Name a file of SQLite or a "
            "postgresql:// URL."
        )


def _only_for_text(form: Format | None, path: str) -> None:
    if form is not None or path:
        raise InvalidCursorError(
            "a format and a path are for text, and the source is a database. Write a query."
        )


_KAFKA = Names.of(
    consumer_id="{group}",
    stream_name="{topic}",
    subject_id="{partition}",
    sequence="{offset}",
)


@contextmanager
def _text(
    file: BinaryIO, head: bytes, place: str, form: Format | None, steps: tuple[str, ...]
) -> Iterator[Reading]:
    before, first = _first(head, file)
    known = form or _guessed(first)
    text = _Pushed(before, file)
    if known is Format.KAFKA:
        if steps:
            raise InvalidCursorError("a path is for JSON, and the source is not JSON.")
        columns, rows = peeked(kafka_table.rows(lines(text)))
        yield Reading(
            rows=rows,
            place=f"Kafka's offsets in {place}",
            unit="line",
            columns=columns,
            names=_KAFKA,
            origin="kafka group {group}",
        )
        return
    found: Iterator[Read] = (
        json_values.records(lines(text), steps)
        if known is Format.JSONL
        else json_values.document(text.read(json_values.DOCUMENT_BYTES_MAX + 1), steps)
    )
    yield Reading(
        rows=found,
        place=place,
        unit="line" if known is Format.JSONL else "record",
        columns=None,
        names=databases.NAMES,
        origin=escaped(place),
    )


def _guessed(first: bytes) -> Format:
    """Return the format of a text by its first line that is not blank."""
    if not first.startswith((b"{", b"[")):
        return Format.KAFKA
    try:
        loads(first)
    except InvalidCursorError:
        # A group may be called [x].
        return Format.KAFKA if _OFFSETS.search(first) else Format.JSON
    return Format.JSONL


_OFFSETS = re.compile(rb",[0-9]+,-?[0-9]+\s*$")


def _first(head: bytes, file: BinaryIO) -> tuple[bytes, bytes]:
    """Return the first line that is not blank, behind all that had to be read to see it."""
    while True:
        text = head.removeprefix(codecs.BOM_UTF8).lstrip()
        # A file may begin with any number of blank lines.
        is_seen = b"\n" in text or len(head) > LINE_BYTES_MAX
        more = b"" if is_seen else file.readline(LINE_BYTES_MAX)
        if not more:
            return head, text.partition(b"\n")[0]
        head += more


class _Pushed:
    """A file of which something was read already, and is read again."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def readline(self, size: int) -> bytes:
        """Return the rest of the line, at most `size` bytes; b"" at the end."""
        if not self._head:
            return self._file.readline(size)
        end = min(self._head.find(b"\n") + 1 or len(self._head), size)
        part, self._head = self._head[:end], self._head[end:]
        if self._head or part.endswith(b"\n") or len(part) == size:
            return part
        return part + self._file.readline(size - len(part))

    def read(self, size: int) -> bytes:
        """Return the rest, at most `size` bytes."""
        part, self._head = self._head[:size], self._head[size:]
        return part + self._file.read(size - len(part)) if len(part) < size else part
