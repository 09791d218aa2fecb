"""A file that says where each cursor is to go: CSV or JSON lines, one line a cursor.

A line has a consumer, a stream, a subject and, under `to`, the sequence. The heading of the CSV
names them, in any order. Instead of the first three, it may have a cursor in one word, as commands
print it: `webhooks/orders/customer-7`. Under `to` may stand the word for a position of the source,
too, such as `lsn:0/16B3748`. What Kafka's tool exports is read, too: `topic,partition,offset`, or
`group,topic,partition,offset`, without a heading. An offset counts from 0, and is that of the next
record to read. A sequence counts from 1, and is that of the last record. They are the same number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from ledger import CursorKey, InvalidCursorError
from ledger.law import fields
from ledger.log.text import loads
from ledger.positions.mapping import is_word
from projections.csv_rows import csv_rows

__all__ = ["read"]

# Each column, with the names that a file may have for it.
_COLUMNS = {
    "cursor": ("cursor",),
    "consumer": ("consumer", "consumer_id", "group"),
    "stream": ("stream", "stream_name", "topic"),
    "subject": ("subject", "subject_id", "partition"),
    "to": ("to", "offset"),
}
_KNOWN = {name: column for column, names in _COLUMNS.items() for name in names}
_KAFKA = ("group", "topic", "partition", "offset")
_FORM = (
    "Write CSV with the heading consumer,stream,subject,to, or cursor,to; or JSON lines with these "
    "names; or "
    "Kafka's topic,partition,offset without a heading."
)

_Line: TypeAlias = tuple[int, Mapping[str, object]]


def read(data: bytes, *, consumer: str = "", stream: str = "") -> dict[CursorKey, int | str]:
    """Return the sequence that the file `data` has for each cursor.

    Or the word for a position of its source, such as `offset:43`, as it stands there.

    `consumer` and `stream` are those of every line that does not name its own.

    Raises InvalidCursorError, which names the line, if a line is not understood, has a cursor that
    an earlier line has, or another consumer or stream than these.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidCursorError("the targets are not UTF-8. Save them as UTF-8.") from None
    lines = _json_lines(text) if text.lstrip().startswith("{") else _csv_lines(text)
    targets: dict[CursorKey, int | str] = {}
    for number, line in lines:
        try:
            key, to = _target(line, {"consumer": consumer, "stream": stream})
        except InvalidCursorError as error:
            raise _refused(number, str(error)) from None
        if key in targets:
            raise _refused(number, f"{key} has a target already.")
        targets[key] = to
    if not targets:
        raise InvalidCursorError(f"the file of targets is empty. {_FORM}")
    return targets


def _refused(number: int, why: str) -> InvalidCursorError:
    return InvalidCursorError(f"line {number} of the targets: {why}")


def _json_lines(text: str) -> Iterator[_Line]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            plain = loads(line)
        except InvalidCursorError as error:
            raise _refused(number, f"{error}.") from None
        if not isinstance(plain, dict):
            raise _refused(number, f"it must be an object. {_FORM}")
        yield number, _by_column(number, list(plain), list(plain.values()))


def _csv_lines(text: str) -> Iterator[_Line]:
    heading: Sequence[str] = ()
    for number, cells in csv_rows(text, _refused):
        if not heading:
            is_kafka = _is_kafka(cells)
            heading = _KAFKA[-len(cells) :] if is_kafka else _heading(cells)
            if not is_kafka:
                continue
        line = _by_column(number, heading, cells)
        yield number, {**line, "to": _place(number, line["to"])}


def _is_kafka(cells: Sequence[str]) -> bool:
    return len(cells) in {3, 4} and all(re.fullmatch("[0-9]+", cell) for cell in cells[-2:])


def _heading(cells: Sequence[str]) -> Sequence[str]:
    if "to" not in _by_column(1, cells, cells):
        raise _refused(1, f"it has no column to. {_FORM}")
    return cells


def _by_column(number: int, names: Sequence[str], values: Sequence[object]) -> Mapping[str, object]:
    line: dict[str, object] = {}
    for name, value in zip(names, values, strict=True):
        column = _KNOWN.get(name)
        if column is None:
            raise _refused(number, f"{name!r:.80} is not known here. {_FORM}")
        if column in line:
            raise _refused(number, f"it has two names for {column}.")
        line[column] = value
    return line


def _target(line: Mapping[str, object], usual: Mapping[str, str]) -> tuple[CursorKey, int | str]:
    if "to" not in line:
        raise InvalidCursorError("to is missing.")
    key = _key(line, usual)
    to = line["to"]
    if isinstance(to, str) and is_word(to):
        return key, to
    return key, fields.sequence(to, "to", least=0)


def _key(line: Mapping[str, object], usual: Mapping[str, str]) -> CursorKey:
    if "cursor" in line:
        if extra := sorted({"consumer", "stream", "subject"} & line.keys()):
            raise InvalidCursorError(f"it has both cursor and {extra[0]}: leave out one of them.")
        key = CursorKey.parse(fields.exact(line["cursor"], "cursor"))
        line = {"consumer": key.consumer_id, "stream": key.stream_name, "subject": key.subject_id}
    return CursorKey(
        _owner(line, "consumer", usual),
        _owner(line, "stream", usual),
        fields.exact(line.get("subject", ""), "subject"),
    )


def _owner(line: Mapping[str, object], column: str, usual: Mapping[str, str]) -> str:
    told, meant = fields.exact(line.get(column, ""), column).strip(), usual[column].strip()
    if not (told or meant):
        raise InvalidCursorError(f"{column} is missing: name it there, or with --{column}.")
    if told and meant and told != meant:
        raise InvalidCursorError(f"its {column} is {told!r:.80}, and not {meant!r:.80}.")
    return told or meant


def _place(number: int, cell: object) -> int | str:
    if is_word(str(cell)):
        return str(cell)
    if not re.fullmatch("[+-]?[0-9]{1,40}", str(cell)):
        raise _refused(number, f"{cell!r:.80} is not a sequence.")
    return int(str(cell))
