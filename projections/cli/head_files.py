"""Heads out of a file, for a ledger in which nobody records them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from ledger import InvalidCursorError
from ledger.law import fields
from ledger.log.text import loads

__all__ = ["read_heads"]

_HAS = ("stream", "subject", "sequence")


def read_heads(file: BinaryIO) -> dict[tuple[str, str], int]:
    """Return the heads in a file, by stream and subject.

    It has a JSON object a line, or is CSV under a heading: stream, subject, which may be left out,
    and sequence.

    Raises InvalidCursorError, which names the line.
    """
    found: dict[tuple[str, str], int] = {}
    name = getattr(file, "name", "the file")
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidCursorError(f"{name} is not UTF-8: {error.reason}.") from None
    for line, record in _records(text, name):
        try:
            place, sequence = _head(record)
        except InvalidCursorError as error:
            raise InvalidCursorError(f"{name}, line {line}: {error}") from None
        if place in found:
            said = "/".join(filter(None, place))
            raise InvalidCursorError(f"{name}, line {line}: {said} is in it twice.")
        found[place] = sequence
    return found


def _records(text: str, name: str) -> Iterator[tuple[int, object]]:
    if text.lstrip().startswith("{"):
        for line, written in enumerate(text.splitlines(), 1):
            if written.strip():
                try:
                    yield line, loads(written)
                except InvalidCursorError as error:
                    raise InvalidCursorError(f"{name}, line {line}: {error}") from None
        return
    rows = csv.reader(io.StringIO(text, newline=""))
    heading = [column.strip() for column in next(rows, [])]
    if not heading:
        return
    if not {"stream", "sequence"} <= set(heading):
        raise InvalidCursorError(
            f"{name} begins with {','.join(heading)!r:.80}. Begin it with a heading: "
            "stream,subject,sequence; or write a JSON object a line with these names."
        )
    for row in rows:
        if row:
            yield rows.line_num, dict(zip(heading, row, strict=False))


def _head(record: object) -> tuple[tuple[str, str], int]:
    if not isinstance(record, Mapping):
        raise InvalidCursorError(f"it must be an object, not {fields.kind(record)}.")
    if extra := [name for name in record if name not in _HAS]:
        raise InvalidCursorError(f"{extra[0]!r:.80} is not known here; it has {', '.join(_HAS)}.")
    sequence = record.get("sequence")
    if isinstance(sequence, str) and sequence.strip().isascii() and sequence.strip().isdigit():
        sequence = int(sequence[:40])
    stream = fields.required(record.get("stream", ""), "stream")
    subject = fields.text(record.get("subject", ""), "subject")
    return (stream, subject), fields.sequence(sequence, "sequence", least=0)
