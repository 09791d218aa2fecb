"""Heads out of a file, for a ledger in which nobody records them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, TypeAlias

from ledger import InvalidCursorError
from ledger.law import fields
from ledger.log.text import loads
from projections.csv_rows import csv_rows

__all__ = ["read_heads"]

_HAS = ("stream", "subject", "sequence")
_FORM = (
    "Begin it with a heading: stream,subject,sequence; or write a JSON object a line with these "
    "names."
)

_Refused: TypeAlias = Callable[[int, str], InvalidCursorError]


def read_heads(file: BinaryIO) -> dict[tuple[str, str], int]:
    """Return the heads in a file, by stream and subject.

    It has a JSON object a line, or is CSV under a heading: stream, subject, which may be left out,
    and sequence.

    Raises InvalidCursorError, which names the line; also if the file has no heads.
    """
    name = getattr(file, "name", "the file")

    def refused(line: int, why: str) -> InvalidCursorError:
        return InvalidCursorError(f"{name}, line {line}: {why}")

    found: dict[tuple[str, str], int] = {}
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidCursorError(f"{name} is not UTF-8: {error.reason}.") from None
    of_form = _json_lines if text.lstrip().startswith("{") else _csv_lines
    for line, record in of_form(text, refused):
        try:
            place, sequence = _head(record)
        except InvalidCursorError as error:
            raise refused(line, str(error)) from None
        if place in found:
            raise refused(line, f"{'/'.join(filter(None, place))} is in it twice.")
        found[place] = sequence
    if not found:
        raise InvalidCursorError(f"{name} has no heads in it. {_FORM}")
    return found


def _json_lines(text: str, refused: _Refused) -> Iterator[tuple[int, object]]:
    for line, written in enumerate(text.split("\n"), 1):
        if written.strip():
            try:
                yield line, loads(written)
            except InvalidCursorError as error:
                raise refused(line, str(error)) from None


def _csv_lines(text: str, refused: _Refused) -> Iterator[tuple[int, object]]:
    heading: list[str] = []
    for line, cells in csv_rows(text, refused):
        if heading:
            record: dict[str, object] = dict(zip(heading, cells, strict=True))
            number = cells[heading.index("sequence")]
            if not re.fullmatch("[0-9]{1,40}", number):
                raise refused(line, f"sequence must be an integer from 0, not {number!r:.80}.")
            yield line, {**record, "sequence": int(number)}
        elif not {"stream", "sequence"} <= set(cells):
            raise refused(line, f"it is {','.join(cells)!r:.80}. {_FORM}")
        elif len(set(cells)) < len(cells):
            raise refused(line, f"it names a column twice: {','.join(cells)!r:.80}.")
        else:
            heading = cells


def _head(record: object) -> tuple[tuple[str, str], int]:
    if not isinstance(record, Mapping):
        raise InvalidCursorError(f"it must be an object, not {fields.kind(record)}.")
    if extra := [name for name in record if name not in _HAS]:
        raise InvalidCursorError(f"{extra[0]!r:.80} is not known here; it has {', '.join(_HAS)}.")
    stream = fields.required(record.get("stream", ""), "stream")
    subject = fields.text(record.get("subject", ""), "subject")
    return (stream, subject), fields.sequence(record.get("sequence"), "sequence", least=0)
