"""Cursors in JSON: lines of objects, or one document; a path says where in them the records are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ledger.errors import InvalidCursorError
from ledger.exchange.lines import Line
from ledger.exchange.rows import Misread, Read, Row
from ledger.law import fields
from ledger.log.text import loads

__all__ = ["DOCUMENT_BYTES_MAX", "document", "records", "steps"]

DOCUMENT_BYTES_MAX = 64 * 1_048_576

EVERY = "*"


def steps(path: str) -> tuple[str, ...]:
    """Return the names of a path, `data.cursors.*`; none for the empty path.

    Raises InvalidCursorError.
    """
    if not path:
        return ()
    names = tuple(path.split("."))
    if not all(names):
        raise InvalidCursorError(
            f"{path!r:.80} has an empty name in it. Write names with dots between them: "
            "data.cursors, or data.* for every member."
        )
    return names


def records(source: Iterator[Line], path: tuple[str, ...]) -> Iterator[Read]:
    """Yield the records of JSON lines, with the numbers of their lines."""
    for line in source:
        if isinstance(line, Misread):
            yield line
            continue
        number, text = line
        try:
            found = list(_at(loads(text), path))
        except InvalidCursorError as error:
            yield Misread(number, str(error))
            continue
        for record in found:
            yield _row(number, record)


def document(data: bytes, path: tuple[str, ...]) -> Iterator[Read]:
    """Yield the records of one document, numbered from 1.

    Raises InvalidCursorError if it is larger than 64 MiB, or does not have the path.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        raise InvalidCursorError(
            f"the document is larger than {DOCUMENT_BYTES_MAX:,} bytes, and is read as a whole. "
            "Write its records as JSON lines, for example with jq -c, which are read one by one."
        )
    for number, record in zip(count(1), _at(loads(data), path)):
        yield _row(number, record)


Record = tuple[tuple[str, ...], object]


def _at(value: object, path: tuple[str, ...], matched: tuple[str, ...] = ()) -> Iterator[Record]:
    """Yield what is at a path, each with the names that stand for its `*`."""
    if path:
        name, *rest = path
        for found, inner in _members(value, name):
            yield from _at(inner, tuple(rest), (*matched, found) if name == EVERY else matched)
    elif isinstance(value, list):
        for inner in value:
            yield matched, inner
    else:
        yield matched, value


def _members(value: object, name: str) -> Iterator[tuple[str, object]]:
    if name == EVERY and isinstance(value, dict):
        yield from value.items()
    elif name == EVERY and isinstance(value, list):
        yield from ((str(place), inner) for place, inner in enumerate(value))
    elif isinstance(value, dict) and name in value:
        yield name, value[name]
    elif isinstance(value, dict):
        names = ", ".join(map(repr, value))
        raise InvalidCursorError(f"the path leads to no {name!r:.80}; there is {names!s:.200}.")
    else:
        raise InvalidCursorError(
            f"the path leads to {fields.kind(value)}, which has no {name!r:.80}."
        )


def _row(number: int, record: Record) -> Read:
    matched, value = record
    names = {str(place): name for place, name in enumerate(matched, 1)}
    if isinstance(value, dict):
        return Row(number, {**names, **value})
    if matched and not isinstance(value, list):
        return Row(number, {**names, "sequence": value})
    return Misread(number, f"a record must be an object, not {fields.kind(value)}.")
